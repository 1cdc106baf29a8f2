"""The live page and the comparison in a browser."""

from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.browser.conftest import Open
from tests.stories import Story
from zppo.report.compare import comparison_page
from zppo.report.history import RunHistory
from zppo.report.serve import LiveReport, report_server

pytestmark = pytest.mark.browser


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path).rounds(2)


@pytest.fixture
def address(story: Story, browser: Any) -> Iterator[str]:
    with report_server(LiveReport(RunHistory(story.home, "story")), 0) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_the_live_page_shows_any_question_and_comes_up_to_date(
    open_page: Open, address: str, story: Story
) -> None:
    page = open_page(address)
    assert "2 of 4 rounds" in page.inner_text("#overview-title")
    page.click('button[data-id="q1"]')
    page.wait_for_selector("#life-title")
    assert "It was not drawn in any committed round." in page.inner_text("#life")
    page.click('button[data-id="q2"]')
    page.wait_for_selector("#life-title:has-text('q2')")
    assert "Round 1" in page.inner_text("#life")
    story.rounds(1)
    page.click(".refresh", timeout=60_000)  # offered, since a question is open
    page.wait_for_selector("#overview-title:has-text('3 of 4 rounds')")
    page.wait_for_selector("#life-title")
    page.click(".close")
    story.rounds(1)
    page.wait_for_selector("#overview-title:has-text('4 of 4 rounds')", timeout=60_000)


@pytest.mark.parametrize("width", [1280, 400])
def test_a_comparison_draws_a_line_for_each_run(
    open_page: Open, story: Story, tmp_path: Path, width: int
) -> None:
    Story(tmp_path, "other", ["seed=7"]).rounds(3)
    file = tmp_path / "page.html"
    histories = [RunHistory(tmp_path, name) for name in ("story", "other")]
    file.write_text(comparison_page(histories), encoding="utf-8")
    page = open_page(file.as_uri(), width)
    assert "seed" in page.inner_text("#recipes")
    legends = page.locator("#chart-accuracy-plain .u-legend th").all_inner_texts()
    assert [legend.strip(": ") for legend in legends] == ["round", "story", "other"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width

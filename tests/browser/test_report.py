"""The report in a browser: what a reader sees, does, and must be safe from."""

from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Open
from tests.stories import LONG_LINE, QUESTIONS, tell
from zppo.report.contents import run_page
from zppo.report.history import RunHistory

pytestmark = pytest.mark.browser

NOT_BLANK = """canvas => {
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const seen = new Set();
  for (let at = 0; at < pixels.length; at += 4)
    if (pixels[at + 3] > 200) seen.add(pixels.slice(at, at + 3).join());
  return seen.size;
}"""


def life_of(page: Any, id: str) -> Any:
    """Open a question by its button."""
    page.click(f'button[data-id="{id}"]')
    page.wait_for_selector("#life-title")
    return page.locator("#life")


def open_all(page: Any) -> None:
    """Open every fold of the page, and those that appear inside."""
    while page.evaluate(
        "[...document.querySelectorAll('details:not([open])')].map(fold => (fold.open = true)).length"
    ):
        page.wait_for_timeout(50)  # a fold is filled by an event


def test_the_page_opens_with_what_a_person_asks_first(open_page: Open, report: Path) -> None:
    page = open_page(report.as_uri())
    titles = [title.lower() for title in page.locator(".card h3").all_inner_texts()]
    assert titles == ["did it work?", "what did it cost?", "what is wrong with it?"]
    assert "rose from 0.300 to 0.800 (+0.500)" in page.locator(".sentence").inner_text()
    assert "against the champion" in page.locator(".accuracy").first.inner_text()


def test_every_chart_is_drawn_with_data(open_page: Open, report: Path) -> None:
    page = open_page(report.as_uri())
    charts = page.locator(".chart")
    assert charts.count() >= 15
    for index in range(charts.count()):
        chart = charts.nth(index)
        canvas = chart.locator("canvas")
        assert canvas.count() == 1
        assert canvas.evaluate(NOT_BLANK) > 2, chart.get_attribute("id")
        assert (
            len(set(chart.evaluate("e => [...e.querySelectorAll('.u-legend th')].map(n => n.innerText)"))) > 1
        )


def test_a_chart_shows_values_where_the_pointer_is_and_zooms_where_it_drags(
    open_page: Open, report: Path
) -> None:
    page = open_page(report.as_uri())
    over = page.locator("#chart-gradient-norm .u-over")
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + 40)
    legend = page.locator("#chart-gradient-norm .u-legend")
    assert "0.6" in legend.inner_text()
    page.mouse.move(box["x"] + 5, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60, steps=5)
    page.mouse.up()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 40)
    assert "0.9" not in legend.inner_text()
    page.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + 40)
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 41)
    assert "0.9" in legend.inner_text()


def test_searching_and_filtering_narrow_the_table(open_page: Open, report: Path) -> None:
    page = open_page(report.as_uri())
    rows = page.locator("#table tbody tr")
    assert rows.count() == QUESTIONS
    page.fill("#search", "Q3 WHAT")
    assert rows.count() == 1
    assert "q3" in rows.first.inner_text()
    page.fill("#search", "")
    page.select_option("#filter-source", "sums")
    assert rows.count() == QUESTIONS // 2
    page.select_option("#filter-fate", "graduated")
    assert "0 of" in page.inner_text("#count") or rows.count() < QUESTIONS // 2
    page.select_option("#filter-source", "")
    page.select_option("#filter-fate", "")
    page.select_option("#filter-kind", "bcq")
    assert 0 < rows.count() < QUESTIONS
    page.fill("#search", "nobody has this")
    assert rows.count() == 0


def test_a_question_is_followed_through_its_visits(open_page: Open, report: Path) -> None:
    page = open_page(report.as_uri())
    life = life_of(page, "q0")
    text = life.inner_text()
    assert "Round 1" in text
    assert "admitted to the buffer" in text
    assert "teacher, correct" in text
    assert "student, wrong" in text
    assert "the correct candidate’s answer" in text
    assert "repeats a listed wrong answer" in text
    assert "engine error" in text
    assert "Clipping is not recorded token by token" in text
    assert page.evaluate("document.activeElement.id") == "life-title"
    life.locator(".rollouts summary").first.click()
    life.locator(".rollouts .token").first.wait_for(state="attached")


CONTRASTS = """name => {
  const numbers = text => text.match(/[0-9.]+/g).slice(0, 3).map(Number);
  const linear = part => (part /= 255) <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  const weigh = (sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place];
  const light = text => numbers(text).map(linear).reduce(weigh, 0);
  const contrast = (one, other) => (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  const style = getComputedStyle(document.querySelector(`#life .key .${name}`));
  const [ground, ink] = [light(style.backgroundColor), light(style.color)];
  const lines = ["Top", "Bottom"].filter(side => parseFloat(style[`border${side}Width`]) > 0);
  return [contrast(ground, ink), ...lines.map(side => contrast(ground, light(style[`border${side}Color`])))];
}"""
"""Of a mark in the legend: its text on its ground, then its lines on its ground."""


def test_the_responses_that_the_teacher_gave_are_shown_with_what_was_made_of_them(
    open_page: Open, report: Path
) -> None:
    page = open_page(report.as_uri() + "#q=q0")
    visit = page.locator("#life .visit", has_text="Round 3")
    visit.get_by_text("Teacher responses: 3 correct of 4").click()
    responses = visit.locator(".response")
    responses.first.wait_for()
    assert responses.count() == 3
    told = responses.all_inner_texts()
    for text, how in zip(told, ("unused, from the pool", "drawn in this round", "used before"), strict=True):
        assert how in text
    assert ["candidate of the BCQ" in text for text in told] == [False, False, True]


def test_clipped_tokens_are_coloured_counted_and_explained(open_page: Open, report: Path) -> None:
    page = open_page(report.as_uri() + "#q=q0")
    bcq = page.locator("#life .kind-bcq").first
    assert bcq.locator(".clip-count").all_inner_texts() == ["1 clipped", "2 clipped"]
    assert bcq.locator(".clip-count").nth(1).get_attribute("title") == (
        "1 clipped below, 1 clipped by the dual clip"
    )
    open_all(page)
    for bound, name in (("high", "above"), ("low", "below"), ("dual", "by the dual clip")):
        token = bcq.locator(f".rollouts .token.clip-{bound}")
        assert token.count() == 1
        assert f"clipped {name} in the update: no gradient" in token.get_attribute("title")
        assert page.locator(f"#life .key .clip-{bound}").inner_text() == f"clipped {name}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_marks_of_tokens_can_be_read_in_both_themes(open_page: Open, report: Path, scheme: str) -> None:
    page = open_page(report.as_uri() + "#q=q0", scheme=scheme)
    lines = {"p1": 0, "p2": 0, "p3": 0, "p4": 0, "clip-low": 1, "clip-high": 1, "clip-dual": 2}
    for name, count in lines.items():
        text, *of_lines = page.evaluate(CONTRASTS, name)
        assert text >= 4.5, name
        assert len(of_lines) == count
        assert all(line >= 3 for line in of_lines), name


def test_the_address_leads_to_a_question_again(open_page: Open, report: Path) -> None:
    page = open_page(report.as_uri() + "#q=q0")
    page.wait_for_selector("#life-title")
    assert "q0" in page.inner_text("#life-title")
    page.click(".close")
    page.wait_for_selector("#life-title", state="detached")


def test_hostile_text_is_shown_and_does_nothing(open_page: Open, report: Path) -> None:
    page = open_page(report.as_uri())
    title = page.title()
    life = life_of(page, "q0")
    open_all(page)
    for tag in ("script", "img", "textarea", "b[onclick]"):
        assert life.locator(tag).count() == 0
    text = life.inner_text()
    assert '<script>document.title="owned"</script>' in text
    assert "</candidate></script>" in text
    assert "U+202E" in text
    assert "U+0000" in text
    assert "\u202e" not in text
    assert "{{ 7*7 }} &lt;b&gt;" in text
    assert page.title() == title
    assert page.evaluate("document.scripts.length") == page.evaluate(
        "document.querySelectorAll('body > script').length"
    )


def test_a_line_of_100000_characters_is_clipped_until_all_of_it_is_asked_for(
    open_page: Open, report: Path
) -> None:
    page = open_page(report.as_uri())
    life = life_of(page, "q0")
    open_all(page)
    button = life.get_by_role("button", name="show all 100,000 characters").first
    block = button.locator("xpath=..")
    assert len(block.inner_text()) < 5_000
    handle = block.element_handle()
    button.click()
    assert handle.inner_text() == LONG_LINE
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overflows_sideways(open_page: Open, report: Path, width: int, scheme: str) -> None:
    page = open_page(report.as_uri() + "#q=q0", width, scheme)
    page.wait_for_selector("#life-title")
    open_all(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = page.evaluate(
        f"[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > {width + 1} "
        "&& !e.closest('.scroll, .plot, .hidden, svg')).map(e => e.tagName + '.' + e.className)"
    )
    assert wide == []


def test_the_dark_theme_is_dark(open_page: Open, report: Path) -> None:
    grounds = {
        scheme: open_page(report.as_uri(), scheme=scheme).evaluate(
            "getComputedStyle(document.body).backgroundColor"
        )
        for scheme in ("light", "dark")
    }
    brightness = {scheme: sum(map(int, each[4:-1].split(","))) for scheme, each in grounds.items()}
    assert brightness["light"] > 600
    assert brightness["dark"] < 150


def test_everything_is_reached_by_keyboard(open_page: Open, report: Path) -> None:
    page = open_page(report.as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.focus("#chart-gradient-norm .plot")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert "0.7" in page.locator("#chart-gradient-norm .u-legend").inner_text()
    page.focus("#search")
    page.keyboard.type("question 0")
    for _ in range(6):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.id") == "q0"
    page.keyboard.press("Enter")
    page.wait_for_selector("#life-title")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "close"


AS_ARTIFACT = """html => {
  const frame = document.createElement("iframe");
  frame.sandbox = "allow-scripts";
  frame.style = "width: 1000px; height: 800px";
  frame.src = URL.createObjectURL(new Blob([html], { type: "text/html" }));
  document.body.append(frame);
}"""
"""How MLflow shows an artifact that is a page."""


def test_the_page_works_in_the_frame_in_which_mlflow_shows_artifacts(open_page: Open, report: Path) -> None:
    page = open_page(report.as_uri())
    page.goto("about:blank")  # a parent without the report's own policy, which allows no frames
    page.evaluate(AS_ARTIFACT, report.read_text(encoding="utf-8"))
    frame = page.frames[1]
    frame.wait_for_selector("html[data-ready=yes]", state="attached")
    assert frame.locator(".chart canvas").count() >= 15
    frame.click('button[data-id="q0"]')
    frame.wait_for_selector("#life-title")
    assert "teacher, correct" in frame.inner_text("#life")
    frame.click("#life .close")
    frame.wait_for_selector("#life-title", state="detached")
    frame.click('a[href="#charts"]')


def test_the_legend_has_the_last_values_and_a_hidden_layer_leaves_no_gap(
    open_page: Open, report: Path
) -> None:
    page = open_page(report.as_uri())
    legend = page.locator("#chart-composition .u-legend")
    assert legend.inner_text().startswith("round4")
    page.locator("#chart-composition .u-legend th", has_text="new, plain").click()
    assert legend.locator(".u-off").count() == 1
    assert legend.locator("th[aria-pressed=false]").inner_text().strip() == "new, plain"


def test_a_long_run_begins_with_means_that_can_be_turned_off(open_page: Open, tmp_path: Path) -> None:
    history = RunHistory(tell(tmp_path).home, "story")
    history.reports[:] = [
        each.model_copy(update={"round": 4 * turn + each.round})
        for turn in range(12)
        for each in history.reports
    ]
    file = tmp_path / "page.html"
    file.write_text(run_page(history), encoding="utf-8")
    page = open_page(file.as_uri())
    assert page.input_value("#smoothing") == "5"
    lines = page.locator("#chart-entropy .u-series.raw")
    assert lines.count() == 1
    assert not lines.is_visible()
    assert "0.25" in page.locator("#chart-entropy .u-legend").inner_text()
    page.locator("#chart-entropy .u-legend th", has_text="entropy").click()
    page.select_option("#smoothing", "1")
    assert lines.count() == 0


def test_the_page_asks_nobody_for_anything(open_page: Open, report: Path) -> None:
    page = open_page(report.as_uri())
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    page.wait_for_selector("html[data-ready=yes]", state="attached")
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []

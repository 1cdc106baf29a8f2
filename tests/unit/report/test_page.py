"""The HTML itself: whole, closed to the outside, and deaf to what stands in it."""

import json
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.stories import HOSTILE
from zppo.cli import app
from zppo.errors import InputError
from zppo.report.contents import run_page
from zppo.report.history import RunHistory
from zppo.report.page import visible

LIMIT = 10_000_000


@pytest.fixture(scope="module")
def page(history: RunHistory) -> str:
    return run_page(history)


def elements(page: str, kind: str) -> list[str]:
    """Contents of the page's script elements of a kind: `data` or `code`."""
    found = re.findall(r"<script( [^>]*)?>(.*?)</script>", page, re.DOTALL)
    return [content for attributes, content in found if bool(attributes) == (kind == "data")]


def test_every_script_and_style_is_allowed_by_its_hash_and_no_other(page: str) -> None:
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    allowed = set(re.findall(r"sha256-[A-Za-z0-9+/=]+", policy[1].replace("&#43;", "+")))
    inside = elements(page, "code") + re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    hashes = {f"sha256-{b64encode(sha256(each.encode()).digest()).decode()}" for each in inside}
    assert hashes == allowed
    assert "unsafe" not in policy[1]
    assert "default-src &#39;none&#39;" in policy[1]


def test_the_data_of_the_page_is_json_and_holds_the_hostile_text_unchanged(page: str) -> None:
    contents = [json.loads(content) for content in elements(page, "data")]
    assert len(contents) == 3
    rollouts = [
        rollout["text"]
        for each in contents
        if isinstance(each, dict) and "q0" in each
        for visit in each["q0"]["visits"]
        for group in visit["groups"]
        for rollout in group["rollouts"]
    ]
    assert f"hostile {HOSTILE}" in rollouts


def test_hostile_text_nowhere_becomes_markup(page: str) -> None:
    assert "<img" not in page
    assert "<script>document" not in page
    outside = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "\u202e" not in outside
    assert "⟨U+202E⟩" in outside


def test_the_page_names_no_other_host_to_load_from(page: str) -> None:
    markup = re.sub(r"<script.*?</script>|<style.*?</style>", "", page, flags=re.DOTALL)
    assert not re.search(r'(src|href)="(?!#|data:)', markup)


def test_the_same_run_makes_the_same_page(history: RunHistory, page: str) -> None:
    assert run_page(RunHistory(history.store.home, "story")) == page
    assert len(page.encode()) < LIMIT


def test_a_run_without_a_round_has_a_page(tmp_path: Path) -> None:
    from tests.stories import Story

    Story(tmp_path)
    assert "no round has a validation" in run_page(RunHistory(tmp_path, "story"))


def test_invisible_characters_are_named_and_line_breaks_stay() -> None:
    assert visible("a\x00b\u202ec\n\td") == "a⟨U+0000⟩b⟨U+202E⟩c\n\td"


def test_the_command_writes_a_page_where_it_is_told_or_into_the_home(home: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke
    told = run(app, ["report", "story", "--home", str(home), "--out", str(tmp_path / "x.html")])
    assert told.exit_code == 0
    assert (tmp_path / "x.html").read_text().startswith("<!doctype html>")
    assert run(app, ["report", "story", "other", "--home", str(home)]).exit_code == 0
    assert (home / "reports" / "story-other.html").is_file()


def test_watching_is_for_one_run_and_an_unknown_run_is_named(home: Path) -> None:
    run = CliRunner().invoke
    assert isinstance(
        run(app, ["report", "story", "other", "--watch", "--home", str(home)]).exception, InputError
    )
    assert isinstance(run(app, ["report", "stori", "--home", str(home)]).exception, InputError)

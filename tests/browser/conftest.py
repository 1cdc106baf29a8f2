"""A headless Chromium, and pages that must not complain."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chromium import chromium
from tests.stories import tell
from zppo.report.contents import run_page
from zppo.report.history import RunHistory

Open = Callable[..., Any]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    with chromium("test-browser") as started:
        yield started


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a finished run."""
    directory = tmp_path_factory.mktemp("home")
    tell(directory)
    return directory


@pytest.fixture(scope="session")
def report(home: Path) -> Path:
    """The run's page as a file."""
    file = home / "page.html"
    file.write_text(run_page(RunHistory(home, "story")), encoding="utf-8")
    return file


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Opens an address and waits until the page is ready; at the end nothing may have gone wrong in it."""
    contexts, complaints = [], []

    def open_(address: str, width: int = 1280, scheme: str = "light") -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console", lambda message: complaints.append(message.text) if message.type == "error" else None
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.goto(address)
        page.wait_for_selector("html[data-ready=yes]", state="attached")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []

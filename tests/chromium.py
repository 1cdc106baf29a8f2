"""The system's own Chromium without a window; nothing is downloaded."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

_SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium(target: str) -> Iterator[Any]:
    """Playwright's browser; the test is skipped where one of the two is missing.

    Args:
        target: Of the Makefile, which installs Playwright.
    """
    playwright = pytest.importorskip(
        "playwright.sync_api", reason=f"needs the package playwright: make {target} installs it"
    )
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=program, args=list(_SWITCHES))
        yield started
        started.close()

"""Housekeeping through a worker; half a minute on two cores."""

from pathlib import Path

import pytest

from tests.deploy.installation import Installation

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(1200)]


def _dead_directory(home: Path) -> Path:
    """What a process that died has left behind."""
    left = home / "tmp" / "left-behind"
    left.mkdir(parents=True)
    (left / "file").write_bytes(b"nothing needs this")
    return left


def test_garbage_is_shown_first_and_removed_when_asked(place: Installation) -> None:
    left = _dead_directory(place.home)
    shown = place.start("collect-garbage", {})
    assert place.end_of(shown)["type"] == "COMPLETED"
    assert "left-behind" in place.artifacts_of(shown)["garbage"]["data"]
    assert left.exists()
    removed = place.start("collect-garbage", {"remove": True})
    assert place.end_of(removed)["type"] == "COMPLETED"
    assert "emoved" in place.artifacts_of(removed)["garbage"]["data"]
    assert not left.exists()

"""A run that cannot fit on the disk is refused before it starts."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from zppo.errors import InputError
from zppo.plan.space import check_space
from zppo.recipes import load_recipe


def test_a_run_that_fits_is_let_through(tmp_path: Path) -> None:
    assert check_space(load_recipe("pocket"), tmp_path / "not" / "there" / "yet") == ""


def test_a_run_that_would_not_fit_at_its_limits_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=20_000_000))
    warning = check_space(load_recipe("pocket"), tmp_path)
    assert "may need up to" in warning
    assert "rounds: " in warning


def test_a_run_that_does_not_fit_is_refused_with_figures_and_what_to_lower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(InputError, match=r"(?s)has 1,000 free:.*checkpoints: .* bytes = .*Lower checkpoints"):
        check_space(load_recipe("pocket"), tmp_path)

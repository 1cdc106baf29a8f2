"""What the tests on real servers need of the system, and the packages of Debian and Ubuntu that have it."""

import shutil
import sys
from pathlib import Path

import pytest

PACKAGES = {"initdb": "postgresql", "chromium": "chromium", "shellcheck": "shellcheck"}
"""Of each program."""
_SERVERS = Path("/usr/lib/postgresql")
"""Where Debian has the programs of PostgreSQL's server, by version."""


def program(name: str) -> Path:
    """The path of a program; the test is skipped where it is missing."""
    found = find(name)
    if found is None:
        pytest.skip(f"needs {name}: apt-get install {PACKAGES[name]}")
    return found


def find(name: str) -> Path | None:
    """The path of a program; the newest one of PostgreSQL's."""
    if found := shutil.which(name):
        return Path(found).resolve()
    versions = sorted(_SERVERS.glob(f"*/bin/{name}"), key=lambda file: float(file.parts[-3]))
    return versions[-1] if versions else None


def main() -> int:
    """Say what is missing, before anything takes time; 2 where something is."""
    missing = [name for name in PACKAGES if find(name) is None]
    if not missing:
        return 0
    packages = " ".join(PACKAGES[name] for name in missing)
    print(f"Not found: {', '.join(missing)}. Install them: apt-get install {packages}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())

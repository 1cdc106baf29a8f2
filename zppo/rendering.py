"""Load prompt templates from a set in the package or from a directory of the user's."""

import hashlib
from pathlib import Path
from string import Template

from zppo.core.prompts import Templates
from zppo.errors import InputError

PLACEHOLDERS = {
    "plain": {"question", "closing"},
    "bcq": {"question", "candidates", "closing"},
    "ncq": {"question", "wrong_answers", "candidates", "closing"},
    "candidate": {"text"},
    "closing": set[str](),
}
"""The files of a set, and the placeholders that each must have."""
OPTIONAL = "no_answers"
HINT, HINT_PLACEHOLDERS = "hint", {"question", "hint", "closing"}
"""Its placeholders are the question, the hint and the closing."""
SHARED = ("compress", "hint", "write_hint")
"""Files that a set may lack; the general ones serve then."""
JUDGE = "judge.txt"
SETS = Path(__file__).parent / "templates"


def load_templates(name: str) -> Templates:
    """The template set of that name, or in that directory.

    Raises:
        InputError: No such set, a file is missing, or a template has other placeholders or another end than
            the closing instruction.
    """
    directory = template_directory(name)
    read = {stem: _read(directory / f"{stem}.txt", wanted) for stem, wanted in PLACEHOLDERS.items()}
    optional = directory / f"{OPTIONAL}.txt"
    return Templates(
        plain=read["plain"],
        bcq=read["bcq"],
        ncq=read["ncq"],
        candidate=read["candidate"],
        closing=read["closing"].substitute(),
        hint=load_template(name, HINT, HINT_PLACEHOLDERS),
        no_answers=_read(optional, set()).substitute() if optional.exists() else "",
    )


def load_template(name: str, stem: str, wanted: set[str]) -> Template:
    """One file of a template set that a set may lack; the general one serves then.

    Raises:
        InputError: No such set, or the placeholders are not exactly the `wanted` ones.
    """
    own = template_directory(name) / f"{stem}.txt"
    return _read(own if own.is_file() else SETS / "general" / own.name, wanted)


def template_directory(name: str) -> Path:
    """Where a template set lies: a name in the package, else a directory."""
    for directory in (SETS / name, Path(name)):
        if (directory / "plain.txt").is_file():
            return directory
    known = ", ".join(sorted(path.parent.name for path in SETS.glob("*/plain.txt")))
    raise InputError(
        f"no template set {name!r}: expected one of {known}, or a directory with "
        f"{', '.join(f'{stem}.txt' for stem in PLACEHOLDERS)}"
    )


def templates_digest(name: str) -> str:
    """SHA-256 over the names and contents of a set's files, those that it shares included.

    The judge's prompt is not among them: it belongs to the judge, whoever answers the questions.
    """
    shared = [SETS / "general" / f"{stem}.txt" for stem in SHARED]
    files = {path.name: path for path in (*shared, *template_directory(name).glob("*.txt"))}
    files.pop(JUDGE, None)
    digest = hashlib.sha256()
    for file_name in sorted(files):
        digest.update(file_name.encode() + b"\0" + files[file_name].read_bytes() + b"\0")
    return digest.hexdigest()


def _read(path: Path, wanted: set[str]) -> Template:
    try:
        text = path.read_text(encoding="utf-8").rstrip("\n")
    except FileNotFoundError:
        raise InputError(f"the template set lacks {path}; copy it from {SETS / 'general'}") from None
    template = Template(text)
    found = set(template.get_identifiers())
    if found != wanted or not template.is_valid():
        raise InputError(
            f"{path} should have the placeholders {_listed(wanted)}, but it has {_listed(found)}; write a "
            "literal $ as $$"
        )
    if "closing" in wanted and not text.endswith(("$closing", "${closing}")):
        raise InputError(
            f"{path} should end with $closing, as every prompt does; it ends with {text[-40:]!r}"
        )
    return template


def _listed(names: set[str]) -> str:
    return ", ".join(f"${name}" for name in sorted(names)) or "none"

from pathlib import Path
from shutil import copytree
from string import Template

import pytest

from zppo.errors import InputError
from zppo.rendering import SETS, SHARED, load_template, load_templates, templates_digest

NAMES = sorted(path.parent.name for path in SETS.glob("*/plain.txt"))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return Path(copytree(SETS / "general", tmp_path / "own"))


def test_the_package_holds_its_template_sets() -> None:
    assert NAMES == ["general", "pocket", "smollm2"]


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_set_loads(name: str) -> None:
    assert load_templates(name).closing


def test_a_directory_of_the_users_replaces_a_set(own: Path) -> None:
    (own / "closing.txt").write_text("Box the answer.\n")
    assert load_templates(str(own)).render_plain("q") == "q\n\nBox the answer."


def test_an_unknown_set_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"no template set 'generl'.*general, pocket, smollm2"):
        load_templates("generl")


@pytest.mark.parametrize(
    ("stem", "text", "complaint"),
    [
        ("plain", "$question", r"plain\.txt should have the placeholders \$closing, \$question"),
        ("bcq", "$question $candidate $closing", r"but it has \$candidate, \$closing"),
        ("ncq", "$question $candidates $closing", r"\$wrong_answers"),
        ("candidate", "<candidate>", "but it has none"),
        ("closing", "$closing", "placeholders none"),
        ("plain", "$question for $5 $closing", r"literal \$ as \$\$"),
        ("plain", "$closing $question", r"should end with \$closing"),
        (
            "hint",
            "$question $closing",
            r"hint\.txt should have the placeholders \$closing, \$hint, \$question",
        ),
        ("hint", "$question $closing $hint", r"should end with \$closing"),
    ],
)
def test_a_template_that_cannot_serve_is_refused_when_it_is_loaded(
    own: Path, stem: str, text: str, complaint: str
) -> None:
    (own / f"{stem}.txt").write_text(text)
    with pytest.raises(InputError, match=complaint):
        load_templates(str(own))


def test_a_literal_dollar_is_written_twice(own: Path) -> None:
    (own / "plain.txt").write_text("$question for $$5\n${closing}\n")
    (own / "closing.txt").write_text("Pay $$1.\n")
    (own / "no_answers.txt").write_text("not $$2\n")
    templates = load_templates(str(own))
    assert templates.render_plain("q") == "q for $5\nPay $1."
    assert "all wrong: not $2\n" in templates.render_ncq("q", ["a"], [])


def test_a_missing_file_is_named(own: Path) -> None:
    (own / "candidate.txt").unlink()
    with pytest.raises(InputError, match=r"lacks .*candidate\.txt"):
        load_templates(str(own))


@pytest.mark.parametrize("stem", SHARED)
def test_a_file_that_a_set_lacks_is_the_general_one_and_is_covered_by_the_digest(
    own: Path, stem: str
) -> None:
    (own / f"{stem}.txt").unlink()
    assert templates_digest(str(own)) == templates_digest("general")
    general = SETS / "general" / f"{stem}.txt"
    wanted = set(Template(general.read_text()).get_identifiers())
    assert load_template(str(own), stem, wanted).template == general.read_text().rstrip("\n")


def test_no_answers_is_optional(own: Path) -> None:
    (own / "no_answers.txt").unlink()
    assert load_templates(str(own)).no_answers == ""


def test_the_digest_covers_every_file_and_its_name(own: Path) -> None:
    before = templates_digest(str(own))
    assert before == templates_digest("general")
    for path in sorted(own.glob("*.txt")):
        text = path.read_text()
        path.write_text(text + " ")
        changed = templates_digest(str(own)) != before
        assert changed is (path.name != "judge.txt"), "the judge's prompt belongs to the judge"
        path.write_text(text)
    assert templates_digest(str(own)) == before
    (own / "no_answers.txt").rename(own / "other.txt")
    assert templates_digest(str(own)) != before

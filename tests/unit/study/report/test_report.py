"""A small report, held to a committed one: `python tests/unit/study/report/test_report.py` rewrites it."""

import csv
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
import pytest

from schemas.config.study import StudyConfig
from schemas.study import StudyRun
from tests.studies import lively, run, study
from zppo.study.report import Provenance, provenance, write_report

GOLDEN = Path(__file__).with_name("report.md")
PROVENANCE = Provenance(
    "zppo study small", 754.0, (("python", "3.11"), ("zppo", "1")), "Linux on x86_64, 2 cores"
)
SKILLS = {"grpo": (0.75, 1.0), "zppo": (0.9, 1.4)}
STUDENTS = ("s", "t")


def small_study() -> StudyConfig:
    claim = {"statement": "ZPPO beats GRPO", "source": "Table 1"}
    return study(
        [
            {"name": "grpo", "label": "GRPO", "set": ["method={type: grpo}"]},
            {"name": "zppo", "label": "ZPPO"},
        ],
        title="A small study",
        description="Two methods.",
        factors=[
            {"key": "student.model", "label": "student", "values": STUDENTS, "labels": ["quick", "slow"]}
        ],
        comparisons=[{"better": "zppo", "baseline": "grpo"}],
        groups=[
            {"name": "both", "title": "Both methods", "description": "A pair.", "variants": ["grpo", "zppo"]}
        ],
        claims=[
            {
                **claim,
                "test": {"type": "difference", "larger": "zppo", "smaller": "grpo", "axis": "rollouts"},
            },
            {
                "statement": "BCQ stays away from 1",
                "source": "Figure 2",
                "test": {
                    "type": "between",
                    "measure": "bcq_accuracy",
                    "variant": "zppo",
                    "low": 0.36,
                    "high": 0.69,
                },
            },
            {
                "statement": "ZPPO is quicker",
                "source": "Table 3",
                "test": {"type": "difference", "measure": "seconds", "larger": "grpo", "smaller": "zppo"},
            },
            {
                "statement": "It helps on images",
                "source": "Table 4",
                "test": {"type": "not_testable", "reason": "no images"},
            },
        ],
    )


def small_runs() -> list[StudyRun]:
    """Three seeds of both methods and students, but one run is missing."""
    runs = [
        lively(name, seed, skill - 0.1 * (student == "t"), cost, {"student.model": student})
        for name, (skill, cost) in SKILLS.items()
        for student in STUDENTS
        for seed in range(3)
    ]
    return [
        each
        for each in runs
        if (each.variant, each.seed, each.factors) != ("grpo", 2, {"student.model": "t"})
    ]


def written(directory: Path, runs: list[StudyRun]) -> dict[str, bytes]:
    """The files of a report, by path."""
    directory.mkdir()
    write_report(small_study(), runs, directory, PROVENANCE)
    return {
        str(file.relative_to(directory)): file.read_bytes() for file in directory.rglob("*") if file.is_file()
    }


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return written(tmp_path_factory.mktemp("report") / "first", small_runs())


def rows(report: dict[str, bytes], name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(report[name].decode().splitlines()))


def test_the_report_reads_as_committed(report: dict[str, bytes]) -> None:
    assert report["report.md"].decode() == GOLDEN.read_text(encoding="utf-8")


def test_the_same_runs_in_another_order_give_the_same_bytes(report: dict[str, bytes], tmp_path: Path) -> None:
    again = written(tmp_path / "again", small_runs()[::-1])
    assert again.keys() == report.keys()
    assert [name for name, content in report.items() if again[name] != content] == []


def test_every_link_of_the_report_leads_to_a_file_and_every_file_is_linked(report: dict[str, bytes]) -> None:
    links = set(re.findall(r"\]\(([^)]+)\)", report["report.md"].decode()))
    assert links == report.keys() - {"report.md"}


def test_every_figure_is_there_as_png_and_svg(report: dict[str, bytes]) -> None:
    pictures = {Path(name).stem for name in report if name.startswith("figures/")}
    assert {f"both-accuracy-over-{axis}" for axis in ("rounds", "tokens", "rollouts", "seconds")} < pictures
    assert {"differences", "both-advantages", "both-graduations", "both-fates-1", "both-audits-2"} < pictures
    for name in pictures:
        assert report[f"figures/{name}.png"].startswith(b"\x89PNG")
        assert b"<svg" in report[f"figures/{name}.svg"]


def test_figures_hold_no_date(report: dict[str, bytes]) -> None:
    assert not any(b"dc:date" in content for name, content in report.items() if name.endswith(".svg"))


def test_csv_and_parquet_hold_the_same(report: dict[str, bytes], tmp_path: Path) -> None:
    for name in ("runs", "curves"):
        (tmp_path / name).write_bytes(report[f"{name}.parquet"])
        table = pq.read_table(tmp_path / name)
        as_text = [
            {key: "" if value is None else str(value) for key, value in row.items()}
            for row in table.to_pylist()
        ]
        assert as_text == rows(report, f"{name}.csv")


def test_a_run_has_a_row_and_a_checkpoint_has_a_row(report: dict[str, bytes]) -> None:
    assert len(rows(report, "runs.csv")) == len(small_runs()) == 11
    assert len(rows(report, "curves.csv")) == sum(len(each.curve) for each in small_runs())
    assert {row["student.model"] for row in rows(report, "runs.csv")} == {"quick", "slow"}


def test_the_summary_is_the_mean_of_the_runs(report: dict[str, bytes]) -> None:
    runs = [each for each in small_runs() if (each.variant, each.factors["student.model"]) == ("zppo", "s")]
    (row,) = (
        row
        for row in rows(report, "summary.csv")
        if (row["variant"], row["student.model"]) == ("zppo", "quick")
    )
    assert float(row["accuracy"]) == pytest.approx(sum(each.curve[-1].accuracy for each in runs) / 3)
    assert row["seeds"] == "3"


def test_a_difference_says_how_many_seeds_had_no_partner(report: dict[str, bytes]) -> None:
    found = {
        (row["student.model"], row["pairs"], row["unpaired_seeds"]) for row in rows(report, "differences.csv")
    }
    assert found == {("quick", "3", "0"), ("slow", "2", "1")}


def test_a_study_of_one_bare_run_has_a_report_without_empty_parts(tmp_path: Path) -> None:
    bare = study(["a"], comparisons=[], claims=[])
    write_report(bare, [run("a")], tmp_path, PROVENANCE)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    for absent in ("## Claims", "## Paired differences", "### Graduations", "### BCQ", "fates", "audits"):
        assert absent not in text
    assert "| a | 1 | 0.600 | 0.300 |" in text


def test_a_report_needs_a_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one finished run"):
        write_report(small_study(), [], tmp_path, PROVENANCE)


def test_the_provenance_of_this_process_names_its_python_and_its_packages() -> None:
    found = provenance("zppo study small", None)
    assert {"python", "numpy", "torch"} <= dict(found.versions).keys()


if __name__ == "__main__":
    with TemporaryDirectory() as directory:
        GOLDEN.write_bytes(written(Path(directory) / "golden", small_runs())["report.md"])

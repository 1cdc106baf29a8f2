import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import datasets
import pytest

from schemas.config.data import (
    DataConfig,
    FieldMapping,
    FilesSource,
    HubSource,
    PocketSource,
    ReasoningGymSource,
    TaskParameter,
)
from zppo.data.hub import pin
from zppo.data.rows import Row
from zppo.data.sources import input_digests, read_rows
from zppo.errors import InputError

ROWS: list[Mapping[str, Any]] = [{"question": f"q{i}", "answer": str(i), "extra": "x"} for i in range(5)]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def fields_of(source: Any) -> list[Mapping[str, object]]:
    rows = list(read_rows(source))
    assert [row.place.line for row in rows] == list(range(1, len(rows) + 1))
    return [row.fields for row in rows if isinstance(row, Row)]


def without_extra() -> list[dict[str, Any]]:
    return [{name: row[name] for name in ("question", "answer")} for row in ROWS]


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """A local directory as the hub lays one out."""
    datasets.Dataset.from_list(ROWS).to_json(tmp_path / "train.jsonl")
    datasets.Dataset.from_list(ROWS[:2]).to_json(tmp_path / "test.jsonl")
    return tmp_path


def test_a_local_directory_is_read_by_split_and_by_mapped_columns(layout: Path) -> None:
    assert fields_of(HubSource(name="h", path=str(layout))) == without_extra()
    assert fields_of(HubSource(name="h", path=str(layout), split="test")) == without_extra()[:2]


def test_a_data_set_saved_to_disk_is_read_by_split(tmp_path: Path) -> None:
    saved = datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS)})
    saved.save_to_disk(tmp_path / "saved")
    assert fields_of(HubSource(name="h", path=str(tmp_path / "saved"))) == without_extra()
    with pytest.raises(InputError, match="no split 'test'; the splits are train"):
        fields_of(HubSource(name="h", path=str(tmp_path / "saved"), split="test"))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"split": "nope"}, "nope"), ({"fields": FieldMapping(question="problem")}, "no column 'problem'")],
)
def test_a_wrong_split_or_column_is_an_error_that_names_it(
    layout: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        fields_of(HubSource(name="h", path=str(layout), **change))


def test_a_commit_and_a_directory_need_no_hub(layout: Path) -> None:
    local = HubSource(name="h", path=str(layout))
    pinned = HubSource(name="h", path="some/where", revision=COMMIT)
    assert pin(local) == local
    assert pin(pinned) == pinned
    (digest,) = input_digests(DataConfig(sources=(pinned,)))
    assert digest.digest == f"commit:{COMMIT}"


def test_a_digest_changes_with_the_file_and_not_with_its_place_in_time(
    tmp_path: Path, jsonl: Callable[..., Path]
) -> None:
    config = DataConfig(sources=(FilesSource(name="f", paths=(str(jsonl(tmp_path / "a.jsonl", ROWS)),)),))
    before = input_digests(config)
    jsonl(tmp_path / "a.jsonl", ROWS)
    assert input_digests(config) == before
    jsonl(tmp_path / "a.jsonl", ROWS[:-1])
    assert input_digests(config) != before


def test_generators_are_known_by_their_version() -> None:
    pytest.importorskip("reasoning_gym")
    sources = (PocketSource(name="p"), ReasoningGymSource(name="g", task="leg_counting"))
    assert all(row.digest.startswith("version:") for row in input_digests(DataConfig(sources=sources)))


def test_pocket_questions_bring_their_solutions() -> None:
    rows = fields_of(PocketSource(name="p", count=20))
    assert len(rows) == 20
    assert all(str(row["answer"]) in str(row["reference_solution"]) for row in rows)


def test_reasoning_gym_serves_a_task_and_names_an_unknown_one() -> None:
    pytest.importorskip("reasoning_gym")
    rows = fields_of(ReasoningGymSource(name="g", task="leg_counting", count=3))
    assert all(row["question"] and row["answer"] for row in rows)
    with pytest.raises(InputError, match="no 'nope'"):
        fields_of(ReasoningGymSource(name="g", task="nope"))


def chain_sums(**parameters: int) -> list[Mapping[str, object]]:
    chosen = tuple(TaskParameter(name=name, value=value) for name, value in parameters.items())
    return fields_of(ReasoningGymSource(name="g", task="chain_sum", count=5, parameters=chosen))


def test_the_parameters_of_a_task_reach_it() -> None:
    pytest.importorskip("reasoning_gym")
    for terms in (2, 5):
        rows = chain_sums(min_terms=terms, max_terms=terms)
        assert {len(re.findall(r" [-+] ", str(row["question"]))) for row in rows} == {terms - 1}


@pytest.mark.parametrize("parameters", [{"min_trems": 2}, {"min_terms": 0}, {"seed": 1}])
def test_a_parameter_that_a_task_refuses_is_an_error_that_shows_it(parameters: dict[str, int]) -> None:
    pytest.importorskip("reasoning_gym")
    with pytest.raises(InputError, match=f"'chain_sum' with the parameters {re.escape(str(parameters))}"):
        chain_sums(**parameters)


def test_a_hub_that_does_not_answer_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(InputError, match=r"cannot resolve data set 'some/where'.*local directory"):
        pin(HubSource(name="h", path="some/where"))

import json
import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.config.data import DataConfig, FieldMapping, FilesSource, NearDuplicates, PocketSource
from schemas.prepared import PreparedData
from zppo.data.text import content, jaccard, shingles
from zppo.errors import InputError
from zppo.stages.prepare import prepare

SPLITS = ("train", "validation", "test")
LONG = " ".join(f"word{i}" for i in range(60))


def rows(*texts: str) -> list[dict[str, str]]:
    return [{"question": text, "answer": "1"} for text in texts]


def numbered(count: int, name: str = "q") -> list[dict[str, str]]:
    return rows(*(f"{name} {i}" for i in range(count)))


def removed(report: PreparedData, source: str) -> dict[str, int]:
    (found,) = (one for one in report.sources if one.name == source)
    return {removal.rule: removal.count for removal in found.removed}


good_rows = st.builds(
    lambda text, answer, rate: {"question": text, "answer": answer, "rate": rate},
    st.sampled_from([f"q {i}" for i in range(12)] + ["Q  3", f"{LONG} a", f"{LONG} b", "x" * 5000]),
    st.sampled_from(["1", "2", "y" * 600]),
    st.sampled_from([None, 0.1, 0.9]),
)
bad_rows = st.sampled_from([b"{", b"\xff", b"[]", b'{"question": "q"}', b'{"question": "q", "answer": ""}'])
sources = st.dictionaries(st.sampled_from("abc"), st.lists(good_rows | bad_rows, max_size=25), min_size=1)


@given(data=st.data(), given_rows=sources)
@settings(max_examples=60, deadline=None)
def test_every_row_is_in_one_split_or_under_one_rule_or_in_quarantine(
    prepare_questions: Any, data: st.DataObject, given_rows: dict[str, list[Any]]
) -> None:
    given_rows["first"] = numbered(3, "sure")  # so that there is something to train on
    evaluated = data.draw(st.sets(st.sampled_from("abc")))
    caps = data.draw(st.dictionaries(st.sampled_from("abc"), st.integers(1, 5)))
    extra = {"fields": FieldMapping(pass_rate="rate")}
    options = {
        name: {
            "role": "evaluate" if name in evaluated else "train",
            "max_questions": caps.get(name),
            **(extra if name != "first" else {}),
        }
        for name in given_rows
    }
    report, splits = prepare_questions(
        given_rows,
        settings=options,
        max_pass_rate=0.5,
        max_train=data.draw(st.none() | st.integers(1, 5)),
        test_questions=data.draw(st.integers(0, 1)),
        validation_questions=data.draw(st.integers(0, 1)),
    )
    for source in report.sources:
        kept = sum(question.source == source.name for split in SPLITS for question in splits[split])
        lost = sum(removal.count for removal in source.removed)
        assert source.rows == len(given_rows[source.name]) == kept + lost + source.bad_rows
    for split in SPLITS:
        assert report.questions(split) == len(splits[split])
    ids = [question.id for split in SPLITS for question in splits[split]]
    texts = [content(question.text) for split in SPLITS for question in splits[split]]
    assert len(set(ids)) == len(ids)
    assert len(set(texts)) == len(texts)


@given(st.integers(0, 5), st.integers(0, 5), st.integers(0, 99), st.randoms())
@settings(max_examples=25, deadline=None)
def test_splits_do_not_depend_on_the_order_of_the_rows(
    prepare_questions: Any, test: int, validation: int, seed: int, shuffler: random.Random
) -> None:
    ordered = numbered(15) + numbered(5)
    shuffled = list(ordered)
    shuffler.shuffle(shuffled)
    options = {
        "settings": {"a": {"max_questions": 12}},
        "test_questions": test,
        "validation_questions": validation,
        "seed": seed,
    }
    _, first = prepare_questions({"a": ordered}, **options)
    _, second = prepare_questions({"a": shuffled}, **options)
    assert first == second
    assert [len(first[split]) for split in SPLITS] == [12 - test - validation, validation, test]


def test_another_seed_draws_other_splits(prepare_questions: Any) -> None:
    drawn = [
        prepare_questions({"a": numbered(50)}, test_questions=10, seed=seed)[1]["test"] for seed in (1, 2)
    ]
    assert drawn[0] != drawn[1]


@given(st.lists(st.lists(st.integers(0, 8), max_size=10), min_size=2, max_size=4))
@settings(max_examples=25, deadline=None)
def test_across_sources_the_first_one_wins(prepare_questions: Any, numbers: list[list[int]]) -> None:
    given_rows = {f"s{i}": rows(*(f"q {n}" for n in some)) for i, some in enumerate([*numbers, [99]])}
    _, splits = prepare_questions(given_rows)
    winners: dict[str, str] = {}
    for name, some in given_rows.items():
        for row in some:
            winners.setdefault(row["question"], name)
    assert {question.text: question.source for question in splits["train"]} == winners


@given(st.sets(st.integers(0, 9)), st.booleans())
@settings(max_examples=20, deadline=None)
def test_training_questions_of_an_evaluation_source_leave_wherever_it_stands(
    prepare_questions: Any, shared: set[int], evaluation_first: bool
) -> None:
    held_out = rows("only here", *(f"Q  {i}" for i in shared))
    given_rows = {"train": numbered(10) + numbered(1, "more"), "held_out": held_out}
    if evaluation_first:
        given_rows = dict(reversed(given_rows.items()))
    report, splits = prepare_questions(given_rows, settings={"held_out": {"role": "evaluate"}})
    assert len(splits["test"]) == len(held_out)
    assert removed(report, "train").get("contamination", 0) == len(shared)
    assert not {content(q.text) for q in splits["train"]} & {content(q.text) for q in splits["test"]}


def test_near_copies_of_evaluation_questions_leave_training(prepare_questions: Any) -> None:
    given_rows = {"train": rows(f"{LONG} tail", "else"), "held_out": rows(LONG)}
    options = {"settings": {"held_out": {"role": "evaluate"}}}
    report, _ = prepare_questions(given_rows, **options)
    assert removed(report, "train") == {"contamination": 1}
    report, _ = prepare_questions(given_rows, near_duplicates=NearDuplicates(enabled=False), **options)
    assert removed(report, "train") == {}


def test_validation_and_test_have_no_near_copy_in_training(prepare_questions: Any) -> None:
    generator = random.Random(0)
    bases = [" ".join(generator.choices(LONG.split(), k=80)) for _ in range(20)]
    copies = [f"{base} {ending}" for base in bases for ending in ("one", "two", "three")]
    report, splits = prepare_questions({"a": rows(*copies)}, test_questions=5, validation_questions=5)
    assert removed(report, "a") == {"near_duplicate": 40}
    for held_out in splits["test"] + splits["validation"]:
        for question in splits["train"]:
            assert jaccard(shingles(held_out.text), shingles(question.text)) < 0.9


def test_what_a_cap_cuts_off_a_later_source_may_bring(prepare_questions: Any) -> None:
    given_rows = {"a": numbered(10), "b": numbered(10)}
    report, splits = prepare_questions(given_rows, settings={"a": {"max_questions": 4}})
    assert removed(report, "a") == {"source_cap": 6}
    assert removed(report, "b") == {"duplicate": 4}
    assert Counter(question.source for question in splits["train"]) == {"a": 4, "b": 6}


def test_a_cap_does_not_pull_its_source_into_the_test_split(prepare_questions: Any) -> None:
    given_rows = {"a": numbered(400, "a"), "b": numbered(40, "b")}
    _, splits = prepare_questions(given_rows, settings={"a": {"max_questions": 40}}, test_questions=40)
    assert 8 <= sum(question.source == "a" for question in splits["test"]) <= 32  # 20 expected


def test_the_training_bound_is_shared_by_weight(prepare_questions: Any) -> None:
    given_rows = {"a": numbered(40, "a"), "b": numbered(40, "b")}
    report, splits = prepare_questions(given_rows, settings={"b": {"weight": 3.0}}, max_train=20)
    assert Counter(question.source for question in splits["train"]) == {"a": 5, "b": 15}
    assert removed(report, "a") == {"max_train": 35}


def test_each_limit_counts_its_questions_with_the_measure_and_the_limit(prepare_questions: Any) -> None:
    given_rows = [
        {"question": "fine", "answer": "1"},
        {"question": "known", "answer": "1", "rate": 0.75},
        {"question": "long answer", "answer": "1" * 513},
        {"question": "x" * 4097, "answer": "1"},
    ]
    for row in given_rows:
        row.setdefault("rate", "")
    mapping = {"a": {"fields": FieldMapping(pass_rate="rate")}}
    report, _ = prepare_questions({"a": given_rows}, settings=mapping, max_pass_rate=0.5)
    found = {removal.rule: removal.examples[0].detail for removal in report.sources[0].removed}
    assert found == {
        "pass_rate": "0.75, limit 0.5",
        "answer_too_long": "513 characters, limit 512",
        "prompt_too_long": "4,097 tokens, limit 4,096",
    }


def prepare_files(folder: Path, given_rows: list[Any], jsonl: Any, **config: Any) -> PreparedData:
    path = jsonl(folder / "a.jsonl", given_rows)
    out = folder / "out"
    out.mkdir()
    limits = {"validation_questions": 0, "test_questions": 0, **config}
    return prepare(
        DataConfig(sources=(FilesSource(name="a", paths=(str(path),)),), **limits), 0, len, 99, out
    )


def test_bad_rows_are_in_the_quarantine_file_with_their_lines(tmp_path: Path, jsonl: Any) -> None:
    report = prepare_files(tmp_path, [*numbered(2), b"{", *rows(""), b"\xff"], jsonl, max_bad_rows=0.6)
    written = (tmp_path / "out/quarantine/a.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["line"] for line in written] == [3, 4, 5]
    assert report.sources[0].bad_rows == 3


def test_the_stage_leaves_its_results_and_no_scratch(tmp_path: Path, jsonl: Any) -> None:
    report = prepare_files(tmp_path, numbered(3), jsonl)
    out = tmp_path / "out"
    names = {path.name for path in out.iterdir()}
    assert names == {"train.parquet", "validation.parquet", "test.parquet", "report.json"}
    assert PreparedData.model_validate_json((out / "report.json").read_text()) == report


def test_too_many_bad_rows_stop_the_stage_and_name_the_first(tmp_path: Path, jsonl: Any) -> None:
    with pytest.raises(
        InputError, match=r"'a': 2 of 4 rows are bad.*a\.jsonl line 3: not JSON.*max_bad_rows"
    ):
        prepare_files(tmp_path, [*numbered(2), b"{", b"{"], jsonl)


def test_as_many_bad_rows_as_the_limit_allows_do_not_stop_the_stage(tmp_path: Path, jsonl: Any) -> None:
    report = prepare_files(tmp_path, [*numbered(3), b"{"], jsonl, max_bad_rows=0.25)
    assert report.sources[0].bad_rows == 1


def test_a_wrong_mapping_stops_early(tmp_path: Path, jsonl: Any) -> None:
    given_rows: list[Mapping[str, str]] = [{"problem": "q", "solution": "1"}] * 5000
    with pytest.raises(InputError, match=r"1,000 of 1,000 rows.*the row has 'problem', 'solution'"):
        prepare_files(tmp_path, list(given_rows), jsonl)


def test_too_few_questions_for_the_splits_is_an_error_with_the_books(tmp_path: Path, jsonl: Any) -> None:
    with pytest.raises(InputError, match=r"5 questions.*rows 8.*duplicate 3.*take 5"):
        prepare_files(tmp_path, numbered(5) + numbered(3), jsonl, test_questions=5)


def test_pocket_data_has_disjoint_splits_and_out_of_distribution_questions(tmp_path: Path) -> None:
    config = DataConfig(
        sources=(
            PocketSource(name="pocket", count=300),
            PocketSource(name="longer", role="evaluate", count=50, lengths=(5, 6)),
        ),
        validation_questions=50,
        test_questions=50,
    )
    seen: list[tuple[str, int]] = []
    report = prepare(config, 0, len, 4096, tmp_path, lambda source, count: seen.append((source, count)))
    assert [report.questions(split) for split in ("train", "validation", "test")] == [200, 50, 100]
    assert {kind.kind for kind in report.sources[1].kinds} == {"k=5", "k=6"}
    assert seen == [("longer", 50), ("pocket", 300)]

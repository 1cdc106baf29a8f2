import csv
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zppo.data import files
from zppo.data.files import find_files, read_file
from zppo.data.rows import BadRow, Row
from zppo.errors import InputError

COLUMNS = ("question", "answer")


def outcomes(path: Path) -> list[tuple[int, str]]:
    """Line and either the question or the reason it is bad."""
    return [
        (row.place.line, row.reason if isinstance(row, BadRow) else str(row.fields["question"]))
        for row in read_file(path, COLUMNS)
    ]


def test_jsonl_names_the_line_of_each_bad_row_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b'\xef\xbb\xbf{"question": "one"}\n\n{"question": \n[1]\n{"question": "\xff"}\n'
        + b"[" * 100_000
        + b'\n{"question": "last"}'
    )
    found = outcomes(path)
    assert [line for line, _ in found] == [1, 3, 4, 5, 6, 7]
    reasons = [text for _, text in found]
    assert reasons[0] == "one"
    assert reasons[1].startswith("not JSON")
    assert reasons[2] == "expected a JSON object, got list"
    assert reasons[3].startswith("not UTF-8")
    assert reasons[4].startswith("not readable JSON")
    assert reasons[5] == "last"


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_line_of_ten_megabytes_is_one_bad_row(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    good = b'{"question": "q"}\n' if suffix == ".jsonl" else b"q,a\n"
    header = b"" if suffix == ".jsonl" else b"question,answer\n"
    path.write_bytes(header + good + b"x" * (10 << 20) + b"\n" + good)
    texts = [text for _, text in outcomes(path)]
    assert sorted(texts) == sorted(["q", "q", f"the line is longer than {files.MAX_ROW_BYTES:,} bytes"])


def test_csv_rows_may_span_lines_and_bad_ones_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'question,answer\n"one\ntwo",1\nshort\nbad\xff,2\n\nlast,3\n')
    assert outcomes(path) == [
        (2, "one\ntwo"),
        (4, "expected 2 fields, got 1"),
        (5, "not UTF-8"),
        (7, "last"),
    ]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), min_size=1))
def test_csv_and_parquet_give_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("files")
    with (folder / "a.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *((text, "1") for text in texts)])
    pq.write_table(pa.table({"question": texts, "answer": ["1"] * len(texts)}), folder / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        assert [text for _, text in outcomes(folder / name)] == texts


def test_parquet_rows_with_invalid_utf8_are_bad_alone(tmp_path: Path) -> None:
    texts = pa.array([b"one", b"\xff", b"three"]).view(pa.string())
    pq.write_table(pa.table({"question": texts, "answer": ["1"] * 3}), tmp_path / "a.parquet")
    found = outcomes(tmp_path / "a.parquet")
    assert [found[0], found[2]] == [(1, "one"), (3, "three")]
    assert found[1][1].startswith("not UTF-8")


def test_only_mapped_columns_of_parquet_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"question": ["q"], "answer": ["1"], "huge": ["x"]}), path)
    (row,) = read_file(path, COLUMNS)
    assert isinstance(row, Row)
    assert set(row.fields) == set(COLUMNS)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_missing_column_is_an_error_that_lists_the_columns(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".csv":
        path.write_text("problem,solution\n1,2\n")
    else:
        pq.write_table(pa.table({"problem": ["1"], "solution": ["2"]}), path)
    with pytest.raises(InputError, match=r"no column 'question', 'answer'.*'problem', 'solution'"):
        list(read_file(path, COLUMNS))


def test_a_file_that_is_no_parquet_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("no")
    with pytest.raises(InputError, match="not a readable Parquet file"):
        list(read_file(tmp_path / "a.parquet", COLUMNS))


def test_directories_are_searched_in_a_fixed_order(tmp_path: Path, jsonl: Callable[..., Path]) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.jsonl", "sub/a.csv", "notes.txt"):
        (tmp_path / name).write_text("")
    assert find_files([str(tmp_path)]) == [tmp_path / "b.jsonl", tmp_path / "sub/a.csv"]


@pytest.mark.parametrize("name", ["absent", "notes.txt", "empty"])
def test_a_path_without_data_is_an_error_that_names_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=name):
        find_files([str(tmp_path / name)])

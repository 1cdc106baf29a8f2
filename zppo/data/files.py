"""Rows of JSONL, CSV and Parquet files, one at a time."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from zppo.data.rows import BadRow, Place, Row, excerpt
from zppo.errors import InputError

MAX_ROW_BYTES = 8 << 20
"""A longer line, or a longer field of a CSV file, is a bad row and never held in memory as a whole."""
_BOM = b"\xef\xbb\xbf"
_PARQUET_ROWS = 64

Reader = Callable[[Path, Sequence[str]], Iterator[Row | BadRow]]
"""Rows of a file, with at least the columns named; others may be left out."""


def find_files(paths: Sequence[str]) -> list[Path]:
    """The files that `paths` name, directories searched, in a fixed order.

    Raises:
        InputError: A path is not there, is of another format, or is a directory without data files.
    """
    return [file for path in paths for file in _files_at(Path(path).expanduser())]


def read_file(path: Path, columns: Sequence[str]) -> Iterator[Row | BadRow]:
    """Rows and bad rows of one file, in order.

    Raises:
        InputError: The file cannot be read as what its name says, or a column is missing altogether.
    """
    return _READERS[path.suffix](path, columns)


def read_jsonl(path: Path, columns: Sequence[str]) -> Iterator[Row | BadRow]:
    """One JSON object a line; blank lines are no rows."""
    for place, line in _lines(path):
        if isinstance(line, BadRow):
            yield line
        elif line.strip():
            yield _parse(place, line)


def read_csv(path: Path, columns: Sequence[str]) -> Iterator[Row | BadRow]:
    """Comma-separated values after a header line; quoted fields may span lines."""
    # The limit is a setting of the whole process, and its default is below what a solution may need.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW_BYTES))
    lines = _CsvLines(path)
    reader = csv.reader(lines)
    header = next(reader, [])
    require_columns(str(path), header, columns)
    while True:
        place = Place(str(path), reader.line_num + 1)
        try:
            values = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            yield BadRow(place, f"not CSV: {error}", "")
            continue
        if values:
            yield _csv_row(place, header, values)
        yield from lines.take_bad()
    yield from lines.take_bad()


def read_parquet(path: Path, columns: Sequence[str]) -> Iterator[Row | BadRow]:
    """Only the columns named are read."""
    try:
        with pq.ParquetFile(path, buffer_size=1 << 20) as file:
            require_columns(str(path), file.schema_arrow.names, columns)
            line = 0
            for batch in file.iter_batches(_PARQUET_ROWS, columns=list(columns)):
                for index in range(batch.num_rows):
                    line += 1
                    yield _parquet_row(Place(str(path), line), batch.slice(index, 1))
    except pa.ArrowException as error:
        raise InputError(f"{path} is not a readable Parquet file: {error}") from error


def require_columns(origin: str, present: Sequence[str], needed: Sequence[str]) -> None:
    """Raise `InputError` unless every mapped field is a column."""
    missing = [name for name in needed if name not in present]
    if missing:
        raise InputError(
            f"{origin} has no column {', '.join(map(repr, missing))}; its columns are "
            f"{', '.join(map(repr, present))}: set `fields` of the source to map them"
        )


def _files_at(path: Path) -> list[Path]:
    if path.is_file():
        if path.suffix not in _READERS:
            raise InputError(f"{path} is none of {', '.join(_READERS)}; convert it to one of them")
        return [path]
    if not path.is_dir():
        raise InputError(f"{path} is neither a file nor a directory; correct the path in the source")
    found = sorted(file for file in path.rglob("*") if file.suffix in _READERS and file.is_file())
    if not found:
        raise InputError(f"{path} holds no file that ends in {', '.join(_READERS)}")
    return found


def _lines(path: Path) -> Iterator[tuple[Place, bytes | BadRow]]:
    """Lines of a file; of one that is too long only the start is ever held."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_ROW_BYTES):
            number += 1
            place = Place(str(path), number)
            if number == 1:
                line = line.removeprefix(_BOM)
            if len(line) < MAX_ROW_BYTES or line.endswith(b"\n"):
                yield place, line
                continue
            start = excerpt(line)
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_ROW_BYTES)
            yield place, BadRow(place, f"the line is longer than {MAX_ROW_BYTES:,} bytes", start)


def _parse(place: Place, line: bytes) -> Row | BadRow:
    try:
        fields = json.loads(line.decode())
    except UnicodeDecodeError as error:
        return BadRow(place, f"not UTF-8: {error.reason} at byte {error.start}", excerpt(line))
    except ValueError as error:
        return BadRow(place, f"not JSON: {error}", excerpt(line))
    except RecursionError:
        return BadRow(place, "not readable JSON: nested too deeply", excerpt(line))
    if not isinstance(fields, dict):
        return BadRow(place, f"expected a JSON object, got {type(fields).__name__}", excerpt(line))
    return Row(place, fields)


class _CsvLines:
    """Lines of a CSV file as text; one that is too long becomes blank and is kept aside as a bad row."""

    def __init__(self, path: Path) -> None:
        self._lines = _lines(path)
        self._bad: list[BadRow] = []

    def __iter__(self) -> "_CsvLines":
        return self

    def __next__(self) -> str:
        _, line = next(self._lines)
        if isinstance(line, BadRow):
            self._bad.append(line)
            return "\n"
        # Bytes that are no UTF-8 become lone surrogates, by which `_csv_row` knows them.
        return line.decode("utf-8", "surrogateescape")

    def take_bad(self) -> list[BadRow]:
        """The bad rows since the last call."""
        bad, self._bad = self._bad, []
        return bad


def _csv_row(place: Place, header: list[str], values: list[str]) -> Row | BadRow:
    joined = ",".join(values)
    if len(values) != len(header):
        return BadRow(place, f"expected {len(header)} fields, got {len(values)}", excerpt(joined))
    if not _encodable(joined):
        return BadRow(place, "not UTF-8", excerpt(joined))
    return Row(place, dict(zip(header, values, strict=True)))


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parquet_row(place: Place, row: pa.RecordBatch) -> Row | BadRow:
    try:
        return Row(place, row.to_pylist()[0])
    except UnicodeDecodeError as error:
        return BadRow(place, f"not UTF-8: {error.reason}", excerpt(bytes(error.object)))


_READERS: dict[str, Reader] = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".csv": read_csv,
    ".parquet": read_parquet,
}

"""Rows of a Hugging Face data set: a name on the hub, or a local directory."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import HfApi
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # whichever version the hub uses

from schemas.config.data import HubSource
from zppo.data.files import require_columns
from zppo.data.rows import BadRow, Place, Row
from zppo.errors import InputError

if TYPE_CHECKING:
    import datasets  # type: ignore[import-untyped]

_COMMIT = re.compile(r"[0-9a-f]{40}")


def local_directory(source: HubSource) -> Path | None:
    """The directory that the source names, if it is one."""
    path = Path(source.path).expanduser()
    return path if path.is_dir() else None


def pin(source: HubSource) -> HubSource:
    """The source with its revision resolved to a commit; local directories have none.

    Raises:
        InputError: The hub does not know the data set or the revision, or cannot be reached.
    """
    if local_directory(source) or (source.revision and _COMMIT.fullmatch(source.revision)):
        return source
    try:
        commit = HfApi().dataset_info(source.path, revision=source.revision).sha
    except (OSError, ValueError, httpx.HTTPError) as error:
        raise InputError(
            f"source {source.name!r}: cannot resolve data set {source.path!r} at revision "
            f"{source.revision or 'main'!r} ({error}); correct the name, connect to the hub, or give a "
            "local directory"
        ) from error
    return source.model_copy(update={"revision": commit})


def read_hub(source: HubSource) -> Iterator[Row | BadRow]:
    """Rows in order, streamed; only mapped columns are read, and images are not decoded.

    Raises:
        InputError: No such data set, split or column, or its files cannot be read.
    """
    # Imported here since it takes seconds, and most recipes do not need it.
    import datasets

    datasets.disable_progress_bars()
    origin = f"{source.path}[{source.split}]"
    line = 0
    try:
        rows = _open(source)
        columns = source.fields.columns
        if rows.column_names is not None:
            require_columns(origin, rows.column_names, columns)
            rows = rows.select_columns(list(columns))
        for line, fields in enumerate(rows.decode(False), start=1):
            yield Row(Place(origin, line), fields)
    except (OSError, ValueError, httpx.HTTPError, datasets.exceptions.DatasetsError) as error:
        raise InputError(f"source {source.name!r}: cannot read {origin} after row {line}: {error}") from error


def _open(source: HubSource) -> "datasets.IterableDataset":
    import datasets

    directory = local_directory(source)
    if directory is not None and _was_saved_to_disk(directory):
        saved = datasets.load_from_disk(str(directory))
        if isinstance(saved, datasets.DatasetDict):
            if source.split not in saved:
                raise ValueError(f"no split {source.split!r}; the splits are {', '.join(saved)}")
            saved = saved[source.split]
        return saved.to_iterable_dataset()
    path = source.path if directory is None else str(directory)
    return datasets.load_dataset(
        path, source.subset, split=source.split, revision=source.revision, streaming=True
    )


def _was_saved_to_disk(directory: Path) -> bool:
    """Whether `save_to_disk` of the datasets library wrote the directory."""
    return any((directory / name).exists() for name in ("dataset_dict.json", "state.json"))

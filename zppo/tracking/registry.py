"""Registered students: checkpoints with their lineage, and which of them is the champion.

A version is the checkpoint's own files, safetensors and JSON, as artifacts of the run that made it: no
pickle, and independent of what becomes of the run's directory.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from schemas.promotion import Lineage
from zppo.errors import InputError, StoreError
from zppo.tracking.client import connect, explained

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
_PREFIX = "zppo."
_FILES = "zppo.files_sha256"
_CARD = "zppo.card_sha256"
_CARD_FOLDER = "model-card"
_UNFINISHED_UPLOAD = ".artifact.uploading."
"""MLflow reserves names that begin so."""
CARD_FILE = "card.json"
_TAG_CHARACTERS = 5000
"""As many as MLflow keeps of a tag."""
_REFERENCE = re.compile(r"models:/([^/@]+)/(\d+)")


@dataclass(frozen=True)
class RegisteredVersion:
    """One version of a registered model."""

    model: str
    version: int
    source: str
    """URI of its files."""
    files_sha256: str
    """Over names and contents of its files."""
    tags: Mapping[str, str]

    @property
    def reference(self) -> str:
        """As a recipe names it: `models:/NAME/VERSION`."""
        return f"models:/{self.model}/{self.version}"


class ModelRegistry:
    """Versions of students in MLflow's registry."""

    def __init__(self, uri: str, downloads: Path) -> None:
        """Connect to the registry.

        Args:
            uri: Of a server or a database.
            downloads: Where versions are put that do not lie on this machine's file system.
        """
        self._client = connect(uri)
        self._uri = uri
        self._downloads = downloads

    def register(
        self, model: str, files: Sequence[Path], lineage: Lineage, run_id: str, card: bytes = b""
    ) -> RegisteredVersion:
        """Register a checkpoint; the same weights of the same checkpoint are registered once.

        Args:
            model: Name of the registered model, made where it does not exist.
            files: What transformers loads: weights, configuration, tokenizer.
            lineage: Where the weights come from.
            run_id: MLflow's id of the run that made them.
            card: What its model card says, as JSON; none is kept where it is empty.
        """
        digest = files_digest(files)
        with explained(f"registering a version of {model!r}"):
            known = self._find(model, lineage, digest)
            return known or self._create(model, files, lineage, digest, run_id, card)

    def champion(self, model: str) -> RegisteredVersion | None:
        """The version that the alias points to, None where there is none."""
        from mlflow.exceptions import MlflowException

        with explained(f"looking up the {CHAMPION} of {model!r}"):
            try:
                return _version(self._client.get_model_version_by_alias(model, CHAMPION))
            except MlflowException as error:
                # The registry has no single code for "no such alias" and "no such model".
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise

    def crown(self, version: RegisteredVersion) -> None:
        """Make a version the champion of its model."""
        with explained(f"moving the alias {CHAMPION!r}"):
            self._client.set_registered_model_alias(version.model, CHAMPION, str(version.version))

    def tag(self, version: RegisteredVersion, tags: Mapping[str, str]) -> None:
        """Set tags of a version; `zppo.` is put before their names."""
        with explained(f"tagging {version.reference}"):
            for name, value in tags.items():
                if version.tags.get(name := f"{_PREFIX}{name}") != (value := value[:_TAG_CHARACTERS]):
                    self._client.set_model_version_tag(version.model, str(version.version), name, value)

    def card(self, version: RegisteredVersion) -> bytes | None:
        """The card that was registered with a version, None for one of before there were cards.

        Raises `StoreError` when it is not what was registered.
        """
        expected = version.tags.get(_CARD)
        if expected is None:
            return None
        root, _, folder = version.source.rstrip("/").rpartition("/model/")
        with explained(f"reading the card of {version.reference}"), TemporaryDirectory() as scratch:
            content = self._fetch(f"{root}/{_CARD_FOLDER}/{folder}/{CARD_FILE}", Path(scratch)).read_bytes()
        if hashlib.sha256(content).hexdigest() != expected:
            raise StoreError(
                f"the card of {version.reference} is damaged: expected SHA-256 {expected}. Restore "
                f"{_CARD_FOLDER}/{folder}/{CARD_FILE} among the artifacts of its MLflow run"
            )
        return content

    def resolve(self, reference: str, model: str) -> RegisteredVersion:
        """The pinned version behind `champion` (of `model`) or `models:/NAME/VERSION`.

        Raises `InputError`, naming what there is, when there is no such version.
        """
        if reference == CHAMPION:
            found = self.champion(model)
            if found is None:
                raise InputError(
                    f"student 'champion': the registered model {model!r} has no champion yet. Run a recipe "
                    "with another student first, or name a checkpoint"
                )
            return found
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            raise InputError(f"expected 'champion' or 'models:/NAME/VERSION', got {reference!r}")
        return self._get(match[1], int(match[2]))

    def directory(self, version: RegisteredVersion) -> Path:
        """Where the files of a version lie on this machine, downloaded if need be and checked.

        Raises `StoreError` when they are not what was registered.
        """
        location = urlparse(version.source)
        if location.scheme in ("", "file"):
            directory = Path(unquote(location.path))
        else:
            directory = self._download(version)
        found = files_digest(model_files(directory)) if directory.is_dir() else "no directory"
        if found != version.files_sha256:
            raise StoreError(
                f"{version.reference} in {directory} is damaged: expected SHA-256 {version.files_sha256}, "
                f"found {found}. Restore its files, or name another version"
            )
        return directory

    def _create(
        self, model: str, files: Sequence[Path], lineage: Lineage, digest: str, run_id: str, card: bytes
    ) -> RegisteredVersion:
        self._make_model(model)
        name = f"{lineage.checkpoint_fingerprint[:16]}-{digest[:16]}"
        folder = f"model/{name}"
        for file in files:
            self._client.log_artifact(run_id, str(file), folder)
        tags = _tags(lineage) | {_FILES: digest}
        if card:
            self._client.log_text(run_id, card.decode(), f"{_CARD_FOLDER}/{name}/{CARD_FILE}")
            tags[_CARD] = hashlib.sha256(card).hexdigest()
        root = self._client.get_run(run_id).info.artifact_uri
        created = self._client.create_model_version(
            model,
            f"{root}/{folder}",
            run_id=run_id,
            tags=tags,
            await_creation_for=0,
        )
        return _version(created)

    def _find(self, model: str, lineage: Lineage, digest: str) -> RegisteredVersion | None:
        tag = f"{_PREFIX}checkpoint_fingerprint"
        query = (
            f"name = '{model}' and tags.`{tag}` = '{lineage.checkpoint_fingerprint}' "
            f"and tags.`{_FILES}` = '{digest}'"
        )
        found = self._client.search_model_versions(query, max_results=1)
        return _version(found[0]) if found else None

    def _get(self, model: str, number: int) -> RegisteredVersion:
        with explained(f"looking up the versions of {model!r}"):
            found = self._client.search_model_versions(f"name = '{model}'")
        versions = [_version(each) for each in found]
        for version in versions:
            if version.version == number:
                return version
        known = ", ".join(str(version.version) for version in reversed(versions)) or "none"
        raise InputError(f"models:/{model}/{number} is not in the registry; versions of {model!r}: {known}")

    def _make_model(self, model: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _download(self, version: RegisteredVersion) -> Path:
        parent = self._downloads / version.model / str(version.version)
        directory = parent / version.source.rstrip("/").rsplit("/", 1)[-1]
        if not directory.is_dir() or files_digest(model_files(directory)) != version.files_sha256:
            parent.mkdir(parents=True, exist_ok=True)
            with explained(f"downloading {version.reference}"):
                self._fetch(version.source, parent)
        return directory

    def _fetch(self, uri: str, into: Path) -> Path:
        """Copy an artifact of a run below a directory."""
        from mlflow.artifacts import download_artifacts

        return Path(download_artifacts(artifact_uri=uri, dst_path=str(into), tracking_uri=self._uri))


def model_files(directory: Path) -> list[Path]:
    """The files in the directory of a version, without what MLflow keeps of an upload that was killed."""
    return sorted(file for file in directory.iterdir() if not file.name.startswith(_UNFINISHED_UPLOAD))


def files_digest(files: Sequence[Path]) -> str:
    """SHA-256 over the names and contents of files, in the order of their names."""
    lines = []
    for file in sorted(files, key=lambda path: path.name):
        with file.open("rb") as content:
            lines.append(f"{hashlib.file_digest(content, 'sha256').hexdigest()}  {file.name}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _tags(lineage: Lineage) -> dict[str, str]:
    return {f"{_PREFIX}{name}": str(value) for name, value in lineage.model_dump(mode="json").items()}


def _version(found: "ModelVersion") -> RegisteredVersion:
    tags = dict(found.tags)
    return RegisteredVersion(
        model=found.name,
        version=int(found.version),
        source=found.source or "",
        files_sha256=tags.get(_FILES, ""),
        tags=tags,
    )

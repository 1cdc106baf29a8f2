"""The store: directories on a file system, each committed whole or not at all.

A directory is built aside on the same file system; every file is forced to the disk, the manifest is
written last, and one rename makes all of it visible. What a killed process leaves behind is a directory
under `tmp/`, which the next commit removes.
"""

import errno
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from schemas.manifest import Identity, Manifest, Provenance, StoredFile
from zppo.errors import StoreError
from zppo.layout import stage_at
from zppo.stores.files import DiskErrors, Operations, sha256
from zppo.stores.identity import changes, fingerprint
from zppo.stores.locks import locked_directory, try_lock
from zppo.stores.packages import package_versions
from zppo.stores.sealing import parse, serialize

MANIFEST = "manifest.json"
TEMPORARY = "tmp"
"""Holds the directories that are being built or removed."""


class Staging:
    """A directory that is about to be committed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        """Put the artifact's files here, in subdirectories too."""
        self._manifest: Manifest | None = None

    @property
    def manifest(self) -> Manifest:
        """The manifest, once committed."""
        assert self._manifest is not None, "the manifest exists after the commit's `with` block only"
        return self._manifest


class LocalStore:
    """Artifacts below a home directory, named by relative paths such as `runs/a/rounds/00001/collect`."""

    def __init__(self, home: Path, operations: Operations | None = None) -> None:
        self.home = home.absolute()
        self._do = operations or Operations()
        self._verified: set[tuple[str, StoredFile]] = set()

    def read(self, path: str) -> Manifest | None:
        """The manifest of a committed artifact, None when there is none.

        Raises `StoreError` when the manifest is damaged, missing beside files, or of a newer version.
        """
        directory = self.home / path
        try:
            data = (directory / MANIFEST).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            if directory.is_dir() and any(directory.iterdir()):
                raise StoreError(
                    f"{directory} holds files but no {MANIFEST}: restore it, or remove the directory, and "
                    f"run the same command again, which repeats the stage {stage_at(path)!r}"
                ) from None
            return None
        return parse(data, directory / MANIFEST, stage_at(path))

    def existing(self, path: str) -> Manifest:
        """The manifest of an artifact that was made earlier; `StoreError` when there is none."""
        manifest = self.read(path)
        if manifest is None:
            stage = stage_at(path)
            raise StoreError(f"{self.home / path} does not exist: run the stage {stage!r}, which makes it")
        return manifest

    def find(self, path: str, identity: Identity) -> Manifest | None:
        """The manifest at `path` if it was made from this identity, None when nothing is there.

        Raises `StoreError`, listing what changed, when it was made from another one.
        """
        manifest = self.read(path)
        if manifest is not None and manifest.fingerprint != fingerprint(identity):
            listed = "\n".join(f"  {change}" for change in changes(manifest.identity, identity))
            raise StoreError(
                f"{self.home / path} was made from something else than is asked for now (old -> new):\n"
                f"{listed}\nUndo the change, or use another run name"
            )
        return manifest

    @contextmanager
    def commit(self, path: str, identity: Identity, begun: float | None = None) -> Iterator[Staging]:
        """Commit what the block writes into `staging.directory` as the artifact at `path`.

        An exception in the block leaves nothing behind. Should another process commit the same identity
        meanwhile, its artifact stays and this one is dropped.

        Args:
            path: Of the artifact.
            identity: What it is made from.
            begun: When the work on it began, by `time.monotonic`; by default now.
        """
        self.find(path, identity)
        started = time.monotonic() if begun is None else begun
        with DiskErrors(self.home / path), self._workspace() as workspace:
            staging = Staging(workspace / "artifact")
            self._do.make_directory(staging.directory)
            yield staging
            manifest = Manifest(
                identity=identity,
                fingerprint=fingerprint(identity),
                files=self._seal(staging.directory),
                provenance=Provenance(
                    created=datetime.now(UTC),
                    seconds=time.monotonic() - started,
                    packages=package_versions(),
                ),
            )
            staging._manifest = self._publish(staging.directory, path, manifest)

    def verify(self, path: str) -> Manifest:
        """Check every file of an artifact against its manifest; returns the manifest."""
        manifest = self.existing(path)
        for file in manifest.files:
            self._check(path, manifest, file)
        return manifest

    def file(self, path: str, name: str) -> Path:
        """Where one file of an artifact lies; its content is checked on the first call in a process."""
        manifest = self.existing(path)
        file = next((file for file in manifest.files if file.path == name), None)
        if file is None:
            held = ", ".join(file.path for file in manifest.files) or "nothing"
            raise StoreError(f"{self.home / path} has no file {name}; it holds {held}")
        return self._check(path, manifest, file)

    def committed(self, parent: str) -> tuple[str, ...]:
        """Paths of the artifacts directly below `parent`, sorted by name."""
        return tuple(
            found.parent.relative_to(self.home).as_posix()
            for found in sorted((self.home / parent).glob(f"*/{MANIFEST}"))
        )

    def link(self, source: str, path: str) -> None:
        """Let the artifact at `source` be at `path` too: the files are shared, and stay while either does."""
        manifest = self.verify(source)
        if self.find(path, manifest.identity) is None:
            with DiskErrors(self.home / path), self._workspace() as workspace:
                artifact = workspace / "artifact"
                shutil.copytree(self.home / source, artifact, copy_function=self._do.link)
                for each in (*artifact.rglob("*"), artifact):
                    self._do.sync(each)
                self._reveal(artifact, path, manifest)

    def remove(self, path: str) -> None:
        """Take an artifact away, at once and whole."""
        target = self.home / path
        with DiskErrors(target), self._workspace() as workspace:
            self._do.rename(target, workspace / "removed")
            self._do.sync(target.parent)

    def leftovers(self) -> tuple[str, ...]:
        """What killed processes left under `tmp/`, sorted; the next change of the store removes it."""
        temporary = self.home / TEMPORARY
        found = self._leftovers(temporary) if temporary.is_dir() else ()
        return tuple(sorted(each.relative_to(self.home).as_posix() for each in found))

    def sweep(self) -> None:
        """Remove what killed processes left."""
        with DiskErrors(self.home / TEMPORARY), self._workspace():
            pass

    def write_file(self, path: str, data: bytes) -> None:
        """Write or replace one file that belongs to no artifact: a reader sees the old or the new content."""
        target = self.home / path
        with DiskErrors(target), self._workspace() as workspace:
            aside = workspace / "file"
            self._do.write(aside, data)
            self._do.sync(aside)
            self._make_directories(target.parent)
            self._do.rename(aside, target)
            self._do.sync(target.parent)

    @contextmanager
    def _workspace(self) -> Iterator[Path]:
        """A locked directory of this process on the home's file system, removed at the end."""
        temporary = self.home / TEMPORARY
        temporary.mkdir(parents=True, exist_ok=True)
        self._sweep(temporary)
        directory, descriptor = locked_directory(temporary)
        try:
            yield directory
        except BaseException:
            # The first error tells more than that of its cleaning up; what stays is swept by the next change.
            with suppress(OSError):
                self._do.remove(directory)
            raise
        else:
            self._do.remove(directory)
        finally:
            os.close(descriptor)

    def _sweep(self, temporary: Path) -> None:
        """Remove the workspaces of dead processes."""
        for leftover in self._leftovers(temporary):
            self._do.remove(leftover)

    def _leftovers(self, temporary: Path) -> Iterator[Path]:
        """The workspaces of dead processes: those whose lock is free; each is held while it is looked at."""
        for leftover in temporary.iterdir():
            try:
                descriptor = os.open(leftover, os.O_RDONLY | os.O_DIRECTORY)
            except (FileNotFoundError, NotADirectoryError):
                continue
            try:
                if try_lock(descriptor) and leftover.exists():
                    yield leftover
            finally:
                os.close(descriptor)

    def _seal(self, directory: Path) -> tuple[StoredFile, ...]:
        """Force every file and subdirectory to the disk; returns the files, sorted by path."""
        files = []
        for path in sorted(directory.rglob("*")):
            mode = path.lstat().st_mode
            assert stat.S_ISREG(mode) or stat.S_ISDIR(mode), f"{path} is neither a file nor a directory"
            self._do.sync(path)
            if stat.S_ISREG(mode):
                name = path.relative_to(directory).as_posix()
                files.append(StoredFile(path=name, sha256=sha256(path), size=path.stat().st_size))
        return tuple(sorted(files, key=lambda file: file.path))

    def _publish(self, directory: Path, path: str, manifest: Manifest) -> Manifest:
        self._do.write(directory / MANIFEST, serialize(manifest))
        self._do.sync(directory / MANIFEST)
        self._do.sync(directory)
        return self._reveal(directory, path, manifest)

    def _reveal(self, directory: Path, path: str, manifest: Manifest) -> Manifest:
        """Rename a whole artifact to its place; returns the manifest of what is there then."""
        target = self.home / path
        self._make_directories(target.parent)
        try:
            self._do.rename(directory, target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            existing = self.find(path, manifest.identity)
            assert existing is not None, f"{target} is in the way and empty"
            return existing
        self._do.sync(target.parent)
        return manifest

    def _make_directories(self, directory: Path) -> None:
        """Make a directory and its missing parents, durably."""
        if directory.is_dir():
            return
        self._make_directories(directory.parent)
        with suppress(FileExistsError):
            self._do.make_directory(directory)
        self._do.sync(directory.parent)

    def _check(self, path: str, manifest: Manifest, file: StoredFile) -> Path:
        location = self.home / path / file.path
        if (path, file) not in self._verified:
            expected, found = _describe(file.sha256, file.size), "no file"
            if location.is_file():
                found = _describe(sha256(location), location.stat().st_size)
            if found != expected:
                raise StoreError(
                    f"{location} is damaged: expected {expected}, found {found}. Restore the file; or remove "
                    f"{self.home / path} and run the same command again, which repeats the stage "
                    f"{manifest.identity.stage!r}"
                )
            self._verified.add((path, file))
        return location


def _describe(content: str, size: int) -> str:
    return f"SHA-256 {content} ({size} bytes)"

"""What a home holds that nothing needs any more, and its removal.

Never removed: what a run resumes from, rounds that a fork went on from, pinned checkpoints (those of
registered versions), anything of a run or study that a live process holds, records of studies, and, in doubt,
anything else. A removal is one rename into `tmp/`, so that a killed process leaves nothing half there.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from schemas.config.evaluation import CheckpointConfig
from schemas.errors import nearest
from schemas.run import RunRecord
from zppo.errors import InputError, StoreError, ZppoError
from zppo.layout import RESERVED, RunPaths, StudyPaths
from zppo.runs import check_name, read_run
from zppo.stages.checkpoints import Checkpoints
from zppo.stages.train import read_reports
from zppo.stores.local import LocalStore
from zppo.stores.locks import LOCK_FILE, check_free, exclusive
from zppo.stores.sizes import sizes
from zppo.waste import LEFT_BEHIND, SHARED, Findings, Waste
from zppo.wiring.references import find_needs, needed_checkpoints, unneeded_artifacts, unneeded_journals


def find_waste(home: Path, names: Sequence[str] = ()) -> Findings:
    """What would go, with the bytes that each removal frees when all happen in this order.

    Args:
        home: Of the runs.
        names: Only these runs, and directories in which no run ever began; by default all runs and what they
            share.

    Raises:
        InputError: There is no directory of such a name.
    """
    view, found = _View(home), Findings()
    for name in names:
        view.check_exists(name)
    for owner in names or (LEFT_BEHIND, *view.names, SHARED):
        try:
            if owner not in RESERVED:
                check_free(view.store.home / owner)
            found.waste += view.waste_of(owner)
        except StoreError as error:
            found.left_alone.append(str(error))
    found.waste = _measured(view.store, found.waste)
    return found


def remove_waste(home: Path, found: Findings) -> Findings:
    """Remove what was found, as far as it is still waste; returns what went, with the bytes that it freed."""
    view, removed = _View(home), Findings()
    for owner, waste in groupby(found.waste, key=attrgetter("owner")):
        with ExitStack() as held:
            try:
                if owner not in RESERVED:
                    held.enter_context(exclusive(view.store.home / owner))
                still = {each.path for each in view.waste_of(owner)}
            except StoreError as error:
                removed.left_alone.append(str(error))
                continue
            removed.waste += _remove(view.store, [each for each in waste if each.path in still])
    return removed


class _View:
    """A home as it is now."""

    def __init__(self, home: Path) -> None:
        self.store = LocalStore(home)
        begun = self.store.home.glob(RunPaths("*").manifest)
        self.names = sorted({path.parent.name for path in begun} - RESERVED)
        self._records: list[RunRecord] = []
        self._problems: list[str] = []
        for name in self.names:
            try:
                self._records.append(read_run(home, name))
            except ZppoError as error:
                self._problems.append(str(error))

    def check_exists(self, name: str) -> None:
        """Refuse the name of nothing."""
        if not (self.store.home / check_name(name)).is_dir():
            known = nearest(name, self.names) if self.names else "there are no runs yet"
            raise InputError(f"no run {name!r} under {self.store.home}; {known}")

    def waste_of(self, owner: str) -> list[Waste]:
        """What nothing needs of a run that this process holds or nobody does, or of what no run owns.

        Raises:
            StoreError: A study holds the run, a process uses what runs share, or an artifact cannot be read.
        """
        if owner == LEFT_BEHIND:
            left = self.store.leftovers()
            return [Waste(path, "left behind by a process that was killed", owner) for path in left]
        if owner == SHARED:
            return self._shared()
        self._check_studies(owner)
        return self._surplus(owner) if owner in self.names else self._never_begun(owner)

    def _surplus(self, name: str) -> list[Waste]:
        """Checkpoints that the run's own retention gives up."""
        record, paths = read_run(self.store.home, name), RunPaths(name)
        manifest, config = self.store.read(paths.manifest), record.recipe.checkpoints
        assert manifest is not None, "the record was read from it"
        checkpoints = Checkpoints(self.store, paths, manifest, config, record.recipe.rounds)
        surplus = map(paths.checkpoint, checkpoints.surplus(read_reports(self.store, paths)))
        needed = needed_checkpoints(self.store.home, self._records)
        return [Waste(path, _kept(config), name) for path in surplus if path not in needed]

    def _never_begun(self, name: str) -> list[Waste]:
        """A directory without a run: a lock, and what a fork was to share before its making was cut short."""
        directory = self.store.home / name
        own = [file for file in directory.rglob("*") if file.is_file() and file.lstat().st_nlink == 1]
        if any(file.name != LOCK_FILE for file in own):
            raise StoreError(
                f"{directory} holds files that are nowhere else, but no run began there: look at them, and "
                "remove it by hand"
            )
        return [Waste(name, "no run of this name began", name)]

    def _shared(self) -> list[Waste]:
        if self._problems:
            listed = "; ".join(self._problems)
            raise StoreError(f"what runs share stays, since it is not known what they need: {listed}")
        self._check_nobody_runs()
        needs = [find_needs(self.store, record) for record in self._records]
        artifacts, journals = unneeded_artifacts(self.store, needs), unneeded_journals(self.store, needs)
        return [
            *(Waste(path, "no run or study refers to it", SHARED) for path in artifacts),
            *(
                Waste(path, "what it was to become is finished, or no run waits for it", SHARED)
                for path in journals
            ),
        ]

    def _check_nobody_runs(self) -> None:
        for pattern in (RunPaths("*").root, StudyPaths("*").root):
            for lock in self.store.home.glob(f"{pattern}/{LOCK_FILE}"):
                try:
                    check_free(lock.parent)
                except StoreError as error:
                    raise StoreError(f"what runs share stays while one of them runs: {error}") from None

    def _check_studies(self, name: str) -> None:
        for lock in self.store.home.glob(f"{StudyPaths('*').root}/{LOCK_FILE}"):
            if name.startswith(f"{lock.parent.name}."):
                check_free(lock.parent)


def _kept(config: CheckpointConfig) -> str:
    limit = "" if config.max_bytes is None else f" within {config.max_bytes:,} bytes"
    return f"surplus: the run keeps the last {config.keep_last} and the best {config.keep_best}{limit}"


def _remove(store: LocalStore, waste: Sequence[Waste]) -> list[Waste]:
    measured = _measured(store, waste)
    store.sweep()
    for each in waste:
        if each.owner != LEFT_BEHIND:
            store.remove(each.path)
    return measured


def _measured(store: LocalStore, waste: Sequence[Waste]) -> list[Waste]:
    found = sizes([store.home / each.path for each in waste])
    return [replace(each, size=size) for each, size in zip(waste, found, strict=True)]

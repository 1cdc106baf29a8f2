"""What a collection may take, stated over random homes, and what it says."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.config.evaluation import CheckpointConfig
from tests.homes import Home, RunPlan
from zppo.errors import InputError
from zppo.layout import RunPaths, StudyPaths
from zppo.stores.local import LocalStore
from zppo.stores.locks import exclusive
from zppo.waste import Findings
from zppo.wiring.gc import find_waste, remove_waste

STUDY = "few"
NAMES = ("a", "b", f"{STUDY}.zppo.s0")


@dataclass(frozen=True)
class Story:
    """A home and what happens in it."""

    runs: tuple[RunPlan, ...]
    forked: int | None
    """The round at which the first run is forked."""
    held: frozenset[str]
    """Runs and studies that a live process holds."""
    removed: frozenset[str]
    """Runs that the user removed."""
    recorded: bool
    """Whether a study keeps a record of the first run."""
    journals: frozenset[str]


@st.composite
def plans(draw: st.DrawFn, name: str) -> RunPlan:
    rounds = draw(st.integers(0, 5))
    checkpoints = draw(st.sets(st.integers(0, rounds + 1)))
    keep = CheckpointConfig(
        keep_last=draw(st.integers(1, 2)), max_bytes=draw(st.none() | st.integers(1, 500))
    )
    return RunPlan(
        name=name,
        rounds=rounds,
        checkpoints=sorted(checkpoints),
        pinned=draw(st.sets(st.integers(0, 5), max_size=2)),
        scores=draw(st.dictionaries(st.integers(1, 5), st.floats(0, 1))),
        keep=keep,
        data_seed=draw(st.integers(0, 1)),
        asks=draw(st.booleans()),
        finished=rounds > 0 and draw(st.booleans()),
    )


@st.composite
def stories(draw: st.DrawFn) -> Story:
    runs = tuple(draw(plans(name)) for name in NAMES[: draw(st.integers(1, 3))])
    most = runs[0].rounds
    return Story(
        runs=runs,
        forked=draw(st.none() | st.integers(1, most)) if most else None,
        held=draw(st.frozensets(st.sampled_from([*NAMES, STUDY]), max_size=1)),
        removed=draw(st.frozensets(st.sampled_from(NAMES), max_size=1)),
        recorded=draw(st.booleans()),
        journals=draw(st.frozensets(st.sampled_from(["0" * 16, "1" * 16]))),
    )


def make(story: Story, path: Path) -> dict[str, bool]:
    """Make the home; returns whether each shared artifact is needed."""
    home, needed = Home(path), dict[str, bool]()
    for plan in story.runs:
        record, lives = home.run(plan), plan.name not in story.removed
        prepared = home.prepared(record)
        shared = [prepared, *([home.pool(record, prepared)] if plan.asks else [])]
        if plan.finished:
            shared += [home.answers(f"{role} of {plan.name}", prepared) for role in ("challenger", "base")]
        if story.recorded and plan is story.runs[0] and plan.asks:
            home.study_record(STUDY, plan.name, shared[1])
        for each in shared:
            where = f"store/{each.identity.stage}/{each.fingerprint[:16]}"
            needed[where] = needed.get(where, False) or lives
    if story.forked:
        home.fork(story.runs[0], "fork", story.forked)
    for name in story.removed & {plan.name for plan in story.runs}:
        home.remove_run(name)
    for journal in story.journals:
        home.journal(journal)
    home.leave("0" * 32)
    return needed


def files(root: Path) -> dict[str, bytes]:
    return {str(each.relative_to(root)): each.read_bytes() for each in root.rglob("*") if each.is_file()}


def taken(root: Path) -> int:
    """Bytes of all files, each inode once."""
    found = [each.stat() for each in root.rglob("*") if each.is_file() and each.name != "run.lock"]
    return sum({each.st_ino: each.st_size for each in found}.values())


def must_stay(plan: RunPlan, forked: int | None) -> Iterator[int]:
    """Checkpoints that no collection may take."""
    usable = [index for index in plan.checkpoints if index <= plan.rounds]
    yield from usable[-1:]
    yield from (index for index in plan.checkpoints if index in plan.pinned or index > plan.rounds)
    yield from (index for index in plan.checkpoints if index == forked)
    scored = [(plan.scores[index], index) for index in usable if index in plan.scores]
    yield from (index for _, index in sorted(scored)[-1:])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stories())
def test_nothing_that_is_needed_goes_and_what_goes_frees_what_was_said(story: Story) -> None:
    with tempfile.TemporaryDirectory() as directory, ExitStack() as held:
        home = Path(directory)
        needed = make(story, home)
        live = {plan.name for plan in story.runs} - story.removed
        for name in story.held & {*live, STUDY}:
            held.enter_context(exclusive(home / (StudyPaths(name) if name == STUDY else RunPaths(name)).root))
        before, bytes_before = files(home), taken(home)
        found = find_waste(home)
        assert files(home) == before, "finding changes nothing"
        removed = remove_waste(home, found)
        assert removed.freed == found.freed == bytes_before - taken(home)
        _check_runs(story, home, before)
        _check_shared(story, home, needed)
        again = find_waste(home)
        assert (again.waste, again.left_alone) == ([], found.left_alone)


def _check_runs(story: Story, home: Path, before: dict[str, bytes]) -> None:
    store, after = LocalStore(home), files(home)
    for plan in story.runs:
        if plan.name in story.removed:
            continue
        paths = RunPaths(plan.name)
        forked = story.forked if plan is story.runs[0] else None
        for index in must_stay(plan, forked):
            store.verify(paths.checkpoint(index))
        own = {name for name in before if name.startswith(f"{plan.name}/")}
        outside = {name for name in own if not name.startswith(paths.checkpoints)}
        in_use = plan.name in story.held or (STUDY in story.held and plan.name.startswith(STUDY))
        assert (own if in_use else outside) <= after.keys()
    assert {name for name in before if name.startswith("studies/")} <= after.keys()
    assert all(after[name] == before[name] for name in after if not name.endswith("run.lock"))


def _check_shared(story: Story, home: Path, needed: dict[str, bool]) -> None:
    store = LocalStore(home)
    for path, is_needed in needed.items():
        if is_needed:
            store.verify(path)
    nobody_lives = story.forked is None and not story.recorded and all(
        plan.name in story.removed for plan in story.runs
    )  # fmt: skip
    if nobody_lives and not story.held:
        assert not any(store.committed(f"store/{stage}") for stage in ("prepare", "precompute", "answers"))
        assert not list(home.glob("store/partial/*"))
    assert store.leftovers() == ()


def paths_of(found: Findings) -> list[str]:
    return [each.path for each in found.waste]


def test_hard_links_that_stay_elsewhere_free_nothing_until_the_last_one_goes(tmp_path: Path) -> None:
    home = Home(tmp_path)
    plan = RunPlan("a", checkpoints=(0, 2, 4))
    home.run(plan)
    home.fork(plan, "fork", 3)
    found = find_waste(tmp_path)
    assert paths_of(found) == ["a/checkpoints/00000", "a/checkpoints/00002", "fork/checkpoints/00000"]
    first, second, last = (each.size for each in found.waste)
    assert first.freed == second.freed == 0 < first.total == last.freed
    assert second.total > 0


def test_a_checkpoint_that_a_fork_began_from_or_a_run_starts_with_stays(tmp_path: Path) -> None:
    home = Home(tmp_path)
    plan = RunPlan("a", rounds=6, checkpoints=(0, 2, 4, 6))
    home.run(plan)
    home.fork(plan, "fork", 2)
    assert paths_of(find_waste(tmp_path, ["a"])) == ["a/checkpoints/00000", "a/checkpoints/00004"]


def test_a_run_that_is_in_use_is_left_alone_with_a_line_and_so_is_what_runs_share(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.run(RunPlan("a"))
    home.run(RunPlan("b"))
    with exclusive(tmp_path / "a"):
        found = find_waste(tmp_path)
        assert {each.owner for each in found.waste} == {"b"}
        assert [line.split(" is in use")[0] for line in found.left_alone] == [
            str(tmp_path / "a"), f"what runs share stays while one of them runs: {tmp_path / 'a'}",
        ]  # fmt: skip
    found = find_waste(tmp_path)
    with exclusive(tmp_path / "a"):
        removed = remove_waste(tmp_path, found)
    assert paths_of(removed) == ["b/checkpoints/00000", "b/checkpoints/00002"]
    assert "is in use by process" in removed.left_alone[0]


def test_a_run_that_cannot_be_read_keeps_everything_that_it_may_need(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.run(RunPlan("a"))
    (tmp_path / "a/run/manifest.json").write_text("{}")
    found = find_waste(tmp_path)
    assert found.waste == []
    assert "manifest.json is damaged" in found.left_alone[0]
    assert "what runs share stays" in found.left_alone[1]


def test_the_leftovers_of_a_run_that_never_began_go_only_when_named(tmp_path: Path) -> None:
    home = Home(tmp_path)
    plan = RunPlan("a", rounds=4, checkpoints=(4,))
    home.run(plan)
    home.fork(plan, "fork", 4)
    (tmp_path / "fork/run.lock").touch()
    assert find_waste(tmp_path).waste == []
    home.remove_run("fork/run")
    assert find_waste(tmp_path).waste == []
    found = find_waste(tmp_path, ["fork"])
    assert [(each.path, each.size.freed) for each in found.waste] == [("fork", 0)]
    assert paths_of(remove_waste(tmp_path, found)) == ["fork"]
    assert not (tmp_path / "fork").exists()
    home.store.verify("a/checkpoints/00004")


def test_a_directory_with_files_of_its_own_and_no_run_is_never_taken(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.run(RunPlan("a"))
    home.remove_run("a/run")
    found = find_waste(tmp_path, ["a"])
    assert found.waste == []
    assert "holds files that are nowhere else" in found.left_alone[0]


def test_the_name_of_nothing_is_refused_with_the_nearest(tmp_path: Path) -> None:
    Home(tmp_path).run(RunPlan("baseline"))
    with pytest.raises(InputError, match="did you mean 'baseline'"):
        find_waste(tmp_path, ["baselin"])


def test_a_journal_stays_while_a_run_waits_for_its_pool_and_goes_when_it_has_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    record = home.run(RunPlan("a", rounds=0, checkpoints=()))
    pool = home.pool(record, home.prepared(record))
    home.journal(pool.fingerprint)
    assert paths_of(find_waste(tmp_path)) == [f"store/partial/precompute-{pool.fingerprint[:16]}"]
    home.remove_run(f"store/precompute/{pool.fingerprint[:16]}")
    assert find_waste(tmp_path).waste == []


def test_a_journal_stays_though_another_pool_has_the_same_settings(tmp_path: Path) -> None:
    """A pool of another model: a run that has not trained yet may go on with the journal."""
    home = Home(tmp_path)
    record = home.run(RunPlan("a", rounds=0, checkpoints=()))
    home.pool(record, home.prepared(record))
    home.journal("f" * 64)
    assert find_waste(tmp_path).waste == []

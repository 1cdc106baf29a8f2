"""Forks of a real run: what they share, what they compute, what is refused."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from schemas.config.run import Runtime
from schemas.run import RunRecord
from tests.pipelines import recipe, run_without_prefect, tracked
from zppo.errors import InputError, StoreError
from zppo.layout import RunPaths
from zppo.recipes import override, resolve
from zppo.runs import read_run
from zppo.stores.local import LocalStore
from zppo.wiring.fork import check_settings, fork_run, ranges, rebuildable

ROUND, LAST = 3, 5
CIRCUMSTANCES = ("manifest.json", "timings.json", "run.lock")


@dataclass(frozen=True)
class Home:
    """A home with a finished run, `parent`, that kept all its checkpoints: of the rounds 0, 2, 4 and 5."""

    path: Path

    @property
    def store(self) -> LocalStore:
        """A store that has verified nothing yet."""
        return LocalStore(self.path)

    def fork(self, name: str, *overrides: str, parent: str = "parent", at_round: int = ROUND) -> RunRecord:
        """A fork that is made and not started."""
        return fork_run(parent, name, at_round, overrides, Runtime(home=self.path))

    def go(self, name: str) -> None:
        """Run to the end."""
        run_without_prefect(read_run(self.path, name).recipe, self.path, name)

    def content(self, name: str, part: str = "") -> dict[str, bytes]:
        """The files of a run below a part of it, circumstances left out."""
        root = self.path / name
        files = [file for file in (root / part).rglob("*") if file.name not in CIRCUMSTANCES]
        return {str(file.relative_to(root)): file.read_bytes() for file in files if file.is_file()}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Home:
    """A finished run and a finished fork of it, `same`, with nothing changed."""
    path = tmp_path_factory.mktemp("forks")
    (path / "mlflow.db").write_bytes(mlflow_database.read_bytes())
    run_without_prefect(recipe(path, "checkpoints.keep_last=9"), path, "parent")
    home = Home(path)
    home.fork("same")
    home.go("same")
    return home


@pytest.fixture
def copy(home: Home, tmp_path: Path) -> Home:
    """The same home to change at will."""
    shutil.copytree(home.path, tmp_path / "runs")
    return Home(tmp_path / "runs")


def test_a_fork_with_nothing_changed_gives_the_rounds_of_its_parent_to_the_bit(home: Home) -> None:
    for part in ("rounds", "checkpoints/00004", "checkpoints/00005"):
        assert home.content("same", part) == home.content("parent", part) != {}, part
    for path in (RunPaths("same").update(LAST), RunPaths("parent").update(LAST)):
        assert (
            home.store.verify(path).fingerprint == home.store.verify(RunPaths("parent").update(5)).fingerprint
        )


def test_what_a_fork_shares_is_linked_and_nothing_is_prepared_again(home: Home) -> None:
    shared = [f"rounds/0000{index}/{stage}" for index in (1, 2, 3) for stage in ("collect", "update")]
    for part in (*shared, "base", "checkpoints/00002"):
        for file in (home.path / "parent" / part).rglob("*"):
            assert (home.path / "same" / file.relative_to(home.path / "parent")).samefile(file)
    own = home.path / "same/rounds/00004/collect/rollouts.parquet"
    assert not own.samefile(home.path / "parent/rounds/00004/collect/rollouts.parquet")
    assert [len([*home.path.glob(f"store/{stage}/*")]) for stage in ("prepare", "precompute")] == [1, 1]


def test_manifest_record_and_mlflow_name_the_origin_of_a_fork(home: Home) -> None:
    parents = home.store.verify("same/run").identity.parents
    origin = [
        home.store.verify(path).as_parent() for path in ("parent/run", RunPaths("parent").update(ROUND))
    ]
    assert parents == tuple(origin)
    fork = read_run(home.path, "same").fork
    assert fork is not None
    assert (fork.parent.name, fork.round, fork.run_fingerprint) == ("parent", ROUND, origin[0].fingerprint)
    shown = tracked(home.path)
    assert (shown["parameter forked_from.run"], shown["parameter forked_from.round"]) == ("parent", "3")


def test_a_changed_fork_starts_from_the_same_weights_and_outlives_its_parent(copy: Home) -> None:
    copy.fork("changed", "learner.learning_rate=0.003", "rounds=4")
    shutil.rmtree(copy.path / "parent")
    copy.go("changed")
    same, changed = copy.content("same"), copy.content("changed")
    # The rate differs from round 4 on: its rollouts are still equal, its update is not.
    for equal in ("checkpoints/00003/model.safetensors", "rounds/00004/collect/rollouts.parquet"):
        assert changed[equal] == same[equal]
    assert changed["rounds/00004/update/report.json"] != same["rounds/00004/update/report.json"]


def test_the_same_call_again_finds_the_fork_and_another_is_refused(copy: Home) -> None:
    known = read_run(copy.path, "same")
    shutil.rmtree(copy.path / "parent/checkpoints")
    assert copy.fork("same") == known
    for changed in ({"at_round": 2}, {"overrides": "rounds=9"}):
        with pytest.raises(InputError, match="there is a run 'same' already"):
            copy.fork(
                "same", *filter(None, [changed.get("overrides")]), at_round=changed.get("at_round", ROUND)
            )


def test_a_fork_of_a_fork_begins_where_its_parents_own_rounds_do(copy: Home) -> None:
    record = copy.fork("second", parent="same", at_round=4)
    assert record.fork is not None
    assert record.fork.parent.fork is not None
    with pytest.raises(
        InputError, match=r"it shares that round with 'parent': fork that run\. Rounds that can"
    ):
        copy.fork("third", parent="same", at_round=2)


def test_rounds_without_an_earlier_checkpoint_or_rollouts_are_refused_with_those_that_can(copy: Home) -> None:
    parent = read_run(copy.path, "parent")
    assert rebuildable(copy.store, parent) == [1, 2, 3, 4, 5]
    shutil.rmtree(copy.path / "parent/checkpoints/00000")
    assert rebuildable(copy.store, parent) == [2, 3, 4, 5]
    shutil.rmtree(copy.path / "parent/rounds/00003/collect")
    for index, why in ((1, "no checkpoint of it"), (3, "no checkpoint of it"), (6, "has committed 5 rounds")):
        with pytest.raises(InputError, match=rf"at round {index}: .*{why}.*Rounds that can: 2, 4 to 5$"):
            copy.fork("late", "rounds=9", at_round=index)
    assert not (copy.path / "late").exists()


def test_a_damaged_artifact_of_the_parent_is_named_and_no_fork_begins(copy: Home) -> None:
    file = copy.path / "parent/rounds/00002/collect/rollouts.parquet"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(StoreError, match=r"parent/rounds/00002/collect/rollouts\.parquet is damaged"):
        copy.fork("late")
    assert not (copy.path / "late/run").exists()


def test_a_fork_that_lost_its_checkpoints_is_rebuilt_by_its_parents_recipe(copy: Home) -> None:
    copy.fork("lost", "learner.learning_rate=0.003", "rounds=4")
    for checkpoint in (copy.path / "lost/checkpoints").iterdir():
        shutil.rmtree(checkpoint)
    copy.go("lost")
    lost, same = copy.content("lost"), copy.content("same")
    for equal in ("checkpoints/00003/model.safetensors", "rounds/00004/collect/rollouts.parquet"):
        assert lost[equal] == same[equal]


@pytest.mark.parametrize(
    "setting",
    [
        "student.templates=general",
        "data.seed=5",
        "data.sources.0.count=40",
        "sampling.max_prompt_tokens=63",
        "validation.max_questions=5",
        "evaluation.decoding.temperature=0.5",
        "teacher.temperature=0.5",
        "teacher={type: reference}",
        "method.teacher_group_size=3",
        "rounds=2",
    ],
)
def test_a_setting_that_contradicts_what_is_shared_is_refused_by_its_name(
    tmp_path: Path, setting: str
) -> None:
    before, after = recipe(tmp_path), recipe(tmp_path, setting)
    field = setting.split("=", maxsplit=1)[0]
    with pytest.raises(InputError, match=rf"\n  {field}.*: .*\n"):
        check_settings(before, after, ROUND)


@pytest.mark.parametrize(
    "setting",
    [
        "seed=7",
        "rounds=9",
        "rounds=3",
        "evaluation.teacher=false",
        "method.tau=0.25",
        "method={type: grpo}",
        "method.compression.max_tokens=12",
        "learner.learning_rate=0.1",
        "sampling.temperature=0.9",
        "sampling.max_response_tokens=12",
        "questions_per_round=8",
        "teacher.when_dry=reuse",
        "checkpoints.every=1",
        "promotion.min_gain=0.1",
    ],
)
def test_every_other_setting_may_change(tmp_path: Path, setting: str) -> None:
    check_settings(recipe(tmp_path), recipe(tmp_path, setting), ROUND)


def test_a_run_without_a_pool_may_be_forked_with_another_teacher(tmp_path: Path) -> None:
    plain = recipe(tmp_path, "method={type: grpo}", "teacher={type: none}")
    check_settings(plain, recipe(tmp_path), ROUND)
    check_settings(recipe(tmp_path), plain, ROUND)
    settings = override(plain.model_dump(mode="json"), ["method.tau=0.25"])
    check_settings(plain, resolve(settings, "here"), ROUND)


def test_rounds_are_told_as_ranges() -> None:
    assert ranges([1, 2, 3, 5, 7, 8]) == "1 to 3, 5, 7 to 8"
    assert ranges([]) == ""

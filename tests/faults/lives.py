"""Runs the pipeline in one process after another, each killed by SIGKILL at a chosen point, until one ends.

Usage: `python -m tests.faults.lives DIRECTORY`; the directory is for what tools write. Reads lines of JSON,
`[home, plan]`. A plan is a list, one entry a life: the number of points to pass before the kill, or the name
of the point to die at. One more life follows, which nothing kills. Answers each line with one: the points
that each life passed, as a list of lists.

A point lies before and after every call that changes the disk through the store, every call of the engine,
the learner and the grader, and every call that tells MLflow; its name says what was committed last. The flow
is the product's own with Prefect taken away. The lives are forked from one process, which imports everything
once.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial, wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import zppo.wiring.context
from schemas.config.run import RunConfig
from tests.faults.crash_points import Killer
from tests.pipelines import recipe, run_without_prefect
from zppo.engines.transformers import TransformersEngine
from zppo.environment import prepare_environment
from zppo.graders.rules import RuleGrader
from zppo.learners.torch import TorchLearner
from zppo.stages.precompute import Journal
from zppo.stores.local import LocalStore
from zppo.tracking.mlflow import MlflowTracker
from zppo.tracking.registry import ModelRegistry

CALLS: tuple[tuple[type, str], ...] = (
    (TransformersEngine, "generate"),
    (RuleGrader, "grade"),
    (TorchLearner, "update"),
    (TorchLearner, "save"),
    (TorchLearner, "load"),
    (Journal, "append"),
    (MlflowTracker, "start"),
    (MlflowTracker, "log_round"),
    (MlflowTracker, "log_evaluation"),
    (MlflowTracker, "log_file"),
    (MlflowTracker, "finish"),
    (ModelRegistry, "register"),
    (ModelRegistry, "crown"),
)


class Reaper(Killer):
    """Names the points that it passes, writes them down, and kills at one of them."""

    def __init__(self, home: Path, target: int | str | None, committed: str, log: Path) -> None:
        self._home = home
        super().__init__(target if isinstance(target, int) else None)
        self._name = target if isinstance(target, str) else None
        self._committed = committed
        self._call = ""
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def point(self) -> None:
        """Die here if this is the one."""
        name = f"after {self._committed}: {self._call}"
        os.write(self._log, (name + "\n").encode())
        if name == self._name:
            os.kill(os.getpid(), signal.SIGKILL)
        super().point()

    def watch(self, owner: type, name: str) -> None:
        """Let calls of a method pass a point before and after."""
        call = getattr(owner, name)

        @wraps(call)
        def watched(*arguments: Any, **named: Any) -> Any:
            self._pass(f"before {name}")
            result = call(*arguments, **named)
            self._pass(f"after {name}")
            return result

        setattr(owner, name, watched)

    def _wrap(self, call: Callable[..., None]) -> Callable[..., None]:
        name = getattr(call, "__name__", str(call)).strip("_")

        def killed(*arguments: Any) -> None:
            self._pass(f"before {name}")
            call(*arguments)
            if name == "replace":
                self._renamed(arguments[1].relative_to(self._home))
            self._pass(f"after {name}")

        return killed

    def _write(self, path: Path, data: bytes) -> None:
        self._call = "write"
        super()._write(path, data)

    def _renamed(self, target: Path) -> None:
        """Remember what was committed; shared artifacts by their stage alone, not by their fingerprint."""
        if target.parts[0] != "tmp":
            self._committed = str(target.parent if target.parts[0] == "store" else target)

    def _pass(self, call: str) -> None:
        self._call = call
        self.point()


def live(config: RunConfig, home: Path, reaper: Reaper) -> None:
    """The pipeline from where it stopped to its end, or to the kill."""
    for owner, name in CALLS:
        reaper.watch(owner, name)
    setattr(zppo.wiring.context, "LocalStore", partial(LocalStore, operations=reaper.operations()))  # noqa: B010
    run_without_prefect(config, home)


def run(home: Path, plan: list[int | str]) -> list[list[str]]:
    """Fork one life after another; returns the points of each."""
    config = recipe(home)
    lives: list[list[str]] = []
    for target in [*plan, None]:
        log, committed = home / f"life-{len(lives)}.txt", _last_commit(lives)
        child = os.fork()
        if child == 0:
            with (home / "output.txt").open("a") as output:
                os.dup2(output.fileno(), sys.stdout.fileno())
            live(config, home, Reaper(home, target, committed, log))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        lives.append(log.read_text().splitlines())
        if not os.WIFSIGNALED(status):
            assert os.waitstatus_to_exitcode(status) == 0, f"life {len(lives) - 1} failed"
            break
    return lives


def main() -> None:
    """Answer lines until there are no more."""
    for module in (
        "flows.pipeline",
        "mlflow.artifacts",
        "mlflow.tracking",
        "transformers.models.llama.modeling_llama",
    ):
        import_module(module)
    for line in sys.stdin:
        home, plan = json.loads(line)
        print(json.dumps(run(Path(home), plan)), flush=True)


def _last_commit(lives: list[list[str]]) -> str:
    return lives[-1][-1].removeprefix("after ").split(":")[0] if lives else "nothing"


if __name__ == "__main__":
    prepare_environment(Path(sys.argv[1]))
    main()

"""Promoters that are killed between any two steps of a promotion, and promoters that race.

Usage: `python -m tests.faults.promoters HOME`. Makes a weak champion, then lets a better challenger's run be
killed at one point after another, rolls it back, dies in that too, and then lets two runs that are better
than the champion decide at once. Prints lines of JSON: the points passed by each life of the second and the
third.

The lives are forked from one process, which imports everything once and opens no database of its own.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

import zppo.wiring.context
from flows.stopping import end_with_parent
from schemas.config.run import Runtime
from tests.faults.lives import CALLS, Reaper
from tests.pipelines import recipe, run_without_prefect
from zppo.environment import prepare_environment
from zppo.stores.local import LocalStore
from zppo.tracking.registry import ModelRegistry
from zppo.wiring.context import open_run
from zppo.wiring.promote import Wish, run_promote
from zppo.wiring.rollback import roll_back
from zppo.wiring.tracking import tracking

SHORT = ("rounds=1", "method={type: grpo, group_size: 4, iterations: 2}", "teacher={type: none}")
RACERS = {1: "left", 2: "right"}
"""By seed."""
WEAK = (*SHORT, "promotion.min_gain=0.9")
STRONG = (*SHORT, "student.model=pocket/teacher")


def whole_run(home: Path, name: str, *overrides: str) -> None:
    """A run from its data to its summary."""
    run_without_prefect(recipe(home, *overrides), home, name)


def forced(home: Path, name: str, *overrides: str) -> None:
    """A person makes a finished run's student champion."""
    with open_run(recipe(home, *overrides), name, Runtime(home=home)) as run, tracking(run) as tracker:
        run_promote(run, tracker.run_id, Wish("it is the first"))


class CallReaper(Reaper):
    """Kills at the first call of a name, whatever was committed before."""

    def point(self) -> None:
        """Die here if this is the one."""
        if self._name == self._call:
            self._name = f"after {self._committed}: {self._call}"
        super().point()


def life(home: Path, work: Callable[[], object], target: str | None, log: Path) -> int:
    """Fork a process that does the work or dies at the target, such as `before crown`; its process id."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        end_with_parent(signal.SIGKILL)
        with (home / "output.txt").open("a") as output:
            os.dup2(output.fileno(), sys.stdout.fileno())
            os.dup2(output.fileno(), sys.stderr.fileno())
        reaper = CallReaper(home, target, "nothing", log)
        for owner, name in (*CALLS, (ModelRegistry, "tag")):
            reaper.watch(owner, name)
        store = partial(LocalStore, operations=reaper.operations())
        setattr(zppo.wiring.context, "LocalStore", store)  # noqa: B010
        work()
        os._exit(0)
    return child


def lives(home: Path, work: Callable[[], object], targets: list[str | None]) -> list[list[str]]:
    """One process after another; the points that each passed."""
    passed: list[list[str]] = []
    for target in targets:
        log = home / "life.txt"
        log.write_text("")
        code = os.waitstatus_to_exitcode(os.waitpid(life(home, work, target, log), 0)[1])
        passed.append(log.read_text().splitlines())
        assert code == (-signal.SIGKILL if target else 0), (target, code, (home / "output.txt").read_text())
    return passed


def together(home: Path, *works: Callable[[], object]) -> None:
    """All at once."""
    children = [life(home, work, None, home / f"racer-{index}.txt") for index, work in enumerate(works)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [0] * len(works), (home / "output.txt").read_text()


def main(home: Path, points: list[str]) -> None:
    """Everything, in order."""
    for module in ("mlflow.artifacts", "mlflow.store.model_registry.sqlalchemy_store", "mlflow.tracking"):
        import_module(module)
    weak = partial(whole_run, home, "weak", *WEAK)
    lives(home, weak, [None])
    lives(home, partial(forced, home, "weak", *WEAK), [None])
    strong = partial(whole_run, home, "strong", *STRONG)
    print(json.dumps(lives(home, strong, [*points, None])), flush=True)
    back = partial(roll_back, Runtime(home=home), "zppo-student", None, "slow")
    print(json.dumps(lives(home, back, ["before crown", None])), flush=True)
    racers = {name: partial(whole_run, home, name, *STRONG, f"seed={seed}") for seed, name in RACERS.items()}
    for racer in racers.values():
        # All but the promotion.
        lives(home, racer, ["before log_evaluation"])
    together(home, *racers.values())


if __name__ == "__main__":
    prepare_environment(Path(sys.argv[1]))
    main(Path(sys.argv[1]), sys.argv[2:])

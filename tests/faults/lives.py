"""Runs the pipeline in one process after another, each killed with its group by SIGKILL, until one ends.

Usage: `python -m tests.faults.lives DIRECTORY`; the directory is for what tools write. Reads lines of JSON,
the fields of `Request`, and answers each with one, the fields of `Answer`.

A point lies before and after every call that changes the disk through the store, every call of the engine,
the learner and the grader, and every call that tells MLflow; its name says what was committed last. The flow
is the product's own, with Prefect taken away unless a request wants it; it then needs `PREFECT_API_URL`. The
lives are forked from one process, which imports everything once.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial, wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import zppo.wiring.context
from flows.stopping import end_with_parent
from schemas.config.run import RunConfig, Runtime
from tests.faults.crash_points import Killer
from tests.pipelines import NAME, ROOT, ROUNDS, recipe, run_without_prefect
from zppo.engines.transformers import TransformersEngine
from zppo.environment import prepare_environment
from zppo.graders.rules import RuleGrader
from zppo.learners.torch import TorchLearner
from zppo.stages.journal import Journal
from zppo.stores.local import LocalStore
from zppo.tracking.mlflow import MlflowTracker
from zppo.tracking.registry import ModelRegistry

Target = int | str | float
"""Where a life ends: after so many points, at the point of that name, or after so many seconds."""

LONGEST_LIFE = 600.0
"""Seconds after which a process counts as hung, and is killed."""


@dataclass(frozen=True)
class Request:
    """A run to bring to its end."""

    home: str
    plan: Sequence[Target] = ()
    """One target a life; one more life follows, which nothing kills."""
    rounds: int = ROUNDS
    prefect: bool = False


@dataclass(frozen=True)
class Answer:
    """How that went."""

    lives: list[list[str]]
    """The points that each process passed."""
    seconds: list[float]
    """How long each process lived."""
    error: str | None
    """The end of what the last process printed, if it failed."""


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

    def __init__(self, home: Path, target: Target | None, committed: str, log: Path) -> None:
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
            os.killpg(0, signal.SIGKILL)
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


def live(config: RunConfig, home: Path, reaper: Reaper, prefect: bool) -> None:
    """The pipeline from where it stopped to its end, or to the kill."""
    for owner, name in CALLS:
        reaper.watch(owner, name)
    setattr(zppo.wiring.context, "LocalStore", partial(LocalStore, operations=reaper.operations()))  # noqa: B010
    if prefect:
        import_module("flows.pipeline").run_pipeline(config, NAME, Runtime(home=home))
    else:
        run_without_prefect(config, home)


def run(request: Request) -> Answer:
    """Fork one life after another."""
    home = Path(request.home)
    config = recipe(home, f"rounds={request.rounds}")
    lives: list[list[str]] = []
    seconds: list[float] = []
    for target in [*request.plan, None]:
        log, committed = home / f"life-{len(lives)}.txt", _last_commit(lives)
        log.touch()
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            end_with_parent(signal.SIGKILL)
            _print_into(home / "output.txt")
            live(config, home, Reaper(home, target, committed, log), request.prefect)
            os._exit(0)
        code = _end_of(child, target if isinstance(target, float) else LONGEST_LIFE)
        seconds.append(time.monotonic() - began)
        lives.append(log.read_text().splitlines())
        if code != -signal.SIGKILL:
            return Answer(lives, seconds, _tail(home / "output.txt") if code else None)
    return Answer(lives, seconds, f"killed by somebody else, or hung for {LONGEST_LIFE:.0f} s")


def _end_of(child: int, seconds: float) -> int:
    """Wait for a process, no longer than so many seconds, then kill its group; its exit code."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    # A life of no length may not have made its group yet.
    kill = os.killpg if os.getpgid(child) == child else os.kill
    kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _print_into(file: Path) -> None:
    with file.open("a") as output:
        os.dup2(output.fileno(), sys.stdout.fileno())
        os.dup2(output.fileno(), sys.stderr.fileno())


def _tail(file: Path) -> str:
    return "\n".join(file.read_text(errors="replace").splitlines()[-20:])


def _last_commit(lives: list[list[str]]) -> str:
    points = [point for life in lives for point in life]
    return points[-1].removeprefix("after ").split(":")[0] if points else "nothing"


Ask = Callable[[Request], Answer]


@contextmanager
def forking(tools: Path, environment: Mapping[str, str] | None = None) -> Iterator[Ask]:
    """The process that lives are forked from, as a function."""
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(tools)],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        preexec_fn=partial(end_with_parent, signal.SIGKILL),  # noqa: PLW1509
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    requests, answers = process.stdin, process.stdout

    def ask(request: Request) -> Answer:
        print(json.dumps(asdict(request)), file=requests, flush=True)
        answer = answers.readline()
        assert answer, "the process that lives are forked from has died"
        return Answer(**json.loads(answer))

    yield ask
    requests.close()
    process.wait(timeout=30)


def main() -> None:
    """Answer lines until there are no more."""
    for module in (
        "flows.pipeline",
        "matplotlib.backends.backend_agg",
        "matplotlib.figure",
        "mlflow.artifacts",
        "mlflow.store.model_registry.sqlalchemy_store",
        "mlflow.store.tracking.sqlalchemy_store",
        "mlflow.tracking",
        "transformers.models.llama.modeling_llama",
    ):
        import_module(module)
    for line in sys.stdin:
        print(json.dumps(asdict(run(Request(**json.loads(line))))), flush=True)


if __name__ == "__main__":
    prepare_environment(Path(sys.argv[1]))
    main()

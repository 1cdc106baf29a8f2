"""The learner of a run: recipe -> port."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from schemas.config.learner import FsdpLearnerConfig, TorchLearnerConfig
from schemas.config.method import PolicyGradient
from zppo.core.objective import ClipBounds
from zppo.learners.fsdp.job import Source, Work
from zppo.learners.fsdp.learner import FsdpLearner
from zppo.learners.objectives import DistillationObjective, Objective, PolicyObjective
from zppo.learners.torch import TorchLearner
from zppo.learners.turns import TurnTakingLearner
from zppo.ports import Learner
from zppo.wiring.context import RunContext
from zppo.wiring.models import LoadedModel, use_threads
from zppo.wiring.scratch import scratch


@contextmanager
def open_learner(run: RunContext) -> Iterator[Learner]:
    """The learner of the recipe on the student's weights; processes that it starts end with the block."""
    with ExitStack() as stack:
        config = run.config.learner
        if isinstance(config, FsdpLearnerConfig):
            learner: Learner = _fsdp(run, config, stack)
        else:
            learner = _torch(run, config)
        yield TurnTakingLearner(learner, run.student.rest) if run.student.shares_its_gpu else learner


def _torch(run: RunContext, config: TorchLearnerConfig) -> Learner:
    temperature = run.config.sampling.temperature
    objective = _objective(run, temperature)
    return TorchLearner(run.student.module, run.student.tokenizer.tokenizer, config, objective, temperature)


def _fsdp(run: RunContext, config: FsdpLearnerConfig, stack: ExitStack) -> Learner:
    threads = use_threads(run.student.module, run.runtime.threads)
    machines = run.runtime.learner
    here = max(1, config.processes // (machines.nodes if machines else 1))
    directory = stack.enter_context(scratch(run.runtime.home.absolute() / "tmp"))
    work = Work(
        student=_source(run, run.student, directory / "student"),
        config=config,
        temperature=run.config.sampling.temperature,
        bounds=_bounds(run),
        teacher=None if _bounds(run) else _source(run, _teacher(run), directory / "teacher"),
        threads=max(1, threads // here),
    )
    learner = FsdpLearner(run.student.module, run.student.tokenizer.tokenizer, work, directory, machines)
    stack.callback(learner.close)
    return learner


def _objective(run: RunContext, temperature: float) -> Objective:
    """What the updates of the recipe's method minimise."""
    bounds = _bounds(run)
    return (
        PolicyObjective(bounds, temperature)
        if bounds is not None
        else DistillationObjective(_teacher(run).module)
    )


def _bounds(run: RunContext) -> ClipBounds | None:
    """Of a policy gradient; None in distillation."""
    method = run.config.method
    if not isinstance(method, PolicyGradient):
        return None
    return ClipBounds(method.clip_low, method.clip_high, method.dual_clip)


def _teacher(run: RunContext) -> LoadedModel:
    assert run.teacher is not None, "the recipe's check demands a teacher model for distillation"
    return run.teacher


def _source(run: RunContext, model: LoadedModel, copy: Path) -> Source:
    """The checkpoint, copied into the home where other machines have to read it and it is elsewhere."""
    directory = model.directory
    if run.runtime.learner and not directory.resolve().is_relative_to(run.runtime.home.resolve()):
        directory = Path(shutil.copytree(directory, copy))
    return Source(config=model.config, directory=directory.absolute())

"""Training rows with random tokens, and learners of tiny models."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random

from transformers import PreTrainedModel

from schemas.config.learner import FsdpLearnerConfig, TorchLearnerConfig
from schemas.config.machine import LearnerMachines
from schemas.config.models import ModelConfig
from tests.tiny import VOCABULARY, save_checkpoint, tiny_model, tiny_tokenizer
from zppo.core.objective import ClipBounds
from zppo.learners.fsdp.job import Source, Work
from zppo.learners.fsdp.learner import FsdpLearner
from zppo.learners.objectives import DistillationObjective, PolicyObjective
from zppo.learners.torch import TorchLearner
from zppo.ports import DistillationRow, PolicyRow


def random_rows(
    count: int, seed: int = 0, longest: int = 12, vocabulary: int = VOCABULARY
) -> list[PolicyRow]:
    """Rows of many lengths whose old log-probabilities lie around those of a uniform policy."""
    random = Random(seed)

    def tokens() -> tuple[int, ...]:
        return tuple(random.randrange(vocabulary) for _ in range(random.randint(1, longest)))

    rows = []
    for index in range(count):
        response = tokens()
        rows.append(
            PolicyRow(
                rollout=f"r1/q/plain#{index}",
                prompt_ids=tokens(),
                response_ids=response,
                old_logprobs=tuple(random.uniform(-4.5, -3.3) for _ in response),
                advantage=(-1.5, 0.0, 0.7, 2.0, -0.5)[index % 5],
            )
        )
    return rows


def group_rows(
    groups: int, seed: int = 0, longest: int = 12, vocabulary: int = VOCABULARY
) -> list[PolicyRow]:
    """Random rows, up to eight of which share a prompt."""
    random = Random(seed)
    prompts = random_rows(groups, seed, longest, vocabulary)
    sizes = [random.randint(1, 8) for _ in prompts]
    rows = random_rows(sum(sizes), seed + 1, longest, vocabulary)
    shared = [each.prompt_ids for each, size in zip(prompts, sizes, strict=True) for _ in range(size)]
    random.shuffle(shared)
    return [replace(row, prompt_ids=prompt) for row, prompt in zip(rows, shared, strict=True)]


def distillation_rows(
    count: int, seed: int = 0, longest: int = 12, vocabulary: int = VOCABULARY
) -> list[DistillationRow]:
    """The same rows with weights that sum to about 1, every fifth of them 0."""
    return [
        DistillationRow(row.rollout, row.prompt_ids, row.response_ids, weight=place % 5 / (2 * count))
        for place, row in enumerate(random_rows(count, seed, longest, vocabulary), start=1)
    ]


def tiny_learner(
    model: PreTrainedModel | None = None, temperature: float = 1.0, **settings: object
) -> TorchLearner:
    """A learner of a tiny Llama unless another model is given; settings are `TorchLearnerConfig`'s."""
    objective = PolicyObjective(ClipBounds(), temperature)
    return TorchLearner(
        model or tiny_model("llama"), tiny_tokenizer(), _config(settings), objective, temperature
    )


def tiny_distiller(
    model: PreTrainedModel | None = None, teacher: PreTrainedModel | None = None, **settings: object
) -> TorchLearner:
    """A learner that follows a teacher: a Llama of other weights unless one is given."""
    objective = DistillationObjective(teacher or tiny_model("llama", seed=7))
    return TorchLearner(model or tiny_model("llama"), tiny_tokenizer(), _config(settings), objective)


@contextmanager
def tiny_fsdp(
    directory: Path,
    processes: int = 2,
    model: PreTrainedModel | None = None,
    distils: bool = False,
    machines: LearnerMachines | None = None,
    **settings: object,
) -> Iterator[FsdpLearner]:
    """The same learner of a tiny Llama, or distiller, in processes; `directory` is its own."""
    teacher = directory / "teacher"
    save_checkpoint(directory / "student")
    save_checkpoint(teacher)
    tiny_model("llama", seed=7).save_pretrained(teacher)
    work = Work(
        student=Source(config=ModelConfig(model="student"), directory=directory / "student"),
        config=FsdpLearnerConfig.model_validate(
            {"processes": processes, "learning_rate": 1e-2, **settings, "type": "fsdp"}
        ),
        temperature=1.0,
        bounds=None if distils else ClipBounds(),
        teacher=Source(config=ModelConfig(model="teacher"), directory=teacher) if distils else None,
        threads=1,
    )
    student = model or tiny_model("llama")
    with closing(FsdpLearner(student, tiny_tokenizer(), work, directory, machines)) as learner:
        yield learner


def _config(settings: Mapping[str, object]) -> TorchLearnerConfig:
    return TorchLearnerConfig.model_validate({"learning_rate": 1e-2, **settings})


def weights(model: PreTrainedModel) -> dict[str, list[float]]:
    """A copy of all parameters, to compare to the bit."""
    return {name: weight.detach().flatten().tolist() for name, weight in model.named_parameters()}

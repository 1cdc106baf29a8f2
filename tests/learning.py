"""Training rows with random tokens, and learners of tiny models."""

from random import Random

from transformers import PreTrainedModel

from schemas.config.learner import TorchLearnerConfig
from tests.tiny import VOCABULARY, tiny_model, tiny_tokenizer
from zppo.core.objective import ClipBounds
from zppo.learners.torch import TorchLearner
from zppo.ports import TrainingRow


def random_rows(
    count: int, seed: int = 0, longest: int = 12, vocabulary: int = VOCABULARY
) -> list[TrainingRow]:
    """Rows of many lengths whose old log-probabilities lie around those of a uniform policy."""
    random = Random(seed)

    def tokens() -> tuple[int, ...]:
        return tuple(random.randrange(vocabulary) for _ in range(random.randint(1, longest)))

    rows = []
    for index in range(count):
        response = tokens()
        rows.append(
            TrainingRow(
                rollout=f"r1/q/plain#{index}",
                prompt_ids=tokens(),
                response_ids=response,
                old_logprobs=tuple(random.uniform(-4.5, -3.3) for _ in response),
                advantage=(-1.5, 0.0, 0.7, 2.0, -0.5)[index % 5],
            )
        )
    return rows


def tiny_learner(
    model: PreTrainedModel | None = None, temperature: float = 1.0, **settings: object
) -> TorchLearner:
    """A learner of a tiny Llama unless another model is given; settings are `TorchLearnerConfig`'s."""
    config = TorchLearnerConfig.model_validate({"learning_rate": 1e-2, **settings})
    return TorchLearner(model or tiny_model("llama"), tiny_tokenizer(), config, ClipBounds(), temperature)


def weights(model: PreTrainedModel) -> dict[str, list[float]]:
    """A copy of all parameters, to compare to the bit."""
    return {name: weight.detach().flatten().tolist() for name, weight in model.named_parameters()}

"""What a model reads in the updates of a round: the packs of responses that the learner makes of a group."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

from schemas.config.run import RunConfig
from zppo.learners.packing import Sharing, pack
from zppo.models import size
from zppo.models.shapes import TextShape
from zppo.plan.lengths import Lengths
from zppo.plan.tokens import helped, replayed
from zppo.ports import TrainingRow


@dataclass(frozen=True)
class Reading:
    """Tokens that go through a model, and for how much of what was before them."""

    tokens: float
    pairs: float
    """Of a token and one that it attends to."""

    @property
    def context(self) -> float:
        """Tokens that one attends to in the mean."""
        return self.pairs / self.tokens


def update_reading(config: RunConfig, lengths: Lengths, readers: Sequence[TextShape]) -> Reading:
    """Of one round, if all its groups have a gradient.

    Args:
        config: The recipe.
        lengths: What to count with.
        readers: The models that read the rows: all of them have to admit packs.
    """
    sharing = _sharing(config, readers)
    kinds = (
        (config.questions_per_round + replayed(config), lengths.prompt[1]),
        (helped(config), lengths.helped[1]),
    )
    read = [
        (count, _group(config.method.group_size, prompt, lengths.response[1], sharing))
        for count, prompt in kinds
    ]
    return Reading(
        sum(count * each.tokens for count, each in read), sum(count * each.pairs for count, each in read)
    )


def _group(responses: int, prompt: float, response: float, sharing: Sharing | None) -> Reading:
    """Of a group whose responses are all of the same length."""
    prompt_ids, response_ids = (0,) * ceil(prompt), (0,) * ceil(response)
    rows = [TrainingRow(f"#{index}", prompt_ids, response_ids) for index in range(responses)]
    packs = pack(rows, sharing)
    pairs = (each.length * (each.length if each.shared else each.length / 2) for each in packs)
    return Reading(sum(each.length for each in packs), sum(pairs))


def _sharing(config: RunConfig, readers: Iterable[TextShape]) -> Sharing | None:
    """Within the limits of every model that reads the rows; none where one does not admit it."""
    limits = [shape_sharing(config, each) for each in readers]
    return limits[0] if all(limits) else None


def shape_sharing(config: RunConfig, shape: TextShape) -> Sharing | None:
    """How far rows of one prompt share a sequence, as `learners.packing.sharing_of` finds it in the model."""
    if config.learner.share_prompts == "never" or size.linear_attention_layers(shape):
        return None
    width = shape.num_attention_heads * shape.head_dim
    reach = size.layer_parameters(shape) / (2 * shape.num_hidden_layers * width)
    return Sharing(reach, config.learner.max_batch_tokens)

"""Step 6 of a round, the policy gradient: advantages over the whole step, then `I` mini-batches."""

from collections.abc import Callable, Sequence

from schemas.config.method import PolicyGradient
from schemas.rollout import Group, Round
from zppo.core.advantage import compute_advantages, split_mini_batches
from zppo.core.randomness import derive_seed
from zppo.ports import MiniBatch, PolicyRow


def mini_batches(
    round_: Round,
    config: PolicyGradient,
    seed: int,
    learns: Callable[[Group], bool] = lambda group: True,
) -> list[MiniBatch]:
    """The round's rows in `I` parts of whole groups, advantages computed once and frozen.

    No part at all when no group has a spread, for then every advantage is zero.

    Args:
        round_: As collected; groups without a valid rollout are left out.
        config: Iterations and normalization.
        seed: The run's.
        learns: Groups that it refuses keep zero advantages and stay out of the statistics.
    """
    groups = {group.id: group for group in round_.groups if group.rollouts}
    parts = split_mini_batches(
        list(groups), config.iterations, derive_seed(seed, round_.index, "mini-batches")
    )
    populations = parts if config.statistics == "mini_batch" else [list(groups)]
    advantages = {group_id: [0.0] * len(group.rollouts) for group_id, group in groups.items()}
    for ids in populations:
        learning = [group_id for group_id in ids if learns(groups[group_id])]
        rewards = [[rollout.reward for rollout in groups[each].rollouts] for each in learning]
        advantages |= zip(learning, compute_advantages(rewards, config.normalization), strict=True)
    if not any(value for values in advantages.values() for value in values):
        return []
    return [MiniBatch(tuple(row for i in part for row in rows(groups[i], advantages[i]))) for part in parts]


def rows(group: Group, advantages: Sequence[float]) -> list[PolicyRow]:
    """The learner's view of a group: tokens as drawn, log-probabilities of the policy that drew them."""
    return [
        PolicyRow(
            rollout=f"{group.id}#{rollout.index}",
            prompt_ids=group.prompt.context_ids,
            response_ids=rollout.token_ids,
            old_logprobs=rollout.logprobs,
            advantage=advantage,
        )
        for rollout, advantage in zip(group.rollouts, advantages, strict=True)
    ]

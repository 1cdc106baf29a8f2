"""What a round was made of, without what was sampled: small enough to read for every round."""

import json
from collections import defaultdict
from dataclasses import dataclass

import pyarrow.parquet as pq
from pydantic import TypeAdapter

from schemas.rollout import PromptKind, ServedResponses
from zppo.layout import RunPaths
from zppo.stores.local import LocalStore
from zppo.stores.rounds import ROLLOUTS, ROUND

_SERVED = TypeAdapter(tuple[ServedResponses, ...])


@dataclass(frozen=True)
class GroupOutline:
    """One group."""

    id: str
    question_id: str
    kind: PromptKind
    replayed: bool
    rewards: tuple[int, ...]
    """Of its valid rollouts."""

    @property
    def accuracy(self) -> float | None:
        """Mean reward, None when no rollout is valid."""
        return sum(self.rewards) / len(self.rewards) if self.rewards else None


@dataclass(frozen=True)
class RoundOutline:
    """One round."""

    index: int
    groups: tuple[GroupOutline, ...]
    served: tuple[ServedResponses, ...]


def read_outline(store: LocalStore, paths: RunPaths, index: int) -> RoundOutline:
    """The outline of a committed round; of the rollouts only the rewards are read."""
    path = paths.collect(index)
    content = json.loads(store.file(path, ROUND).read_bytes())
    rewards: dict[str, list[int]] = defaultdict(list)
    table = pq.read_table(store.file(path, ROLLOUTS), columns=["group", "reward"])
    for group, reward in zip(table["group"].to_pylist(), table["reward"].to_pylist(), strict=True):
        if reward is not None:
            rewards[group].append(reward)
    groups = tuple(
        GroupOutline(
            each["id"],
            each["question_id"],
            each["prompt"]["kind"],
            each["origin"] == "replay",
            tuple(rewards[each["id"]]),
        )
        for each in content["groups"]
    )
    return RoundOutline(index, groups, _SERVED.validate_python(content["teacher"]))

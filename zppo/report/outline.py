"""What a round was made of, without what was sampled: small enough to read for every round.

A round of long responses takes gigabytes in memory; a report needs the responses of a few questions.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from schemas.rollout import Failure, Group, PromptKind, Rollout, Round, ServedResponses
from zppo.layout import RunPaths
from zppo.stores.local import LocalStore
from zppo.stores.rounds import ROLLOUT_SCHEMA, ROLLOUTS, ROUND

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


def read_weightless(store: LocalStore, paths: RunPaths, index: int) -> Round:
    """A committed round with the rewards of its rollouts, without texts and tokens, the prompts' included."""
    columns = ["group", "index", "outcome", "stop", "reward"]
    table = pq.read_table(store.file(paths.collect(index), ROLLOUTS), columns=columns)
    rollouts: dict[str, list[Rollout]] = defaultdict(list)
    for row in table.to_pylist():
        if row["reward"] is not None:
            group = row.pop("group")
            # Thousands a round, each of a committed file: not worth validating.
            rollouts[group].append(
                Rollout.model_construct(text="", token_ids=(), logprobs=(), answer=None, **row)
            )
    content = json.loads(store.file(paths.collect(index), ROUND).read_bytes())
    groups = [
        group
        | {
            "prompt": {"kind": group["prompt"]["kind"], "text": "", "token_ids": ()},
            "rollouts": rollouts[group["id"]],
            "failures": (),
        }
        for group in content["groups"]
    ]
    return Round.model_validate(content | {"groups": groups})


def read_groups(store: LocalStore, paths: RunPaths, index: int, questions: Collection[str]) -> list[Group]:
    """The groups of some questions in a committed round, with everything that was sampled."""
    path = paths.collect(index)
    content = json.loads(store.file(path, ROUND).read_bytes())
    groups = {group["id"]: group for group in content["groups"] if group["question_id"] in questions}
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    wanted = pc.field("group").isin(pa.array(list(groups), pa.string()))
    table = pq.read_table(store.file(path, ROLLOUTS), schema=ROLLOUT_SCHEMA, filters=wanted)
    for row in table.to_pylist():
        rows[row["group"]].append(row)
    return [Group.model_validate(group | _responses(rows[id])) for id, group in groups.items()]


def _responses(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A row with a cause is a failure."""
    return {
        "rollouts": [{key: row[key] for key in Rollout.model_fields} for row in rows if row["cause"] is None],
        "failures": [
            {key: row[key] for key in Failure.model_fields} for row in rows if row["cause"] is not None
        ],
    }

"""Controls: each takes one explanation away from ZPPO and keeps the number of its rollouts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from schemas.config.method import ExtraPlainControl, NoGradientControl, WrongPairControl
from schemas.question import Question
from schemas.rollout import Group, Round
from schemas.state import TrainState
from zppo.core import compose, reformulate, zone
from zppo.core.randomness import generator
from zppo.core.reformulate import Plan
from zppo.methods import parts
from zppo.methods.base import Collector
from zppo.methods.gradient import mini_batches
from zppo.methods.zppo import ZppoMethod
from zppo.ports import MiniBatch, TeacherAnswer
from zppo.sampling import Draft


@dataclass(frozen=True)
class WrongPairMethod(ZppoMethod):
    """Is it the teacher's content? BCQ shows two different wrong rollouts, and the teacher is not asked."""

    config: WrongPairControl

    def plan_bcq(
        self, question: Question, group: Group, answer: TeacherAnswer, random: Random
    ) -> Plan | None:
        """Two wrong rollouts, if the group has them."""
        return reformulate.plan_wrong_pair(question, group, random)


@dataclass(frozen=True)
class NoGradientMethod(ZppoMethod):
    """Is it what is learned from the reformulated prompts? They are drawn, but have no advantage."""

    config: NoGradientControl

    def batches(self, round_: Round, seed: int) -> list[MiniBatch]:
        """As in ZPPO, where only plain groups learn; the tokens of the others count in the denominator."""
        return mini_batches(round_, self.config, seed, lambda group: group.prompt.kind == "plain")


@dataclass(frozen=True)
class ExtraPlainMethod:
    """Is it the attention to the hardest questions? They get further plain groups, two each."""

    config: ExtraPlainControl

    def collect(self, index: int, new: Sequence[Question], state: TrainState, ports: Collector) -> Round:
        """Plain rollouts, then as many further plain groups as ZPPO draws BCQ and NCQ."""
        config = self.config
        plain = parts.roll_out_plain(index, new, state, config, ports)
        hard = zone.hardest_first(plain.groups, config.tau, generator(ports.seed, index, "ties"))
        pairs = [_extra_drafts(index, plain.questions[group.question_id], group, ports) for group in hard]
        chosen = compose.post_cap(pairs, parts.cap(config, plain))
        return Round(
            index=index,
            new_question_ids=plain.new_ids,
            replay_question_ids=plain.replayed_ids,
            groups=(*plain.groups, *parts.roll_out(chosen, config.group_size, ports)),
            eligible={"extra": len(hard)},
        )

    def batches(self, round_: Round, seed: int) -> list[MiniBatch]:
        """As in ZPPO; every further group has a baseline of its own."""
        return mini_batches(round_, self.config, seed)


def _extra_drafts(index: int, question: Question, group: Group, ports: Collector) -> list[Draft]:
    draft = parts.plain_draft(index, question, group.origin == "new", ports, "extra")
    return [replace(draft, group_id=f"{draft.group_id}-{number}") for number in (1, 2)]

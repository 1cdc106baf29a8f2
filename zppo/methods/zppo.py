"""ZPPO (Algorithm 1 of arXiv 2606.18216), and GRPO with some of its parts: presets with four switches.

Everything random is named, everything outside comes through a port, and the teacher appears in prompts
only: the rows that `batches` gives to the learner hold nothing but tokens that the student sampled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from schemas.config.method import (
    Grpo,
    GrpoBoth,
    GrpoReplay,
    GrpoReplayBcq,
    GrpoReplayNcq,
    NoGradientControl,
    Reformulation,
    WrongPairControl,
    Zppo,
)
from schemas.question import Question
from schemas.rollout import Group, PromptKind, Round
from schemas.state import TrainState
from zppo.core import compose, reformulate, zone
from zppo.core.randomness import generator
from zppo.core.reformulate import Plan
from zppo.methods import candidates, parts
from zppo.methods.base import Collector
from zppo.methods.gradient import mini_batches
from zppo.ports import MiniBatch, TeacherAnswer


@dataclass(frozen=True)
class Switches:
    """What distinguishes the methods of this family."""

    replay: bool = False
    """Hard questions wait in a buffer and are rolled out again."""
    bcq: bool = False
    ncq: bool = False
    teacher: bool = False
    """Hard questions visit the teacher."""

    @property
    def kinds(self) -> tuple[PromptKind, ...]:
        """The reformulations that are on, in the order of the walk."""
        kinds: tuple[tuple[PromptKind, bool], ...] = (("bcq", self.bcq), ("ncq", self.ncq))
        return tuple(kind for kind, on in kinds if on)


PRESETS = {
    "grpo": Switches(),
    "grpo_replay": Switches(replay=True),
    "grpo_both": Switches(bcq=True, ncq=True, teacher=True),
    "grpo_replay_bcq": Switches(replay=True, bcq=True, teacher=True),
    "grpo_replay_ncq": Switches(replay=True, ncq=True),
    "zppo": Switches(replay=True, bcq=True, ncq=True, teacher=True),
    "control_wrong_pair": Switches(replay=True, bcq=True, ncq=True),
    "control_no_gradient": Switches(replay=True, bcq=True, ncq=True, teacher=True),
}

Family = (
    Zppo | Grpo | GrpoReplay | GrpoBoth | GrpoReplayBcq | GrpoReplayNcq | WrongPairControl | NoGradientControl
)


@dataclass(frozen=True)
class ZppoMethod:
    """One training step; the settings that a switch turns off are not in the configuration."""

    config: Family

    @property
    def switches(self) -> Switches:
        """Those of the preset."""
        return PRESETS[self.config.type]

    def collect(self, index: int, new: Sequence[Question], state: TrainState, ports: Collector) -> Round:
        """Steps 1 to 5: plain rollouts, teacher, caps, reformulated prompts and their rollouts."""
        config = self.config

        # 1. Plain rollouts of X_new and X_replay.
        teaching = parts.Teaching(index, state, config, ports)
        plain = parts.roll_out_plain(index, new, state, config, ports, teaching.look)

        # 2. Teacher rollouts on the hard questions, the hardest first.
        hard = zone.hardest_first(plain.groups, config.tau, generator(ports.seed, index, "ties"))
        questions = [plain.questions[group.question_id] for group in hard]
        answers = teaching.answers(questions)

        # 3. to 5. Plan the prompts, cap before and after, build them and roll them out.
        plans = {
            group.id: self.plan_prompts(index, question, group, answer, ports.seed)
            for question, group, answer in zip(questions, hard, answers, strict=True)
        }
        cap = parts.cap(config, plain) if isinstance(config, Reformulation) else 0
        kept = compose.pre_cap(hard, cap, lambda group: bool(plans[group.id]))
        chosen = compose.post_cap([plans[group.id] for group in kept], cap)
        built = candidates.build(index, chosen, ports)
        reformulated = parts.roll_out(built.drafts, config.group_size, ports)

        return Round(
            index=index,
            new_question_ids=plain.new_ids,
            replay_question_ids=plain.replayed_ids,
            groups=(*plain.groups, *reformulated),
            teacher=parts.served(hard, answers) if self.switches.teacher else (),
            compression_tokens=built.tokens,
            eligible={
                kind: sum(plan.kind == kind for each in plans.values() for plan in each)
                for kind in self.switches.kinds
            },
        )

    def batches(self, round_: Round, seed: int) -> list[MiniBatch]:
        """Step 6: one update for each of `I` mini-batches of plain, BCQ and NCQ groups."""
        return mini_batches(round_, self.config, seed)

    def plan_prompts(
        self, index: int, question: Question, group: Group, answer: TeacherAnswer, seed: int
    ) -> list[Plan]:
        """Step 4 without the texts: the BCQ, then the NCQ, as far as enabled and admitted."""
        draw_candidates = generator(seed, index, question.id, "candidates")
        plans = (
            self.plan_bcq(question, group, answer, draw_candidates) if self.switches.bcq else None,
            reformulate.plan_ncq(question, group) if self.switches.ncq else None,
        )
        return [plan for plan in plans if plan is not None]

    def plan_bcq(
        self, question: Question, group: Group, answer: TeacherAnswer, random: Random
    ) -> Plan | None:
        """A correct teacher response and a wrong rollout."""
        return reformulate.plan_bcq(question, group, parts.correct(answer), random)

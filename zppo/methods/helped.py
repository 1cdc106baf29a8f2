"""The round of Hint and Prefix: the hardest questions get one more prompt each, with a teacher's help."""

from collections.abc import Callable, Sequence

from schemas.config.method import Hint, Prefix
from schemas.question import Question
from schemas.rollout import Group, Round
from schemas.state import TrainState
from zppo.core import zone
from zppo.core.randomness import generator
from zppo.methods import parts
from zppo.methods.base import Collector
from zppo.ports import TeacherAnswer
from zppo.sampling import Draft

Help = Callable[[Question, Group, TeacherAnswer], Draft | None]
"""Of a hard question, its plain group and the teacher's answer: its further prompt, if there can be one."""


def helped_round(
    index: int,
    new: Sequence[Question],
    state: TrainState,
    config: Hint | Prefix,
    ports: Collector,
    help_with: Help,
) -> Round:
    """Plain rollouts, the teacher on the hard questions within the cap, a group of each further prompt."""
    plain = parts.roll_out_plain(index, new, state, config, ports)

    hard = zone.hardest_first(plain.groups, config.tau, generator(ports.seed, index, "ties"))
    kept = hard[: parts.cap(config, plain)]
    questions = [plain.questions[group.question_id] for group in kept]
    answers = parts.ask_teacher(index, questions, config.teacher_group_size, state, ports)

    tried = map(help_with, questions, kept, answers)
    drafts = [draft for draft in tried if draft is not None]
    return Round(
        index=index,
        new_question_ids=plain.new_ids,
        replay_question_ids=plain.replayed_ids,
        groups=(*plain.groups, *parts.roll_out(drafts, config.group_size, ports)),
        teacher=parts.served(kept, answers),
        eligible={config.type: len(drafts)},
    )

"""Hint: on the hardest questions the student also answers with a hint of the teacher's in its prompt.

The teacher turns one of its correct responses into a hint without the answer, the whole group shares it,
and the group is normalised as in ZPPO.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.config.method import Hint
from schemas.question import Question
from schemas.rollout import Group, Prompt, Round
from schemas.state import TrainState
from zppo.core.prompts import neutralise
from zppo.core.randomness import generator
from zppo.methods import parts
from zppo.methods.base import Collector
from zppo.methods.gradient import mini_batches
from zppo.methods.helped import helped_round
from zppo.ports import MiniBatch, TeacherAnswer
from zppo.sampling import Draft


@dataclass(frozen=True)
class HintMethod:
    """One training step."""

    config: Hint

    def collect(self, index: int, new: Sequence[Question], state: TrainState, ports: Collector) -> Round:
        """Plain rollouts, the teacher on the hard questions within the cap, rollouts with its hints."""

        def help_with(question: Question, group: Group, answer: TeacherAnswer) -> Draft | None:
            return hint_draft(index, question, group, answer, ports)

        return helped_round(index, new, state, self.config, ports, help_with)

    def batches(self, round_: Round, seed: int) -> list[MiniBatch]:
        """As in ZPPO; hint groups have baselines of their own."""
        return mini_batches(round_, self.config, seed)


def hint_draft(
    index: int, question: Question, group: Group, answer: TeacherAnswer, ports: Collector
) -> Draft | None:
    """The prompt with the hint of one correct response; None where no response has a usable hint."""
    hints = [(each, each.hint) for each in parts.correct(answer) if each.hint is not None]
    if not hints:
        return None
    chosen, hint = generator(ports.seed, index, question.id, "hint").choice(hints)
    shown = neutralise(hint, ports.special_tokens)
    text = ports.templates.render_hint(question.text, shown)
    prompt = Prompt(
        kind="hint",
        text=text,
        token_ids=ports.engine.encode(text),
        hint=shown,
        origin=chosen.origin,
        provenance=chosen.provenance,
    )
    return Draft(f"r{index}/{question.id}/hint", question, group.origin, prompt)

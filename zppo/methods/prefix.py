"""Prefix: on the hardest questions the student also continues the beginning of a correct teacher response.

The prefix is forced and has no gradient; it counts towards the limit of a response. Advantages are over
the continuations of one prefix.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

from schemas.config.method import Prefix
from schemas.question import Question
from schemas.rollout import Group, Prompt, Round
from schemas.state import TrainState
from zppo.core.randomness import generator
from zppo.methods import parts
from zppo.methods.base import Collector
from zppo.methods.gradient import mini_batches
from zppo.methods.helped import helped_round
from zppo.ports import MiniBatch, TeacherAnswer
from zppo.sampling import Draft


@dataclass(frozen=True)
class PrefixMethod:
    """One training step."""

    config: Prefix

    def collect(self, index: int, new: Sequence[Question], state: TrainState, ports: Collector) -> Round:
        """Plain rollouts, the teacher on the hard questions within the cap, continuations of its prefixes."""

        def help_with(question: Question, group: Group, answer: TeacherAnswer) -> Draft | None:
            return self.prefix_draft(index, question, group, answer, ports)

        return helped_round(index, new, state, self.config, ports, help_with)

    def batches(self, round_: Round, seed: int) -> list[MiniBatch]:
        """As in ZPPO; the prefix stands with the prompt, where nothing is learned."""
        return mini_batches(round_, self.config, seed)

    def prefix_draft(
        self, index: int, question: Question, group: Group, answer: TeacherAnswer, ports: Collector
    ) -> Draft | None:
        """The plain prompt and the first tokens of one correct response; None where there is none.

        A response that spells a control token is left out: it would be forced as one.
        """
        correct = [each for each in parts.correct(answer) if not _holds_control_token(each.text, ports)]
        if not correct:
            return None
        chosen = generator(ports.seed, index, question.id, "prefix").choice(correct)
        # In the student's tokens: the teacher's vocabulary may be another one.
        tokens = ports.engine.tokenize(chosen.text)
        text = ports.templates.render_plain(question.text)
        prompt = Prompt(
            kind="prefix",
            text=text,
            token_ids=ports.engine.encode(text),
            prefix_ids=tokens[: floor(self.config.prefix_fraction * len(tokens))],
            origin=chosen.origin,
            provenance=chosen.provenance,
        )
        return Draft(f"r{index}/{question.id}/prefix", question, group.origin, prompt)


def _holds_control_token(text: str, ports: Collector) -> bool:
    return any(token in text for token in ports.special_tokens)

"""What a student can do alone, with candidates and with a hint; what a teacher writes about responses."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from schemas.pocket import CandidateReading, Writing
from zppo.core.answers import last_boxed
from zppo.pocket.prompts import TEMPLATES, candidate_text, hint_prompt, summary_prompt, write_hint_prompt
from zppo.pocket.task import Chain, PocketQuestion

GROUP = 8
HARD = 0.5
MAX_RESPONSE_TOKENS = 32
BATCH = 512
"""Sequences decoded together."""


@dataclass(frozen=True)
class Sampler:
    """Draws responses of one model at temperature 1."""

    model: LlamaForCausalLM
    tokenizer: PreTrainedTokenizerFast

    def sample(self, prompts: Sequence[str], count: int, seed: int) -> list[list[str]]:
        """`count` responses to each user message."""
        chats = [[{"role": "user", "content": prompt}] for prompt in prompts]
        texts = [
            str(self.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))
            for chat in chats
        ]
        size = max(1, BATCH // count)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            parts = [self._batch(texts[first : first + size], count) for first in range(0, len(texts), size)]
        return [group for part in parts for group in part]

    @torch.inference_mode()
    def _batch(self, texts: list[str], count: int) -> list[list[str]]:
        inputs = self.tokenizer(texts, padding=True, return_tensors="pt")
        tokens = self.model.generate(  # type: ignore[misc]
            **inputs, num_return_sequences=count, max_new_tokens=MAX_RESPONSE_TOKENS
        )
        responses = self.tokenizer.batch_decode(
            tokens[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        )
        return [responses[first : first + count] for first in range(0, len(responses), count)]


@dataclass(frozen=True)
class PlainGroup:
    """A question and the responses to its plain prompt."""

    question: PocketQuestion
    responses: tuple[str, ...]

    @property
    def wrong(self) -> tuple[str, ...]:
        """The responses whose final answer is wrong or missing."""
        return tuple(text for text in self.responses if last_boxed(text) != self.question.answer)

    @property
    def accuracy(self) -> float:
        """Share of right responses."""
        return 1.0 - len(self.wrong) / len(self.responses)


def sample_plain(sampler: Sampler, questions: Sequence[PocketQuestion], seed: int) -> list[PlainGroup]:
    """One group of eight for each question."""
    prompts = [TEMPLATES.render_plain(question.text) for question in questions]
    groups = sampler.sample(prompts, GROUP, seed)
    return [PlainGroup(question, tuple(group)) for question, group in zip(questions, groups, strict=True)]


def mean_accuracy(groups: Sequence[PlainGroup]) -> float:
    """Mean over the groups."""
    return sum(group.accuracy for group in groups) / len(groups) if groups else 0.0


@dataclass(frozen=True)
class Pair:
    """A BCQ in the making: a hard question, its two candidates and their order."""

    group: PlainGroup
    correct: str
    wrong: str
    correct_first: bool

    @property
    def prompt(self) -> str:
        """The prompt that shows them."""
        candidates = (self.correct, self.wrong) if self.correct_first else (self.wrong, self.correct)
        return TEMPLATES.render_bcq(self.group.question.text, candidates)


def pair_up(group: PlainGroup, random: Random) -> Pair:
    """The reference solution and one of the student's wrong responses, in random order."""
    wrong = candidate_text(random.choice(group.wrong))
    correct = candidate_text(group.question.reference_solution)
    return Pair(group, correct, wrong, random.random() < 0.5)


def read_candidates(sampler: Sampler, groups: Sequence[PlainGroup], seed: int) -> CandidateReading:
    """Give every hard question (plain accuracy below one half) as a BCQ, eight responses each."""
    random = Random(seed)
    pairs = [pair_up(group, random) for group in groups if group.accuracy < HARD]
    responses = sampler.sample([pair.prompt for pair in pairs], GROUP, seed)
    answered = [(pair, text) for pair, group in zip(pairs, responses, strict=True) for text in group]

    def right(pair: Pair, text: str) -> bool:
        return last_boxed(text) == pair.group.question.answer

    return CandidateReading(
        questions=len(pairs),
        plain_accuracy=mean_accuracy([pair.group for pair in pairs]),
        accuracy=share(right(pair, text) for pair, text in answered),
        correct_first=share(right(pair, text) for pair, text in answered if pair.correct_first),
        correct_second=share(right(pair, text) for pair, text in answered if not pair.correct_first),
        copies_correct=share(candidate_text(text) == pair.correct for pair, text in answered),
        copies_wrong=share(candidate_text(text) == pair.wrong for pair, text in answered),
        answers_wrong=share(
            last_boxed(text) is not None and last_boxed(text) == last_boxed(pair.wrong)
            for pair, text in answered
        ),
        accuracy_with_hint=_accuracy_with_hint(sampler, [pair.group.question for pair in pairs], seed),
    )


def _accuracy_with_hint(sampler: Sampler, questions: Sequence[PocketQuestion], seed: int) -> float:
    random = Random(seed)
    prompts = [hint_prompt(question.text, true_hint(question, random)) for question in questions]
    groups = sampler.sample(prompts, GROUP, seed)
    return share(
        last_boxed(text) == question.answer
        for question, group in zip(questions, groups, strict=True)
        for text in group
    )


def true_hint(question: PocketQuestion, random: Random) -> str:
    """The first steps of the true derivation."""
    derivation = Chain.read(question.text).derive()
    return derivation.first_steps(random.choice(derivation.hint_lengths))


def measure_writing(teacher: Sampler, groups: Sequence[PlainGroup], seed: int) -> Writing:
    """Have a teacher shorten right and wrong responses of a student, and make hints of the solutions."""
    right = [text for group in groups if (text := _first(group, right=True)) is not None]
    wrong = [text for group in groups if (text := _first(group, right=False)) is not None]
    questions = [group.question for group in groups]
    prompts = [write_hint_prompt(question.text, question.reference_solution) for question in questions]
    hints = [hint for (hint,) in teacher.sample(prompts, 1, seed)]
    pairs = list(zip(questions, hints, strict=True))
    return Writing(
        faithful_right=share(_faithful(teacher, right, seed)),
        faithful_wrong=share(_faithful(teacher, wrong, seed)),
        answer_free=share(is_answer_free(hint, question) for question, hint in pairs),
        true_prefix=share(is_true_prefix(hint, question) for question, hint in pairs),
    )


def _first(group: PlainGroup, *, right: bool) -> str | None:
    return next((text for text in group.responses if (text not in group.wrong) == right), None)


def _faithful(teacher: Sampler, responses: Sequence[str], seed: int) -> list[bool]:
    written = teacher.sample([summary_prompt(text) for text in responses], 1, seed)
    return [
        summary == f"<summary> {candidate_text(text)} </summary>"
        for text, (summary,) in zip(responses, written, strict=True)
    ]


def is_answer_free(hint: str, question: PocketQuestion) -> bool:
    """Whether a hint holds neither a box nor the answer as a value."""
    return last_boxed(hint) is None and question.answer not in hint.split()


def is_hintable(question: PocketQuestion) -> bool:
    """Whether a hint that is answer-free exists."""
    return question.answer not in Chain.read(question.text).derive().first_steps(1).split()


def is_true_prefix(hint: str, question: PocketQuestion) -> bool:
    """Whether a hint, in its tags, is the first steps of the true derivation: one at least, and not all."""
    derivation = Chain.read(question.text).derive()
    lengths = range(1, len(derivation.chain.operations))
    return hint in {f"<hint> {derivation.first_steps(count)} </hint>" for count in lengths}


def share(outcomes: Iterable[bool]) -> float:
    """Of the outcomes that are true; 0 of none."""
    counted = list(outcomes)
    return sum(counted) / len(counted) if counted else 0.0

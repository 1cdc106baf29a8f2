"""What a student can do: alone, and with candidates in its prompt."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from schemas.pocket import CandidateReading
from zppo.core.answers import last_boxed
from zppo.core.compress import shorten
from zppo.core.prompts import neutralise
from zppo.pocket.examples import TEMPLATES
from zppo.pocket.task import PocketQuestion

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


def candidate_text(response: str) -> str:
    """A response as it stands in a prompt: shortened, with its tags neutralised."""
    short = shorten(response, max_lines=1, max_tokens=MAX_RESPONSE_TOKENS, count_tokens=_count_words)
    return neutralise(short or "")


def _count_words(text: str) -> int:
    return len(text.split())


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
        accuracy=_share(right(pair, text) for pair, text in answered),
        correct_first=_share(right(pair, text) for pair, text in answered if pair.correct_first),
        correct_second=_share(right(pair, text) for pair, text in answered if not pair.correct_first),
        copies_correct=_share(candidate_text(text) == pair.correct for pair, text in answered),
        copies_wrong=_share(candidate_text(text) == pair.wrong for pair, text in answered),
        answers_wrong=_share(
            last_boxed(text) is not None and last_boxed(text) == last_boxed(pair.wrong)
            for pair, text in answered
        ),
    )


def _share(outcomes: Iterable[bool]) -> float:
    counted = list(outcomes)
    return sum(counted) / len(counted) if counted else 0.0

"""Which good rows stay: limits on single questions, and how sources share a bounded training split."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from schemas.config.data import DataConfig, SourceConfig
from schemas.prepared import Rule
from schemas.question import Question

CountTokens = Callable[[str], int]
"""Tokens of the whole prompt of a question's text: closing instruction and chat template included."""


@dataclass(frozen=True)
class Verdict:
    """The rule that a question breaks."""

    rule: Rule
    detail: str


@dataclass(frozen=True)
class Limits:
    """Limits on single questions."""

    max_answer_characters: int
    max_prompt_tokens: int
    max_pass_rate: float | None
    """Of this source: None where nothing bounds it, as in every evaluation source."""
    count_prompt_tokens: CountTokens


def limits_of(
    source: SourceConfig, config: DataConfig, count_prompt_tokens: CountTokens, max_prompt_tokens: int
) -> Limits:
    """The limits that hold for a source."""
    return Limits(
        max_answer_characters=config.max_answer_characters,
        max_prompt_tokens=max_prompt_tokens,
        max_pass_rate=config.max_pass_rate if source.role == "train" else None,
        count_prompt_tokens=count_prompt_tokens,
    )


def broken_limit(question: Question, limits: Limits) -> Verdict | None:
    """The first limit that a question breaks; the costly one is measured last."""
    rate, answer = question.pass_rate, len(question.answer)
    if rate is not None and limits.max_pass_rate is not None and rate > limits.max_pass_rate:
        return Verdict("pass_rate", f"{rate:g}, limit {limits.max_pass_rate:g}")
    if answer > limits.max_answer_characters:
        return Verdict("answer_too_long", f"{answer:,} characters, limit {limits.max_answer_characters:,}")
    tokens = limits.count_prompt_tokens(question.text)
    if tokens > limits.max_prompt_tokens:
        return Verdict("prompt_too_long", f"{tokens:,} tokens, limit {limits.max_prompt_tokens:,}")
    return None


def share(available: Mapping[str, int], weights: Mapping[str, float], total: int) -> dict[str, int]:
    """How many questions each source gives so that they make `total`, in proportion to the weights.

    A source that has fewer than its share gives all it has, and the others share the rest. Remainders
    of rounding go to the largest fractions, ties in the order of `available`.
    """
    granted: dict[str, int] = {}
    rest = min(total, sum(available.values()))
    open_sources = dict(available)
    while open_sources:
        shares = _proportional(open_sources, weights, rest)
        scarce = {name: count for name, count in open_sources.items() if count <= shares[name]}
        if not scarce:
            granted |= _rounded(shares, rest)
            break
        granted |= scarce
        rest -= sum(scarce.values())
        open_sources = {name: count for name, count in open_sources.items() if name not in scarce}
    return granted


def _proportional(names: Mapping[str, int], weights: Mapping[str, float], total: int) -> dict[str, float]:
    weight = sum(weights[name] for name in names)
    return {name: total * weights[name] / weight for name in names}


def _rounded(shares: Mapping[str, float], total: int) -> dict[str, int]:
    counts = {name: int(value) for name, value in shares.items()}
    by_fraction = sorted(shares, key=lambda name: counts[name] - shares[name])
    for name in by_fraction[: total - sum(counts.values())]:
        counts[name] += 1
    return counts

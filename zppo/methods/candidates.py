"""Step 4 of a round, the texts: candidates shortened alike, then the prompts around them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from zppo.core import reformulate
from zppo.core.randomness import derive_seed
from zppo.core.reformulate import Plan
from zppo.methods.base import Collector
from zppo.ports import Compressor, Shortened
from zppo.sampling import Draft


@dataclass(frozen=True)
class Built:
    """The prompts of the plans of a round."""

    drafts: tuple[Draft, ...]
    """In the order of the plans; a plan of which nothing is left has none."""
    tokens: int
    """Sampled to shorten their candidates."""


def build(index: int, plans: Sequence[Plan], ports: Collector) -> Built:
    """Shorten every candidate once, however many prompts show it, and render the prompts."""
    with ports.phase("compression"):
        shortened = _shorten(index, plans, ports.compressor, ports.seed)
    drafts = (
        _draft(index, plan, [shortened[source.origin].text for source in plan.sources], ports)
        for plan in plans
    )
    return Built(
        drafts=tuple(draft for draft in drafts if draft is not None),
        tokens=sum(each.tokens for each in shortened.values()),
    )


def _draft(index: int, plan: Plan, texts: Sequence[str | None], ports: Collector) -> Draft | None:
    """A candidate of which nothing is left is not shown; None where that leaves no prompt."""
    kind = ports.compressor.kind
    if None in texts:
        kind = ports.extractive.kind
        shortened = _shorten(index, [plan], ports.extractive, ports.seed)
        texts = [shortened[source.origin].text for source in plan.sources]
    left = [(source, text) for source, text in zip(plan.sources, texts, strict=True) if text]
    if len(left) < (2 if plan.kind == "bcq" else 1):
        return None
    prompt = reformulate.build_prompt(
        replace(plan, sources=tuple(source for source, _ in left)),
        [text for _, text in left],
        kind,
        ports.templates,
        ports.engine.encode,
        ports.special_tokens,
    )
    return Draft(f"r{index}/{plan.question.id}/{plan.kind}", plan.question, plan.plain.origin, prompt)


def _shorten(index: int, plans: Sequence[Plan], compressor: Compressor, seed: int) -> dict[str, Shortened]:
    """By origin: what became of every source of the plans."""
    sources = {source.origin: source for plan in plans for source in plan.sources}
    seeds = [derive_seed(seed, index, origin, "compress") for origin in sources]
    originals = [source.original() for source in sources.values()]
    shortened = compressor.compress(originals, seeds) if originals else []
    return dict(zip(sources, shortened, strict=True))

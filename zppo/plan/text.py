"""A plan as text for the terminal."""

from collections.abc import Sequence

import yaml

from schemas.config.run import RunConfig
from zppo.display import aligned, amount
from zppo.plan import Plan
from zppo.plan.estimates import Estimate, total
from zppo.plan.lengths import Expected

FORMULAS = {
    "Student tokens of a round": "a group reads its prompt once and writes group_size responses",
    "Student tokens besides the rounds": "validation of every checkpoint; the test questions, twice",
    "Teacher tokens of the run": "an endpoint bills a prompt for each response, without many_choices",
    "Judge tokens of the run": "every response that may reach it, in a prompt of its own; a verdict",
    "Memory of the training process": "weights, gradients and two moments; activations = tokens * hidden * "
    "values kept; a token's cache = 2 * key-value heads * head size * attention layers",
    "Memory of each vLLM server": "its own weights, and the cache of the sequences that fit beside them",
    "Disk": "12 bytes of a response token, 10 of a prompt's; a checkpoint = weights and two moments",
    "Compute": "2 * weights * tokens forwards, 3 times that in training (4 times with checkpointing), where "
    "responses that share a sequence read their prompt once; attention = 4 * heads * head size * attention "
    "layers * tokens * mean context; only responses pass the output layer",
    "Memory traffic of sampling": "a step reads the weights once, and the cache of every sequence in it",
    "Time": "arithmetic / FLOP/s or traffic / bandwidth, whichever is longer",
    "Money": "devices * hours * price; an endpoint's = millions of tokens * price, in and out",
}
"""What every figure of a section is made of, in words."""


def plan_text(config: RunConfig, plan: Plan, expected: Expected | None = None, explain: bool = False) -> str:
    """The resolved recipe, then every estimate with its arithmetic, and the totals.

    Args:
        config: The resolved recipe.
        plan: Its plan.
        expected: What the plan was made with; none: limits.
        explain: Put each section's formula in words above it.
    """
    sections = dict(zip(FORMULAS, _estimates(plan), strict=True))
    fits = ("\nWhat fits\n" + "\n".join(f"  {line}" for line in plan.fits),) if plan.fits else ()
    return "\n".join(
        [
            yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, width=100),
            _heading(expected or Expected()),
            *(_section(title, lines, explain) for title, lines in sections.items() if lines),
            *fits,
            *(f"\n{note}" for note in plan.notes),
        ]
    )


def _estimates(plan: Plan) -> Sequence[Sequence[Estimate]]:
    """In the order of the formulas."""
    return (
        plan.round_tokens,
        plan.run_tokens,
        plan.teacher_tokens,
        plan.judge_tokens,
        plan.memory,
        plan.server_memory,
        plan.disk,
        plan.compute,
        plan.traffic,
        plan.time,
        plan.money,
    )


def _heading(expected: Expected) -> str:
    if expected.is_bound:
        return "Estimates: upper bounds, every response at its limit."
    said = (("prompts", expected.prompt), ("responses", expected.response))
    lengths = (f"{what} of {mean:,g} tokens" for what, mean in said if mean is not None)
    shares = (
        f"{expected.hard:.0%} of the questions hard",
        f"{expected.spread:.0%} of the groups with different rewards",
    )
    return f"Estimates: expected, with {', '.join((*lengths, *shares))}; memory at the limits."


def _section(title: str, estimates: Sequence[Estimate], explain: bool) -> str:
    formula = [f"  ({FORMULAS[title]})"] if explain else []
    return "\n".join(["", title, *formula, _table(estimates)])


def _table(estimates: Sequence[Estimate]) -> str:
    rows = [(f"  {item.what}", amount(item.value, item.unit), f"= {item.how}") for item in estimates]
    units = {item.unit for item in estimates}
    if len(rows) > 1 and units < {"tokens", "bytes", "FLOP"} and not _of_servers(estimates):
        rows.append(("  total", amount(total(estimates), units.pop()), ""))
    return aligned(rows)


def _of_servers(estimates: Sequence[Estimate]) -> bool:
    """Whether they are of several processes, which have no memory in common."""
    return " server: " in estimates[0].what

"""Constructed studies and their records."""

import math
from collections.abc import Mapping, Sequence

from schemas.config.study import StudyConfig
from schemas.study import CurvePoint, Fate, RoundPoint, StudyRun


def study(variants: Sequence[object] = ("a", "b"), **settings: object) -> StudyConfig:
    """A study of variants that set nothing, with few resamples."""
    return StudyConfig.model_validate(
        {
            "title": "A study",
            "recipe": "pocket",
            "seeds": [0, 1, 2],
            "variants": [{"name": each} if isinstance(each, str) else each for each in variants],
            "bootstrap_resamples": 500,
            **settings,
        }
    )


def point(at: int, accuracy: float, outside: float | None = None, rollouts: int = 10, seconds: float = 1.0):
    """A checkpoint after `at` rounds of so many rollouts and seconds each."""
    return CurvePoint(
        round=at,
        student_rollouts=at * rollouts,
        student_tokens=at * rollouts * 20,
        teacher_tokens=at * 7,
        seconds=at * seconds,
        accuracy=accuracy,
        out_of_distribution=outside,
    )


def round_point(at: int, **settings: object) -> RoundPoint:
    """A round of eight new plain groups, without BCQ and NCQ unless `settings` say so."""
    nothing: Mapping[str, object] = dict.fromkeys(
        name for name, field in RoundPoint.model_fields.items() if field.is_required() and name != "round"
    )
    default = {"groups": {"plain": 8}, "accuracy": {"plain": 0.5}, "buffer": 0}
    return RoundPoint.model_validate({**nothing, **default, "round": at, **settings})


def run(
    variant: str = "a",
    seed: int = 0,
    curve: Sequence[CurvePoint] | None = None,
    rounds: Sequence[RoundPoint] = (),
    fates: Sequence[Fate] = (),
    factors: Mapping[str, str] | None = None,
    teacher_accuracy: float | None = None,
) -> StudyRun:
    """A record; the curve rises from 0.2 to 0.6 in ten rounds unless it is given."""
    return StudyRun(
        variant=variant,
        method="grpo",
        factors=dict(factors or {}),
        seed=seed,
        run=f"study.{variant}.s{seed}",
        curve=tuple(curve)
        if curve is not None
        else (point(0, 0.2, 0.1), point(5, 0.4, 0.2), point(10, 0.6, 0.3)),
        rounds=tuple(rounds) or tuple(round_point(at) for at in range(1, 11)),
        fates=tuple(fates),
        teacher_accuracy=teacher_accuracy,
    )


def ending(end: float, variant: str = "a", seed: int = 0, **settings: object) -> StudyRun:
    """A run of ten rounds whose accuracy rises in a straight line from 0.2 to `end`."""
    curve = [point(at, 0.2 + (end - 0.2) * at / 10, **settings) for at in (0, 5, 10)]
    return run(variant, seed, curve)


def lively(
    variant: str, seed: int, skill: float, cost: float, factors: Mapping[str, str] | None = None
) -> StudyRun:
    """A run that looks like a real one: a noisy rising curve, audits, and a buffer; deterministic."""
    phase = sum(map(ord, variant)) + 1.7 * seed
    wave = [math.sin(phase * (1 + at % 7) + 0.9 * at) for at in range(81)]
    curve = [
        point(
            at,
            0.25
            + (skill - 0.25) * (1 - math.exp(-at / 30))
            + 0.02 * wave[at] * (at > 0)
            + 0.04 * wave[seed] * (at > 0),
            0.14 + 0.6 * (skill - 0.25) * (1 - math.exp(-at / 40)) + 0.01 * wave[at] * (at > 0),
            rollouts=int(256 * cost),
            seconds=0.31 * cost * (1 + 0.03 * wave[seed]),
        )
        for at in range(0, 81, 5)
    ]
    rounds = [_lively_round(at, skill, wave[at], cost > 1.1) for at in range(1, 81)]
    fates = [
        Fate(
            entry_accuracy=entry / 8,
            visits=visits,
            graduated=int((entry + 1) * 40 * skill / visits),
            evicted=int(50 * (1 - skill) / visits) + (seed + visits) % 3,
            remaining=int(20 / visits),
        )
        for entry in range(4)
        for visits in range(2, 9)
    ]
    return run(variant, seed, curve, rounds, fates if cost > 1.0 else (), factors, 0.97)


def _lively_round(at: int, skill: float, wave: float, reformulates: bool) -> RoundPoint:
    late = 1 - math.exp(-at / 30)
    if not reformulates:
        return round_point(
            at,
            groups={"plain": 32},
            zero_advantage_groups=0.45 + 0.3 * late * skill + 0.04 * wave,
            positive_advantage_rollouts=0.3 - 0.1 * late + 0.02 * wave,
        )
    audits = (
        {}
        if at == 1
        else {
            "bcq_correct_candidate": 0.4 + 0.3 * late + 0.05 * wave,
            "bcq_wrong_candidate": 0.15 - 0.05 * late + 0.02 * wave,
            "bcq_neither": 0.45 - 0.25 * late - 0.07 * wave,
            "bcq_correct_first": 0.5 + 0.1 * wave,
            "bcq_accuracy_correct_first": 0.35 + 0.25 * late,
            "bcq_accuracy_correct_second": 0.45 + 0.25 * late,
            "ncq_repeats_listed": 0.5 - 0.2 * late + 0.05 * wave,
            "ncq_matches_teacher": 0.1 + 0.3 * late,
        }
    )
    return round_point(
        at,
        groups={"plain": 40 if at > 1 else 32, "bcq": 4 if at > 1 else 0, "ncq": 3 if at > 1 else 0},
        replayed=8 if at > 1 else 0,
        accuracy={
            "plain": 0.3 + 0.4 * late,
            **({"bcq": 0.4 + 0.3 * late, "ncq": 0.1 + 0.3 * late} if at > 1 else {}),
        },
        zero_advantage_groups=0.35 + 0.3 * late * skill + 0.04 * wave,
        positive_advantage_rollouts=0.33 - 0.1 * late + 0.02 * wave,
        buffer=min(256, 14 * at),
        **audits,
    )

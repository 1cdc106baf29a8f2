"""Time and price of a run on given hardware: the slower of arithmetic and memory, phase by phase."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from zppo.plan.estimates import Estimate, product, total
from zppo.plan.hardware import Hardware

ROLLOUTS = "student rollouts"
UPDATES = "updates"
HELD_OUT = "validation, evaluation"
TEACHER = "teacher"


@dataclass(frozen=True)
class Phase:
    """Work that devices share evenly."""

    what: str
    flop: float
    devices: int
    traffic: float = 0.0
    """Bytes read from memory, where sampling is bound by that."""


def times(phases: Sequence[Phase], hardware: Hardware) -> Iterable[Estimate]:
    """Seconds of each phase, then of all one after the other, which is the most that they take."""
    each = [_seconds(phase, hardware) for phase in phases]
    yield from each
    how = "one after the other" if len(each) > 1 else each[0].how
    yield Estimate("all", total(each), "seconds", how)
    if hardware.teacher:
        both = [sum(item.value for item in each if item.what == name) for name in (ROLLOUTS, TEACHER)]
        how = "the longer of the two, and the rest"
        yield Estimate("all, teacher beside rollouts", total(each) - min(both), "seconds", how)


def price(times: Sequence[Estimate], hardware: Hardware) -> Iterable[Estimate]:
    """Of the devices for the longest of the times, where their price is known."""
    if hardware.price_per_hour is not None:
        hours, rate = (
            ("hours", max(each.value for each in times) / 3600),
            ("for an hour", hardware.price_per_hour),
        )
        yield product("devices", "money", ("devices", hardware.devices), hours, rate)


def _seconds(phase: Phase, hardware: Hardware) -> Estimate:
    arithmetic = phase.flop / (phase.devices * hardware.flop_per_second)
    how = f"{phase.flop:.3g} FLOP / ({phase.devices} * {hardware.flop_per_second:.3g} FLOP/s)"
    if hardware.bytes_per_second is None or not phase.traffic:
        return Estimate(phase.what, arithmetic, "seconds", how)
    reading = phase.traffic / (phase.devices * hardware.bytes_per_second)
    if reading > arithmetic:
        how = f"{phase.traffic:.3g} B / ({phase.devices} * {hardware.bytes_per_second:.3g} B/s)"
    return Estimate(phase.what, max(arithmetic, reading), "seconds", how)

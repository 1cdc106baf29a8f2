"""Sampler against learner, by the log-probabilities that both give to the same tokens."""

import math
from collections.abc import Sequence

from schemas.report import DriftReport


def drift_report(differences: Sequence[float]) -> DriftReport | None:
    """Of the absolute differences of tokens; None where there are none."""
    if not differences:
        return None
    mean = math.fsum(differences) / len(differences)
    return DriftReport(tokens=len(differences), mean=mean, max=max(differences))


def together(reports: Sequence[DriftReport | None]) -> DriftReport | None:
    """One report of the tokens of several; None where all are."""
    some = [report for report in reports if report is not None]
    if not some:
        return None
    tokens = sum(report.tokens for report in some)
    mean = math.fsum(report.tokens * report.mean for report in some) / tokens
    return DriftReport(tokens=tokens, mean=mean, max=max(report.max for report in some))

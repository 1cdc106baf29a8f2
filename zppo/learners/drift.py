"""Whether an update's rollouts were sampled by the weights that it changes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from schemas.report import DriftReport
from zppo.core.drift import drift_report
from zppo.ports import DriftCheck, StaleRolloutsError, TrainingRow


def checked(drift_T: Tensor, rows: Sequence[TrainingRow], check: DriftCheck) -> DriftReport | None:
    """Drift of the rollouts to be checked.

    Args:
        drift_T: Each token's difference from its old log-probability, row after row.
        rows: The rows.
        check: Names some of them.

    Raises:
        StaleRolloutsError: The drift is beyond the limit.
    """
    parts = torch.split(drift_T, [len(row.response_ids) for row in rows])
    wanted = [part for part, row in zip(parts, rows, strict=True) if row.rollout in check.rollouts]
    drift = drift_report(torch.cat(wanted).tolist())
    if drift is not None and drift.max > check.limit:
        raise StaleRolloutsError(drift)
    return drift

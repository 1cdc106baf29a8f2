"""A further machine's part in a learner: its ranks, from their start to their end."""

import tempfile
from pathlib import Path

from torch.distributed import DistError
from torch.distributed.elastic.multiprocessing.api import SignalException

from schemas.config.machine import LearnerMachines
from zppo.errors import EngineError
from zppo.learners.fsdp.agent import launch_share
from zppo.learners.fsdp.failure import cause, failures
from zppo.learners.fsdp.meeting import accept


def join(machines: LearnerMachines, home: Path) -> None:
    """Wait for a run's learner and compute this machine's share of it until the run has no more work.

    Raises:
        InputError: The two machines were told different things.
        EngineError: A rank failed, here or elsewhere, or this process was told to stop.
    """
    node, invitation = accept(machines, home)
    directory = invitation.job.parent
    try:
        with tempfile.TemporaryDirectory(prefix="zppo-learner-") as logs:
            failure = launch_share(machines, node, invitation, Path(logs))
    except SignalException as error:
        raise EngineError(f"told to stop by {error.sigval.name}; the run's round is not committed") from error
    except DistError as error:
        raise EngineError(f"the machine at {machines.rendezvous} is gone: {error}") from error
    if failure is not None:
        first = cause([failure, *failures(directory, machines.nodes).values()])
        raise EngineError(
            f"{first.sentence}; join again for when the run is resumed. The end of its log:\n{first.said}"
        )

"""The program that starts a machine's ranks and watches over them: torch's elastic launcher."""

import os
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from schemas.config.machine import LearnerMachines
from zppo.errors import EngineError
from zppo.learners.fsdp.failure import Failure, cause
from zppo.learners.fsdp.meeting import Invitation, invite
from zppo.learners.fsdp.orphans import end_with_parent

_PATIENCE_SECONDS = 5
"""For a rank to end by itself when another one failed, before it is killed."""
_TAIL_LINES = 15


def launch(job: Path, processes: int, logs: Path) -> Failure | None:
    """Run all ranks to their end on this machine; returns what failed, the other ranks ended."""
    # Everything is on this machine, whose host name need not resolve.
    config = _config(processes, logs)
    config.run_id = uuid.uuid4().hex
    config.rdzv_backend, config.rdzv_endpoint, config.local_addr = "c10d", "127.0.0.1:0", "127.0.0.1"
    return _run(config, job, logs)


def launch_share(machines: LearnerMachines, node: int, invitation: Invitation, logs: Path) -> Failure | None:
    """Run this machine's ranks to their end.

    Args:
        machines: All that take part.
        node: Number of this one. The first, 0, has the first ranks, which write what is written.
        invitation: To the job.
        logs: Directory of this machine alone.
    """
    config = _config(invitation.processes, logs)
    config.min_nodes = config.max_nodes = machines.nodes
    config.run_id = invitation.job.parent.name
    config.rdzv_backend, config.rdzv_endpoint = "static", machines.rendezvous
    config.rdzv_configs = {"rank": node, "timeout": machines.start_seconds}
    failure = _run(config, invitation.job, logs)
    if failure is not None and invitation.job.exists():
        failure.write(invitation.job.parent, node)
    return failure


def _config(processes: int, logs: Path) -> LaunchConfig:
    return LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        max_restarts=0,
        shutdown_timeout=_PATIENCE_SECONDS,
        logs_specs=DefaultLogsSpecs(log_dir=str(logs), redirects=Std.ALL),
    )


def _run(config: LaunchConfig, job: Path, logs: Path) -> Failure | None:
    try:
        elastic_launch(config, sys.executable)("-m", "zppo.learners.fsdp.rank", os.getpid(), str(job))
    except ChildFailedError as error:
        return first_failure(error.failures, logs)
    return None


def first_failure(failures: Mapping[int, ProcessFailure], logs: Path) -> Failure:
    """The failure that the machine's others followed from, with the end of what that rank wrote."""
    return cause(_described(rank, failure, logs) for rank, failure in failures.items())


def _described(rank: int, failure: ProcessFailure, logs: Path) -> Failure:
    # Of what a rank wrote, its errors; elastic puts them below directories that it names itself.
    written = [path.read_text(errors="replace") for path in logs.glob(f"**/{failure.local_rank}/stderr.log")]
    said = "\n".join("".join(written).splitlines()[-_TAIL_LINES:])
    return Failure(rank=rank, exit_code=failure.exitcode, time=failure.timestamp, said=said)


def main(parent: int, path: Path, processes: int, machines: LearnerMachines | None) -> int:
    """Launch, and leave word of a failure; returns the exit code."""
    end_with_parent(parent)
    logs = path.parent / "logs"
    if machines is None:
        failure = launch(path, processes, logs)
        if failure is not None:
            failure.write(path.parent, 0)
        return int(failure is not None)
    invitation = Invitation(job=path, processes=processes, nodes=machines.nodes)
    try:
        with invite(machines, invitation):
            return int(launch_share(machines, 0, invitation, logs) is not None)
    except EngineError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    given = LearnerMachines.model_validate_json(sys.argv[4]) if len(sys.argv) > 4 else None
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), given))

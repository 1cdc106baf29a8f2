"""The program that starts the ranks and watches over them: torch's elastic launcher."""

import os
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from zppo.learners.fsdp.failure import Failure
from zppo.learners.fsdp.orphans import end_with_parent

_PATIENCE_SECONDS = 5
"""For a rank to end by itself when another one failed, before it is killed."""
_TAIL_LINES = 15


def launch(job: Path, processes: int) -> None:
    """Run the ranks to their end.

    Raises:
        ChildFailedError: One of them failed; the others were ended.
    """
    # Everything is on this machine, whose host name need not resolve.
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1",
        max_restarts=0,
        shutdown_timeout=_PATIENCE_SECONDS,
        logs_specs=DefaultLogsSpecs(log_dir=str(job.parent / "logs"), redirects=Std.ALL),
    )
    elastic_launch(config, sys.executable)("-m", "zppo.learners.fsdp.rank", os.getpid(), str(job))


def first_failure(failures: Mapping[int, ProcessFailure], logs: Path) -> Failure:
    """The failure that the others followed from: one that a signal ended, else the first."""
    rank, failure = min(failures.items(), key=lambda each: (each[1].exitcode >= 0, each[1].timestamp))
    # Of what a rank wrote, its errors; elastic puts them below directories that it names itself.
    written = [path.read_text(errors="replace") for path in logs.glob(f"**/{failure.local_rank}/stderr.log")]
    lines = "".join(written).splitlines()[-_TAIL_LINES:]
    return Failure(rank=rank, exit_code=failure.exitcode, said="\n".join(lines))


def main(parent: int, path: Path, processes: int) -> int:
    """Launch, and leave word of a failure; returns the exit code."""
    end_with_parent(parent)
    try:
        launch(path, processes)
    except ChildFailedError as error:
        failure = first_failure(error.failures, path.parent / "logs")
        (path.parent / Failure.FILE).write_text(failure.model_dump_json(), encoding="utf-8")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))

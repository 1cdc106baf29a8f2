"""Where machines meet: torch's key-value store on the first one, which tells the others of the job.

It is the store of torch's static rendezvous, which numbers machines by what they say they are: the first
machine is 0 always, since its ranks write into the home and answer the training process beside them.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from torch.distributed import DistError, TCPStore  # type: ignore[attr-defined]  # it is in the documentation

from schemas.base import Frozen
from schemas.config.machine import LearnerMachines
from zppo.errors import EngineError, InputError

_JOB, _CAME = "zppo/job", "zppo/came"
_POLL_SECONDS = 0.2
_ANSWER_SECONDS = 30.0


class Invitation(Frozen):
    """What a machine needs to know of a job; the rest is in the job's file, below the home."""

    job: Path
    processes: int
    """On each machine."""
    nodes: int


@contextmanager
def invite(machines: LearnerMachines, invitation: Invitation) -> Iterator[None]:
    """Wait until the other machines have come; they meet here until the block ends.

    Raises:
        EngineError: They did not come in time, or the port is taken.
    """
    host, port = machines.address
    try:
        store = TCPStore(host, port, is_master=True, wait_for_workers=False, multi_tenant=True)
    except DistError as error:
        raise EngineError(f"nobody can be met at {machines.rendezvous}: {error}") from error
    store.set(_JOB, invitation.model_dump_json())
    deadline = time.monotonic() + machines.start_seconds
    while (came := store.add(_CAME, 0)) < machines.nodes - 1:
        if time.monotonic() > deadline:
            raise EngineError(
                f"{1 + came} of {machines.nodes} machines came to {machines.rendezvous} within "
                f"{machines.start_seconds:g} seconds, this one included; on each of the others run "
                "`zppo join-learner` with the same --home and --machine, then resume"
            )
        time.sleep(_POLL_SECONDS)
    yield  # the server goes with `store`


def accept(machines: LearnerMachines, home: Path) -> tuple[int, Invitation]:
    """Wait, however long, for the first machine's next job; returns the number of this machine in it.

    Raises:
        InputError: The other side speaks of another number of machines, or of a home that is not seen here.
    """
    while (found := _ask(machines, home)) is None:
        time.sleep(_POLL_SECONDS)
    return found


def _ask(machines: LearnerMachines, home: Path) -> tuple[int, Invitation] | None:
    """A place in the job that waits for machines; None where there is none."""
    host, port = machines.address
    try:
        socket.create_connection((host, port), _ANSWER_SECONDS).close()  # silent where torch would complain
        store = TCPStore(host, port, wait_for_workers=False, timeout=timedelta(seconds=_ANSWER_SECONDS))
        invitation = Invitation.model_validate_json(store.get(_JOB))
        _check(invitation, machines, home)
        number = store.add(_CAME, 1)
    except (OSError, DistError):  # not there yet, or just ending
        return None
    return (number, invitation) if number < invitation.nodes else None


def _check(invitation: Invitation, machines: LearnerMachines, home: Path) -> None:
    """Refuse a job in which this machine cannot take part, before it is counted."""
    if invitation.nodes != machines.nodes:
        raise InputError(
            f"learner.nodes is {machines.nodes} here, but {invitation.nodes} on the machine at "
            f"{machines.rendezvous}; use one machine file on both"
        )
    if not (invitation.job.exists() and invitation.job.resolve().is_relative_to(home.resolve())):
        raise InputError(
            f"the run at {machines.rendezvous} works in {invitation.job.parent}, which is not in the "
            f"home {home.absolute()} here; mount one folder at the same path on both, and give it as --home"
        )

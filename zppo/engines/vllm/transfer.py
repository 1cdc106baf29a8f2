"""Weights sent to the GPUs of a server over NCCL, past the disk: vLLM's own transfer, in its four phases.

Once for every start of a server both sides join a communicator, whose id this process mints: it is rank 0,
the server's workers are the others. Every update then starts, is broadcast one tensor after the other, and
finishes. The form of the messages is that of `vllm/distributed/weight_transfer/nccl_engine.py` in vLLM 0.32.
"""

import asyncio
import threading
from base64 import b64encode
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.cuda import nccl

from zppo.engines.vllm.client import VllmClient
from zppo.engines.vllm.faults import ServerFault, ServerRefusal
from zppo.errors import EngineError


class Wire(Protocol):
    """This process's end of a communicator."""

    def mint(self) -> bytes:
        """A new communicator's id."""
        ...

    def join(self, identity: bytes, size: int) -> None:
        """Be rank 0 of `size`; returns when all have joined."""
        ...

    def send(self, tensors: Sequence[Tensor]) -> None:
        """Give the tensors to all others, in this order; returns when they have arrived."""
        ...


class NcclWire:
    """NCCL, on a stream of its own."""

    def __init__(self, device: torch.device) -> None:
        """Nothing is joined yet.

        Args:
            device: The learner's, which must not be a worker's.
        """
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._communicator: Any = None

    def mint(self) -> bytes:
        """A new communicator's id."""
        return bytes(nccl.unique_id())  # type: ignore[no-untyped-call]

    def join(self, identity: bytes, size: int) -> None:
        """Be rank 0 of `size`; returns when all have joined."""
        with torch.cuda.device(self._device):
            self._communicator = nccl.init_rank(size, identity, 0)  # type: ignore[no-untyped-call]
            # vLLM's workers warm a communicator up with this, so that all ranks must.
            token, streams = torch.zeros(1, device=self._device), [self._stream]
            nccl.all_reduce([token], streams=streams, comms=[self._communicator])  # type: ignore[no-untyped-call]
            self._stream.synchronize()

    def send(self, tensors: Sequence[Tensor]) -> None:
        """Give the tensors to all others, in this order; returns when they have arrived."""
        with torch.cuda.device(self._device):
            self._stream.wait_stream(torch.cuda.current_stream(self._device))
            whole = [tensor.detach().contiguous() for tensor in tensors]  # kept until they are there
            self._stream.wait_stream(torch.cuda.current_stream(self._device))
            for tensor in whole:
                nccl.broadcast([tensor], 0, [self._stream], [self._communicator])
            self._stream.synchronize()


class Transfer:
    """One server's share of it."""

    def __init__(self, wire: Callable[[], Wire], workers: int, seconds: float) -> None:
        """Nothing is joined yet.

        Args:
            wire: Makes this process's end.
            workers: Processes of the server, each with a GPU.
            seconds: Longest time that a phase may take.
        """
        self._make = wire
        self._workers = workers
        self._seconds = seconds
        self._wire: Wire | None = None

    def forget(self) -> None:
        """The server is ended: it joins anew when it is back."""
        self._wire = None

    async def bring(self, client: VllmClient, weights: Mapping[str, Tensor]) -> None:
        """Replace the server's weights.

        Raises:
            EngineError: A phase failed or took too long. What hangs in NCCL cannot be called back, but
                does not keep this process from ending.
        """
        try:
            wire = self._wire = self._wire or await self._joined(client)
            await client.start_update()
            await self._both("send", client.receive(weights), lambda: wire.send([*weights.values()]))
            await client.finish_update()
        except (ServerFault, ServerRefusal, TimeoutError, RuntimeError) as problem:
            raise EngineError(
                f"new weights did not get to the vLLM server over NCCL: {problem}. What is committed stays: "
                "resume the run, or set weight_sync to disk in the machine file"
            ) from problem

    async def _joined(self, client: VllmClient) -> Wire:
        wire = self._make()
        identity, size = wire.mint(), 1 + self._workers
        joining = client.join_transfer(b64encode(identity).decode(), size)
        await self._both("join", joining, lambda: wire.join(identity, size))
        return wire

    async def _both(self, phase: str, theirs: Coroutine[None, None, None], ours: Callable[[], None]) -> None:
        """Both ends of a phase, which wait for each other."""
        try:
            async with asyncio.timeout(self._seconds):
                await asyncio.gather(theirs, _in_a_thread(ours))
        except TimeoutError:
            raise TimeoutError(
                f"to {phase} took longer than silence_seconds, {self._seconds:g} s, and what hangs there can "
                "only end with this process"
            ) from None


async def _in_a_thread(work: Callable[[], None]) -> None:
    """Do blocking work in a thread that, unlike those of a pool, does not keep a process from ending."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    problem: RuntimeError | None = RuntimeError("its thread ended with an error that is printed above")

    def do() -> None:
        nonlocal problem
        try:
            work()
            problem = None
        except RuntimeError as error:  # NCCL's errors are such
            problem = error
        finally:
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=do, daemon=True, name="weight transfer").start()
    await done.wait()
    if problem is not None:
        raise problem

"""Messages between the training process and the ranks: JSON and arrays, never pickle."""

import hmac
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from schemas.base import Frozen
from schemas.report import DriftReport
from zppo.ports import DistillationRow, DriftCheck, MiniBatch, PolicyRow, TrainingRow, UpdateStatistics

Arrays = Mapping[str, NDArray[np.generic]]
_LENGTHS = struct.Struct("<QQ")
_TOKEN_BYTES = 64


class Command(Frozen):
    """What all ranks are to do; the arrays beside it are rows."""

    do: Literal["update", "logprobs", "weights", "save", "load", "end"]
    path: Path | None = None
    """File or directory on a disk that all have."""
    names: tuple[str, ...] = ()
    """Of the rows' rollouts."""
    check: DriftCheck | None = None
    """Of an update."""


class Reply(Frozen):
    """What one rank answers for all; the array beside it holds log-probabilities."""

    statistics: UpdateStatistics | None = None
    refused: str = ""
    """Why an update was not made: an error that left all ranks in order."""
    stale: DriftReport | None = None
    """Likewise, where its rollouts were sampled by other weights."""


class Channel:
    """One end of a connection; either method raises `OSError` or `EOFError` when the other end is gone."""

    def __init__(self, connection: socket.socket) -> None:
        """Take over a connected socket."""
        self._connection = connection

    def fileno(self) -> int:
        """For `select`."""
        return self._connection.fileno()

    def send(self, message: Frozen, arrays: Arrays | None = None) -> None:
        """Send a message and its arrays."""
        self.send_bytes(message.model_dump_json().encode(), save(dict(arrays or {})))

    def send_bytes(self, head: bytes, body: bytes) -> None:
        """Send a message that is in bytes already."""
        self._connection.sendall(_LENGTHS.pack(len(head), len(body)))
        self._connection.sendall(head)
        self._connection.sendall(body)

    def receive(self) -> tuple[bytes, dict[str, NDArray[np.generic]]]:
        """The next message, as JSON, and its arrays."""
        head, body = _LENGTHS.unpack(self._exactly(_LENGTHS.size))
        return bytes(self._exactly(head)), load(bytes(self._exactly(body)))

    def introduce(self, token: str, rank: int) -> None:
        """Say which rank this is."""
        self._connection.sendall(token.encode() + struct.pack("<Q", rank))

    def introduced(self, token: str, seconds: float) -> int | None:
        """The rank at the other end; None where somebody else is there."""
        self._connection.settimeout(seconds)
        try:
            said = bytes(self._exactly(_TOKEN_BYTES + 8))
        except (OSError, EOFError):
            return None
        self._connection.settimeout(None)
        known = hmac.compare_digest(said[:_TOKEN_BYTES], token.encode())
        return int(struct.unpack("<Q", said[_TOKEN_BYTES:])[0]) if known else None

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _exactly(self, count: int) -> bytearray:
        content = bytearray(count)
        view = memoryview(content)
        while view:
            received = self._connection.recv_into(view)
            if not received:
                raise EOFError("the other end of the connection is gone")
            view = view[received:]
        return content


def encode_rows(rows: Sequence[TrainingRow]) -> dict[str, NDArray[np.generic]]:
    """The rows as arrays, but for their names."""
    arrays: dict[str, NDArray[np.generic]] = {
        "prompt_lengths": np.array([len(row.prompt_ids) for row in rows], dtype=np.int64),
        "prompts": _flat((row.prompt_ids for row in rows), np.int64),
        "response_lengths": np.array([len(row.response_ids) for row in rows], dtype=np.int64),
        "responses": _flat((row.response_ids for row in rows), np.int64),
    }
    policy = [row for row in rows if isinstance(row, PolicyRow)]
    distillation = [row for row in rows if isinstance(row, DistillationRow)]
    if policy:
        arrays["advantages"] = np.array([row.advantage for row in policy])
        arrays["old_logprobs"] = _flat((row.old_logprobs for row in policy), np.float64)
        arrays["weighed"] = np.array([row.importance is not None for row in policy])
        arrays["importance"] = _flat((row.importance or () for row in policy), np.float64)
    if distillation:
        arrays["weights"] = np.array([row.weight for row in distillation])
    return arrays


def decode_rows(names: Sequence[str], arrays: Arrays) -> list[TrainingRow]:
    """What `encode_rows` made of rows of one kind."""
    prompts = _split(arrays["prompts"], arrays["prompt_lengths"])
    responses = _split(arrays["responses"], arrays["response_lengths"])
    rows = [TrainingRow(*each) for each in zip(names, prompts, responses, strict=True)]
    if "weights" in arrays:
        weights = arrays["weights"].tolist()
        return [DistillationRow(**vars(row), weight=each) for row, each in zip(rows, weights, strict=True)]
    return list(_policy_rows(rows, arrays)) if "advantages" in arrays else rows


def mini_batch(rows: Sequence[TrainingRow]) -> MiniBatch:
    """The rows of an update, of one kind."""
    policy = tuple(row for row in rows if isinstance(row, PolicyRow))
    distillation = tuple(row for row in rows if isinstance(row, DistillationRow))
    assert len(rows) in (len(policy), len(distillation)), "a mini-batch has rows of one kind"
    return MiniBatch(distillation or policy)


def split_logprobs(flat: NDArray[np.generic], lengths: Sequence[int]) -> list[tuple[float, ...]]:
    """Of each row, from those of all rows one after another."""
    return _split(flat, np.array(lengths, dtype=np.int64))


def _policy_rows(rows: Sequence[TrainingRow], arrays: Arrays) -> Iterator[PolicyRow]:
    lengths, weighed = arrays["response_lengths"], arrays["weighed"]
    parts = zip(
        rows,
        arrays["advantages"].tolist(),
        _split(arrays["old_logprobs"], lengths),
        weighed.tolist(),
        _split(arrays["importance"], np.where(weighed, lengths, 0)),
        strict=True,
    )
    for row, advantage, old, known, importance in parts:
        weights = importance if known else None
        yield PolicyRow(**vars(row), old_logprobs=old, advantage=advantage, importance=weights)


def _flat(parts: Iterator[Sequence[float]], kind: type[np.generic]) -> NDArray[np.generic]:
    return np.fromiter(chain.from_iterable(parts), dtype=kind)


def _split(flat: NDArray[np.generic], lengths: NDArray[np.generic]) -> list[tuple[Any, ...]]:
    values = flat.tolist()
    return [tuple(values[start:end]) for start, end in pairwise(accumulate(lengths.tolist(), initial=0))]

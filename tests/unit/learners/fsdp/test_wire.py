"""Messages between the training process and the ranks."""

import math
import socket
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zppo.learners.fsdp.wire import (
    Channel,
    Command,
    Reply,
    decode_rows,
    encode_rows,
    mini_batch,
    split_logprobs,
)
from zppo.ports import DistillationRow, DriftCheck, PolicyRow, TrainingRow

TOKEN = "a" * 64
tokens = st.lists(st.integers(0, 2**31), max_size=5).map(tuple)
numbers = st.floats(allow_nan=False)
plain = st.builds(TrainingRow, st.text(), tokens, tokens)
distillation = st.builds(DistillationRow, st.text(), tokens, tokens, numbers)


@st.composite
def policy(draw: st.DrawFn) -> PolicyRow:
    response = draw(tokens)
    of_tokens = st.lists(numbers, min_size=len(response), max_size=len(response)).map(tuple)
    return PolicyRow(
        draw(st.text()), draw(tokens), response, draw(of_tokens), draw(numbers), draw(st.none() | of_tokens)
    )


@given(st.lists(plain) | st.lists(policy()) | st.lists(distillation))
def test_rows_arrive_as_they_were_sent(rows: list[TrainingRow]) -> None:
    there = decode_rows([row.rollout for row in rows], encode_rows(rows))
    assert there == rows


def test_numbers_that_are_not_finite_arrive_too() -> None:
    (row,) = decode_rows(["r"], encode_rows([PolicyRow("r", (1,), (2,), (math.nan,), math.inf)]))
    assert isinstance(row, PolicyRow)
    assert math.isnan(row.old_logprobs[0])
    assert row.advantage == math.inf


def test_a_mini_batch_keeps_the_kind_of_its_rows() -> None:
    rows = [DistillationRow("r", (1,), (2,), 0.5)]
    assert mini_batch(rows).rows == tuple(rows)


def test_log_probabilities_are_given_back_to_their_rows() -> None:
    assert split_logprobs(np.array([1.0, 2.0, 3.0]), [2, 0, 1]) == [(1.0, 2.0), (), (3.0,)]


def pair() -> tuple[Channel, Channel]:
    one, other = socket.socketpair()
    return Channel(one), Channel(other)


def test_a_message_larger_than_a_socket_holds_arrives_whole() -> None:
    here, there = pair()
    values = np.arange(10**6)
    command = Command(do="update", names=("r",), check=DriftCheck(frozenset({"r"}), limit=0.01))
    sender = threading.Thread(target=here.send, args=(command, {"values": values}))
    sender.start()
    said, arrays = there.receive()
    sender.join()
    assert Command.model_validate_json(said) == command
    assert np.array_equal(arrays["values"], values)


def test_a_connection_that_ends_is_told_from_a_message() -> None:
    here, there = pair()
    here.send(Reply())
    here.close()
    there.receive()
    with pytest.raises(EOFError):
        there.receive()


def test_only_who_knows_the_token_is_a_rank() -> None:
    for token, rank in ((TOKEN, 3), ("b" * 64, None)):
        here, there = pair()
        here.introduce(token, 3)
        assert there.introduced(TOKEN, 5) == rank
    here, there = pair()
    here.close()
    assert there.introduced(TOKEN, 5) is None

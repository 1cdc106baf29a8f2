"""Weights that go to a server past the disk: the phases, their order, and what a failure says."""

import threading
from base64 import b64decode
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from tests.fakes.vllm_server import TRANSFER, FakeVllm, fake_vllm
from tests.tiny import save_checkpoint, tiny_chat, tiny_model
from tests.unit.engines.vllm.engines import PLAIN, expected, given, questions, terms, tokens
from zppo.engines.vllm.engine import VllmEngine
from zppo.engines.vllm.transfer import Wire
from zppo.engines.vllm.weights import Weights
from zppo.errors import EngineError

INIT, START, UPDATE, FINISH = TRANSFER
# A thread's error may be told of only while the next test is at work.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


class RecordedWire:
    """Sends nothing, and remembers what it was to send."""

    def __init__(self) -> None:
        self.joined: list[tuple[bytes, int]] = []
        self.sent: list[list[Tensor]] = []
        self.error: Exception | None = None
        self.hang = ""
        """The phase that never ends."""

    def mint(self) -> bytes:
        return b"i" * 128

    def join(self, identity: bytes, size: int) -> None:
        if self.hang == "join":
            threading.Event().wait()
        self.joined.append((identity, size))

    def send(self, tensors: Sequence[Tensor]) -> None:
        if self.error is not None:
            raise self.error
        if self.hang == "send":
            threading.Event().wait()
        self.sent.append([tensor.detach().clone() for tensor in tensors])


def engine_over(
    wire: Callable[[], Wire], tmp_path: Path, *fakes: FakeVllm
) -> tuple[VllmEngine, PreTrainedModel, Weights]:
    """An engine whose weights follow a module."""
    checkpoint = tmp_path / "checkpoint"
    if not checkpoint.is_dir():
        save_checkpoint(checkpoint)
    model, weights = tiny_model("llama"), Weights(checkpoint, "tiny", "sha256:tiny", tmp_path / "weights")
    weights.follow(model)
    settings = vars(terms()) | {"wire": wire, "workers": 2}
    return VllmEngine(tiny_chat(), given(*fakes), weights, type(terms())(**settings)), model, weights


def change(model: PreTrainedModel) -> None:
    with torch.no_grad():
        next(model.parameters()).mul_(1.01)


def test_changed_weights_are_sent_in_four_phases_and_named_last(tmp_path: Path) -> None:
    wire = RecordedWire()
    with fake_vllm() as fake:
        engine, model, weights = engine_over(lambda: wire, tmp_path, fake)
        engine.generate(questions(1), PLAIN)
        assert not fake.transferred  # the checkpoint's weights are there already
        for _ in range(2):
            change(model)
            assert tokens(engine.generate(questions(2), PLAIN)) == expected(questions(2))
            assert fake.weights == weights.name
        assert not fake.loaded
        assert not (tmp_path / "weights").exists()
    assert [path for path, _ in fake.transferred] == [INIT, *(START, UPDATE, FINISH) * 2]
    assert fake.calls[fake.calls.index(FINISH) :][:3] == [
        FINISH,
        "/reset_prefix_cache",
        "/update_weight_version",
    ]
    told = fake.transferred[0][1]["init_info"]
    assert b64decode(told.pop("nccl_unique_id_b64")) == wire.mint()
    assert told == {"rank_offset": 1, "world_size": 3, "packed": False}
    assert wire.joined == [(wire.mint(), 3)]


def test_the_tensors_are_sent_in_the_order_told_under_the_checkpoints_names(tmp_path: Path) -> None:
    wire = RecordedWire()
    with fake_vllm() as fake:
        engine, model, _ = engine_over(lambda: wire, tmp_path, fake)
        change(model)
        engine.generate(questions(1), PLAIN)
        ((_, body),) = [each for each in fake.transferred if each[0] == UPDATE]
    told, (sent,) = body["update_info"], wire.sent
    current = model.state_dict()
    assert len(told["names"]) == len(set(told["names"])) == len(sent) >= len(list(model.parameters()))
    columns = (told[key] for key in ("names", "dtype_names", "shapes"))
    for name, kind, shape, tensor in zip(*columns, sent, strict=True):
        assert (kind, shape) == ("float32", list(tensor.shape))
        assert torch.equal(tensor, current[name])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("NCCL Error 2: unhandled system error"), "NCCL Error 2"),
        (TypeError("no tensor"), "an error that is printed above"),
    ],
)
def test_a_transfer_that_fails_ends_the_run_and_says_what_to_do(
    tmp_path: Path, error: Exception, said: str
) -> None:
    wire = RecordedWire()
    wire.error = error
    with fake_vllm() as fake:
        engine, model, weights = engine_over(lambda: wire, tmp_path, fake)
        change(model)
        with pytest.raises(EngineError, match=rf"NCCL: .*{said}.*resume the run.*weight_sync to disk"):
            engine.generate(questions(1), PLAIN)
        assert fake.weights != weights.name
        assert not fake.bodies


@pytest.mark.parametrize("phase", ["join", "send"])
def test_a_transfer_that_hangs_ends_the_run_within_the_bound_and_keeps_no_process_alive(
    tmp_path: Path, phase: str
) -> None:
    wire = RecordedWire()
    wire.hang = phase
    with fake_vllm() as fake:
        engine, model, weights = engine_over(lambda: wire, tmp_path, fake)
        change(model)
        with pytest.raises(EngineError, match=rf"NCCL: to {phase} .* 1 s.*with this process.*resume"):
            engine.generate(questions(1), PLAIN)
        assert fake.weights != weights.name
        assert not fake.bodies
    hanging = [each for each in threading.enumerate() if each.name == "weight transfer"]
    assert hanging
    assert all(each.daemon for each in hanging)


def test_every_server_has_a_communicator_of_its_own(tmp_path: Path) -> None:
    wires: list[RecordedWire] = []

    def wire() -> RecordedWire:
        wires.append(RecordedWire())
        return wires[-1]

    with fake_vllm() as one, fake_vllm() as other:
        engine, model, weights = engine_over(wire, tmp_path, one, other)
        change(model)
        engine.generate(questions(4), PLAIN)
        assert one.weights == other.weights == weights.name
    assert [len(each.sent) for each in wires] == [1, 1]


def test_a_module_that_names_its_tensors_otherwise_goes_over_the_disk_or_not_at_all(tmp_path: Path) -> None:
    wire = RecordedWire()
    with fake_vllm() as fake:
        engine, model, _ = engine_over(lambda: wire, tmp_path, fake)
        model.register_parameter("another", torch.nn.Parameter(torch.ones(1)))
        with pytest.raises(EngineError, match=r"no tensor named 'another'.*weight_sync to disk"):
            engine.generate(questions(1), PLAIN)
    assert not wire.sent

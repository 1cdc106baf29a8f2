"""Files of whole tensors, as one process writes them."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from tests.learning import weights
from tests.tiny import tiny_model
from zppo.learners.fsdp.whole import read_parameters, write_whole


def test_the_library_reads_what_is_written_to_the_bit(tmp_path: Path) -> None:
    tensors = {
        "short": torch.arange(3).to(torch.bfloat16),
        "matrix": torch.randn(4, 3).T,
        "number": torch.tensor(7.0),
        "long": torch.randn(2, dtype=torch.float64),
        "none": torch.zeros(0, 3),
    }
    write_whole(tmp_path / "whole.safetensors", tensors)
    read = load_file(tmp_path / "whole.safetensors")
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        torch.testing.assert_close(read[name], tensor, rtol=0, atol=0)


def test_a_file_without_tensors_is_read_too(tmp_path: Path) -> None:
    write_whole(tmp_path / "whole.safetensors", {})
    assert load_file(tmp_path / "whole.safetensors") == {}


def test_a_model_takes_over_the_parameters_of_another(tmp_path: Path) -> None:
    one, other = tiny_model("qwen3"), tiny_model("qwen3", seed=1)
    write_whole(tmp_path / "whole.safetensors", dict(one.named_parameters()))
    read_parameters(tmp_path / "whole.safetensors", other)
    assert weights(one) == weights(other)

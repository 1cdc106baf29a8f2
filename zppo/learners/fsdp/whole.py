"""Sharded tensors, written as whole ones, and read back into a model."""

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

_TYPES = {torch.float64: "F64", torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}


def write_whole(path: Path | None, tensors: Mapping[str, Tensor]) -> None:
    """Gather tensors into a safetensors file, of which no more than one is in memory at a time.

    The library writes tensors that are all in memory, hence the header here. Its form is
    https://github.com/huggingface/safetensors#format: its length, JSON, then the bytes without gaps, larger
    types first, so that all are aligned.

    Args:
        path: Of the file in one of the processes; the others take part with None.
        tensors: By name, the same for every process.
    """
    ordered = sorted(tensors.items(), key=lambda each: (-each[1].element_size(), each[0]))
    with path.open("wb") if path else nullcontext() as file:
        if file:
            file.write(_header(ordered))
        for _, tensor in ordered:
            whole = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
            if file:
                file.write(whole.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)


@torch.no_grad()
def read_parameters(path: Path, module: nn.Module) -> None:
    """Copy all of a file's tensors into the parameters of their names, one at a time."""
    parameters = dict(module.named_parameters())
    with safe_open(path, framework="pt") as file:
        names = list(file.keys())
        assert set(names) == parameters.keys(), "the ranks hold the same model"
        for name in names:
            parameters[name].copy_(file.get_tensor(name))


def _header(tensors: Sequence[tuple[str, Tensor]]) -> bytes:
    entries, end = {}, 0
    for name, tensor in tensors:
        start, end = end, end + tensor.numel() * tensor.element_size()
        entries[name] = {
            "dtype": _TYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text

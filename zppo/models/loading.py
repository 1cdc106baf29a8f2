"""Finding checkpoints and loading them: safetensors only, no code out of a checkpoint unless asked."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.utils import logging

from schemas.config.models import ModelConfig
from zppo.errors import InputError
from zppo.models import smollm2
from zppo.models.chat import ChatTokenizer

WEIGHTS = "model*.safetensors"
_FILES = (
    WEIGHTS,
    "model.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "chat_template*",
)
"""What a checkpoint consists of; anything else in its directory (an optimizer, a card) is not read."""

_POCKET = {
    f"pocket/{name}": name
    for name in ("student", "student-indifferent", "teacher", "teacher-middle", "teacher-weak")
}
_HUB_TIMEOUT = 10.0
"""Seconds."""
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_NAMES = (
    f"{', '.join(f'`{name}`' for name in (*_POCKET, smollm2.NAME))}, "
    "a directory, or a hub name such as `Qwen/Qwen3-0.6B`"
)


@dataclass(frozen=True)
class ModelReference:
    """Exactly one checkpoint, its weights not necessarily on this machine yet."""

    name: str
    """As the recipe names it."""
    directory: Path | None = None
    """Of a local checkpoint."""
    commit: str | None = None
    """Of a hub checkpoint."""


def resolve(config: ModelConfig) -> ModelReference:
    """Find out which checkpoint a recipe means, without reading or downloading weights.

    A branch or tag of a hub checkpoint becomes the commit that it names now, or named when it was last
    downloaded where the hub cannot be reached.

    Raises:
        InputError: there is no such checkpoint.
    """
    name = config.model
    if name in _POCKET:
        return ModelReference(name, directory=Path(__file__).parents[1] / "pocket" / _POCKET[name])
    if name == smollm2.NAME:
        return ModelReference(name)
    if name == "champion" or name.startswith("models:/"):
        raise InputError(f"{name!r} names a model of the registry; it has to be looked up there first")
    directory = Path(name).expanduser()
    if directory.is_dir():
        return ModelReference(name, directory=directory.resolve())
    if not _HUB_NAME.fullmatch(name) or name.startswith((".", "pocket/")):
        raise InputError(f"model {name!r}: no such directory; expected {_NAMES}")
    return ModelReference(name, commit=_hub_commit(name, config.revision))


def checkpoint_directory(reference: ModelReference, code: bool = False) -> Path:
    """The directory of a checkpoint, converted or downloaded first where it has to be.

    Args:
        reference: what `resolve` found.
        code: fetch Python files as well, for a checkpoint whose code is trusted.

    Raises:
        InputError: it cannot be had, or it is not a safetensors checkpoint with a tokenizer.
    """
    if reference.name == smollm2.NAME:
        directory = smollm2.checkpoint()
    elif reference.directory is not None:
        directory = reference.directory
    else:
        directory = _downloaded(reference, code)
    _check_files(reference.name, directory)
    return directory


def digest(reference: ModelReference) -> str:
    """What identifies the checkpoint in a fingerprint: `sha256:…` over its files, or `commit:…`."""
    if reference.commit is not None:
        return f"commit:{reference.commit}"
    if reference.name == smollm2.NAME:
        return f"sha256:{smollm2.digest()}"
    directory = checkpoint_directory(reference)
    lines = [f"{_sha256(path)}  {path.name}\n" for path in checkpoint_files(directory)]
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


def load_model(config: ModelConfig, reference: ModelReference, device: torch.device) -> PreTrainedModel:
    """The causal language model, on a device, in evaluation mode.

    A multimodal checkpoint (Qwen3.5) gives its text model; the other weights are left in the file.

    Raises:
        InputError: the files are damaged or incomplete, or of a kind that cannot be loaded, such as a
            quantised checkpoint without the packages that it needs.
    """
    directory = checkpoint_directory(reference, config.trust_remote_code)
    # A bar for each read and write of weights would tear the program's own display.
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        loaded = AutoModelForCausalLM.from_pretrained(
            directory,
            dtype=getattr(torch, config.dtype),
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=config.trust_remote_code,
            output_loading_info=True,
        )
    except (ImportError, OSError, ValueError, SafetensorError) as error:
        raise InputError(f"model {reference.name!r} in {directory} cannot be loaded: {error}") from error
    model, report = cast("tuple[PreTrainedModel, dict[str, set[str]]]", loaded)
    absent = sorted(report["missing_keys"])
    if absent:
        raise InputError(
            f"model {reference.name!r} in {directory} lacks {len(absent)} of its weights, such as "
            f"{absent[0]!r}; transformers would draw them at random. Use a complete checkpoint"
        )
    model.to(device)  # type: ignore[arg-type]
    model.eval()  # type: ignore[no-untyped-call]
    return model


def load_tokenizer(config: ModelConfig, reference: ModelReference) -> ChatTokenizer:
    """The tokenizer of a checkpoint, behind its chat template.

    Raises:
        InputError: it is damaged, or has no chat template.
    """
    directory = checkpoint_directory(reference, config.trust_remote_code)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            directory, local_files_only=True, trust_remote_code=config.trust_remote_code
        )
    except (OSError, ValueError) as error:
        raise InputError(f"the tokenizer of {reference.name!r} cannot be loaded: {error}") from error
    return ChatTokenizer(tokenizer, config.enable_thinking)


def pick_device(name: str) -> torch.device:
    """The device of a runtime setting; `auto` is the first GPU, or the CPU.

    Raises:
        InputError: no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device {name!r}: expected `auto`, `cpu`, `cuda` or `cuda:N`") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"device {name!r}: this machine has {torch.cuda.device_count()} CUDA devices; use `auto`"
        )
    return device


def _hub_commit(name: str, revision: str | None) -> str:
    """The commit of a revision: what the hub says, or what its cache here says where it is out of reach."""
    if revision is not None and _COMMIT.fullmatch(revision):
        return revision
    try:
        commit = HfApi().model_info(name, revision=revision, timeout=_HUB_TIMEOUT).sha
    except HfHubHTTPError as error:
        raise InputError(
            f"model {name!r} at revision {revision or 'main'!r}: no such directory, and the hub refuses it "
            f"({error}); expected {_NAMES}"
        ) from error
    except (httpx.TransportError, OfflineModeIsEnabled) as error:
        commit = _cached_commit(name, revision, error)
    assert commit is not None
    return commit


def _cached_commit(name: str, revision: str | None, unreachable: Exception) -> str:
    try:
        config = hf_hub_download(name, "config.json", revision=revision, local_files_only=True)
    except LocalEntryNotFoundError as error:
        raise InputError(
            f"model {name!r} at revision {revision or 'main'!r}: no such directory, the hub cannot be "
            f"reached ({unreachable}), and its cache on this machine does not hold it; expected {_NAMES}"
        ) from error
    return Path(config).parent.name


def _downloaded(reference: ModelReference, code: bool) -> Path:
    patterns = [*_FILES, "*.py"] if code else list(_FILES)
    try:
        return Path(snapshot_download(reference.name, revision=reference.commit, allow_patterns=patterns))
    except (HfHubHTTPError, httpx.TransportError, LocalEntryNotFoundError) as error:
        raise InputError(
            f"model {reference.name!r} at commit {reference.commit} cannot be downloaded, and is not in the "
            f"hub's cache on this machine. The hub's client says: {error}"
        ) from error


def _check_files(name: str, directory: Path) -> None:
    if not (directory / "config.json").is_file():
        raise InputError(
            f"model {name!r}: {directory} holds no config.json; expected a Hugging Face checkpoint"
        )
    if not any(directory.glob(WEIGHTS)):
        found = sorted(path.name for path in directory.glob("*.bin")) or ["no weights"]
        raise InputError(
            f"model {name!r}: expected weights as {WEIGHTS} in {directory}, found {', '.join(found)}; "
            "pickled weights are not loaded, save them again with `save_pretrained` (safetensors)"
        )
    if not any((directory / file).is_file() for file in ("tokenizer.json", "tokenizer_config.json")):
        raise InputError(f"model {name!r}: {directory} holds no tokenizer; save one beside the weights")


def checkpoint_files(directory: Path) -> list[Path]:
    """The files that make up a checkpoint, by name; others in its directory are left out."""
    found = {path for pattern in _FILES for path in directory.glob(pattern) if path.is_file()}
    return sorted(found, key=lambda path: path.name)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Whether a teacher's logits mean the same tokens as the student's; known before any weights are loaded."""

from dataclasses import dataclass

from transformers import AutoConfig, PreTrainedTokenizerBase

from schemas.config.models import ModelConfig
from zppo.errors import InputError
from zppo.models.loading import ModelReference, checkpoint_directory

_SHOWN = 3
"""Differing tokens that an error names."""
_REMEDY = (
    "Distillation compares their probabilities token by token: choose a teacher of the student's own model "
    "family, or a method that only reads the teacher's text, such as 'zppo'"
)


@dataclass(frozen=True)
class Vocabulary:
    """What a model's logits stand for."""

    model: str
    """As the recipe names it."""
    tokenizer: PreTrainedTokenizerBase
    width: int
    """Logits of a token. Many models have more than the tokenizer has tokens, for padding."""


def check_same_vocabulary(student: Vocabulary, teacher: Vocabulary) -> None:
    """Refuse a teacher whose distributions cannot be laid over the student's.

    Every id must stand for the same token in both, and the same one must end a response. Roles that no
    response shows (padding, beginning of sequence) may differ, since the teacher reads the student's token
    ids. So may the widths of the output layers, as long as every token has a logit: the entries beyond the
    narrower one are padding, and are left out of the comparison.

    Raises:
        InputError: Names what differs.
    """
    _check_tokens(student, teacher)
    _check_end(student, teacher)
    for vocabulary in (student, teacher):
        _check_width(vocabulary)


def logits_width(config: ModelConfig, reference: ModelReference) -> int:
    """Logits of a token, out of the checkpoint's `config.json`.

    Raises:
        InputError: The checkpoint cannot be had, or its configuration does not say.
    """
    directory = checkpoint_directory(reference, config.trust_remote_code)
    try:
        loaded = AutoConfig.from_pretrained(
            directory, local_files_only=True, trust_remote_code=config.trust_remote_code
        )
    except (OSError, ValueError) as error:
        raise InputError(f"the configuration of {reference.name!r} cannot be read: {error}") from error
    width = getattr(loaded.get_text_config(), "vocab_size", None)
    if not isinstance(width, int):
        raise InputError(
            f"model {reference.name!r}: expected its config.json to hold vocab_size, found {width!r}; "
            "use a causal language model"
        )
    return width


def _check_tokens(student: Vocabulary, teacher: Vocabulary) -> None:
    ours, theirs = _tokens(student), _tokens(teacher)
    differing = [index for index in sorted({*ours, *theirs}) if ours.get(index) != theirs.get(index)]
    if not differing:
        return
    examples = "; ".join(
        f"{index} is {_show(ours.get(index))} for the student and {_show(theirs.get(index))} for the teacher"
        for index in differing[:_SHOWN]
    )
    raise InputError(
        f"teacher {teacher.model!r} has another vocabulary than student {student.model!r}: expected the same "
        f"{len(ours):,} tokens, but it has {len(theirs):,} and {len(differing):,} ids differ ({examples}"
        f"{'; …' if len(differing) > _SHOWN else ''}). {_REMEDY}"
    )


def _check_end(student: Vocabulary, teacher: Vocabulary) -> None:
    ours, theirs = student.tokenizer.eos_token, teacher.tokenizer.eos_token
    if ours != theirs:
        raise InputError(
            f"teacher {teacher.model!r} ends its responses with another token than student "
            f"{student.model!r}: expected {_show(ours)}, found {_show(theirs)}. {_REMEDY}"
        )


def _check_width(vocabulary: Vocabulary) -> None:
    needed = max(_tokens(vocabulary)) + 1
    if vocabulary.width < needed:
        raise InputError(
            f"model {vocabulary.model!r} has {vocabulary.width:,} logits a token, but its tokenizer's ids "
            f"need {needed:,}, so that some tokens have no probability to compare. Use a checkpoint whose "
            "embeddings were resized with its tokenizer"
        )


def _tokens(vocabulary: Vocabulary) -> dict[int, str]:
    return {index: token for token, index in vocabulary.tokenizer.get_vocab().items()}


def _show(token: object) -> str:
    return "missing" if token is None else repr(token)

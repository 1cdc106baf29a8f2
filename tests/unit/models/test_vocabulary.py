"""Teachers whose logits can, and cannot, be compared with the student's."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from schemas.config.models import ModelConfig
from tests.tiny import VOCABULARY, WORDS, multimodal_model, save_checkpoint, tiny_tokenizer
from zppo.errors import InputError
from zppo.models.loading import load_tokenizer, resolve
from zppo.models.vocabulary import Vocabulary, check_same_vocabulary, logits_width


def tokenizer(*words: str, eos: str = "<eos>") -> PreTrainedTokenizerFast:
    core = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core, unk_token="<unk>", eos_token=eos
    )


def tiny(model: str = "student", width: int = VOCABULARY) -> Vocabulary:
    return Vocabulary(model, tiny_tokenizer(), width)


def other(*words: str, eos: str = "<eos>", width: int = VOCABULARY) -> Vocabulary:
    return Vocabulary("other/teacher", tokenizer(*words, eos=eos), width)


def test_the_pocket_models_share_a_vocabulary() -> None:
    models = []
    for name in ("pocket/student", "pocket/teacher"):
        config = ModelConfig(model=name)
        reference = resolve(config)
        chat = load_tokenizer(config, reference)
        models.append(Vocabulary(name, chat.tokenizer, logits_width(config, reference)))
    check_same_vocabulary(*models)


def test_logits_for_padding_may_differ_and_so_may_the_padding_token() -> None:
    check_same_vocabulary(tiny(width=VOCABULARY), other(*WORDS, width=VOCABULARY + 16))
    check_same_vocabulary(tiny(width=VOCABULARY + 16), other(*WORDS, width=VOCABULARY + 8))
    assert tokenizer(*WORDS).pad_token != tiny_tokenizer().pad_token


def test_another_token_under_an_id_is_refused_and_named() -> None:
    words = list(WORDS)
    words[7], words[9] = words[9], words[7]
    with pytest.raises(
        InputError, match=r"2 ids differ \(7 is 'w2' for the student and 'w4' for the teacher; 9"
    ):
        check_same_vocabulary(tiny(), other(*words))


def test_only_the_first_differing_tokens_are_shown() -> None:
    with pytest.raises(InputError) as error:
        check_same_vocabulary(tiny(), other(*WORDS[:3], *reversed(WORDS[3:])))
    assert str(error.value).count("for the teacher") == 3
    assert "…" in str(error.value)


def test_more_or_fewer_tokens_are_refused_with_both_sizes() -> None:
    with pytest.raises(
        InputError, match=r"expected the same 48 tokens, but it has 49 .*48 is missing for the stu"
    ):
        check_same_vocabulary(tiny(), other(*WORDS, "extra", width=VOCABULARY + 1))
    with pytest.raises(InputError, match=r"it has 47 and 1 ids differ .*missing for the teacher"):
        check_same_vocabulary(tiny(), other(*WORDS[:-1]))


def test_a_token_added_to_the_teacher_alone_is_refused() -> None:
    teacher = tiny_tokenizer()
    teacher.add_tokens(["<think>"], special_tokens=True)
    with pytest.raises(InputError, match="48 is missing for the student and '<think>' for the teacher"):
        check_same_vocabulary(tiny(), Vocabulary("thinker", teacher, VOCABULARY + 8))


def test_another_end_of_sequence_token_is_refused() -> None:
    with pytest.raises(InputError, match="expected '<eos>', found '<pad>'"):
        check_same_vocabulary(tiny(), other(*WORDS, eos="<pad>"))


@pytest.mark.parametrize("narrow", ["student", "teacher"])
def test_a_model_without_a_logit_for_every_token_is_refused(narrow: str) -> None:
    pair = [tiny(name, VOCABULARY - (name == narrow)) for name in ("student", "teacher")]
    with pytest.raises(
        InputError, match=f"'{narrow}' has 47 logits a token, but its tokenizer's ids need 48"
    ):
        check_same_vocabulary(*pair)


def test_the_error_says_what_to_change() -> None:
    with pytest.raises(InputError, match="choose a teacher of the student's own model family, or a method"):
        check_same_vocabulary(tiny(), other("<unk>", "<eos>"))


def width_at(directory: Path) -> int:
    config = ModelConfig(model=str(directory))
    return logits_width(config, resolve(config))


def test_the_width_is_read_from_the_configuration_of_text_and_multimodal_models(tmp_path: Path) -> None:
    assert width_at(save_checkpoint(tmp_path / "text")) == VOCABULARY
    multimodal_model().save_pretrained(tmp_path / "multimodal")
    tiny_tokenizer().save_pretrained(tmp_path / "multimodal")
    assert width_at(tmp_path / "multimodal") == VOCABULARY


def test_a_configuration_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    directory = save_checkpoint(tmp_path)
    (directory / "config.json").write_text(json.dumps({"model_type": "no such thing"}))
    with pytest.raises(InputError, match="cannot be read"):
        width_at(directory)

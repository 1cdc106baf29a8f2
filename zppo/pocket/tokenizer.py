"""The pocket models' tokenizer: one token a word, and no word outside the task and its templates."""

import re

from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Sequence, Split, WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from zppo.core.answers import boxed
from zppo.pocket.task import ADDENDS, FACTORS, MODULUS
from zppo.rendering import template_directory

PAD, EOS, UNKNOWN, USER, ASSISTANT = SPECIAL = ("<pad>", "<eos>", "<unk>", "<user>", "<assistant>")
CONTEXT = 1024
"""Tokens of prompt and response together."""
TAGS = ("think", "candidate", "response", "summary", "hint")

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}<user> {{ message['content'] }} "
    "{% elif message['role'] == 'assistant' %}<assistant> {{ message['content'] }} <eos> "
    "{% else %}{{ raise_exception('pocket models know the roles user and assistant only') }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def vocabulary() -> tuple[str, ...]:
    """Every token, in the order of its id: special tokens, the task's words, tags, the templates' words.

    Some stand there in the forms that candidate texts give them: neutralised tags (`‹/candidate›`), and the
    boxes before the last one, of which shortening leaves the braces (`{13}`).
    """
    numbers = [str(value) for value in range(MODULUS + 1)]
    answers = [form for value in range(MODULUS) for form in (boxed(str(value)), f"{{{value}}}")]
    operations = [f"+{addend}" for addend in ADDENDS] + [f"*{factor}" for factor in FACTORS]
    tags = [form for tag in TAGS for form in (f"<{tag}>", f"</{tag}>", f"‹{tag}›", f"‹/{tag}›")]
    words = ["start", "mod", *numbers, *answers, *operations, ",", *tags, *_template_words()]
    return tuple(dict.fromkeys([*SPECIAL, *words]))


def _template_words() -> list[str]:
    texts = [path.read_text(encoding="utf-8") for path in sorted(template_directory("pocket").glob("*.txt"))]
    return [word for word in re.findall(r",|[^\s,]+", " ".join(texts)) if not word.startswith("$")]


def make_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer with its chat template; it pads on the left and joins tokens by spaces when decoding."""
    ids = {token: index for index, token in enumerate(vocabulary())}
    backend = Tokenizer(WordLevel(ids, unk_token=UNKNOWN))
    backend.pre_tokenizer = Sequence([WhitespaceSplit(), Split(Regex(","), "isolated")])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNKNOWN,
        additional_special_tokens=[USER, ASSISTANT],
        padding_side="left",
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )

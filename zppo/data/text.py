"""When two questions are the same: their normalised content, its digest, and its shingles."""

import hashlib
import re
import unicodedata
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Shingles = NDArray[np.uint32]
"""Sorted hashes of the three-word sequences of a text, each once."""

ID_DIGITS = 12
SHINGLE_WORDS = 3
_WORD = re.compile(r"\w+|[^\w\s]")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def content(text: str, choices: Sequence[str] = ()) -> str:
    """A question's text and options with case, white space and Unicode composition evened out.

    Compatibility forms stay as they are, since NFKC would make 2² and 22 the same.
    """
    parts = (unicodedata.normalize("NFC", part).casefold() for part in (text, *choices))
    return "\n".join(" ".join(part.split()) for part in parts)


def content_digest(content: str) -> str:
    """12 hexadecimal digits of SHA-256: identity of a question and key of exact duplicates.

    Since both are the same 48 bits, ids are unique by construction. Among ten million questions the
    chance that even one is mistaken for a duplicate of another is one in six.
    """
    return hashlib.sha256(content.encode()).hexdigest()[:ID_DIGITS]


def shingles(content: str) -> Shingles:
    """Hashes of all sequences of three words; every other sign counts as a word. Shorter texts have one."""
    words = _WORD.findall(content)
    starts = range(max(1, len(words) - SHINGLE_WORDS + 1))
    sequences = (" ".join(words[start : start + SHINGLE_WORDS]) for start in starts)
    return np.array(sorted({zlib.crc32(sequence.encode()) for sequence in sequences}), dtype=np.uint32)


def numbers(content: str) -> str:
    """The numbers of a text in order: questions in which they differ are different questions."""
    return " ".join(_NUMBER.findall(content))


def jaccard(first: Shingles, second: Shingles) -> float:
    """Size of the intersection over size of the union."""
    common = np.intersect1d(first, second, assume_unique=True).size
    return float(common / (first.size + second.size - common))

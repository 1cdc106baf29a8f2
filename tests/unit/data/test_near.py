import random
from pathlib import Path

import pytest

from schemas.question import Question
from zppo.data.near import NearIndex, choose_banding
from zppo.data.rows import Entry, Place
from zppo.data.staging import Staging
from zppo.data.text import content, jaccard, shingles

WORDS = [f"word{letter}{other}" for letter in "abcdefghij" for other in "abcdefghij"]


def entry(name: str, text: str) -> Entry:
    question = Question(id=name, source="s", text=text, answer="1")
    return Entry(Place("f", 1), question, content(text), near_comparable=True)


def pairs(count: int) -> list[tuple[str, str]]:
    """Texts of 200 words, the second with one word replaced: similarity about 0.97."""
    generator = random.Random(0)
    result = []
    for _ in range(count):
        words = generator.choices(WORDS, k=200)
        other = list(words)
        other[generator.randrange(200)] = "another"
        result.append((" ".join(words), " ".join(other)))
    return result


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9, 0.95, 1.0])
def test_the_banding_finds_pairs_at_the_threshold(threshold: float) -> None:
    banding = choose_banding(threshold)
    similarity = min(threshold, 0.99)
    assert 1 - (1 - similarity**banding.rows) ** banding.bands >= 0.99


def test_texts_above_the_threshold_are_found_and_unlike_ones_are_not(tmp_path: Path) -> None:
    with Staging(tmp_path / "s.sqlite", 0, 1 << 20) as staging:
        index = NearIndex(staging.connection, 0.9)
        added = pairs(100)
        for number, (text, _) in enumerate(added):
            sketch = index.sketch(content(text))
            assert index.find(sketch) is None
            index.add(staging.add(entry(str(number), text), "train"), sketch)
        found = [index.find(index.sketch(content(other))) for _, other in added]
    expected = [jaccard(shingles(a), shingles(b)) >= 0.9 for a, b in added]
    assert all(expected)
    assert sum(position == number + 1 for number, position in enumerate(found)) >= 97


def test_questions_that_differ_in_a_number_are_never_the_same(tmp_path: Path) -> None:
    text = pairs(1)[0][0]
    with Staging(tmp_path / "s.sqlite", 0, 1 << 20) as staging:
        index = NearIndex(staging.connection, 0.5)
        index.add(staging.add(entry("a", f"{text} 5"), "train"), index.sketch(f"{text} 5"))
        assert index.find(index.sketch(f"{text} 6")) is None
        assert index.find(index.sketch(f"{text} 5 and")) == 1


def test_a_question_that_left_is_not_found(tmp_path: Path) -> None:
    text = pairs(1)[0][0]
    with Staging(tmp_path / "s.sqlite", 0, 1 << 20) as staging:
        index = NearIndex(staging.connection, 0.9)
        index.add(staging.add(entry("a", text), "train"), index.sketch(text))
        staging.keep("s", "train", 0, "cap", examples=1)
        assert index.find(index.sketch(text)) is None

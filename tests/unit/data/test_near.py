import random
from pathlib import Path

import pytest

from schemas.question import Question
from zppo.data.near import MAX_COMPARISONS, NearIndex, choose_banding
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
        index = NearIndex(staging.connection, 0.9, 1 << 20)
        added = pairs(100)
        for number, (text, _) in enumerate(added):
            assert put(index, staging, str(number), text) is None
        found = [index.search(content(other)).position for _, other in added]
    expected = [jaccard(shingles(a), shingles(b)) >= 0.9 for a, b in added]
    assert all(expected)
    assert sum(position == number + 1 for number, position in enumerate(found)) >= 97


def test_questions_that_differ_in_a_number_are_never_the_same(tmp_path: Path) -> None:
    text = pairs(1)[0][0]
    with Staging(tmp_path / "s.sqlite", 0, 1 << 20) as staging:
        index = NearIndex(staging.connection, 0.5, 1 << 20)
        put(index, staging, "a", f"{text} 5")
        assert index.search(f"{text} 6").position is None
        assert index.search(f"{text} 5 and").position == 1


def test_a_question_that_left_is_not_found(tmp_path: Path) -> None:
    text = pairs(1)[0][0]
    with Staging(tmp_path / "s.sqlite", 0, 1 << 20) as staging:
        index = NearIndex(staging.connection, 0.9, 1 << 20)
        put(index, staging, "a", text)
        staging.keep("s", "train", 0, "cap", examples=1)
        index.forget_the_gone()
        assert index.search(text).position is None


def test_a_key_that_many_questions_share_leads_to_the_first_of_them_alone(tmp_path: Path) -> None:
    with Staging(tmp_path / "s.sqlite", 0, 1 << 20) as staging:
        index = NearIndex(staging.connection, 0.9, 1 << 20)
        for number in range(2 * MAX_COMPARISONS):
            put(index, staging, str(number), template(number))
        read = [len(positions) for positions in index._keys.find(index.search(template(0)).keys)]
        assert max(read) == MAX_COMPARISONS
        assert index.search(template(0)).position == 1


def test_questions_that_left_take_no_place_of_those_that_stay(tmp_path: Path) -> None:
    with Staging(tmp_path / "s.sqlite", 0, 1 << 20) as staging:
        index = NearIndex(staging.connection, 0.9, 1 << 20)
        for number in range(4 * MAX_COMPARISONS):
            put(index, staging, str(number), template(number))
        staging.keep("s", "train", 8, "cap", examples=1)
        index.forget_the_gone()
        left = staging.connection.execute("SELECT position, id FROM question ORDER BY position").fetchall()
        assert [index.search(template(int(name))).position for _, name in left] == [
            place for place, _ in left
        ]


def put(index: NearIndex, staging: Staging, name: str, text: str) -> int | None:
    """Add a text; what it is nearly the same as."""
    search = index.search(content(text))
    index.add(staging.add(entry(name, text), "train"), search)
    return search.position


def template(number: int) -> str:
    """A text of 60 words of which 3 are its own: similarity to others of the kind is below 0.9."""
    own = " ".join(f"{word}{chr(97 + number // 26)}{chr(97 + number % 26)}" for word in ("x", "y", "z"))
    return f"{' '.join(WORDS[:29])} {own} {' '.join(WORDS[30:58])}"

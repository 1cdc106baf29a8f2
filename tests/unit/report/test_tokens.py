"""The texts of tokens."""

from tests.stories import TOKENIZER
from zppo.report.tokens import TokenTexts


def test_the_pieces_of_a_response_join_to_its_text_wherever_a_prefix_ends() -> None:
    tokens = TokenTexts(TOKENIZER)
    ids = tuple(range(5, 15))
    whole = tokens.pieces(ids)
    assert len(whole) == len(ids)
    for cut in range(len(ids)):
        assert tokens.pieces(ids[:cut]) + tokens.pieces(ids[cut:], after=ids[:cut]) == whole


def test_without_a_tokenizer_there_are_no_pieces() -> None:
    assert TokenTexts(None).pieces((5, 6)) == ()

"""Which questions a report shows in full: the same ones whenever it is made from the same rounds."""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from itertools import chain, zip_longest

from zppo.report.lives import Lives

EACH, ANY = 12, 40
"""Questions of each group, and of the last one, at most."""


def choose_sample(lives: Lives, tau: float) -> tuple[str, ...]:
    """Ids in the order of their claim to a place: the groups of `groups` take turns."""
    chosen = [ids for _, ids in sample_groups(lives, tau)]
    in_turns = chain.from_iterable(zip_longest(*chosen))
    return tuple(dict.fromkeys(id for id in in_turns if id is not None))


def sample_groups(lives: Lives, tau: float) -> tuple[tuple[str, Sequence[str]], ...]:
    """A few questions of each group, by a hash of their ids."""
    ids = sorted(lives.visits, key=_draw)

    def some(belongs: Callable[[str], bool], most: int = EACH) -> Sequence[str]:
        return [id for id in ids if belongs(id)][:most]

    kinds = {id: {kind for visit in lives.visits[id] for kind in visit.kinds} for id in ids}
    return (
        ("graduated", some(lambda id: lives.fate(id, tau) == "graduated" and bool(kinds[id]))),
        ("hard, with BCQ and NCQ", some(lambda id: {"bcq", "ncq"} <= kinds[id])),
        ("hopeless", some(lambda id: lives.hopeless(id, tau))),
        ("evicted", some(lambda id: lives.fate(id, tau) == "evicted")),
        ("helped otherwise", some(lambda id: bool(kinds[id] - {"bcq", "ncq"}))),
        ("any", some(lambda id: True, ANY)),
    )


def _draw(id: str) -> str:
    return blake2b(id.encode(), digest_size=8).hexdigest()

"""Which new questions a round takes, and which of a split stand for all of it.

An epoch is a permutation of the training split, cut into chunks of one round each; a remainder that fills
no round is dropped, and the next epoch has a permutation of its own. The permutation is a Feistel network
over the least even number of bits that holds the split, walked until the value lies inside (Black and
Rogaway 2002): it costs the same for ten questions and for ten million, and keeps nothing in memory.
"""

import hashlib

from zppo.core.randomness import derive_seed
from zppo.errors import InputError

_NETWORK_ROUNDS = 6


def round_positions(round_index: int, size: int, per_round: int, seed: int) -> list[int]:
    """Positions in the training split of the new questions of a round, all different.

    Args:
        round_index: Counts from 1.
        size: Questions in the training split.
        per_round: New questions a round.
        seed: The run's seed.

    Raises:
        InputError: The training split does not fill one round.
    """
    assert min(round_index, per_round) >= 1
    per_epoch = size // per_round
    if per_epoch == 0:
        raise InputError(
            f"the training split has {size:,} questions, but a round takes questions_per_round = "
            f"{per_round:,}; lower that, or give more data"
        )
    epoch, chunk = divmod(round_index - 1, per_epoch)
    key = derive_seed(seed, "epoch", epoch).to_bytes(8, "big")
    return [permuted(chunk * per_round + index, size, key) for index in range(per_round)]


def sample_positions(count: int, size: int, seed: int) -> list[int]:
    """Positions of at most `count` questions of a split, all different, drawn by the seed.

    Tables are sorted by id, so by source: the first positions would all be of one source.
    """
    key = derive_seed(seed, "sample").to_bytes(8, "big")
    return [permuted(position, size, key) for position in range(min(count, size))]


def permuted(position: int, size: int, key: bytes) -> int:
    """Where the permutation of `range(size)` that belongs to `key` sends a position."""
    half_bits = max(1, ((size - 1).bit_length() + 1) // 2)
    while True:
        position = _encrypted(position, half_bits, key)
        if position < size:
            return position


def _encrypted(value: int, half_bits: int, key: bytes) -> int:
    """A permutation of the integers of `2 * half_bits` bits."""
    mask = (1 << half_bits) - 1
    left, right = value >> half_bits, value & mask
    for number in range(_NETWORK_ROUNDS):
        message = bytes([number]) + right.to_bytes(8, "big")
        digest = hashlib.blake2b(message, key=key, digest_size=8).digest()
        left, right = right, left ^ (int.from_bytes(digest, "big") & mask)
    return left << half_bits | right

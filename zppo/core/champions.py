"""What the history of a registered model's champion says. Pure: moves in, references out."""

from collections.abc import Sequence

from schemas.promotion import ChampionMove


def predecessor(moves: Sequence[ChampionMove], champion: str) -> str | None:
    """The champion to go back to; None where nothing is known of one.

    A rollback takes the champions after its target out of the line, so that a second one goes further back
    rather than to what the first one left.

    Args:
        moves: The whole history.
        champion: Who it is now, by whatever way.
    """
    line: list[str] = []
    for move in moves:
        if move.kind == "rollback" and move.version in line:
            del line[line.index(move.version) + 1 :]
            continue
        if move.previous is not None and line[-1:] != [move.previous]:
            line.append(move.previous)  # made champion outside of this history
        line.append(move.version)
    if line[-1:] != [champion]:
        return line[-1] if line else None
    return line[-2] if len(line) > 1 else None


def rolled_back(moves: Sequence[ChampionMove], version: str) -> ChampionMove | None:
    """The rollback that took the alias away from a version, if nobody has made it champion since."""
    for move in reversed(moves):
        if move.version == version:
            return None
        if move.kind == "rollback" and move.previous == version:
            return move
    return None

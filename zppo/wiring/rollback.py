"""Going back to an earlier champion."""

from schemas.config.run import Runtime
from schemas.promotion import ChampionMove
from zppo.core.champions import predecessor
from zppo.errors import InputError
from zppo.stores.local import LocalStore
from zppo.tracking.registry import CHAMPION, ModelRegistry, RegisteredVersion
from zppo.wiring.champions import Champions
from zppo.wiring.registry import open_registry


def roll_back(runtime: Runtime, model: str, to: str | None, reason: str) -> ChampionMove:
    """Make the previous champion, or another version, the champion again; its files are checked first.

    Args:
        runtime: Its home keeps the history.
        model: The registered model.
        to: A version's number or reference; None: the champion before the present one.
        reason: Kept in the history.

    Raises:
        InputError: There is no champion, none before it, or no such version.
        StoreError: The version's files are damaged.
    """
    if not reason.strip():
        raise InputError("a rollback needs a reason: --reason TEXT; it is kept in the history")
    registry = open_registry(runtime)
    champions = Champions(LocalStore(runtime.home), registry, model)
    with champions.turn() as champion:
        begun = champions.finished
        if begun is not None and (begun.kind, begun.reason) == ("rollback", reason):
            return begun  # the same command, killed the first time
        if champion is None:
            raise InputError(f"the registered model {model!r} has no champion to go back from")
        history = champions.history()
        target = _target(registry, champion, to, predecessor(history, champion.reference))
        registry.directory(target)
        move = ChampionMove(
            registered_model=model,
            number=len(history) + 1,
            kind="rollback",
            version=target.reference,
            previous=champion.reference,
            reason=reason,
            decision=None,
        )
        champions.move(move)
    return move


def as_reference(version: str, model: str) -> str:
    """What a person calls a version, `champion`, `3` or `models:/NAME/3`, as the registry's reference."""
    if version.isdecimal():
        return f"models:/{model}/{version}"
    if version == CHAMPION or version.startswith("models:/"):
        return version
    raise InputError(f"expected a version's number, 'champion' or 'models:/NAME/VERSION', got {version!r}")


def _target(
    registry: ModelRegistry, champion: RegisteredVersion, to: str | None, before: str | None
) -> RegisteredVersion:
    if to is None and before is None:
        raise InputError(
            f"{champion.reference} is the first champion that is known, there is none before it. To make "
            "another version champion name it: --to VERSION"
        )
    target = registry.resolve(as_reference(to, champion.model) if to else str(before), champion.model)
    if target.model != champion.model:
        raise InputError(f"{target.reference} is no version of {champion.model!r}; name that model: --model")
    if target.reference == champion.reference:
        raise InputError(f"{target.reference} is the champion already")
    return target

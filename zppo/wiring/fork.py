"""Forks: runs that go on from a committed round of another run, with other settings.

A fork shares the artifacts of the rounds up to that one by hard links: they take no space, and stay when the
parent prunes or is removed. Its own first round is the next one. Where the parent kept no checkpoint of the
shared round, the fork computes it from an earlier one, by the parent's recipe, when it starts.
"""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, JsonValue

from schemas.config.run import RunConfig, Runtime
from schemas.config.teacher import ModelTeacher
from schemas.run import Fork, ResolvedModel, RunRecord
from zppo.core.flatten import leaves
from zppo.errors import InputError
from zppo.layout import RunPaths
from zppo.recipes import override, resolve
from zppo.runs import check_name, read_run, run_names
from zppo.stages.checkpoints import written
from zppo.stages.train import committed_rounds
from zppo.stores.identity import canonical_json
from zppo.stores.local import LocalStore
from zppo.stores.locks import exclusive
from zppo.wiring.context import begin_run, run_identity
from zppo.wiring.models import pin
from zppo.wiring.pool import draws_ahead, judge_settings, pool_settings


def fork_run(parent: str, name: str, at_round: int, overrides: Sequence[str], runtime: Runtime) -> RunRecord:
    """Make a run that goes on from a committed round of another one; nothing is computed yet.

    The same call again finds the fork that it made, whatever became of the parent's checkpoints since.

    Args:
        parent: Name of the other run; it may be running, or a fork itself.
        name: Of the new run.
        at_round: The last round that both share.
        overrides: Settings that differ from the parent's, such as `method.tau=0.4`.
        runtime: The machine.

    Raises:
        InputError: The round cannot be rebuilt (the message lists those that can), a setting contradicts what
            is shared, or another run has the name.
        StoreError: An artifact of the parent is damaged, or its templates have changed since.
    """
    store, record = LocalStore(runtime.home), read_run(runtime.home, parent)
    settings = override(record.recipe.model_dump(mode="json"), overrides)
    config = resolve(settings, " ".join([f"of {parent}", *(f"--set {each}" for each in overrides)]))
    if check_name(name) in run_names(runtime.home):
        return _existing(record, name, at_round, config, runtime)
    store.find(RunPaths(parent).manifest, run_identity(record))
    _check_round(store, record, at_round)
    check_settings(record.recipe, config, at_round)
    fork = _record(store, record, name, at_round, config, runtime)
    with exclusive(store.home / RunPaths(name).root):
        _share(store, RunPaths(parent), RunPaths(name), at_round)
        begin_run(fork, runtime, store)
    return fork


def rebuildable(store: LocalStore, record: RunRecord) -> list[int]:
    """Rounds of a run that a fork can begin from, ascending.

    They have a checkpoint of their own, or an earlier one and the rollouts of all rounds in between; the
    rounds that a fork shares with its parent are the parent's to fork.
    """
    paths, first = RunPaths(record.name), record.fork.round if record.fork else 0
    checkpoints = set(written(store, paths))
    found, reachable = [], False
    for index in range(first, committed_rounds(store, paths) + 1):
        collected = reachable and store.read(paths.collect(index)) is not None
        reachable = index in checkpoints or collected
        if reachable and index > 0:
            found.append(index)
    return found


def check_settings(parent: RunConfig, config: RunConfig, at_round: int) -> None:
    """Refuse settings that contradict what a fork shares with its parent; the error lists old and new."""
    reasons = _contradictions(_shared(parent), _shared(config), _SHARED)
    if draws_ahead(parent) and draws_ahead(config):
        old, new = (_flat(pool_settings(each)) for each in (parent, config))
        reasons = _contradictions(old, new, "the teacher's responses were drawn with it") | reasons
    if config.rounds < at_round:
        reasons["rounds"] = f"{config.rounds} (the fork shares rounds up to {at_round}: raise it)"
    if reasons:
        listed = "\n".join(f"  {field}: {why}" for field, why in sorted(reasons.items()))
        raise InputError(
            f"a fork shares prepared data, teacher responses and the rounds up to {at_round} with its "
            f"parent; these settings do not fit them (then -> now):\n{listed}\n"
            "Change them with --set, or start a new run with: zppo run"
        )


_SHARED = "the questions, rewards, accuracies and weights of the shared rounds come from it"


def _shared(config: RunConfig) -> dict[str, JsonValue]:
    """The settings behind the prepared data and the shared rounds, by dotted name."""
    parts: dict[str, BaseModel | JsonValue] = {
        "student": config.student,
        "data": config.data,
        "grader": config.grader,
        **judge_settings(config),
        "sampling.max_prompt_tokens": config.sampling.max_prompt_tokens,
        "validation": config.validation,
        "evaluation.decoding": config.evaluation.decoding,
    }
    return _flat(parts)


def _flat(parts: Mapping[str, BaseModel | JsonValue]) -> dict[str, JsonValue]:
    return {
        path: value
        for name, part in parts.items()
        for path, value in leaves(part.model_dump(mode="json") if isinstance(part, BaseModel) else part, name)
    }


def _contradictions(old: dict[str, JsonValue], new: dict[str, JsonValue], why: str) -> dict[str, str]:
    """What differs, by field: both values and the reason."""
    return {
        field: f"{_shown(old, field)} -> {_shown(new, field)} ({why})"
        for field in old.keys() | new.keys()
        if _shown(old, field) != _shown(new, field)
    }


def _shown(settings: dict[str, JsonValue], field: str) -> str:
    return canonical_json(settings[field]).decode() if field in settings else "absent"


def _check_round(store: LocalStore, record: RunRecord, at_round: int) -> None:
    """Refuse a round that is not committed, or whose weights cannot be computed any more."""
    found = rebuildable(store, record)
    if at_round in found:
        return
    done = committed_rounds(store, RunPaths(record.name))
    why = f"it has committed {done} rounds"
    if record.fork and at_round <= record.fork.round:
        why = f"it shares that round with {record.fork.parent.name!r}: fork that run"
    elif at_round <= done:
        why = "no checkpoint of it or of an earlier round is kept, or rollouts in between are gone"
    raise InputError(
        f"the run {record.name!r} cannot be forked at round {at_round}: {why}. "
        f"Rounds that can: {ranges(found) or 'none yet'}"
    )


def ranges(rounds: Sequence[int]) -> str:
    """Ascending rounds in few words, such as `4 to 6, 8`."""
    starts = [each for each in rounds if each - 1 not in rounds]
    ends = [each for each in rounds if each + 1 not in rounds]
    pairs = zip(starts, ends, strict=True)
    return ", ".join(str(start) if start == end else f"{start} to {end}" for start, end in pairs)


def _existing(record: RunRecord, name: str, at_round: int, config: RunConfig, runtime: Runtime) -> RunRecord:
    """The run of that name, if it is the fork that is asked for."""
    known = read_run(runtime.home, name)
    asked = (record.name, at_round, config)
    if known.fork is None or (known.fork.parent.name, known.fork.round, known.recipe) != asked:
        raise InputError(
            f"there is a run {name!r} already, and it is not this fork; choose another --as, or go on with "
            f"that run: zppo resume {name}"
        )
    return known


def _record(
    store: LocalStore, parent: RunRecord, name: str, at_round: int, config: RunConfig, runtime: Runtime
) -> RunRecord:
    """What a fork is made from: models and data as its parent pinned them."""
    paths = RunPaths(parent.name)
    return RunRecord(
        name=name,
        recipe=config,
        student=parent.student,
        data=parent.data,
        teacher=_teacher(parent, config, runtime),
        fork=Fork(
            parent=parent,
            round=at_round,
            run_fingerprint=store.verify(paths.manifest).fingerprint,
            round_fingerprint=store.verify(paths.update(at_round)).fingerprint,
        ),
    )


def _teacher(parent: RunRecord, config: RunConfig, runtime: Runtime) -> ResolvedModel | None:
    """The parent's teacher, or another one where the recipe now names another."""
    if not isinstance(config.teacher, ModelTeacher):
        return None
    before = parent.recipe.teacher
    if isinstance(before, ModelTeacher) and before.model == config.teacher.model:
        return parent.teacher
    return pin(config.teacher.model, config, runtime)


def _share(store: LocalStore, parent: RunPaths, fork: RunPaths, at_round: int) -> None:
    """Link the parent's artifacts up to a round; a second try goes on where the first one was stopped."""
    if committed_rounds(store, fork) > at_round:
        raise InputError(
            f"{store.home / fork.rounds} holds rounds beyond {at_round}, but no run of that name began: "
            "choose another --as, or remove the directory"
        )
    for index in written(store, parent):
        if index <= at_round:
            store.link(parent.checkpoint(index), fork.checkpoint(index))
    store.link(parent.base, fork.base)
    for index in range(1, at_round + 1):
        if store.read(parent.collect(index)) is not None:
            store.link(parent.collect(index), fork.collect(index))
        store.link(parent.update(index), fork.update(index))

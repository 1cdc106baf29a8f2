from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rollout import (
    AvailableResponse,
    Candidate,
    Demonstration,
    Failure,
    Group,
    Prompt,
    Provenance,
    Rollout,
    Round,
    ServedResponses,
)
from zppo.stores.rounds import (
    AVAILABLE,
    AVAILABLE_SCHEMA,
    DEMONSTRATION_SCHEMA,
    DEMONSTRATIONS,
    ROLLOUT_SCHEMA,
    ROLLOUTS,
    ROUND,
    read_available,
    read_round,
    write_round,
)

TEXT = st.text(max_size=12)
LOGPROB = st.floats(max_value=0.0, allow_nan=False, allow_infinity=False, width=32)
TOKEN = st.integers(0, 2**31 - 1)
TOKENS = st.lists(TOKEN, max_size=5).map(tuple)


@st.composite
def rollouts(draw: st.DrawFn) -> Rollout:
    tokens = draw(st.lists(st.tuples(TOKEN, LOGPROB), max_size=6))
    return Rollout(
        index=draw(st.integers(0, 100)),
        text=draw(TEXT),
        token_ids=tuple(token for token, _ in tokens),
        logprobs=tuple(logprob for _, logprob in tokens),
        stop=draw(st.sampled_from(["eos", "length"])),
        outcome=draw(st.sampled_from(["correct", "wrong", "no_answer", "truncated"])),
        answer=draw(st.none() | TEXT),
        reward=draw(st.sampled_from([0, 1])),
    )


CANDIDATES = st.builds(
    Candidate,
    text=TEXT,
    author=st.sampled_from(["teacher", "student"]),
    correct=st.booleans(),
    answer=st.none() | TEXT,
    compression=st.sampled_from(["extractive", "teacher"]),
    origin=TEXT,
)
PROMPTS = st.builds(
    Prompt,
    kind=st.sampled_from(["plain", "bcq", "ncq", "hint", "prefix", "extra"]),
    text=TEXT,
    token_ids=TOKENS,
    candidates=st.lists(CANDIDATES, max_size=2).map(tuple),
    wrong_answers=st.lists(TEXT, max_size=2).map(tuple),
    hint=st.none() | TEXT,
    prefix_ids=TOKENS,
    origin=TEXT,
)
FAILURES = st.builds(
    Failure,
    index=st.integers(0, 100),
    outcome=st.sampled_from(["grader_error", "engine_error"]),
    cause=TEXT,
    text=TEXT,
)
GROUPS = st.builds(
    Group,
    id=TEXT,
    question_id=TEXT,
    origin=st.sampled_from(["new", "replay"]),
    prompt=PROMPTS,
    rollouts=st.lists(rollouts(), max_size=3).map(tuple),
    failures=st.lists(FAILURES, max_size=2).map(tuple),
)
PROVENANCES = st.builds(
    Provenance, served=st.sampled_from(["pool", "online", "reused"]), teacher=TEXT, revision=st.none() | TEXT
)
AVAILABLE_RESPONSES = st.builds(
    AvailableResponse,
    origin=TEXT,
    correct=st.booleans(),
    answer=st.none() | TEXT,
    text=st.none() | TEXT,
    hint=st.none() | TEXT,
    provenance=st.none() | PROVENANCES,
)
ROUNDS = st.builds(
    Round,
    index=st.integers(1, 100),
    new_question_ids=st.lists(TEXT, max_size=2).map(tuple),
    replay_question_ids=st.lists(TEXT, max_size=2).map(tuple),
    groups=st.lists(GROUPS, max_size=3, unique_by=lambda group: group.id).map(tuple),
    teacher=st.lists(
        st.builds(
            ServedResponses,
            question_id=TEXT,
            served=st.just(1),
            drawn=st.just(0),
            correct=st.just(1),
            responses=st.lists(AVAILABLE_RESPONSES, max_size=2).map(tuple),
        ),
        max_size=3,
        unique_by=lambda visit: visit.question_id,
    ).map(tuple),
    eligible=st.dictionaries(st.sampled_from(["bcq", "ncq", "hint", "prefix", "extra"]), st.integers(0, 9)),
    demonstrations=st.lists(
        st.builds(Demonstration, group_id=TEXT, origin=TEXT, token_ids=TOKENS), max_size=3
    ).map(tuple),
)


@given(round_=ROUNDS)
def test_a_round_reads_back_exactly(round_: Round, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("round")
    write_round(directory, round_)
    assert read_round(directory) == round_


def _round(groups: int = 2) -> Round:
    generator = np.random.default_rng(0)

    def rollout(index: int) -> Rollout:
        logprobs = (-generator.random(25)).astype(np.float32).tolist()
        return Rollout(
            index=index, text="9 +6 15", token_ids=tuple(generator.integers(0, 60, 25).tolist()),
            logprobs=tuple(logprobs), stop="eos", outcome="wrong", answer="15", reward=0,
        )  # fmt: skip

    prompt = Prompt(kind="plain", text="start 9 +6", token_ids=tuple(range(20)))
    return Round(
        index=1, new_question_ids=(), replay_question_ids=(),
        groups=tuple(
            Group(id=f"r1/q{n}/plain", question_id=f"q{n}", origin="new", prompt=prompt,
                  rollouts=tuple(rollout(index) for index in range(8)))
            for n in range(groups)
        ),
    )  # fmt: skip


def _taught(round_: Round) -> Round:
    """The round with a demonstration for each of its groups."""
    demonstrations = tuple(
        Demonstration(group_id=each.id, origin=f"pool/{each.question_id}#3", token_ids=(7, 0, 2**31 - 1))
        for each in round_.groups
    )
    return round_.model_copy(update={"demonstrations": demonstrations})


def test_demonstrations_have_a_file_of_their_own_where_there_are_any(tmp_path: Path) -> None:
    for name, round_ in {"taught": _taught(_round()), "untaught": _round()}.items():
        (tmp_path / name).mkdir()
        write_round(tmp_path / name, round_)
        assert read_round(tmp_path / name) == round_
        assert "demonstrations" not in (tmp_path / name / ROUND).read_text()
    assert pq.read_schema(tmp_path / "taught" / DEMONSTRATIONS).equals(DEMONSTRATION_SCHEMA)
    assert not (tmp_path / "untaught" / DEMONSTRATIONS).exists()


def test_what_the_teacher_gave_has_a_file_of_its_own_and_is_read_of_the_questions_asked_for(
    tmp_path: Path,
) -> None:
    responses = {
        id: (AvailableResponse(origin=f"online/1/{id}#0", correct=True, answer="7", text="x"),)
        for id in "abc"
    }
    visits = tuple(
        ServedResponses(question_id=id, served=0, drawn=1, correct=1, responses=each)
        for id, each in responses.items()
    )
    write_round(tmp_path, _round().model_copy(update={"teacher": visits}))
    assert pq.read_schema(tmp_path / AVAILABLE).equals(AVAILABLE_SCHEMA)
    assert read_available(tmp_path / AVAILABLE, ["a", "c", "d"]) == {id: responses[id] for id in "ac"}
    assert "online/1" not in (tmp_path / ROUND).read_text()


def test_the_same_round_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_round(tmp_path / name, _taught(_round()))
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_the_file_has_the_documented_schema(tmp_path: Path) -> None:
    write_round(tmp_path, _round())
    assert pq.read_schema(tmp_path / ROLLOUTS).equals(ROLLOUT_SCHEMA)


def test_a_logprob_that_float32_cannot_hold_is_refused(tmp_path: Path) -> None:
    group = _round(1).groups[0]
    rollout = group.rollouts[0].model_copy(update={"token_ids": (1,), "logprobs": (-0.1,)})
    round_ = _round(1).model_copy(update={"groups": (group.model_copy(update={"rollouts": (rollout,)}),)})
    with pytest.raises(AssertionError, match="float32"):
        write_round(tmp_path, round_)

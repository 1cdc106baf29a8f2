from typing import get_args

from schemas.buffer import ReplayBuffer
from schemas.config.method import Grpo, GrpoReplay
from schemas.rollout import Provenance, ServedResponses, Serving
from schemas.state import TrainState
from tests.build import a_round, buffer, entry, group
from zppo.core.values import TeacherResponse
from zppo.methods import parts
from zppo.ports import TeacherAnswer


def test_a_state_advances_by_what_its_round_took_from_the_teacher() -> None:
    visits = (
        ServedResponses(question_id="a", served=4, drawn=0, correct=1),
        ServedResponses(question_id="b", served=0, drawn=4, correct=1),
    )
    round_ = a_round(group([0, 1], "a"), index=3).model_copy(update={"teacher": visits})
    state, _ = parts.advance(TrainState(round=2, served={"a": 2, "c": 1}), round_, Grpo())
    assert (state.round, state.served) == (3, {"a": 6, "b": 0, "c": 1})


def test_a_buffer_changes_only_under_a_method_that_has_one() -> None:
    state = TrainState(round=1, buffer=buffer("old"))
    round_ = a_round(group([0, 0], "hard"), group([1, 1], "old", replayed=True), index=2)
    assert parts.advance(state, round_, Grpo()) == (state.model_copy(update={"round": 2}), ())
    after, events = parts.advance(state, round_, GrpoReplay())
    assert after.buffer == ReplayBuffer(entries=(entry("hard", admitted=2),))
    assert [(each.event, each.question_id) for each in events] == [("admit", "hard"), ("graduate", "old")]


def test_a_visit_is_recorded_with_what_is_usable_of_its_correct_responses() -> None:
    def response(index: int, answer: str | None, hint: str | None, correct: bool) -> TeacherResponse:
        return TeacherResponse(f"pool/a#{index}", "text", answer, correct, hint=hint)

    answer = TeacherAnswer(
        responses=(
            response(0, "7", "think", True),
            response(1, "7", None, True),
            response(2, "8", "think again", False),
            response(3, r"\text{7}", "think", True),
        ),
        served=3,
        drawn=1,
        reused=2,
        tokens=90,
    )
    (visit,) = parts.served([group([0, 0], "a")], [answer])
    assert (visit.question_id, visit.correct, visit.hints) == ("a", 3, 2)
    assert (visit.served, visit.drawn, visit.reused, visit.tokens) == (3, 1, 2, 90)
    assert visit.correct_answers == ("7", r"\text{7}")
    assert [(each.origin, each.correct) for each in visit.responses] == [
        ("pool/a#0", True), ("pool/a#1", True), ("pool/a#2", False), ("pool/a#3", True),
    ]  # fmt: skip


def test_the_text_of_a_teacher_response_is_kept_unless_the_pool_holds_it() -> None:
    responses = [
        TeacherResponse(f"{how}#0", "text", "7", True, provenance=Provenance(served=how, teacher="t"))
        for how in get_args(Serving)
    ]
    (visit,) = parts.served([group([0, 0], "a")], [TeacherAnswer(tuple(responses), served=1)])
    texts = {each.provenance.served: each.text for each in visit.responses if each.provenance}
    assert texts == {"pool": None, "online": "text", "reused": None}

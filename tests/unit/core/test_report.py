from dataclasses import fields
from typing import get_args

from schemas.buffer import BufferEvent, ReplayBuffer
from schemas.report import StepReport, UpdateReport, ValidationReport
from schemas.rollout import PromptKind, Round, ServedResponses
from schemas.spend import EndpointSpend, Spend
from tests.build import a_round, candidate, entry, group
from zppo.core.report import step_report
from zppo.methods.importance import Effect
from zppo.ports import UpdateStatistics

PAIR = (candidate("7", correct=True), candidate("8", correct=False))


def report(round_: Round, advantages: tuple[float, ...] | None = (), **kwargs: object) -> StepReport:
    settings = {"buffer": ReplayBuffer(), "events": (), "updates": (), "drift": None, "validation": None}
    return step_report(round_, 0.5, advantages=advantages, **settings | kwargs)  # type: ignore[arg-type]


def test_shares_of_prompts_are_taken_before_the_cap() -> None:
    round_ = a_round(
        group([1, 1], "easy"), group([0, 0], "a"), group([0, 0], "b"), group([0, 1], "even", replayed=True)
    ).model_copy(update={"eligible": {"bcq": 1, "ncq": 2}})
    got = report(round_)
    assert (got.new_questions, got.replayed_questions, got.hard_questions) == (3, 1, 2)
    assert (got.easy, got.eligible) == (0.5, {"bcq": 0.25, "ncq": 0.5})


def test_a_group_without_a_valid_rollout_is_neither_easy_nor_hard() -> None:
    got = report(a_round(group([1, 1], "easy"), group([0, 0], "hard"), group([], "lost", failures=2)))
    assert (got.hard_questions, got.easy) == (1, 0.5)


def test_a_round_without_any_valid_rollout_has_shares_of_nothing() -> None:
    got = report(a_round(group([], "a", failures=4)))
    assert (got.easy, got.zero_advantage_groups, got.positive_advantage_rollouts) == (None, None, None)
    (plain,) = got.kinds
    assert (plain.groups, plain.rollouts, plain.accuracy, plain.engine_errors) == (1, 0, None, 4)


def test_kinds_are_reported_apart() -> None:
    got = report(
        a_round(
            group([1, 0, 0, 0], answers=["7", "8", None, "8"], failures=1),
            group([1, 1], kind="bcq", answers=["7", "7"], candidates=PAIR),
            group([0, 0], kind="ncq", answers=["8", "9"], wrong_answers=("8",)),
        )
    )
    plain, bcq, ncq = got.kinds
    assert (plain.kind, plain.accuracy, plain.no_answer, plain.zero_advantage) == ("plain", 0.25, 0.25, 0.0)
    assert (plain.prompt_tokens, plain.response_tokens, plain.engine_errors) == (3, 8, 1)
    assert (bcq.accuracy, bcq.zero_advantage) == (1.0, 1.0)
    assert (ncq.accuracy, ncq.zero_advantage) == (0.0, 1.0)
    assert got.bcq is not None
    assert got.bcq.correct_candidate == 1.0
    assert got.ncq is not None
    assert got.ncq.repeats_listed == 0.5
    assert got.zero_advantage_groups == 2 / 3


def test_every_kind_of_prompt_is_reported_and_a_forced_prefix_counts_to_its_prompt() -> None:
    kinds = get_args(PromptKind)
    groups = [group([0, 1], kind=kind, candidates=PAIR if kind == "bcq" else ()) for kind in kinds]
    got = report(a_round(*groups, group([0, 1], "b", kind="prefix", prefix_ids=(7, 7))))
    assert tuple(each.kind for each in got.kinds) == kinds
    prefix = got.of_kind("prefix")
    assert prefix is not None
    assert (prefix.groups, prefix.prompt_tokens, prefix.response_tokens) == (2, 3 + 3 + 2, 8)


def test_distillation_has_no_advantages() -> None:
    assert report(a_round(group([1, 0])), advantages=None).positive_advantage_rollouts is None


def test_a_bcq_of_two_wrong_candidates_is_reported() -> None:
    pair = (candidate("8", correct=False), candidate("9", correct=False))
    got = report(a_round(group([0, 0], kind="bcq", answers=["8", "7"], candidates=pair))).bcq
    assert got is not None
    assert (got.wrong_candidate, got.correct_candidate) == (0.5, None)


def test_rollouts_with_a_positive_advantage_are_a_share_of_all_valid_ones() -> None:
    got = report(a_round(group([1, 0]), group([0, 0], "b")), advantages=(1.0, -1.0, 0.0, 0.0))
    assert got.positive_advantage_rollouts == 0.25


def test_without_an_update_no_rollout_has_a_positive_advantage() -> None:
    assert report(a_round(group([0, 0]))).positive_advantage_rollouts == 0.0


def test_the_teacher_is_reported_by_visit() -> None:
    visits = (
        ServedResponses(question_id="a", served=4, drawn=0, correct=2, correct_answers=("7",)),
        ServedResponses(question_id="b", served=1, drawn=2, reused=1, correct=0),
        ServedResponses(question_id="c", served=0, drawn=0, correct=0),
    )
    got = report(a_round(group([0, 0], "a")).model_copy(update={"teacher": visits})).teacher
    assert (got.questions, got.with_correct, got.dry) == (3, 1, 1)
    assert (got.correct, got.served, got.drawn, got.reused) == (2, 5, 2, 1)


def test_prompts_whose_candidates_the_teacher_did_not_shorten_are_counted() -> None:
    by_teacher = tuple(each.model_copy(update={"compression": "teacher"}) for each in PAIR)
    got = report(
        a_round(
            group([0, 0], "a"),
            group([0, 1], "a", kind="bcq", candidates=by_teacher),
            group([0, 1], "b", kind="bcq", candidates=PAIR),
        )
    ).teacher
    assert (got.summarised_prompts, got.extractive_prompts) == (1, 1)


def test_the_buffer_is_reported_by_entry_accuracy_with_its_events() -> None:
    buffer = ReplayBuffer(entries=(entry("a", 0.25), entry("b", 0.0), entry("c", 0.0)))
    event = BufferEvent(
        event="admit", question_id="c", entry_accuracy=0.0, accuracy=0.0, visits=1, admitted_round=1
    )
    got = report(a_round(group([0, 0], "c")), buffer=buffer, events=(event,)).buffer
    assert (got.size, got.by_entry_accuracy, got.events) == (3, ((0.0, 2), (0.25, 1)), (event,))


def test_an_update_report_holds_every_statistic_of_an_update() -> None:
    recorded = {field.name for part in (UpdateStatistics, Effect) for field in fields(part)}
    assert recorded - {"clipped_tokens", "drift"} == set(UpdateReport.model_fields)


def test_updates_are_passed_through() -> None:
    one = UpdateReport(
        loss=0.1,
        grad_norm=1.0,
        entropy=0.5,
        clip_low_fraction=0.0,
        clip_high_fraction=0.0,
        dual_clip_fraction=0.0,
        tokens=9,
        active_tokens=6,
    )
    assert report(a_round(group([0, 1])), updates=(one, one)).updates == (one, one)


def spend(tokens: int) -> EndpointSpend:
    return EndpointSpend(role="judge", used=Spend(requests=1, prompt_tokens=tokens), money=float(tokens))


def test_a_round_without_a_judge_reports_none() -> None:
    assert report(a_round(group([1, 0]))).judge is None


def test_a_judges_verdicts_are_counted_and_its_cost_includes_the_validation() -> None:
    judged = group([1, 0, 0], answers=["7", "8", None])
    verdicts = ("correct", "malformed", None)
    rollouts = tuple(
        each.model_copy(update={"verdict": verdict})
        for each, verdict in zip(judged.rollouts, verdicts, strict=True)
    )
    round_ = a_round(judged.model_copy(update={"rollouts": rollouts}))
    round_ = round_.model_copy(update={"judge_spend": spend(5)})
    validation = ValidationReport(questions=1, accuracy=1.0, judge_spend=spend(2))
    for more, tokens in ((None, 5), (validation, 7)):
        got = report(round_, validation=more).judge
        assert got is not None
        assert (got.judged, got.malformed) == (2, 1)
        assert (got.spend.used.prompt_tokens, got.spend.money) == (tokens, tokens)

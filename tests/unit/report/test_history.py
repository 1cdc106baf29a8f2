"""Reading a run, and following its questions."""

from pathlib import Path

from schemas.rollout import Demonstration, Round, ServedResponses
from tests import build
from tests.stories import ANSWERING, WITHOUT_CLIPPED, Story
from zppo.core.advantage import compute_advantages
from zppo.report.answering import answering_costs
from zppo.report.available import available_responses
from zppo.report.details import question_details, round_advantages, segments
from zppo.report.history import RunHistory
from zppo.report.lives import Lives, Visit
from zppo.report.sample import choose_sample
from zppo.stores.rounds import read_round


def test_a_refresh_takes_in_only_what_was_committed_since(tmp_path: Path) -> None:
    story = Story(tmp_path).rounds(2)
    history = RunHistory(tmp_path, "story")
    first = history.reports[0]
    story.rounds(1)
    assert len(history.reports) == 2
    history.refresh()
    assert len(history.reports) == len(history.timings) == 3
    assert history.reports[0] is first
    again = RunHistory(tmp_path, "story")
    assert (history.lives.visits, history.lives.events) == (again.lives.visits, again.lives.events)


def test_a_run_without_rounds_has_a_history_too(tmp_path: Path) -> None:
    Story(tmp_path)
    history = RunHistory(tmp_path, "story")
    assert history.reports == []
    assert history.questions is None
    assert history.pool is None
    assert history.evaluation is None


def test_every_plain_group_is_a_visit_and_every_event_is_told(history: RunHistory) -> None:
    lives = history.lives
    groups = sum(kind.groups for report in history.reports for kind in report.kinds if kind.kind == "plain")
    assert sum(map(len, lives.visits.values())) == groups
    told = [event for events in lives.events.values() for _, event in events]
    assert len(told) == sum(len(report.buffer.events) for report in history.reports)


def test_the_fates_are_those_that_the_buffer_holds(history: RunHistory) -> None:
    fates = {id: history.lives.fate(id, 0.5) for id in history.lives.visits}
    waiting = sum(fate == "waiting" for fate in fates.values())
    assert waiting == history.reports[-1].buffer.size
    assert set(fates.values()) <= {"waiting", "graduated", "evicted", "easy"}
    assert Lives().fate("unknown", 0.5) == "not drawn"


def test_a_visit_starts_in_the_pool_where_the_one_before_ended(history: RunHistory) -> None:
    for visits in history.lives.visits.values():
        taken = 0
        for visit in visits:
            assert visit.served_before == taken
            taken += visit.served.served if visit.served else 0


def test_advantages_are_those_of_the_method_over_the_whole_round(history: RunHistory) -> None:
    round_ = read_round(history.store.home / history.paths.collect(1))
    found = round_advantages(round_, history)
    assert found is not None
    groups = [group for group in round_.groups if group.rollouts]
    expected = compute_advantages([[each.reward for each in group.rollouts] for group in groups], "nonzero")
    for group, values in zip(groups, expected, strict=True):
        assert [found[f"{group.id}#{each.index}"] for each in group.rollouts] == values


def test_the_segments_of_a_prompt_are_its_text_and_mark_every_candidate(history: RunHistory) -> None:
    for group in history.groups(1, set(history.lives.visits)):
        parts = segments(group.prompt)
        assert "".join(part.text for part in parts) == group.prompt.text
        marked = [part.text for part in parts if part.author]
        assert marked == [candidate.text for candidate in group.prompt.candidates]


def test_what_is_read_of_a_round_in_part_is_what_the_whole_round_holds(history: RunHistory) -> None:
    whole = read_round(history.store.home / history.paths.collect(2))
    for id in history.lives.visits:
        expected = [group for group in whole.groups if group.question_id == id]
        assert history.groups(2, {id}) == expected
    light = history.weightless_round(2)
    assert [group.accuracy for group in light.groups] == [group.accuracy for group in whole.groups]
    assert round_advantages(light, history) == round_advantages(whole, history)


def test_a_candidate_is_marked_where_it_stands_and_not_where_the_question_says_the_same() -> None:
    text = "is steps right ? <candidate>steps</candidate> <candidate>steps</candidate> answer"
    pair = (build.candidate("7", correct=True), build.candidate("8", correct=False))
    prompt = build.group([0], kind="bcq", candidates=pair).prompt.model_copy(update={"text": text})
    assert [(part.text, part.author) for part in segments(prompt)] == [
        ("is steps right ? <candidate>", None),
        ("steps", "teacher"),
        ("</candidate> <candidate>", None),
        ("steps", "student"),
        ("</candidate> answer", None),
    ]


def test_a_life_holds_every_group_failure_and_teacher_response_of_its_visits(history: RunHistory) -> None:
    life = question_details(history, ["q0"])["q0"]
    assert [visit.round for visit in life.visits] == [visit.round for visit in history.lives.visits["q0"]]
    kinds = {group.prompt.kind for visit in life.visits for group in visit.groups}
    assert {"plain", "bcq", "ncq"} <= kinds
    ncq = next(group for visit in life.visits for group in visit.groups if group.prompt.kind == "ncq")
    assert [each.audit for each in ncq.rollouts[:3]] == [
        "repeats a listed wrong answer",
        "the teacher’s answer, not shown",
        "a new answer",
    ]
    assert ncq.rollouts[-1].cause == "asked to"
    assert [each.origin for each in life.visits[0].teacher] == ["pool/q0#0", "pool/q0#1"]


def test_teacher_responses_are_shown_however_a_visit_came_by_them_with_what_was_made_of_them(
    history: RunHistory,
) -> None:
    visits = history.lives.visits.items()
    id = next(id for id, own in visits if any(each.round == 3 and each.served for each in own))
    visit = next(each for each in question_details(history, [id])[id].visits if each.round == 3)
    found = [(each.served, each.origin, each.used) for each in visit.teacher]
    assert found == [
        ("pool", f"pool/{id}#2", ()),
        ("online", f"online/5/{id}#0", ()),
        ("reused", f"pool/{id}#0", ("bcq",)),
    ]
    texts = [each.text or "" for each in visit.teacher]
    assert [text.split("<")[0] for text in texts] == ["teacher 2 ", "drawn ", "teacher 0 "]
    assert visit.teacher_note == (
        "3 correct of 4; 1 unused from the pool; 2 drawn in the round; 1 used before; "
        "1 not shown, because they failed or the round does not keep them."
    )


class Demonstrated(Story):
    """A run whose updates learn from the responses that the teacher drew in the round."""

    def _collected(self, index: int) -> Round:
        round_ = super()._collected(index)
        plain = {group.question_id: group.id for group in round_.of_kind("plain")}
        demonstrations = tuple(
            Demonstration(group_id=plain[visit.question_id], origin=each.origin, token_ids=(1, 2))
            for visit in round_.teacher
            for each in visit.responses
            if each.origin.startswith("online/")
        )
        return round_.model_copy(update={"demonstrations": demonstrations})


def test_the_teacher_responses_that_were_learned_from_are_marked_and_no_others(
    history: RunHistory, tmp_path: Path
) -> None:
    Demonstrated(tmp_path).rounds(3)

    def learned(told: RunHistory) -> set[str]:
        lives = question_details(told, told.lives.visits).values()
        responses = [each for life in lives for visit in life.visits for each in visit.teacher]
        assert any(each.origin.startswith("online/") for each in responses)
        return {each.origin for each in responses if each.learned}

    told = RunHistory(tmp_path, "story")
    given = read_round(tmp_path / told.paths.collect(3)).demonstrations
    assert given
    assert learned(told) == {each.origin for each in given}
    assert learned(history) == set()


def test_of_a_round_that_keeps_no_responses_those_are_shown_that_the_pool_served_or_a_prompt_shows(
    history: RunHistory,
) -> None:
    visit = Visit(9, False, 0.0, ("bcq",), 4, ServedResponses(question_id="q0", served=1, drawn=1, correct=1))
    drawn = build.candidate("7", correct=True).model_copy(update={"origin": "online/5/q0#0"})
    again = drawn.model_copy(update={"origin": "pool/q0#0"})
    groups = [build.group([0], "q0", kind="bcq", candidates=(drawn, again))]
    found = available_responses(history, "q0", visit, groups, (), ())
    assert [(each.origin, each.used, each.text is None) for each in found] == [
        ("pool/q0#4", (), False),
        ("online/5/q0#0", ("bcq",), True),
        ("pool/q0#0", ("bcq",), False),
    ]


def test_tokens_are_cut_by_the_tokenizer_of_a_checkpoint_where_there_is_one(
    history: RunHistory, home: Path
) -> None:
    with_pieces = question_details(history, ["q0"])["q0"].visits[0].groups[0].rollouts[0]
    assert len(with_pieces.pieces) == with_pieces.tokens == len(with_pieces.logprobs)
    other = RunHistory(home, "other")
    id = next(iter(other.lives.visits))
    assert question_details(other, [id])[id].visits[0].groups[0].rollouts[0].pieces == ()


def test_what_an_update_clipped_is_told_of_every_rollout_and_where_it_is_not_recorded_that_is_said(
    history: RunHistory,
) -> None:
    visits = {visit.round: visit for visit in question_details(history, ["q0"])["q0"].visits}
    bcq = next(group for group in visits[1].groups if group.prompt.kind == "bcq")
    told = [[(each.bound, each.places) for each in rollout.clipped] for rollout in bcq.rollouts]
    assert told == [[("high", (0,))], [("low", (0,)), ("dual", (1,))], [], []]
    assert "marked in the responses" in visits[1].update_note
    assert "not recorded token by token" in visits[WITHOUT_CLIPPED].update_note


def test_the_sample_is_the_same_whenever_it_is_drawn_and_names_nobody_twice(history: RunHistory) -> None:
    chosen = choose_sample(history.lives, 0.5)
    assert len(set(chosen)) == len(chosen)
    assert choose_sample(RunHistory(history.store.home, "story").lives, 0.5) == chosen
    assert set(chosen) <= set(history.lives.visits)


def test_the_time_of_an_evaluation_is_that_of_the_answers_it_is_of(history: RunHistory) -> None:
    assert history.evaluation is not None
    recipe = history.record.recipe
    costs = answering_costs(history.store, history.evaluation, recipe)
    assert {role: cost.seconds for role, cost in costs.items()} == ANSWERING
    other = recipe.model_copy(update={"seed": recipe.seed + 1})
    assert answering_costs(history.store, history.evaluation, other) == {}

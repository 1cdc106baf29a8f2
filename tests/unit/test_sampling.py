from schemas.config.models import SamplingConfig
from schemas.question import Question
from schemas.rollout import Group, Prompt, PromptKind
from tests.build import question
from tests.fakes.engine import LOGPROB, ScriptedEngine
from tests.fakes.grader import TextGrader
from zppo.ports import GenerationFailure
from zppo.sampling import Draft, draw, grade, training_decoding

DECODING = training_decoding(SamplingConfig(temperature=0.7, max_response_tokens=4))
RESPONSES: tuple[str | GenerationFailure, ...] = (
    r"so \boxed{7}",
    r"so \boxed{8}",
    "no idea",
    GenerationFailure("out of memory"),
    r"\boxed{crash}",
    r"thinking and thinking and thinking \boxed{7}",
    r"so \boxed{7} or so or so",
)


def draft(question_: Question, round_index: int = 1, kind: PromptKind = "plain") -> Draft:
    prompt = Prompt(kind=kind, text="p", token_ids=(1,))
    return Draft(f"r{round_index}/{question_.id}/{kind}", question_, "new", prompt)


def one_group() -> Group:
    engine = ScriptedEngine(lambda _, index: RESPONSES[index])
    drafts = [draft(question())]
    (group,) = grade(drafts, draw(drafts, len(RESPONSES), DECODING, 0, engine), TextGrader())
    return group


def test_outcomes_and_rewards() -> None:
    outcomes = {each.index: (each.outcome, each.reward, each.answer) for each in one_group().rollouts}
    assert outcomes == {
        0: ("correct", 1, "7"),
        1: ("wrong", 0, "8"),
        2: ("no_answer", 0, None),
        5: ("truncated", 0, None),
        6: ("correct", 1, "7"),
    }


def test_what_cannot_be_drawn_or_graded_leaves_its_group_with_its_cause() -> None:
    failures = {each.index: (each.outcome, each.cause, each.text) for each in one_group().failures}
    assert failures == {
        3: ("engine_error", "out of memory", ""),
        4: ("grader_error", "asked to crash", r"\boxed{crash}"),
    }
    assert one_group().accuracy == 2 / 5


def test_a_rollout_keeps_the_engines_own_tokens() -> None:
    engine = ScriptedEngine(lambda _, index: RESPONSES[0])
    drafts = [draft(question())]
    drawn = draw(drafts, 2, DECODING, 0, engine)
    (group,) = grade(drafts, drawn, TextGrader())
    for rollout, response in zip(group.rollouts, drawn[0], strict=True):
        assert not isinstance(response, GenerationFailure)
        assert (rollout.token_ids, rollout.logprobs) == (response.token_ids, response.logprobs)
        assert set(rollout.logprobs) == {LOGPROB}


def test_a_forced_prefix_is_asked_for_and_graded_with_its_continuation_but_is_no_token_of_the_rollout() -> (
    None
):
    engine = ScriptedEngine(lambda _, index: ["and so", r"no \boxed{8}"][index])
    prefix_ids = engine.tokenize(r"\boxed{7}")
    prompt = Prompt(kind="prefix", text="p", token_ids=(1,), prefix_ids=prefix_ids)
    drafts = [Draft("r1/q/prefix", question(), "new", prompt)]
    (group,) = grade(drafts, draw(drafts, 2, DECODING, 0, engine), TextGrader())
    assert [request.prefix_ids for request in engine.requests] == [prefix_ids]
    assert [(each.text, each.reward) for each in group.rollouts] == [
        (r"\boxed{7} and so", 1),
        (r"\boxed{7} no \boxed{8}", 0),
    ]
    assert [engine.words(each.token_ids)[0] for each in group.rollouts] == ["and", "no"]


def test_a_cut_off_response_says_so() -> None:
    stops = [each.stop for each in one_group().rollouts]
    assert stops == ["eos", "eos", "eos", "length", "length"]


def test_every_rollout_has_a_seed_of_its_own() -> None:
    engine = ScriptedEngine(lambda *_: "x")
    drafts = [
        draft(question(id), round_index, kind)
        for id in ("a", "b")
        for round_index in (1, 2, 11)
        for kind in ("plain", "bcq", "ncq")
    ]
    draw(drafts, 8, DECODING, 0, engine)
    draw(drafts, 8, DECODING, 1, engine)
    seeds = [seed for request in engine.requests for seed in request.seeds]
    assert len(set(seeds)) == len(seeds) == 2 * 18 * 8


def test_a_rollouts_seed_does_not_depend_on_what_is_drawn_beside_it() -> None:
    engine = ScriptedEngine(lambda *_: "x")
    drafts = [draft(question(id)) for id in "abc"]
    draw(drafts, 8, DECODING, 0, engine)
    draw(drafts[::-1][:2], 3, DECODING, 0, engine)
    seeds: dict[str, tuple[int, ...]] = {}
    for request in engine.requests:
        assert request.seeds[:3] == seeds.setdefault(request.id, request.seeds)[:3]


def test_training_truncates_and_penalises_nothing() -> None:
    assert (DECODING.temperature, DECODING.max_response_tokens) == (0.7, 4)
    assert (DECODING.top_p, DECODING.top_k, DECODING.min_p) == (1.0, 0, 0.0)
    assert (DECODING.presence_penalty, DECODING.repetition_penalty) == (0.0, 1.0)


def test_no_prompt_needs_no_engine() -> None:
    engine = ScriptedEngine(lambda *_: "x")
    assert grade([], draw([], 8, DECODING, 0, engine), TextGrader()) == []
    assert engine.requests == []

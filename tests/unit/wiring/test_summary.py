from schemas.buffer import ReplayBuffer
from schemas.report import StepReport
from tests.build import a_round, candidate, group
from zppo.core.report import step_report
from zppo.wiring.summary import _prompts

PAIR = (candidate("7", correct=True), candidate("8", correct=False))


def report(*groups: object) -> StepReport:
    return step_report(a_round(*groups), 0.5, ReplayBuffer(), (), (), (), None, None)  # type: ignore[arg-type]


def test_every_kind_of_prompt_is_named_with_the_rounds_that_have_it() -> None:
    plain = report(group([0, 1]))
    helped = report(group([0, 1]), group([0, 1], kind="hint"), group([0, 1], kind="prefix"))
    reformulated = report(
        group([0, 1]), group([0, 1], kind="bcq", candidates=PAIR), group([0, 1], kind="extra")
    )
    assert _prompts([plain, plain]) == "plain only"
    assert _prompts([plain, helped, helped]) == "hints in 2 of 3 rounds, prefixes in 2 of 3 rounds"
    assert _prompts([reformulated]) == "BCQ in 1 of 1 rounds, extra plain groups in 1 of 1 rounds"

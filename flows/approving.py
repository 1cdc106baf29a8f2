"""A promotion that waits for somebody, who approves or refuses it on the page of its flow run.

While it waits there is no process. The flow run starts again with the answer, from the top: so it is asked
anew where who is champion has changed in the meantime.
"""

import hashlib
import math
from functools import partial

from prefect.flow_runs import suspend_flow_run
from prefect.input import Keyset, RunInput, delete_flow_run_input, keyset_from_base_key, read_flow_run_input
from pydantic import Field

from flows.artifacts import decision_text
from flows.outages import patiently
from schemas.promotion import Approval, PromotionDecision


class Answer(RunInput):
    """The form on the page."""

    approve: bool = Field(description="Whether the challenger becomes the champion.")
    reason: str = Field(min_length=1, description="Kept with the decision.")


def approval_of(decision: PromotionDecision, hours: float) -> Approval:
    """Somebody's answer to a decision; ends this process where there is none yet, to start again with it.

    Outside of any task, and of the locks of the run.

    Args:
        decision: Its gates passed.
        hours: After which the flow run fails; nothing has moved then, and its retry asks again.
    """
    answer = _given(decision) or _suspend(decision, hours)
    champion = decision.incumbent.model if decision.incumbent.role == "champion" else None
    return Approval(approved=answer.approve, reason=answer.reason, against=champion)


def _suspend(decision: PromotionDecision, hours: float) -> Answer:
    for key in (_keys(decision)["schema"], _keys(decision)["description"]):
        if patiently(partial(read_flow_run_input, key)) is not None:  # of a try that nobody answered
            patiently(partial(delete_flow_run_input, key))
    form = Answer.with_initial_data(description=decision_text(decision))
    return suspend_flow_run(wait_for_input=form, timeout=math.ceil(hours * 3600), key=_key(decision))


def _given(decision: PromotionDecision) -> Answer | None:
    """The answer, also to a try that died after it."""
    found = patiently(partial(read_flow_run_input, _keys(decision)["response"]))
    return Answer.model_validate(found) if found else None


def _key(decision: PromotionDecision) -> str:
    """Names the question: the same two contenders are not asked about twice."""
    contenders = f"{decision.challenger.model} {decision.incumbent.model}"
    return hashlib.sha256(contenders.encode()).hexdigest()[:16]


def _keys(decision: PromotionDecision) -> Keyset:
    """Under which Prefect keeps the form and what was filled in."""
    return keyset_from_base_key(f"suspended-{_key(decision)}")

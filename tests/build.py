"""Short ways to write down questions, groups and rounds in tests."""

from collections.abc import Sequence

from schemas.buffer import BufferEntry, ReplayBuffer
from schemas.question import Question
from schemas.rollout import Candidate, Failure, Group, Prompt, PromptKind, Rollout, Round


def question(id: str = "q", answer: str = "7", text: str = "what is it ?") -> Question:
    """An exact question."""
    return Question(id=id, source="test", text=text, answer=answer, answer_kind="exact")


def rollout(index: int, reward: int, answer: str | None = None, text: str = "a response") -> Rollout:
    """A response of two tokens."""
    if reward:
        return _rollout(index, "correct", answer, text, 1)
    return _rollout(index, "no_answer" if answer is None else "wrong", answer, text, 0)


def group(
    rewards: Sequence[int],
    question_id: str = "q",
    *,
    kind: PromptKind = "plain",
    answers: Sequence[str | None] | None = None,
    replayed: bool = False,
    failures: int = 0,
    candidates: tuple[Candidate, ...] = (),
    wrong_answers: tuple[str, ...] = (),
    prefix_ids: tuple[int, ...] = (),
    round_index: int = 1,
) -> Group:
    """A group by its rewards; answers default to none."""
    prompt = Prompt(
        kind=kind,
        text="p",
        token_ids=(1, 2, 3),
        candidates=candidates,
        wrong_answers=wrong_answers,
        prefix_ids=prefix_ids,
    )
    answers = answers if answers is not None else [None] * len(rewards)
    return Group(
        id=f"r{round_index}/{question_id}/{kind}",
        question_id=question_id,
        origin="replay" if replayed else "new",
        prompt=prompt,
        rollouts=tuple(rollout(i, r, a) for i, (r, a) in enumerate(zip(rewards, answers, strict=True))),
        failures=tuple(
            Failure(index=len(rewards) + i, outcome="engine_error", cause="asked to") for i in range(failures)
        ),
    )


def candidate(answer: str | None, *, correct: bool) -> Candidate:
    """The teacher's candidate, or the student's."""
    return Candidate(
        text="steps",
        author="teacher" if correct else "student",
        correct=correct,
        answer=answer,
        compression="extractive",
        origin="pool/q#0" if correct else "r1/q/plain#0",
    )


def entry(question_id: str, accuracy: float = 0.0, admitted: int = 1, visits: int = 1) -> BufferEntry:
    """A buffered question."""
    return BufferEntry(
        question_id=question_id, admitted_round=admitted, entry_accuracy=accuracy, visits=visits
    )


def buffer(*question_ids: str) -> ReplayBuffer:
    """A buffer of fresh entries, the oldest first."""
    return ReplayBuffer(entries=tuple(entry(question_id) for question_id in question_ids))


def a_round(*groups: Group, index: int = 1) -> Round:
    """A round of these groups; its questions are those of the plain ones."""
    plain = [each for each in groups if each.prompt.kind == "plain"]
    return Round(
        index=index,
        new_question_ids=tuple(each.question_id for each in plain if each.origin == "new"),
        replay_question_ids=tuple(each.question_id for each in plain if each.origin == "replay"),
        groups=groups,
    )


def _rollout(index: int, outcome: str, answer: str | None, text: str, reward: int) -> Rollout:
    return Rollout.model_validate(
        {
            "index": index,
            "text": text,
            "token_ids": (5, 0),
            "logprobs": (-0.5, -0.5),
            "stop": "eos",
            "outcome": outcome,
            "answer": answer,
            "reward": reward,
        }
    )

"""Draw and grade the rollouts of prompts: the one way from a prompt to a group."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from schemas.config.models import DecodingConfig, SamplingConfig
from schemas.question import Question
from schemas.rollout import Failure, Group, Outcome, Prompt, Rollout
from zppo.core.randomness import derive_seed
from zppo.ports import (
    Finished,
    Generation,
    GenerationFailure,
    GenerationRequest,
    Grade,
    Grader,
    RolloutEngine,
)


@dataclass(frozen=True)
class Draft:
    """A prompt whose rollouts are still to be drawn."""

    group_id: str
    question: Question
    origin: Literal["new", "replay"]
    prompt: Prompt


def training_decoding(sampling: SamplingConfig) -> DecodingConfig:
    """The sampling distribution of training: temperature only, nothing truncated or penalised."""
    return DecodingConfig(
        temperature=sampling.temperature,
        top_p=1.0,
        top_k=0,
        min_p=0.0,
        presence_penalty=0.0,
        repetition_penalty=1.0,
        max_response_tokens=sampling.max_response_tokens,
    )


def draw(
    drafts: Sequence[Draft],
    size: int,
    decoding: DecodingConfig,
    seed: int,
    engine: RolloutEngine,
    finished: Finished | None = None,
) -> list[tuple[Generation | GenerationFailure, ...]]:
    """`size` responses of each prompt; the seed of each is named by run, group and index.

    `finished` is told of each prompt when its responses are there.
    """
    requests = [
        GenerationRequest(
            id=draft.group_id,
            prompt_ids=draft.prompt.token_ids,
            prefix_ids=draft.prompt.prefix_ids,
            seeds=tuple(derive_seed(seed, draft.group_id, "rollout", index) for index in range(size)),
        )
        for draft in drafts
    ]
    return engine.generate(requests, decoding, finished) if requests else []


def grade(
    drafts: Sequence[Draft],
    drawn: Sequence[Sequence[Generation | GenerationFailure]],
    grader: Grader,
) -> list[Group]:
    """Groups of graded rollouts; what could not be drawn or graded leaves its group as a failure."""
    pairs = [
        (draft.question, response.text)
        for draft, responses in zip(drafts, drawn, strict=True)
        for response in responses
        if isinstance(response, Generation)
    ]
    verdicts = grader.grade(pairs)
    assert len(verdicts) == len(pairs), "a grader gives one grade a response"
    grades = iter(verdicts)
    groups = []
    for draft, responses in zip(drafts, drawn, strict=True):
        graded = [
            _engine_failure(index, response)
            if isinstance(response, GenerationFailure)
            else _graded(index, response, next(grades))
            for index, response in enumerate(responses)
        ]
        groups.append(
            Group(
                id=draft.group_id,
                question_id=draft.question.id,
                origin=draft.origin,
                prompt=draft.prompt,
                rollouts=tuple(each for each in graded if isinstance(each, Rollout)),
                failures=tuple(each for each in graded if isinstance(each, Failure)),
            )
        )
    return groups


def _engine_failure(index: int, failure: GenerationFailure) -> Failure:
    return Failure(index=index, outcome="engine_error", cause=failure.cause)


def _graded(index: int, response: Generation, given: Grade) -> Rollout | Failure:
    if given.outcome == "grader_error":
        return Failure(index=index, outcome="grader_error", cause=given.cause, text=response.text)
    outcome: Outcome = given.outcome
    if outcome == "no_answer" and response.stop == "length":
        outcome = "truncated"
    return Rollout(
        index=index,
        text=response.text,
        token_ids=response.token_ids,
        logprobs=response.logprobs,
        stop=response.stop,
        outcome=outcome,
        answer=given.answer,
        reward=1 if outcome == "correct" else 0,
        verdict=given.verdict,
    )

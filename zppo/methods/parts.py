"""The parts of a round that the methods share."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field

from schemas.buffer import BufferEvent
from schemas.config.method import Augmentation, Replay, StudentRollouts, WithTeacher
from schemas.question import Question
from schemas.rollout import AvailableResponse, Group, Prompt, PromptKind, Round, ServedResponses
from schemas.state import TrainState
from zppo.core import compose, replay, zone
from zppo.core.randomness import derive_seed, generator
from zppo.core.values import TeacherResponse
from zppo.methods.base import Collector
from zppo.ports import Generation, GenerationFailure, Grader, TeacherAnswer, Visit
from zppo.sampling import Draft, draw, grade, training_decoding

Look = Callable[[Question, Group], None]
"""Told of the group of a question."""


def _look_away(question: Question, group: Group) -> None:
    return


@dataclass(frozen=True)
class Plain:
    """Step 1 of a round: its questions and their plain groups."""

    new_ids: tuple[str, ...]
    replayed_ids: tuple[str, ...]
    questions: Mapping[str, Question]
    """By id, new ones first."""
    groups: Sequence[Group]
    """In the order of the questions."""


def roll_out_plain(
    index: int,
    new: Sequence[Question],
    state: TrainState,
    config: StudentRollouts,
    ports: Collector,
    look: Look = _look_away,
) -> Plain:
    """Step 1: rollouts of `X_new` and of `X_replay`, which is empty for a method without a buffer."""
    wanted = compose.share(config.replay_fraction, len(new)) if isinstance(config, Replay) else 0
    new_ids = {question.id for question in new}
    replayed = replay.draw(state.buffer, wanted, new_ids, generator(ports.seed, index, "replay"))
    questions = {question.id: question for question in (*new, *map(ports.question, replayed))}
    drafts = [plain_draft(index, question, question.id in new_ids, ports) for question in questions.values()]
    return Plain(
        new_ids=tuple(question.id for question in new),
        replayed_ids=replayed,
        questions=questions,
        groups=roll_out(drafts, config.group_size, ports, look),
    )


def plain_draft(
    index: int, question: Question, is_new: bool, ports: Collector, kind: PromptKind = "plain"
) -> Draft:
    """The plain prompt of a question."""
    text = ports.templates.render_plain(question.text)
    prompt = Prompt(kind=kind, text=text, token_ids=ports.engine.encode(text))
    return Draft(f"r{index}/{question.id}/{kind}", question, "new" if is_new else "replay", prompt)


def roll_out(drafts: Sequence[Draft], size: int, ports: Collector, look: Look = _look_away) -> list[Group]:
    """`size` graded student rollouts of each prompt.

    With threads beside, a group is graded as soon as its last rollout is drawn, and `look` told of it in the
    same thread. What is not done when the last rollout of all is drawn is waited for.
    """
    beside, decoding, begun = ports.beside, training_decoding(ports.sampling), dict[int, Future[Group]]()

    def finished(place: int, drawn: tuple[Generation | GenerationFailure, ...]) -> None:
        assert beside is not None
        begun[place] = beside.grading.submit(_grade_one, drafts[place], drawn, ports.grader, look)

    with ports.phase("student"):
        drawn = draw(drafts, size, decoding, ports.seed, ports.engine, finished if beside else None)
    if beside is None:
        with ports.phase("grading"):
            return grade(drafts, drawn, ports.grader)
    with ports.phase("judge" if beside.judged else "grading"):
        return [begun[place].result() for place in range(len(drafts))]


def _grade_one(
    draft: Draft, drawn: Sequence[Generation | GenerationFailure], grader: Grader, look: Look
) -> Group:
    (group,) = grade([draft], [drawn], grader)
    look(draft.question, group)
    return group


def cap(config: Augmentation, plain: Plain) -> int:
    """`rho_aug * |X_new|`: most prompts besides the plain ones."""
    return compose.share(config.augment_fraction, len(plain.new_ids))


def ask_teacher(
    index: int, questions: Sequence[Question], count: int, state: TrainState, ports: Collector
) -> list[TeacherAnswer]:
    """`count` fresh graded teacher responses to each question."""
    with ports.phase("teacher"):
        return _respond(index, questions, count, state, ports)


def _respond(
    index: int, questions: Sequence[Question], count: int, state: TrainState, ports: Collector
) -> list[TeacherAnswer]:
    assert ports.teacher is not None, "the recipe's check demands a teacher for this method"
    return ports.teacher.respond(
        [
            Visit(
                question=question,
                served=state.served.get(question.id, 0),
                count=count,
                seed=derive_seed(ports.seed, index, question.id, "teacher"),
            )
            for question in questions
        ]
    )


@dataclass(frozen=True)
class Teaching:
    """Step 2 of a round: what the teacher answers to its hard questions, if the method asks one.

    With threads for it beside, it is asked about a question as soon as that is known to be hard.
    """

    index: int
    state: TrainState
    config: StudentRollouts
    ports: Collector
    _begun: dict[str, Future[list[TeacherAnswer]]] = field(default_factory=dict)

    def look(self, question: Question, group: Group) -> None:
        """Learn of the plain group of a question; may be called in any thread."""
        threads, config = self._threads, self.config
        if threads and isinstance(config, WithTeacher) and zone.is_hard(group.accuracy, config.tau):
            self._begun[question.id] = threads.submit(
                _respond, self.index, [question], config.teacher_group_size, self.state, self.ports
            )

    def answers(self, hard: Sequence[Question]) -> list[TeacherAnswer]:
        """`G_T` fresh graded responses to each hard question; none where the method asks no teacher."""
        if not isinstance(self.config, WithTeacher):
            return [TeacherAnswer(responses=(), served=0) for _ in hard]
        if self._threads is None:
            return ask_teacher(self.index, hard, self.config.teacher_group_size, self.state, self.ports)
        with self.ports.phase("teacher"):
            return [answer for question in hard for answer in self._begun[question.id].result()]

    @property
    def _threads(self) -> Executor | None:
        """In which the teacher is asked beside the sampler."""
        return self.ports.beside.teacher if self.ports.beside else None


def correct(answer: TeacherAnswer) -> list[TeacherResponse]:
    """The correct responses of a visit."""
    return [response for response in answer.responses if response.correct]


def served(groups: Sequence[Group], answers: Sequence[TeacherAnswer]) -> tuple[ServedResponses, ...]:
    """What the round records of the teacher's answers to the groups' questions."""
    return tuple(_served(group.question_id, answer) for group, answer in zip(groups, answers, strict=True))


def advance(
    state: TrainState, round_: Round, config: StudentRollouts
) -> tuple[TrainState, tuple[BufferEvent, ...]]:
    """The state after a round: the buffer by its plain groups only, and the teacher responses served."""
    buffer = state.buffer
    events: tuple[BufferEvent, ...] = ()
    if isinstance(config, Replay):
        buffer, events = replay.after_round(
            state.buffer, round_.of_kind("plain"), config.tau, config.buffer_capacity, round_.index
        )
    visits = dict(state.served)
    for visit in round_.teacher:
        visits[visit.question_id] = visits.get(visit.question_id, 0) + visit.served
    return TrainState(round=round_.index, buffer=buffer, served=visits), events


def _served(question_id: str, answer: TeacherAnswer) -> ServedResponses:
    right = correct(answer)
    return ServedResponses(
        question_id=question_id,
        served=answer.served,
        drawn=answer.drawn,
        reused=answer.reused,
        tokens=answer.tokens,
        correct=len(right),
        hints=sum(each.hint is not None for each in right),
        correct_answers=tuple(dict.fromkeys(each.answer for each in right if each.answer is not None)),
        responses=tuple(map(_available, answer.responses)),
    )


def _available(response: TeacherResponse) -> AvailableResponse:
    """What the round keeps of a response: all of it, unless the pool does."""
    in_pool = response.provenance is not None and response.provenance.served != "online"
    return AvailableResponse(
        origin=response.origin,
        correct=response.correct,
        answer=response.answer,
        text=None if in_pool else response.text,
        hint=None if in_pool else response.hint,
        provenance=response.provenance,
    )

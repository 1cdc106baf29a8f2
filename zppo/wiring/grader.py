"""What grades a run: rules, and a judge where the recipe has one."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import JsonValue

from schemas.config.data import SourceConfig
from schemas.config.grader import EndpointJudge, TeacherJudge
from schemas.config.run import RunConfig, Runtime
from schemas.question import AnswerKind, Question
from schemas.rollout import Verdict
from schemas.run import RunRecord
from schemas.spend import EndpointSpend, Spend
from zppo.data.mapping import reading_of
from zppo.endpoints.client import ChatClient, Endpoint
from zppo.endpoints.spending import Meter, SpendLog
from zppo.errors import InputError
from zppo.graders.judge import DECODING, Judge, load_judge_template
from zppo.graders.judged import JudgedGrader
from zppo.graders.rules import RuleGrader, gradability_problem
from zppo.models.chat import ChatTokenizer
from zppo.phases import Phases
from zppo.ports import GenerationFailure, Grader, Text, TextModel, TextRequest
from zppo.stores.identity import digest
from zppo.teachers.text import EndpointText, EngineText
from zppo.wiring.endpoints import find_key
from zppo.wiring.models import LoadedModel


class RunJudge:
    """The judge of a run and what it uses."""

    def __init__(self, judge: Judge, spent: Callable[[Spend], EndpointSpend], meter: Meter, log: SpendLog):
        self._judge = judge
        self._priced = spent
        self._meter = meter
        self._log = log

    def take(self) -> EndpointSpend:
        """What was used since this was asked last."""
        return self._priced(self._meter.take())

    @property
    def total(self) -> EndpointSpend:
        """What this run has used, earlier sessions included."""
        return self._priced(self._log.total())

    def remember(self, judged: Iterable[tuple[Question, str, Verdict]]) -> None:
        """Take over verdicts that are committed already, so that they are not asked for again."""
        self._judge.remember(judged)


@dataclass(frozen=True)
class Grading:
    """The graders of a run."""

    training: Grader
    """Of rollouts and of the teacher's responses: free-form answers go to the judge."""
    evaluation: Grader
    """Of held-out questions: the judge also reads what the rules cannot, unless the recipe says no."""
    judge: RunJudge | None = None


@contextmanager
def open_grading(
    config: RunConfig,
    runtime: Runtime,
    processes: int,
    teacher: LoadedModel | None,
    log: Path,
    phases: Phases,
) -> Iterator[Grading]:
    """The graders of a recipe; nothing is started or sent before the first response.

    Args:
        config: The recipe.
        runtime: Holds the address of a judge behind an endpoint.
        processes: For mathematics.
        teacher: The teacher's model, where it is one; loaded when it judges for the first time.
        log: File with what the run's judge has used.
        phases: Times the judge in training, apart from the phase that asks it.

    Raises:
        InputError: The machine names no endpoint for the judge, its key cannot be found, or its template set.
    """
    with RuleGrader(config.grader, processes) as rules:
        if config.judge is None:
            yield Grading(rules, rules)
            return
        with _judge(config, runtime, teacher, SpendLog(log)) as (judge, run_judge):
            yield Grading(
                training=JudgedGrader(rules, config.grader, judge, timed=partial(phases.apart, "judge")),
                evaluation=JudgedGrader(rules, config.grader, judge, unread=config.judge.evaluation),
                judge=run_judge,
            )


@contextmanager
def _judge(
    config: RunConfig, runtime: Runtime, teacher: LoadedModel | None, log: SpendLog
) -> Iterator[tuple[Judge, RunJudge]]:
    """The recipe's judge, asked through its endpoint or through the teacher's own engine."""
    settings, meter = config.judge, Meter(log)
    assert settings is not None
    template = load_judge_template(settings.templates)
    prices = settings.prices if isinstance(settings, EndpointJudge) else None

    def priced(used: Spend) -> EndpointSpend:
        return EndpointSpend.of("judge", used, prices)

    if isinstance(settings, TeacherJudge):
        assert teacher is not None, "the recipe's check demands a teacher model"
        judge = Judge(_TeacherText(teacher, meter.add), template, teacher.special_tokens)
        yield judge, RunJudge(judge, priced, meter, log)
        return
    with ChatClient(judge_endpoint(settings, runtime), log.total(), meter.add) as client:
        judge = Judge(EndpointText(client, DECODING, settings.enable_thinking), template)
        yield judge, RunJudge(judge, priced, meter, log)


class _TeacherText(TextModel):
    """The teacher's model through its own engine, without thinking aloud; loaded anew where it was let go."""

    def __init__(self, teacher: LoadedModel, note: Callable[[Spend], None]):
        self._teacher = teacher
        self._note = note

    def write(
        self, requests: Sequence[TextRequest], max_tokens: int
    ) -> list[tuple[Text | GenerationFailure, ...]]:
        if not requests:
            return []
        chat = ChatTokenizer(self._teacher.tokenizer.tokenizer, enable_thinking=False)
        written = EngineText(self._teacher.engine, DECODING, chat.encode).write(requests, max_tokens)
        self._note(_used(written))
        return written


def _used(written: Iterable[tuple[Text | GenerationFailure, ...]]) -> Spend:
    texts = [text for of_request in written for text in of_request if isinstance(text, Text)]
    return Spend(
        requests=len(texts),
        prompt_tokens=sum(text.prompt_tokens for text in texts),
        completion_tokens=sum(text.tokens for text in texts),
    )


def judge_endpoint(config: EndpointJudge, runtime: Runtime) -> Endpoint:
    """Where the recipe's judge is on this machine.

    Raises:
        InputError: The machine names no endpoint for it, or its key cannot be found.
    """
    access = runtime.endpoints.judge
    if access is None:
        raise InputError(
            f"the recipe's judge is the model {config.model!r} behind an endpoint, but this machine has "
            "none: set endpoints.judge.url, such as http://localhost:8000/v1, in the machine's file"
        )
    return Endpoint("judge", config.model, access, find_key(access.api_key, "judge"), config.prices)


def check_judge(config: RunConfig, runtime: Runtime) -> None:
    """Refuse a recipe whose judge cannot be asked on this machine, before any work; raises `InputError`."""
    if isinstance(config.judge, EndpointJudge):
        judge_endpoint(config.judge, runtime)
    if config.judge is not None:
        load_judge_template(config.judge.templates)


def gradability(config: RunConfig) -> Callable[[Question], str | None]:
    """Why the recipe's graders could not grade a question, or None; with a judge they grade every kind."""

    def problem(question: Question) -> str | None:
        judged = config.judge is not None and question.answer_kind == "free"
        return None if judged else gradability_problem(question)

    return problem


def judges_free_form(config: RunConfig) -> bool:
    """Whether questions are kept that only a judge can grade."""
    return config.judge is not None and _has(config.data.sources, "free")


def compares_mathematics(config: RunConfig) -> bool:
    """Whether training compares answers in grading processes."""
    return _has([source for source in config.data.sources if source.role == "train"], "math")


def _has(sources: Iterable[SourceConfig], kind: AnswerKind) -> bool:
    return any(reading_of(source).answer_kind == kind for source in sources)


def judge_inputs(record: RunRecord, *without: str) -> dict[str, JsonValue]:
    """What the verdicts of a run depend on, as an input of identities; nothing without a judge.

    Args:
        record: The run's.
        without: Settings that do not matter to what is identified.
    """
    judge = record.recipe.judge
    if judge is None:
        return {}
    inputs: dict[str, JsonValue] = judge.model_dump(mode="json", exclude={"prices", *without})
    inputs["template"] = digest(load_judge_template(judge.templates).template)
    inputs["decoding"] = DECODING.model_dump(mode="json")
    if isinstance(judge, TeacherJudge):
        assert record.teacher is not None, "a teacher model is pinned"
        inputs["model"] = record.teacher.digest
    return {"judge": inputs}

"""A committed run that is made up, for reports: small, real artifacts with all that a page must bear."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import JsonValue

from schemas.clipping import ClippedTokens
from schemas.evaluation import (
    AnsweringCost,
    BaselineScore,
    Evaluation,
    EvaluationAnswer,
    Interval,
    Role,
)
from schemas.manifest import Manifest
from schemas.promotion import Contender, Difference, Gate, PromotionDecision
from schemas.question import Question
from schemas.report import DriftReport, RoundTimings, UpdateReport, ValidationReport
from schemas.rollout import (
    AvailableResponse,
    Candidate,
    Group,
    Provenance,
    Round,
    ServedResponses,
    Serving,
)
from schemas.run import ResolvedModel, RunRecord
from schemas.state import TrainState
from schemas.teacher import AnsweredQuestion, PooledResponse, TeacherPool
from tests.build import group
from zppo.core.evaluation import score_model
from zppo.core.report import step_report
from zppo.data.table import write_questions
from zppo.layout import RunPaths, shared
from zppo.methods import parts
from zppo.methods.choose import choose_method
from zppo.recipes import load_recipe
from zppo.runs import DECISION, EVALUATION, RUN_FILE
from zppo.stages.precompute import REPORT as POOL_REPORT
from zppo.stages.timings import write_timings
from zppo.stages.train import REPORT, VALIDATION
from zppo.stores.answers import COST
from zppo.stores.clipping import CLIPPED, write_clipped
from zppo.stores.files import Operations
from zppo.stores.identity import fingerprint, identify
from zppo.stores.local import LocalStore
from zppo.stores.rounds import write_round
from zppo.teachers.pool import RESPONSES, write_pool

HOSTILE = (
    '<script>document.title="owned"</script><img src=x onerror="document.title=1">'
    "</candidate></script></textarea>--> "
    "\x00\x07\x1b[31m\u202eturned\u202c\u2066\u200b\ufeff {{ 7*7 }} &lt;b&gt;"
)
"""What a model must not be able to do to a reader."""
LONG_LINE = "x" * 100_000
TOKENIZER = Path(__file__).parents[1] / "zppo" / "pocket" / "student" / "tokenizer.json"
QUESTIONS = 6
ANSWERING: dict[Role, float] = {"base": 30.0, "student": 60.0}
"""Seconds of the answers that are kept, of two models of three."""
WITHOUT_AVAILABLE = (1, 2)
"""Rounds that tell of the teacher what programs told before they kept what it gave."""
WITHOUT_CLIPPED = 2
"""A round that tells of clipping what programs told before they recorded it token by token."""


class Story:
    """A run, told round by round."""

    def __init__(self, home: Path, name: str = "story", overrides: Sequence[str] = ()) -> None:
        self.store = LocalStore(home, Operations(sync=lambda path: None))
        self.home, self.name, self.paths = home, name, RunPaths(name)
        settings = ["method.iterations=2", "method.buffer_capacity=3", "questions_per_round=4", "rounds=4"]
        self.recipe = load_recipe("pocket", [*settings, *overrides])
        self.questions = [_question(index) for index in range(QUESTIONS)]
        self.state = TrainState()
        self.run = self._begin()
        self.prepared = self._prepare()
        self.pool = self._precompute()
        with self.store.commit(self.paths.base, identify("base", {}, [self.run])) as staging:
            base = ValidationReport(questions=10, accuracy=0.2, out_of_distribution=0.1)
            (staging.directory / VALIDATION).write_text(base.model_dump_json())

    def rounds(self, count: int) -> "Story":
        """Commit so many more rounds."""
        for index in range(self.state.round + 1, self.state.round + count + 1):
            self._round(index)
        return self

    def checkpoint(self) -> "Story":
        """Commit a checkpoint that holds nothing but a tokenizer."""
        path = self.paths.checkpoint(self.state.round)
        with self.store.commit(path, identify("checkpoint", {"round": self.state.round}, [])) as staging:
            shutil.copy(TOKENIZER, staging.directory / "tokenizer.json")
        return self

    def end(self) -> "Story":
        """Commit evaluation and decision, and the answers of two of the three models."""
        for role, seconds in ANSWERING.items():
            inputs: dict[str, JsonValue] = {
                "model": f"commit:{role}",
                "evaluation": self.recipe.evaluation.model_dump(mode="json"),
                "seed": self.recipe.seed,
            }
            identity = identify("answers", inputs, [self.prepared])
            with self.store.commit(shared("answers", fingerprint(identity)), identity) as staging:
                cost = AnsweringCost(seconds=seconds)
                (staging.directory / COST).write_text(cost.model_dump_json())
        with self.store.commit(self.paths.evaluation, identify("evaluate", {}, [self.prepared])) as staging:
            (staging.directory / EVALUATION).write_text(_evaluation(self).model_dump_json())
        with self.store.commit(self.paths.promotion, identify("promote", {}, [])) as staging:
            (staging.directory / DECISION).write_text(_decision().model_dump_json())
        return self

    def _begin(self) -> Manifest:
        model = ResolvedModel(reference="pocket/student", digest="commit:student")
        record = RunRecord(name=self.name, recipe=self.recipe, student=model, data=self.recipe.data)
        with self.store.commit(self.paths.manifest, identify("run", {"name": self.name})) as staging:
            (staging.directory / RUN_FILE).write_text(record.model_dump_json())
        return staging.manifest

    def _prepare(self) -> Manifest:
        identity = identify("prepare", {"for": "stories"})
        path = shared("prepare", fingerprint(identity))
        if (known := self.store.find(path, identity)) is not None:
            return known
        with self.store.commit(path, identity) as staging:
            write_questions(staging.directory / "train.parquet", self.questions)
        return staging.manifest

    def _precompute(self) -> Manifest:
        identity = identify("precompute", {"for": "stories"}, [self.prepared])
        path = shared("precompute", fingerprint(identity))
        if (known := self.store.find(path, identity)) is not None:
            return known
        answered = [
            AnsweredQuestion(question_id=each.id, responses=tuple(_pooled()), seconds=0.5)
            for each in self.questions
        ]
        with self.store.commit(path, identity) as staging:
            write_pool(staging.directory / RESPONSES, answered)
            (staging.directory / POOL_REPORT).write_text(_pool_report().model_dump_json())
        return staging.manifest

    def _round(self, index: int) -> None:
        round_ = self._collected(index)
        before = [self.run, self.prepared, self.pool] if index == 1 else []
        with self.store.commit(
            self.paths.collect(index), identify("collect", {"round": index}, before)
        ) as staging:
            write_round(staging.directory, round_)
        method = choose_method(self.recipe.method)
        self.state, events = parts.advance(self.state, round_, method.config)
        rows = [row for batch in method.batches(round_, self.recipe.seed) for row in batch.rows]
        report = step_report(
            round_, 0.5, self.state.buffer, events, _updates(index),
            [row.advantage for row in rows], DriftReport(tokens=9, mean=1e-5, max=1e-4),  # type: ignore[union-attr]
            ValidationReport(questions=10, accuracy=min(1.0, 0.2 + 0.1 * index)) if index % 2 == 0 else None,
        )  # fmt: skip
        seconds = {
            "collect": 3.0,
            "student": 1.5,
            "teacher": 0.5,
            "grading": 0.25,
            "update": 2.0,
            "drift": 0.1,
        }
        timings = RoundTimings(round=index, seconds=seconds)
        with self.store.commit(self.paths.update(index), identify("update", {"round": index}, [])) as staging:
            (staging.directory / REPORT).write_text(report.model_dump_json())
            write_timings(staging.directory, timings)
            if index != WITHOUT_CLIPPED:
                write_clipped(staging.directory / CLIPPED, [_clipped(round_)])

    def _collected(self, index: int) -> Round:
        replayed = [entry.question_id for entry in self.state.buffer.entries[:1]]
        new = [each.id for each in self.questions if each.id not in replayed][(index - 1) % 2 :: 2][:2]
        groups, served = [], []
        for place, id in enumerate((*new, *replayed)):
            right = 2 * index - 2 if id in replayed else place * index
            rewards = [int(each < right) for each in range(4)]
            answers = ["7" if reward else str(each) for each, reward in enumerate(rewards)]
            plain = group(rewards, id, answers=answers, replayed=id in replayed, round_index=index)
            groups.append(_spoken(plain))
            if right < 2:
                served.append(_served(id) if index in WITHOUT_AVAILABLE else _available(id))
                groups += _reformulated(plain, index)
        plain_first = sorted(groups, key=lambda each: each.prompt.kind != "plain")
        return Round(
            index=index,
            new_question_ids=tuple(new),
            replay_question_ids=tuple(replayed),
            groups=tuple(plain_first),
            teacher=tuple(served),
            eligible={"bcq": 1, "ncq": 1},
        )


def tell(home: Path, name: str = "story", overrides: Sequence[str] = ()) -> Story:
    """A finished run of four rounds."""
    return Story(home, name, overrides).rounds(4).checkpoint().end()


def _question(index: int) -> Question:
    text = f"question {index} {HOSTILE}" if index == 0 else f"question {index}: what is 3 + 4 ?"
    return Question(
        id=f"q{index}", source="sums" if index % 2 else "chains", text=text, answer="7", answer_kind="exact"
    )


def _pooled() -> Iterator[PooledResponse]:
    for index in range(8):
        right = index % 2 == 0
        yield PooledResponse(
            index=index,
            text=f"teacher {index} {HOSTILE} \\boxed{{{7 if right else 8}}}",
            outcome="correct" if right else "wrong",
            answer="7" if right else "8",
            tokens=12,
        )


def _pool_report() -> TeacherPool:
    return TeacherPool(
        teacher="model", questions=QUESTIONS, covered=QUESTIONS, coverage=1.0, responses=48, correct=24,
        failed=0, summaries=0, tokens=576, seconds=12.0,
    )  # fmt: skip


def _served(id: str) -> ServedResponses:
    """A visit that took two responses of the pool."""
    return ServedResponses(question_id=id, served=2, drawn=0, correct=1, correct_answers=("7",))


def _available(id: str) -> ServedResponses:
    """A visit that took one of the pool, one that was drawn for it, and one for the second time."""

    def one(how: Serving, origin: str, text: str | None = None) -> AvailableResponse:
        provenance = Provenance(served=how, teacher=f"teacher {HOSTILE}")
        return AvailableResponse(origin=origin, correct=True, answer="7", text=text, provenance=provenance)

    responses = (
        one("pool", f"pool/{id}#2"),
        one("online", f"online/5/{id}#0", f"drawn {HOSTILE}"),
        one("reused", f"pool/{id}#0"),
    )
    return ServedResponses(
        question_id=id, served=1, drawn=2, reused=1, correct=3, correct_answers=("7",), responses=responses
    )


def _spoken(plain: Group) -> Group:
    """The group with texts that are worth reading."""
    texts = (f"hostile {HOSTILE}", LONG_LINE, "<think> 3 +4 7 </think> \\boxed{7}", "plain text")
    prompt = plain.prompt.model_copy(update={"text": f"the prompt of {plain.question_id}\nbox the answer"})
    rollouts = tuple(
        each.model_copy(update={"text": text}) for each, text in zip(plain.rollouts, texts, strict=True)
    )
    return plain.model_copy(update={"rollouts": rollouts, "prompt": prompt})


def _reformulated(plain: Group, index: int) -> Iterator[Group]:
    pair = (_candidate("7", True, plain), _candidate("0", False, plain))
    bcq = group(
        [1, 0, 1, 0],
        plain.question_id,
        kind="bcq",
        answers=["7", "0", "7", None],
        candidates=pair,
        round_index=index,
    )
    ncq = group(
        [0, 0, 0, 0], plain.question_id, kind="ncq", answers=["0", "7", "9", None], candidates=pair[1:],
        wrong_answers=("0", HOSTILE), failures=1, round_index=index,
    )  # fmt: skip
    for each in (bcq, ncq):
        shown = "\n".join(f"<candidate>{candidate.text}</candidate>" for candidate in each.prompt.candidates)
        prompt = each.prompt.model_copy(update={"text": f"question\n{shown}\nbox the answer"})
        yield _spoken(each).model_copy(update={"prompt": prompt})


def _candidate(answer: str, correct: bool, plain: Group) -> Candidate:
    return Candidate(
        text=f"steps of the {'teacher' if correct else 'student'} {HOSTILE} \\boxed{{{answer}}}",
        author="teacher" if correct else "student",
        correct=correct,
        answer=answer,
        compression="extractive",
        origin=f"pool/{plain.question_id}#0" if correct else f"{plain.id}#0",
    )


def _updates(index: int) -> list[UpdateReport]:
    return [
        UpdateReport(
            loss=0.01, grad_norm=0.5 + 0.1 * index, entropy=1.0 / index, clip_low_fraction=0.01,
            clip_high_fraction=0.02, dual_clip_fraction=0.0, tokens=40, active_tokens=20,
        )
    ]  # fmt: skip


def _clipped(round_: Round) -> list[ClippedTokens]:
    """Of every BCQ a token of its first rollout, which is right, and both of its second, which is wrong."""
    bounds = (("#0", "high", (0,)), ("#1", "low", (0,)), ("#1", "dual", (1,)))
    return [
        ClippedTokens(rollout=f"{each.id}{rollout}", bound=bound, places=places)
        for each in round_.of_kind("bcq")
        for rollout, bound, places in bounds
    ]


def _evaluation(story: Story) -> Evaluation:
    models = []
    for role, right in (("base", 3), ("student", 8), ("teacher", 10)):
        answers = [
            EvaluationAnswer(
                question_id=f"t{index}", source="chains" if index < 10 else "long", kind="all", sample=0,
                in_distribution=index < 10, outcome="correct" if index % 10 < right else "wrong", answer="7",
                tokens=5, text="x",
            )
            for index in range(20)
        ]  # fmt: skip
        models.append(score_model(role, role, f"commit:{role}", answers, story.recipe.evaluation, 0))  # type: ignore[arg-type]
    return Evaluation(
        data_fingerprint=story.prepared.fingerprint, decoding=story.recipe.evaluation.decoding, samples=1,
        confidence=0.95, bootstrap_resamples=100, models=tuple(models),
        baselines=(BaselineScore(source="chains", answer=HOSTILE, accuracy=0.1),),
    )  # fmt: skip


def _decision() -> PromotionDecision:
    difference = Difference(
        source=None,
        questions=10,
        challenger=0.8,
        incumbent=0.7,
        difference=0.1,
        interval=Interval(low=0.0, high=0.2),
    )
    return PromotionDecision(
        registered_model="m",
        challenger=Contender(role="challenger", model="models:/m/2", digest="commit:student"),
        incumbent=Contender(role="champion", model="models:/m/1", digest="commit:old"),
        confidence=0.95,
        differences=(difference,),
        gates=(Gate(name="gain", passed=True, evidence="0.7 -> 0.8"),),
        promoted=True,
        reason="a gain",
    )

"""A teacher behind an endpoint on the held-out questions: each is asked once, and what it answers is kept."""

from collections.abc import Sequence
from pathlib import Path

from schemas.config.endpoints import EndpointAccess
from schemas.config.models import DecodingConfig
from schemas.config.teacher import EndpointTeacher
from schemas.evaluation import AnsweringCost, EvaluationAnswer
from schemas.manifest import Identity
from schemas.question import Question
from zppo.layout import partial, shared
from zppo.rendering import load_templates, templates_digest
from zppo.stages.evaluate import pooled_answers
from zppo.stages.journal import in_turn
from zppo.stages.precompute import SPEND, Precomputation, ask
from zppo.stores.answers import ANSWERS, read_answers, write_answers
from zppo.stores.identity import fingerprint, identify
from zppo.teachers.sources import ModelSource
from zppo.teachers.text import EndpointText
from zppo.wiring.context import RunContext
from zppo.wiring.endpoints import TeacherEndpoint
from zppo.wiring.grader import judge_inputs


class EndpointExaminee:
    """The recipe's teacher, as the held-out questions are put to it."""

    def __init__(self, run: RunContext, config: EndpointTeacher) -> None:
        """Nothing is sent yet.

        Args:
            run: Its machine says whether the endpoint takes every setting of the decoding.
            config: The recipe's teacher.
        """
        self._run = run
        self._config = config
        asked = run.config.evaluation.decoding
        self._decoding = _sent(asked, run.runtime.endpoints.teacher)
        self.digest = f"endpoint:{config.model}@{config.revision or 'no label'}"
        """Its name at the endpoint and the recipe's label, which is all that is known of the weights."""
        left_out = [f"{name} {value:g}" for name, value in asked if value != getattr(self._decoding, name)]
        self.name = config.model + (f" (without {', '.join(left_out)})" if left_out else "")

    def answers(self, questions: Sequence[Question], prepared: str) -> list[EvaluationAnswer]:
        """Its graded answers, drawn once for all runs that share them.

        Args:
            questions: The held-out ones.
            prepared: Path of the prepared data that they are from.

        Raises:
            BudgetReached: The endpoint's budget does not cover another request; what is answered is kept.
        """
        store, identity = self._run.store, self._identity(prepared)
        path = shared("answers", fingerprint(identity))
        journal = partial("answers", fingerprint(identity))
        unfinished = store.home / journal
        if store.find(path, identity) is None or unfinished.exists():
            with in_turn(store, journal, lambda text: self._run.progress.say(f"evaluate    {text}")):
                if store.find(path, identity) is None:
                    with store.commit(path, identity) as staging:
                        write_answers(staging.directory, *self._ask(questions, unfinished))
        return read_answers(store.file(path, ANSWERS))

    def _identity(self, prepared: str) -> Identity:
        """What the answers depend on; neither address nor prices."""
        run, config = self._run, self._config
        counts = run.config.evaluation.model_dump(mode="json", include={"samples", "max_questions"})
        return identify(
            "answers",
            {
                "model": self.digest,
                "templates": templates_digest(config.templates),
                "thinking": config.enable_thinking,
                "evaluation": {**counts, "decoding": self._decoding.model_dump(mode="json")},
                "grader": run.config.grader,
                "seed": run.config.seed,
                **judge_inputs(run.record),
            },
            [run.committed(prepared)],
        )

    def _ask(
        self, questions: Sequence[Question], unfinished: Path
    ) -> tuple[list[EvaluationAnswer], AnsweringCost]:
        """Ask what the journal does not have yet; returns all answers, and what all of them took."""
        run, endpoint = self._run, self._run.teacher_endpoint
        assert endpoint is not None, "such a teacher has one"
        with (
            endpoint.logged(unfinished / SPEND) as spent,
            run.progress.track("evaluate teacher", len(questions)) as advance,
        ):
            journal = ask(
                questions,
                self._job(endpoint),
                unfinished,
                lambda done, _: advance(done, endpoint.total.text),
            )
        answered = journal.read_in_order([question.id for question in questions])
        training = {source.name for source in run.config.data.sources if source.role == "train"}
        cost = AnsweringCost(seconds=journal.seconds, spend=endpoint.priced(spent.total()))
        return pooled_answers(questions, answered, training), cost

    def _job(self, endpoint: TeacherEndpoint) -> Precomputation:
        config, templates = self._config, load_templates(self._config.templates)
        text = EndpointText(endpoint.client, self._decoding, config.enable_thinking, config.many_choices)
        return Precomputation(
            source=ModelSource(
                text,
                lambda question: templates.render_plain(question.text),
                self._decoding.max_response_tokens,
                "endpoint",
            ),
            grader=self._run.grading.evaluation,
            responses=self._run.config.evaluation.samples,
            seed=self._run.config.seed,
            side_by_side=endpoint.side_by_side(self._run.config.evaluation.samples),
        )


def _sent(decoding: DecodingConfig, access: EndpointAccess | None) -> DecodingConfig:
    """The decoding without what the endpoint refuses."""
    if access is None or access.send_extensions:
        return decoding
    return decoding.model_copy(update={"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0})

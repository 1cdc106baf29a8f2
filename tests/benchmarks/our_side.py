"""Rounds of this project on the work of `sides`: what `collect` and `update` of a GRPO round compute."""

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from string import Template
from time import perf_counter, process_time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from schemas.config.learner import TorchLearnerConfig
from schemas.config.method import Grpo
from schemas.config.models import SamplingConfig, TransformersEngineConfig
from schemas.question import Question
from schemas.state import TrainState
from tests.benchmarks.sides import Told, Work, rewards_of, work_of
from tests.fakes.compressor import FirstWords
from zppo.core.objective import ClipBounds
from zppo.engines.transformers import TransformersEngine
from zppo.learners.objectives import PolicyObjective
from zppo.learners.torch import TorchLearner
from zppo.methods.base import Collector
from zppo.methods.zppo import ZppoMethod
from zppo.models.chat import ChatTokenizer
from zppo.phases import Phases
from zppo.ports import Grade
from zppo.rendering import load_templates
from zppo.stages.drift import comparison

SEED = 0
MICRO_BATCH_TOKENS = 1024
"""What the pocket recipe has: on a CPU, larger micro-batches leave its caches."""


class Rewarding:
    """`Grader` by the work's own rule."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def grade(self, responses: Sequence[tuple[Question, str]]) -> list[Grade]:
        """One grade a response, in order."""
        prompts, texts = [question.text for question, _ in responses], [text for _, text in responses]
        return [
            Grade("correct" if right else "wrong", "1") for right in rewards_of(prompts, texts, self._work)
        ]


class OurRounds:
    """GRPO on one model, without a store."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, work: Work) -> None:
        self.learner = TorchLearner(
            model,
            tokenizer,
            TorchLearnerConfig(learning_rate=1e-6, max_batch_tokens=MICRO_BATCH_TOKENS),
            PolicyObjective(ClipBounds(), 1.0),
        )
        self.method = ZppoMethod(Grpo(group_size=work.group, iterations=work.updates))
        self.questions = {
            f"q{place}": Question(id=f"q{place}", source="words", text=text, answer="1", answer_kind="exact")
            for place, text in enumerate(work.prompts)
        }
        engine = TransformersEngine(model, ChatTokenizer(tokenizer), TransformersEngineConfig())
        self.phases = Phases()
        self.collector = self._collector(engine, work, self.phases.phase)
        self._index = 0

    def round(self) -> dict[str, float]:
        """Take one; its seconds of CPU and of the clock."""
        self._index += 1
        cpu, wall = process_time(), perf_counter()
        new = list(self.questions.values())
        round_ = self.method.collect(self._index, new, TrainState(round=self._index - 1), self.collector)
        batches = self.method.batches(round_, SEED)
        compared = comparison(round_, batches, SEED, limit=1e-2)
        compared.score_others(self.learner)
        for batch in batches:
            self.learner.update(batch, compared.check)
        self.learner.publish()
        return {"cpu": process_time() - cpu, "wall": perf_counter() - wall}

    def _collector(
        self,
        engine: TransformersEngine,
        work: Work,
        phase: Callable[[str], AbstractContextManager[None]],
    ) -> Collector:
        return Collector(
            engine=engine,
            grader=Rewarding(work),
            teacher=None,
            compressor=FirstWords("teacher"),
            extractive=FirstWords("extractive"),
            templates=replace(load_templates("pocket"), plain=Template("$question")),
            special_tokens=(),
            sampling=SamplingConfig(max_response_tokens=work.response_tokens),
            seed=SEED,
            question=self.questions.__getitem__,
            phase=phase,
        )


def main() -> None:
    """Load, say so, and take rounds."""
    told, work = Told(), work_of(sys.argv)
    torch.set_num_threads(work.threads)
    rounds = OurRounds(
        AutoModelForCausalLM.from_pretrained(Path(work.model), dtype=torch.float32),
        AutoTokenizer.from_pretrained(Path(work.model)),
        work,
    )
    told.answer({name: version(name) for name in ("torch", "transformers")})
    while True:
        told.wait()
        told.answer(rounds.round())


if __name__ == "__main__":
    main()

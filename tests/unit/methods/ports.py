"""Ports for tests of the methods that the worlds of the reference do not have."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from schemas.config.models import DecodingConfig
from schemas.question import Question
from schemas.rollout import Compression
from tests.fakes.engine import EOS, ScriptedEngine
from tests.reference.product import collector_of, scripted_teacher
from tests.reference.world import World
from zppo.core.values import Original
from zppo.methods.base import Collector
from zppo.ports import (
    Finished,
    Generation,
    GenerationFailure,
    GenerationRequest,
    Grade,
    Shortened,
    TeacherAnswer,
    Visit,
)

WORDS = ["so", "then", "hence", "after", "v1", "v2", "v3"]


class SeededEngine:
    """A student whose response is a function of its seed; token ids are fixed beforehand."""

    def __init__(self) -> None:
        self._words = ScriptedEngine(lambda seed, _: self._text(int(seed)))
        answers = [rf"\boxed{{{answer}}}" for answer in ("Gold", "w1", "w2", "w3")]
        self._words.encode(" ".join([*WORDS, *answers]))
        self._answers = answers

    def encode(self, text: str) -> tuple[int, ...]:
        return tuple(map(ord, text))

    def tokenize(self, text: str) -> tuple[int, ...]:
        return tuple(map(ord, text))

    def words(self, token_ids: Iterable[int]) -> list[str]:
        return self._words.words(token_ids)

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        decoding: DecodingConfig,
        finished: Finished | None = None,
    ) -> list[tuple[Generation | GenerationFailure, ...]]:
        answers = [
            tuple(
                self._words.generate([GenerationRequest(str(seed), (1,), (seed,))], decoding)[0][0]
                for seed in request.seeds
            )
            for request in requests
        ]
        if finished is not None:
            for place, answer in enumerate(answers):
                finished(place, answer)
        return answers

    def _text(self, seed: int) -> str:
        random = Random(seed)
        return " ".join([*random.choices(WORDS, k=4), random.choice(self._answers)])


def seeded(world: World, seed: int = 5) -> Collector:
    """The ports of a world with a student that answers by its seeds alone."""
    teacher = scripted_teacher(world, lambda text: (*(ord(letter) for letter in text), EOS))
    return replace(collector_of(world, seed), engine=SeededEngine(), teacher=teacher)


@dataclass
class Backwards:
    """Every port at once, each asked for one thing at a time, the last first."""

    inner: Collector
    kind: Compression = field(default="teacher")

    def encode(self, text: str) -> tuple[int, ...]:
        return self.inner.engine.encode(text)

    def tokenize(self, text: str) -> tuple[int, ...]:
        return self.inner.engine.tokenize(text)

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        decoding: DecodingConfig,
        finished: Finished | None = None,
    ) -> list[tuple[Generation | GenerationFailure, ...]]:
        return [self.inner.engine.generate([each], decoding)[0] for each in requests[::-1]][::-1]

    def grade(self, responses: Sequence[tuple[Question, str]]) -> list[Grade]:
        return [self.inner.grader.grade([each])[0] for each in responses[::-1]][::-1]

    def respond(self, visits: Sequence[Visit]) -> list[TeacherAnswer]:
        assert self.inner.teacher is not None
        return [self.inner.teacher.respond([each])[0] for each in visits[::-1]][::-1]

    def compress(self, originals: Sequence[Original], seeds: Sequence[int]) -> list[Shortened]:
        pairs = list(zip(originals, seeds, strict=True))[::-1]
        return [self.inner.compressor.compress([original], [seed])[0] for original, seed in pairs][::-1]

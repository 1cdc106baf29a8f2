"""The whole recipe of a run, and the machine that it runs on."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from schemas.base import Config
from schemas.config.data import DataConfig
from schemas.config.endpoints import EndpointsConfig
from schemas.config.evaluation import (
    CheckpointConfig,
    EvaluationConfig,
    PromotionConfig,
    ValidationConfig,
)
from schemas.config.grader import GraderConfig, JudgeConfig, RuleGraderConfig, TeacherJudge
from schemas.config.learner import LearnerConfig, TorchLearnerConfig
from schemas.config.machine import HourlyPrice, LearnerMachines, VllmRuntime
from schemas.config.method import (
    Hint,
    MethodConfig,
    OffPolicy,
    OnPolicy,
    PolicyGradient,
    Reformulation,
    WithTeacher,
)
from schemas.config.models import (
    EngineConfig,
    ModelConfig,
    SamplingConfig,
    TransformersEngineConfig,
)
from schemas.config.teacher import NoTeacher, TeacherConfig


class RunConfig(Config):
    """What is computed. Covered by the run's fingerprint, unlike `Runtime`."""

    student: ModelConfig
    teacher: TeacherConfig = NoTeacher()
    data: DataConfig
    method: MethodConfig
    rounds: int = Field(ge=1)
    """Training steps of the method."""
    questions_per_round: int = Field(ge=1)
    """New questions a round, `|X_new|`; replayed questions and reformulated prompts come on top."""
    sampling: SamplingConfig = SamplingConfig()
    engine: EngineConfig = TransformersEngineConfig()
    learner: LearnerConfig = TorchLearnerConfig()
    grader: GraderConfig = RuleGraderConfig()
    judge: JudgeConfig | None = Field(default=None, exclude_if=lambda judge: judge is None)
    """Grades what rules cannot: questions of answer kind `free`. Without one they are bad rows."""
    validation: ValidationConfig = ValidationConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    checkpoints: CheckpointConfig = CheckpointConfig()
    promotion: PromotionConfig = PromotionConfig()
    sampler_drift_limit: float = Field(default=1e-2, gt=0.0)
    """Largest difference between the sampler's and the learner's log-probability of a token before a
    round stops: beyond it the sampler does not hold the current weights. bfloat16 needs a larger one."""
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _teacher_fits_method(self) -> Self:
        writes = self.teacher.type in ("model", "endpoint")
        if isinstance(self.method, OffPolicy | OnPolicy) and self.teacher.type != "model":
            only = ", which gives text only" if self.teacher.type == "endpoint" else ""
            raise ValueError(
                f"method {self.method.type!r} needs the teacher's logits, but teacher.type is "
                f"{self.teacher.type!r}{only}; choose 'model', or another method"
            )
        if isinstance(self.method, Hint) and not writes:
            raise ValueError(
                f"method {self.method.type!r} needs hints that the teacher writes, but teacher.type is "
                f"{self.teacher.type!r}; choose 'model' or 'endpoint', or another method"
            )
        if isinstance(self.method, OffPolicy) and self.teacher.type == "model" and self.teacher.only_hard:
            raise ValueError(
                f"method {self.method.type!r} learns from teacher responses to every question, but "
                "teacher.only_hard is true; set it to false"
            )
        if isinstance(self.method, WithTeacher) and self.teacher.type == "none":
            raise ValueError(
                f"method {self.method.type!r} asks a teacher, but teacher.type is 'none'; "
                "choose 'model', 'endpoint', 'reference' or 'recorded', or a method without a teacher"
            )
        if (
            isinstance(self.method, Reformulation)
            and self.method.compression.type == "teacher"
            and not writes
        ):
            raise ValueError(
                "method.compression.type 'teacher' needs teacher.type 'model' or 'endpoint', "
                f"not {self.teacher.type!r}; use 'extractive'"
            )
        return self

    @model_validator(mode="after")
    def _learner_fits_method(self) -> Self:
        if self.learner.importance_cap is not None and not isinstance(self.method, PolicyGradient):
            raise ValueError(
                f"learner.importance_cap weighs a policy gradient, but method {self.method.type!r} has none; "
                "remove it, or choose another method"
            )
        return self

    @model_validator(mode="after")
    def _judge_is_somebody(self) -> Self:
        if isinstance(self.judge, TeacherJudge) and self.teacher.type != "model":
            raise ValueError(
                f"judge.type 'teacher' needs teacher.type 'model', not {self.teacher.type!r}; "
                "for a judge behind an endpoint choose judge.type 'endpoint' and name its model"
            )
        return self

    @model_validator(mode="after")
    def _round_fills_its_updates(self) -> Self:
        if not isinstance(self.method, PolicyGradient):
            return self
        if self.questions_per_round < self.method.iterations:
            raise ValueError(
                f"questions_per_round is {self.questions_per_round}, but method.iterations is "
                f"{self.method.iterations}: each update needs a whole group; raise one or lower the other"
            )
        return self


class Runtime(Config):
    """Where and on what a run executes; never part of a fingerprint."""

    home: Path = Path("runs")
    """Root of the store, of the Prefect state and of the MLflow database."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`."""
    threads: int = Field(default=0, ge=0)
    """Torch threads; 0 leaves the choice to the program."""
    endpoints: EndpointsConfig = EndpointsConfig()
    """The chat endpoints that this machine may use, with their keys by reference."""
    generation_timeout_seconds: float = Field(default=1800.0, ge=0.0)
    """Longest time in which sampling may make no progress, not a single token, before a watchdog ends the
    process; the run is resumed at the round that it was in. 0 turns the watchdog off."""
    vllm: VllmRuntime = VllmRuntime()
    """Where vLLM serves the models whose engine is of type `vllm`."""
    learner: LearnerMachines | None = None
    """The machines of a learner of type `fsdp`; none: this one has all of its processes."""
    price: HourlyPrice | None = None
    """What reports charge for the time of the machine, or machines; none: time has no price."""

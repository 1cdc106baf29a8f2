"""What a teacher pool depends on in the recipe: for its identity, for forks, and to tell whose a pool is."""

from pydantic import JsonValue

from schemas.config.method import Hint, Reformulation, WithTeacher
from schemas.config.run import RunConfig
from schemas.config.teacher import NoTeacher, TeacherCompression


def draws_ahead(config: RunConfig) -> bool:
    """Whether the teacher's responses are drawn ahead of training, so that there is a pool."""
    teacher = config.teacher
    return (
        isinstance(config.method, WithTeacher) and not isinstance(teacher, NoTeacher) and teacher.visits > 0
    )


def pool_settings(config: RunConfig) -> dict[str, JsonValue]:
    """The settings behind a recipe's pool, by dotted name: equal ones let methods share it.

    What happens when the pool is dry is not among them.
    """
    assert draws_ahead(config), "only such recipes have a pool"
    method, teacher = config.method, config.teacher
    assert isinstance(method, WithTeacher)
    settings: dict[str, JsonValue] = {
        "teacher": teacher.model_dump(mode="json", exclude={"when_dry", "engine", "prices"}),
        "method.teacher_group_size": method.teacher_group_size,
        "data.seed": config.data.seed,
        "grader": config.grader.model_dump(mode="json"),
        **judge_settings(config, "evaluation"),
    }
    if isinstance(method, Reformulation) and isinstance(method.compression, TeacherCompression):
        settings["method.compression"] = method.compression.model_dump(mode="json")
    if isinstance(method, Hint):
        settings["method.max_hint_tokens"] = method.max_hint_tokens
    if not isinstance(teacher, NoTeacher) and teacher.only_hard:
        settings |= {"method.tau": method.tau, "method.group_size": method.group_size}
        settings["sampling"] = config.sampling.model_dump(mode="json")
    return settings


def judge_settings(config: RunConfig, *without: str) -> dict[str, JsonValue]:
    """The settings behind a recipe's verdicts, under `judge`; nothing without a judge."""
    if config.judge is None:
        return {}
    return {"judge": config.judge.model_dump(mode="json", exclude={"prices", *without})}


def named_inputs(config: RunConfig) -> dict[str, JsonValue]:
    """The same settings as inputs of the pool's identity; `responses` are a question's, over all visits."""
    inputs = {name.rsplit(".", 1)[-1]: value for name, value in pool_settings(config).items()}
    del inputs["teacher_group_size"]
    assert isinstance(config.method, WithTeacher)
    assert not isinstance(config.teacher, NoTeacher)
    return {**inputs, "responses": config.method.teacher_group_size * config.teacher.visits}

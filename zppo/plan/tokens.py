"""Tokens that the student reads and writes; those of the teacher and of the judge are in `writers`."""

from schemas.config.data import DataConfig, PocketSource, ReasoningGymSource, SourceConfig
from schemas.config.method import Augmentation, Replay
from schemas.config.run import RunConfig
from schemas.config.teacher import NoTeacher
from zppo.core.compose import share
from zppo.plan.estimates import Factor, Work, asked
from zppo.plan.lengths import Lengths


def train_questions(data: DataConfig) -> int | None:
    """Questions in the train split as far as the recipe says; None where only the data can tell."""
    most = [_most(source) for source in data.sources if source.role == "train"]
    known = [count for count in most if count is not None]
    if len(known) < len(most):
        return data.max_train
    left = max(0, sum(known) - data.validation_questions - data.test_questions)
    return left if data.max_train is None else min(left, data.max_train)


def replayed(config: RunConfig) -> int:
    """Questions from the replay buffer in a round, at most."""
    method = config.method
    return share(method.replay_fraction, config.questions_per_round) if isinstance(method, Replay) else 0


def helped(config: RunConfig) -> int:
    """Prompts besides the plain ones in a round, at most."""
    method = config.method
    if not isinstance(method, Augmentation):
        return 0
    return share(method.augment_fraction, config.questions_per_round)


def of_round(config: RunConfig, lengths: Lengths) -> Work:
    """Of one round."""
    questions = ("new + replayed", config.questions_per_round + replayed(config))
    rollouts = ("group_size", config.method.group_size)
    work = asked("plain", (questions, lengths.prompt), (questions, rollouts, lengths.response))
    if more := helped(config):
        prompts = ("prompts", more)
        work += asked("hard", (prompts, lengths.helped), (prompts, rollouts, lengths.response))
    return work


def of_run(config: RunConfig, lengths: Lengths) -> Work:
    """Of everything before, between and after the rounds."""
    work = Work()
    if not isinstance(config.teacher, NoTeacher) and config.teacher.only_hard:
        questions = ("training questions", pool_questions(config))
        rollouts = ("group_size", config.method.group_size)
        work += asked(
            "finding the hard", (questions, lengths.prompt), (questions, rollouts, lengths.response)
        )
    validation = (
        ("checkpoints", -(-config.rounds // config.checkpoints.every)),
        ("questions", config.validation.max_questions),
    )
    samples = ("samples", config.validation.samples)
    work += asked("validation", (*validation, lengths.prompt), (*validation, samples, lengths.evaluation))
    return work + evaluation(config, lengths, "evaluation", ("base and best checkpoint", 2))


def evaluation(
    config: RunConfig, lengths: Lengths, what: str, *times: Factor, prompt_each: bool = False
) -> Work:
    """The held-out questions answered so many times; with `prompt_each` a sample has a prompt of its own."""
    questions = ("questions", _test_questions(config))
    samples = ("samples", config.evaluation.samples)
    prompts = (*times, questions, samples) if prompt_each else (*times, questions)
    return asked(what, (*prompts, lengths.prompt), (*times, questions, samples, lengths.evaluation))


def pool_questions(config: RunConfig) -> int:
    """Questions that the teacher answers before training: the data's, or those of one pass of the rounds."""
    known = train_questions(config.data)
    return config.rounds * config.questions_per_round if known is None else known


def _test_questions(config: RunConfig) -> int:
    """At most; a source whose size only the data can tell counts as much as the test split."""
    data, limit = config.data, config.evaluation.max_questions
    outside = [_most(source) for source in data.sources if source.role == "evaluate"]
    sizes = [data.test_questions, *(data.test_questions if size is None else size for size in outside)]
    return sum(size if limit is None else min(size, limit) for size in sizes)


def _most(source: SourceConfig) -> int | None:
    """Questions that a source can give, as far as the recipe bounds them."""
    made = source.count if isinstance(source, PocketSource | ReasoningGymSource) else None
    bounds = [bound for bound in (made, source.max_questions) if bound is not None]
    return min(bounds, default=None)

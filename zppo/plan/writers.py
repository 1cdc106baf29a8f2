"""Tokens and money of the teacher and of the judge, over a whole run."""

from collections.abc import Iterable

from schemas.config.data import PocketSource, SourceConfig
from schemas.config.endpoints import Prices
from schemas.config.grader import EndpointJudge
from schemas.config.method import Hint, Reformulation, WithTeacher
from schemas.config.run import RunConfig
from schemas.config.teacher import EndpointTeacher, ModelTeacher
from zppo.plan import tokens
from zppo.plan.estimates import Estimate, Factor, Work, asked, figure, total
from zppo.plan.lengths import Lengths

INSTRUCTION_TOKENS = 512
"""Of a summary's, a hint's or a verdict's prompt, beside the texts that it holds; at most."""
VERDICT_TOKENS = 512
"""Longest verdict (`graders.judge.DECODING`)."""
ROOM = 2
"""Summaries and hints may be so many times their limit long before they are refused."""

Writer = ModelTeacher | EndpointTeacher


def teacher(config: RunConfig, lengths: Lengths) -> Work:
    """What the teacher reads and writes; nothing where it writes no text."""
    if not isinstance(config.teacher, Writer):
        return Work()
    work = Work()
    if isinstance(config.method, WithTeacher):
        work += _responses(config, config.teacher, config.method.teacher_group_size, lengths)
    work += _rewrites(config, config.teacher, lengths)
    if config.evaluation.teacher:
        work += tokens.evaluation(config, lengths, "evaluation", prompt_each=_asks_alone(config.teacher))
    return work


def judge(config: RunConfig, lengths: Lengths, student: Work, written: Work) -> Work:
    """What the judge reads and writes if every response that may reach it does.

    Args:
        config: The resolved recipe.
        lengths: Of prompts and responses.
        student: Besides the rounds.
        written: By the teacher.
    """
    if config.judge is None:
        return Work()
    work = Work()
    if any(_is_free(source) for source in config.data.sources if source.role == "train"):
        drawn = tokens.of_round(config, lengths).responses
        count = config.rounds * total(drawn) / lengths.response[1]
        if lengths.teacher[1]:
            count += sum(written.response(f"{what}: responses") for what in _VISITS) / lengths.teacher[1]
        work += _verdicts("training", ("responses", round(count)), lengths, lengths.response)
    if config.judge.evaluation:
        held_out = sum(student.response(f"{what}: responses") for what in ("validation", "evaluation"))
        count = (held_out + written.response("evaluation: responses")) / lengths.evaluation[1]
        work += _verdicts("evaluation", ("responses", round(count)), lengths, lengths.evaluation)
    return work


def money(config: RunConfig, taught: Work, judged: Work) -> Iterable[Estimate]:
    """What the endpoints of a recipe charge, by the prices that it states."""
    if isinstance(config.teacher, EndpointTeacher) and config.teacher.prices is not None:
        yield _price("teacher", taught, config.teacher.prices)
    if isinstance(config.judge, EndpointJudge) and config.judge.prices is not None:
        yield _price("judge", judged, config.judge.prices)


def _price(who: str, work: Work, prices: Prices) -> Estimate:
    read, written = total(work.prompts) / 1e6, total(work.responses) / 1e6
    how = (
        f"{figure(read)} M (prompt tokens) * {prices.input_per_million:g} + "
        f"{figure(written)} M (response tokens) * {prices.output_per_million:g}"
    )
    value = read * prices.input_per_million + written * prices.output_per_million
    return Estimate(f"{who} ({prices.currency})", value, "money", how)


_VISITS = ("pool", "online")


def _responses(config: RunConfig, writer: Writer, count: int, lengths: Lengths) -> Work:
    """Of the pool, and of the visits that it may not last for."""
    each = ("teacher_group_size", count)
    work = Work()
    if writer.visits:
        visits = (("training questions", tokens.pool_questions(config)), ("visits", writer.visits))
        work += _visits(writer, "pool", visits, each, lengths)
    if writer.when_dry == "online" and (dry := _dry_visits(config, writer)):
        online = (("visits beyond the pool", dry), lengths.hard)
        work += _visits(writer, "online", online, each, lengths)
    return work


def _visits(writer: Writer, what: str, visits: tuple[Factor, ...], each: Factor, lengths: Lengths) -> Work:
    """A prompt is paid for, or encoded, once where its responses share it."""
    prompts = (*visits, each, lengths.prompt) if _asks_alone(writer) else (*visits, lengths.prompt)
    return asked(what, prompts, (*visits, each, lengths.teacher))


def _asks_alone(writer: Writer) -> bool:
    """Whether each response is a request of its own."""
    return isinstance(writer, EndpointTeacher) and not writer.many_choices


def _dry_visits(config: RunConfig, writer: Writer) -> int:
    """Most visits that find the pool dry: of the passes beyond it, and of every replayed question."""
    fresh = config.rounds * config.questions_per_round
    beyond = max(0, fresh - writer.visits * tokens.pool_questions(config))
    hint_cap = tokens.helped(config) if isinstance(config.method, Hint) else None
    visits = beyond + config.rounds * tokens.replayed(config)
    return visits if hint_cap is None else min(visits, config.rounds * hint_cap)


def _rewrites(config: RunConfig, writer: Writer, lengths: Lengths) -> Work:
    """Summaries of candidates, or hints."""
    method, prompts = config.method, ("prompts", config.rounds * tokens.helped(config))
    if isinstance(method, Reformulation) and method.compression.type == "teacher":
        candidates = (prompts, lengths.candidates)
        read = (f"{lengths.response[0]} + instructions", lengths.response[1] + INSTRUCTION_TOKENS)
        return asked("summaries", (*candidates, read), (*candidates, ("room", ROOM), lengths.candidate))
    if isinstance(method, Hint):
        size = lengths.prompt[1] + lengths.teacher[1] + INSTRUCTION_TOKENS
        visits = ("visits", writer.visits * tokens.pool_questions(config) + _dry_visits(config, writer))
        written = ("room * max_hint_tokens", ROOM * method.max_hint_tokens)
        return asked("hints", (visits, ("question, response, instructions", size)), (visits, written))
    return Work()


def _verdicts(what: str, count: Factor, lengths: Lengths, response: Factor) -> Work:
    read = (
        f"{lengths.prompt[0]} + {response[0]} + instructions",
        lengths.prompt[1] + response[1] + INSTRUCTION_TOKENS,
    )
    return asked(what, (count, read), (count, ("longest verdict", VERDICT_TOKENS)))


def _is_free(source: SourceConfig) -> bool:
    return not isinstance(source, PocketSource) and source.answer_kind == "free"

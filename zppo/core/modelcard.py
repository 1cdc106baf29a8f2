"""The model card of a registered student, as Markdown with the fields that hubs read."""

from collections.abc import Iterator, Sequence

from schemas.promotion import AccuracyFact, DataFact, ModelFact, RegisteredCard

UNKNOWN = "unknown: fill in"


def model_card(card: RegisteredCard, reference: str, history: Sequence[str]) -> str:
    """The whole card.

    Args:
        card: What was recorded when the version was registered.
        reference: `models:/NAME/VERSION`.
        history: What became of the version since, a line each.
    """
    sections = [
        _front_matter(card),
        f"# {card.name} ({reference})",
        _opening(card),
        "## Accuracy\n\n" + _accuracy(card),
        "## Data\n\n" + "\n".join(_data(card)),
        "## Lineage\n\n" + "\n".join(_lineage(card, history)),
        "## Licences\n\n" + "\n".join(_licences(card)),
        "## Use\n\n" + _USE,
    ]
    return "\n\n".join(sections) + "\n"


_USE = """```
transformers: AutoModelForCausalLM.from_pretrained(DIR); AutoTokenizer.from_pretrained(DIR)
vLLM:         vllm serve DIR
```

The final answer stands in `\\boxed{}`. The prompts that it was trained on go through the chat template of the
tokenizer."""


def _front_matter(card: RegisteredCard) -> str:
    lines = ["---", f"license: {_quoted(card.student.licence)}", "library_name: transformers"]
    lines += ["pipeline_tag: text-generation", "tags: [zppo, reinforcement-learning]", "---"]
    return "\n".join(lines)


def _quoted(licence: str | None) -> str:
    return licence.lower() if licence else f"'{UNKNOWN}'"


def _opening(card: RegisteredCard) -> str:
    teacher = _teacher(card)
    return (
        f"A small language model, post-trained from `{card.student.model}` by `{card.method}`: the state "
        f"after round {card.lineage.round} of {card.rounds}, the best by validation. Teacher: {teacher}."
    )


def _teacher(card: RegisteredCard) -> str:
    if card.teacher is None:
        kinds = {
            "none": "none",
            "reference": "worked solutions of the data",
            "recorded": "recorded responses",
        }
        return kinds.get(card.teacher_type, card.teacher_type)
    return _model(card.teacher)


def _model(model: ModelFact) -> str:
    marks = [f"revision {model.revision}"] if model.revision else []
    marks += [model.digest] if model.digest else []
    return f"`{model.model}`" + (f" ({', '.join(marks)})" if marks else " (revision unknown: fill in)")


def _accuracy(card: RegisteredCard) -> str:
    models = list(dict.fromkeys(each.model for each in card.accuracies))
    places = list(dict.fromkeys(each.questions_of for each in card.accuracies))
    found = {(each.questions_of, each.model): each for each in card.accuracies}
    rows = [f"| questions | {' | '.join(models)} |", "| --- |" + " --- |" * len(models)]
    rows += [
        f"| {place} | {' | '.join(_cell(found.get((place, model))) for model in models)} |"
        for place in places
    ]
    how = card.decoding
    note = (
        f"Mean over questions, with {card.confidence:.0%} bootstrap intervals over questions. Every model "
        f"answered the same questions: temperature {how.temperature:g}, top_p {how.top_p:g}, top_k "
        f"{how.top_k}, at most {how.max_response_tokens} tokens. `student` is this model, `base` what "
        "it began from."
    )
    return "\n".join([*rows, "", note])


def _cell(fact: AccuracyFact | None) -> str:
    if fact is None:
        return "-"
    low, high = fact.interval.low, fact.interval.high
    return f"{fact.accuracy:.3f} [{low:.3f}, {high:.3f}], n = {fact.questions}"


def _data(card: RegisteredCard) -> Iterator[str]:
    yield "| source | role | read from | revision or digest | questions | licence |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for each in card.data:
        yield _data_row(each)
    yield ""
    yield f"Prepared data set {card.data_fingerprint}."


def _data_row(data: DataFact) -> str:
    cells = (data.name, data.role, data.origin, data.digest, str(data.questions), data.licence or UNKNOWN)
    return f"| {' | '.join(cells)} |"


def _lineage(card: RegisteredCard, history: Sequence[str]) -> Iterator[str]:
    lineage = card.lineage
    yield f"- run `{lineage.run}` (fingerprint {lineage.run_fingerprint}), round {lineage.round}"
    yield f"- began from {_model(card.student)}"
    yield f"- checkpoint {lineage.checkpoint_fingerprint}, weights SHA-256 {lineage.weights_sha256}"
    yield f"- evaluation {lineage.evaluation_fingerprint}"
    yield from (f"- {line}" for line in history)


def _licences(card: RegisteredCard) -> Iterator[str]:
    yield f"- student `{card.student.model}`: {card.student.licence or UNKNOWN}"
    if card.teacher is not None:
        yield f"- teacher `{card.teacher.model}`: {card.teacher.licence or UNKNOWN}"
    for each in card.data:
        yield f"- data `{each.name}`: {each.licence or UNKNOWN}"

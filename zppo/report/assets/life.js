// The life of one question: its visits, prompts, responses, and what the buffer did with it.

const EVENTS = { admit: "admitted to the buffer", graduate: "graduated from the buffer", evict: "evicted from the buffer" };
const KINDS = { plain: "Plain", bcq: "BCQ", ncq: "NCQ", hint: "Hint", prefix: "Prefix", extra: "Extra plain" };
const CLIPS = { low: "clipped below", high: "clipped above", dual: "clipped by the dual clip" };
const SERVED = { pool: "unused, from the pool", online: "drawn in this round", reused: "from the pool, used before" };
const USES = { bcq: "candidate of the BCQ", hint: "its hint is in the prompt", prefix: "its start is the forced prefix" };
const LEVELS = [0.9, 0.5, 0.1, 0.01, 0];
const TOKENS = 2000;

function chip(text, className) {
  return el("span", { class: "chip " + (className || "") }, text);
}

// A part that is filled when it is first opened.
function fold(summary, make, open) {
  const node = el("details", { open: Boolean(open) }, el("summary", {}, ...[summary].flat()));
  const fillIn = () => node.open && node.children.length === 1 && node.append(...[make()].flat());
  node.addEventListener("toggle", fillIn);
  if (open) node.append(...[make()].flat());
  return node;
}

function lifeOf(question) {
  const heading = el("h3", { tabindex: -1, id: "life-title" }, "Question ", inline(short(question.id, 80)));
  const close = el("button", { type: "button", class: "close", onclick: () => goTo("#questions") }, "Close");
  const facts = [
    `source ${question.source}`,
    question.kind === "all" ? "" : question.kind,
    question.fate,
    question.entry_accuracy === null ? "" : `entered the buffer at ${percent(question.entry_accuracy)}`,
    `${question.visits.length} visit${question.visits.length === 1 ? "" : "s"}`,
  ];
  return [
    el("div", { class: "life-head" }, heading, close),
    el("p", { class: "quiet" }, inline(facts.filter(Boolean).join(" · "))),
    block(question.text, "question"),
    ...question.choices.map((choice, place) => el("p", {}, `${String.fromCharCode(65 + place)}. `, inline(choice))),
    el("p", {}, "Gold answer: ", inline(question.answer, "answer")),
    question.reference_solution ? fold("Reference solution of the data", () => block(question.reference_solution)) : "",
    question.visits.length ? key() : el("p", {}, "It was not drawn in any committed round."),
    ...question.visits.map((visit) => visitCard(visit)),
  ];
}

function key() {
  const scale = LEVELS.map((level, place) => el("span", { class: `token p${place}` }, place === 0 ? "≥ 90%" : place === 4 ? "< 1%" : `≥ ${100 * level}%`));
  return el(
    "p",
    { class: "note key" },
    "Candidates in prompts: ",
    el("mark", { class: "teacher" }, "the teacher’s"),
    " ",
    el("mark", { class: "student" }, "the student’s"),
    ", marked for you only. Tokens by the probability with which they were sampled: ",
    ...scale.flatMap((span) => [span, " "]),
    el("span", { class: "token forced" }, "forced prefix"),
    ", not sampled and without gradient. Tokens whose gradient the update’s clipping took away: ",
    ...Object.entries(CLIPS).flatMap(([bound, name]) => [el("span", { class: `token clip-${bound}` }, name), " "]),
  );
}

function visitCard(visit) {
  const events = visit.events.map((event) => chip(EVENTS[event.event], `event-${event.event}`));
  return el(
    "article",
    { class: "visit" },
    el(
      "h4",
      {},
      `Round ${visit.round} `,
      chip(visit.replayed ? "replayed" : "new"),
      " ",
      chip(`plain accuracy ${percent(visit.accuracy)}`),
      ...events.flatMap((event) => [" ", event]),
    ),
    teacherPart(visit),
    ...visit.groups.map((group) => groupCard(group)),
    el("p", { class: "note" }, visit.update_note),
  );
}

function teacherPart(visit) {
  if (!visit.teacher.length) return el("p", { class: "note" }, `Teacher: ${visit.teacher_note}`);
  return fold(`Teacher responses: ${visit.teacher_note}`, () => visit.teacher.map(teacherResponse));
}

function teacherResponse(response) {
  const from = [response.served ? SERVED[response.served] : "", response.teacher ?? "", response.origin];
  const under = (title, text) => (text ? el("div", {}, el("p", { class: "quiet" }, title), block(text)) : "");
  return el(
    "div",
    { class: "response" },
    el(
      "p",
      {},
      chip(response.correct ? "correct" : "not correct", response.correct ? "right" : "wrong"),
      " answer ",
      inline(response.answer ?? "none", "answer"),
      ...response.used.flatMap((kind) => [" ", chip(USES[kind] ?? `used in the ${KINDS[kind]} prompt`, "used")]),
      ...(response.learned ? [" ", chip("learned from", "used")] : []),
      " ",
      el("span", { class: "quiet" }, inline(from.filter(Boolean).join(" · "))),
    ),
    response.text === null ? el("p", { class: "note" }, "Of its text the run keeps what stands in the prompt.") : block(response.text),
    under("its own summary", response.summary),
    under("its hint", response.hint),
  );
}

function groupCard(group) {
  const right = group.rollouts.filter((rollout) => rollout.reward === 1).length;
  const valid = group.rollouts.filter((rollout) => rollout.reward !== null).length;
  const prompt = group.prompt;
  const title = `Prompt as the student saw it, ${prompt.tokens.toLocaleString("en")} tokens`;
  return el(
    "section",
    { class: `group kind-${prompt.kind}` },
    el("h5", {}, chip(KINDS[prompt.kind], "kind"), ` ${right} of ${valid} right`),
    fold(title, () => promptView(prompt), prompt.kind !== "plain"),
    prompt.wrong_answers.length
      ? el("p", {}, "Listed as wrong: ", ...prompt.wrong_answers.flatMap((answer) => [inline(answer, "answer"), " "]))
      : "",
    prompt.forced_tokens
      ? el("p", {}, `Every response starts with ${prompt.forced_tokens} forced tokens`, prompt.forced_text ? ": " : ".", prompt.forced_text ? el("span", { class: "token forced" }, ...visible(prompt.forced_text)) : "")
      : "",
    el("div", { class: "rollouts" }, ...group.rollouts.map((rollout) => rolloutRow(rollout, prompt))),
  );
}

function promptView(prompt) {
  const box = el("div", { class: "text prompt", dir: "auto" });
  for (const segment of prompt.segments) {
    if (segment.author === null) box.append(el("span", {}, ...visible(segment.text)));
    else {
      const whose = segment.author === "teacher" ? "teacher" : "student";
      const label = `${whose}, ${segment.correct ? "correct" : "wrong"}`;
      box.append(el("mark", { class: whose }, ...clipped(segment.text), el("span", { class: "author" }, label)));
    }
  }
  const from = prompt.origins.length ? el("p", { class: "quiet" }, "Made from: ", inline(prompt.origins.join(", "))) : "";
  return [box, from];
}

// A candidate may be long; what is hidden can be opened.
function clipped(text) {
  if (text.length <= CLIP) return visible(text);
  const rest = el("span", {});
  const more = el("button", { type: "button", class: "more", onclick: () => (rest.replaceChildren(...visible(text.slice(cut(text, CLIP).length))), more.remove()) }, `show all ${text.length.toLocaleString("en")} characters`);
  return [...visible(cut(text, CLIP)), rest, more];
}

function rolloutRow(rollout, prompt) {
  const outcome = rollout.outcome.replaceAll("_", " ");
  const look = rollout.reward === 1 ? "right" : rollout.reward === 0 ? "wrong" : "failed";
  const summary = [
    el("span", { class: "place" }, `#${rollout.index}`),
    chip(outcome, look),
    el("span", { class: "cell" }, "reward ", el("b", {}, rollout.reward === null ? "–" : String(rollout.reward))),
    el("span", { class: "cell answer-cell" }, "answer ", inline(short(rollout.answer ?? "none", 40), "answer")),
    el("span", { class: "cell" }, "advantage ", el("b", { class: sign(rollout.advantage) }, advantage(rollout.advantage))),
    el("span", { class: "cell quiet" }, `${rollout.tokens.toLocaleString("en")} tokens`),
    rollout.clipped.length ? el("span", { class: "cell clip-count", title: clipTitle(rollout) }, clipCount(rollout)) : "",
    rollout.audit ? el("span", { class: "cell audit" }, rollout.audit) : "",
    rollout.verdict ? el("span", { class: "cell" }, `judge: ${rollout.verdict}`) : "",
  ];
  return fold(summary, () => [rollout.cause ? el("p", {}, "Cause: ", inline(rollout.cause)) : "", response(rollout, prompt)]);
}

const clipCount = (rollout) => `${rollout.clipped.reduce((sum, each) => sum + each.places.length, 0).toLocaleString("en")} clipped`;
const clipTitle = (rollout) => rollout.clipped.map((each) => `${each.places.length.toLocaleString("en")} ${CLIPS[each.bound]}`).join(", ");
const sign = (value) => (value > 0 ? "plus" : value < 0 ? "minus" : "zero");
const advantage = (value) => (value === null ? "–" : `${value > 0 ? "+" : ""}${value.toFixed(3)}`);

function response(rollout, prompt) {
  if (!rollout.pieces.length) return block(rollout.text);
  const box = el("div", { class: "text tokens", dir: "auto" });
  const bounds = new Map(rollout.clipped.flatMap((each) => each.places.map((place) => [place, each.bound])));
  const show = (count) => {
    box.replaceChildren();
    if (prompt.forced_text) box.append(el("span", { class: "token forced", title: "forced" }, ...visible(prompt.forced_text)));
    rollout.pieces.slice(0, count).forEach((piece, place) => box.append(token(piece, rollout.logprobs[place], bounds.get(place))));
    if (count < rollout.pieces.length) {
      const all = `show all ${rollout.pieces.length.toLocaleString("en")} tokens`;
      box.append(" … ", el("button", { type: "button", class: "more", onclick: () => show(rollout.pieces.length) }, all));
    }
  };
  show(rollout.pieces.join("").length > 10 * CLIP ? 20 : TOKENS);
  // The last token is usually the end of the sequence, which is no part of the text.
  const spelled = [rollout.pieces, rollout.pieces.slice(0, -1)].map((pieces) => ((prompt.forced_text ?? "") + pieces.join("")).trim());
  const asText = spelled.includes(rollout.text.trim()) ? "" : fold("As the grader read it", () => block(rollout.text));
  return el("div", {}, box, asText);
}

function token(piece, logprob, bound) {
  const probability = Math.exp(logprob);
  const level = LEVELS.findIndex((least) => probability >= least);
  const how = bound ? `, ${CLIPS[bound]} in the update: no gradient` : "";
  const title = `sampled with probability ${probability.toFixed(3)} (log ${logprob.toFixed(2)})${how}`;
  return el("span", { class: `token ${bound ? "clip-" + bound : "p" + level}`, title }, ...clipped(piece));
}

// The table of all questions: search, filters, and the way to a question's life.

const PAGE = 50;

// A row of the data: id, source, excerpt, entry accuracy, fate, visits of [round, accuracy, kinds].
function readQuestions(table) {
  return table.rows.map((row) => ({
    id: row[0],
    source: table.sources[row[1]],
    excerpt: row[2],
    entry: row[3],
    fate: table.fates[row[4]],
    visits: row[5].map((visit) => ({ round: visit[0], accuracy: visit[1], kinds: visit[2].map((kind) => table.kinds[kind]) })),
    full: row[6] === 1,
    haystack: `${row[0]}\n${table.sources[row[1]]}\n${row[2]}`.toLowerCase(),
  }));
}

function fill(select, values, label) {
  for (const value of values) select.append(el("option", { value }, label ? label(value) : value));
}

class QuestionTable {
  constructor(questions, kinds, open) {
    this.questions = questions;
    this.open = open;
    this.shown = PAGE;
    this.by = (id) => document.getElementById(id);
    fill(this.by("filter-source"), [...new Set(questions.map((each) => each.source))].sort());
    fill(this.by("filter-fate"), [...new Set(questions.map((each) => each.fate))].sort());
    const entries = [...new Set(questions.map((each) => each.entry).filter((entry) => entry !== null))];
    fill(this.by("filter-entry"), entries.sort((a, b) => a - b), percent);
    fill(this.by("filter-kind"), kinds, (kind) => kind.toUpperCase());
    this.by("filters").addEventListener("input", () => this.restart());
    this.by("filters").addEventListener("submit", (event) => event.preventDefault());
    this.by("more").addEventListener("click", () => this.showMore());
    this.restart();
  }

  matching() {
    const words = this.by("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const [source, fate, entry, kind] = ["source", "fate", "entry", "kind"].map((name) => this.by(`filter-${name}`).value);
    const full = this.by("filter-full").checked;
    return this.questions.filter(
      (each) =>
        (!source || each.source === source) &&
        (!fate || each.fate === fate) &&
        (entry === "" || String(each.entry) === entry) &&
        (!kind || each.visits.some((visit) => visit.kinds.includes(kind))) &&
        (!full || each.full) &&
        words.every((word) => each.haystack.includes(word)),
    );
  }

  restart() {
    this.shown = PAGE;
    this.found = this.matching();
    this.render();
  }

  showMore() {
    const first = this.shown;
    this.shown += PAGE;
    this.render();
    this.by("table").querySelectorAll("tbody button")[first]?.focus();
  }

  render() {
    const rows = this.found.slice(0, this.shown).map((each) => this.row(each));
    this.by("table").querySelector("tbody").replaceChildren(...rows);
    const total = this.questions.length.toLocaleString("en");
    this.by("count").textContent = `${this.found.length.toLocaleString("en")} of ${total} questions`;
    this.by("more").hidden = this.found.length <= this.shown;
  }

  row(each) {
    const open = el(
      "button",
      { type: "button", class: "open", "data-id": each.id, onclick: () => this.open(each.id) },
      inline(short(each.excerpt || each.id, 90)),
      el("span", { class: "quiet" }, inline(short(each.id, 40))),
    );
    const kinds = each.visits.flatMap((visit) => visit.kinds);
    const helped = [...new Set(kinds)].map((kind) => `${kind.toUpperCase()} ×${kinds.filter((other) => other === kind).length}`);
    return el(
      "tr",
      { class: each.full ? "full" : "" },
      el("td", {}, open),
      el("td", { "data-label": "source" }, inline(each.source)),
      el("td", { "data-label": "entered at" }, each.entry === null ? "–" : percent(each.entry)),
      el("td", { "data-label": "fate" }, el("span", { class: "fate fate-" + each.fate.replaceAll(" ", "-") }, each.fate)),
      el("td", { "data-label": "accuracy at each visit" }, visitBars(each.visits)),
      el("td", { "data-label": "helped" }, helped.join(", ") || "–"),
    );
  }
}

// Plain accuracy at each visit, as small columns with a text for those who do not see them.
function visitBars(visits) {
  if (!visits.length) return "–";
  const last = visits.slice(-16);
  const text = last.map((visit) => percent(visit.accuracy)).join(" → ");
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "visits");
  svg.setAttribute("viewBox", `0 0 ${last.length * 10} 24`);
  svg.setAttribute("width", last.length * 10);
  svg.setAttribute("height", 24);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", text);
  last.forEach((visit, place) => {
    const height = Math.max(2, 24 * (visit.accuracy ?? 0));
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    for (const [name, value] of Object.entries({ x: place * 10, y: 24 - height, width: 8, height })) bar.setAttribute(name, value);
    bar.setAttribute("class", visit.kinds.length ? "helped" : "plain");
    const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
    title.textContent = `round ${visit.round}: ${percent(visit.accuracy)}`;
    bar.append(title);
    svg.append(bar);
  });
  const more = visits.length > last.length ? `${visits.length} visits, the last ` : "";
  return el("span", { class: "visit-bars" }, svg, el("span", { class: "quiet" }, more + short(text, 60)));
}

// Starts the page: charts, table, the question that the address names, and refreshing while a run goes on.

const live = data("live");
const details = data("details") || {};

async function detailOf(id) {
  if (!live) return Object.hasOwn(details, id) ? details[id] : null;
  const answer = await fetch(`question?id=${encodeURIComponent(id)}`);
  return answer.ok ? answer.json() : null;
}

let opened = "";

// The address of a blob cannot change: MLflow shows the page as one, in a frame. There the page remembers it.
const isBlob = location.protocol === "blob:";
let remembered = location.hash;

const fragment = () => (isBlob ? remembered : location.hash);

function goTo(hash) {
  const there = fragment() === hash;
  if (isBlob) {
    remembered = hash;
    document.getElementById(hash.slice(1))?.scrollIntoView();
  } else if (!there) location.hash = hash; // which is heard of as `hashchange`
  if (isBlob || there) showLife();
}

function followInBlob(event) {
  const link = event.target.closest('a[href^="#"]');
  if (!link) return;
  event.preventDefault();
  goTo(link.getAttribute("href"));
}

async function showLife() {
  const life = document.getElementById("life");
  const id = questionInAddress();
  if (id === null) {
    life.replaceChildren();
    document.querySelector(`button[data-id="${CSS.escape(opened)}"]`)?.focus();
    return undefined;
  }
  opened = id;
  const detail = await detailOf(id);
  if (questionInAddress() !== id) return undefined;
  life.replaceChildren(...(detail ? lifeOf(detail) : notIncluded(id)));
  const heading = document.getElementById("life-title");
  heading.scrollIntoView({ block: "start" });
  heading.focus({ preventScroll: true });
  return undefined;
}

function questionInAddress() {
  if (!fragment().startsWith("#q=")) return null;
  try {
    return decodeURIComponent(fragment().slice(3));
  } catch {
    return null;
  }
}

function notIncluded(id) {
  const command = `zppo report ${document.body.dataset.run || "NAME"} --watch`;
  return [
    el("h3", { tabindex: -1, id: "life-title" }, "Question ", inline(short(id, 80))),
    el("p", {}, "Its full text is not in this file, which holds a sample. See the life of any question with ", el("code", {}, command), "."),
  ];
}

// While nothing is opened, a new round replaces the page; otherwise it offers to.
function watch() {
  const offer = el("button", { type: "button", class: "refresh", hidden: true, onclick: () => location.reload() }, "");
  document.body.append(offer);
  setInterval(async () => {
    let version;
    try {
      version = await (await fetch("version")).json();
    } catch {
      offer.textContent = "The server of this page has ended";
      offer.hidden = false;
      return;
    }
    if (version.version === live.version) return;
    if (questionInAddress() === null && !document.getElementById("search").value) location.reload();
    offer.textContent = "There is news of this run: show it";
    offer.hidden = false;
  }, live.seconds * 1000);
}

async function startQuestions(packed) {
  if (!window.DecompressionStream) {
    document.getElementById("count").textContent = "This browser cannot unpack the table of questions; take one of 2023 or later.";
    return;
  }
  const open = (id) => goTo(`#q=${encodeURIComponent(id)}`);
  const table = await unpack(packed);
  new QuestionTable(readQuestions(table), table.kinds, open);
  addEventListener("hashchange", showLife);
  await showLife();
}

async function start() {
  if (isBlob) document.addEventListener("click", followInBlob);
  startSmoothing(data("charts") || [], document.getElementById("smoothing"));
  if (live) watch();
  const packed = data("questions");
  if (packed) await startQuestions(packed);
  document.documentElement.dataset.ready = "yes";
}

start();

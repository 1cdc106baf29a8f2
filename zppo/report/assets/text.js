// Elements and text. Whatever comes from a model or from data becomes text nodes, never markup.

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

// Characters that show nothing, or turn what follows around: all controls but tab and line feed, the marks
// and isolates of bidirectional text, zero-width ones, separators, and halves of pairs.
const INVISIBLE =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/gu;

function codePoint(character) {
  return "U+" + character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
}

// The text as nodes, with invisible characters named.
function visible(text) {
  const nodes = [];
  let start = 0;
  for (const found of text.matchAll(INVISIBLE)) {
    if (found.index > start) nodes.push(document.createTextNode(text.slice(start, found.index)));
    nodes.push(el("span", { class: "control", title: "a character that shows nothing" }, codePoint(found[0])));
    start = found.index + found[0].length;
  }
  if (start < text.length) nodes.push(document.createTextNode(text.slice(start)));
  return nodes;
}

// Cut between characters, not inside one.
function cut(text, limit) {
  const high = text.charCodeAt(limit - 1);
  return text.slice(0, high >= 0xd800 && high <= 0xdbff ? limit - 1 : limit);
}

const CLIP = 1500;

// A block of text of any length and content; its direction stays its own.
function block(text, className) {
  const box = el("div", { class: "text " + (className || ""), dir: "auto" });
  if (text.length <= CLIP) {
    box.append(...visible(text));
    return box;
  }
  const more = el(
    "button",
    {
      type: "button",
      class: "more",
      onclick: () => box.replaceChildren(...visible(text)),
    },
    `show all ${text.length.toLocaleString("en")} characters`,
  );
  box.append(...visible(cut(text, CLIP)), "… ", more);
  return box;
}

function inline(text, className) {
  return el("bdi", { class: "inline " + (className || "") }, ...visible(text));
}

function short(text, limit) {
  return text.length > limit ? cut(text, limit) + "…" : text;
}

const percent = (value) => (value === null || value === undefined ? "–" : `${Number((100 * value).toFixed(1))}%`);

// What the page holds as gzip, in base64.
async function unpack(packed) {
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}

function data(name) {
  const node = document.getElementById("data-" + name);
  return node ? JSON.parse(node.textContent) : null;
}

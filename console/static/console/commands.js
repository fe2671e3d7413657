// The command screen: the list and one command stay true while things happen, and nothing moves under the hand.

import { onResync, onTopic } from "./live.js";
import { proofChart } from "./commands_proof.js";
import { paced } from "./pace.js";
import { answered, fetched } from "./renew.js";

const root = document.querySelector("[data-commands]");
const list = document.getElementById("list");
const pane = document.getElementById("command");
const NEWS_MS = 500, LIFE_MS = 250; // what changes meanwhile is fetched together
const AWAY_MS = 10_000;
const MOST_ROWS = 100;

const life = () => document.getElementById("life");
const rowOf = (id) => document.getElementById(`row-${id}`);
const filters = () => new URLSearchParams(list.querySelector("#news")?.dataset.query ?? "");

// --- the list ---------------------------------------------------------------------------------------------------------

const changed = new Set();
const rowsSoon = paced(async () => {
  const ids = [...changed].filter((one) => rowOf(one)).slice(0, MOST_ROWS);
  changed.clear();
  return ids.length ? showRows(ids) : undefined;
}, NEWS_MS);
const something = paced(countNews, NEWS_MS);

function rowChanged(id) {
  changed.add(id);
  rowsSoon();
}

async function showRows(ids) {
  const query = filters();
  query.set("ids", ids.join(","));
  if (life()) query.set("chosen", life().dataset.id);
  const text = await fetched(`${root.dataset.rows}?${query}`);
  if (!text) {
    if (text === false) ids.forEach((id) => changed.add(id));
    return text;
  }
  const made = new DOMParser().parseFromString(text, "text/html");
  for (const fresh of made.querySelectorAll("a[data-id]")) {
    const old = rowOf(fresh.dataset.id);
    const chip = old?.querySelector(".chip"), now = fresh.querySelector(".chip");
    if (!chip || chip.outerHTML === now.outerHTML) continue;
    now.classList.add("changed");
    chip.replaceWith(now); // in place: the row keeps its focus and its size
  }
  return true;
}

async function countNews() {
  const news = list.querySelector("#news");
  if (!news?.dataset.than) return undefined;
  const query = filters();
  query.set("than", news.dataset.than);
  const text = await fetched(`${root.dataset.news}?${query}`);
  if (typeof text === "string" && news.isConnected) news.innerHTML = text.trim();
  return text;
}

// New ones come in when asked for, or when nobody points at the list or works in it.
let away = performance.now();
for (const name of ["pointermove", "focusin", "wheel", "keydown"]) {
  list.addEventListener(name, () => { away = performance.now(); }, { passive: true });
}
setInterval(() => {
  const busy = list.matches(":hover, :focus-within") || list.querySelector("dialog[open]") || list.scrollTop > 40;
  if (busy || document.hidden || performance.now() - away < AWAY_MS) return;
  if (list.querySelector("[data-new]")) refreshList();
}, 1000);

function refreshList() {
  const query = filters();
  query.delete("before");
  const text = query.toString();
  const address = location.pathname + (text ? `?${text}` : "");
  return answered("GET", address, { target: "#list", swap: "innerHTML" });
}

list.addEventListener("click", (event) => {
  const more = event.target.closest("[data-new]");
  if (!more || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  refreshList().then(() => list.scrollTo({ top: 0 }));
});

// --- one command ------------------------------------------------------------------------------------------------------

const lifeSoon = paced(refreshLife, LIFE_MS);

function lifeChanged(id) {
  if (life()?.dataset.id === String(id)) lifeSoon();
}

/** The command as the database holds it now; what is chosen, typed or selected in its page stays. */
async function refreshLife() {
  const old = life();
  if (!old || document.querySelector("#dialogs dialog[open]")) return undefined;
  if (!getSelection().isCollapsed && old.contains(getSelection().anchorNode)) return lifeChanged(old.dataset.id);
  const text = await fetched(old.dataset.self, { "HX-Target": "command" });
  if (!text || life() !== old) return text;
  const made = new DOMParser().parseFromString(text, "text/html");
  const fresh = made.getElementById("life");
  if (!fresh) return undefined;
  const before = new Set([...old.querySelectorAll(".tl > li:not(.ahead)")].map((one) => one.textContent));
  for (const line of fresh.querySelectorAll(".tl > li:not(.ahead)")) {
    if (!before.has(line.textContent)) line.classList.add("new");
  }
  const wasMarked = old.querySelector(".upd:not([hidden])");
  if (fresh.dataset.mark !== old.dataset.mark || wasMarked) fresh.querySelector(".upd").hidden = false;
  const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  old.replaceWith(fresh);
  window.htmx.process(fresh);
  if (focused) fresh.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  const side = made.getElementById("side"), shown = document.getElementById("side");
  for (const [index, section] of [...(side?.querySelectorAll(":scope > .sec") ?? [])].entries()) {
    const kept = shown?.querySelectorAll(":scope > .sec")[index];
    if (!kept || section.id === "message") continue;
    for (const part of section.querySelectorAll(":scope > dl, :scope > .pft, :scope > .row")) {
      const place = kept.querySelector(`:scope > ${part.localName}${part.classList.length ? `.${part.classList[0]}` : ""}`);
      if (place) place.replaceWith(part);
      else kept.append(part);
    }
  }
  refreshMessages(made);
  proofChart(document.getElementById("proof-chart"), { again: true });
  return true;
}

/** Messages that came since; the one that is read stays open. */
function refreshMessages(made) {
  const fresh = made.querySelector("#message .msgs"), shown = document.querySelector("#message .msgs");
  if (!fresh || !shown) return;
  const open = shown.querySelector("[aria-current]")?.dataset.key;
  for (const one of fresh.querySelectorAll("a")) {
    if (one.dataset.key === open) one.setAttribute("aria-current", "true");
    else one.removeAttribute("aria-current");
  }
  shown.replaceWith(fresh);
  window.htmx.process(fresh);
}

document.body.addEventListener("htmx:afterSwap", (event) => {
  const { target } = event.detail;
  if (target.id === "command") {
    root.classList.add("has-one");
    document.querySelectorAll("#dialogs dialog[open]").forEach((dialog) => dialog.close());
    mark();
    proofChart(document.getElementById("proof-chart"));
    if (window.matchMedia("(max-width: 1180px)").matches) window.scrollTo({ top: 0 });
  }
  if (target.id === "list") mark();
  if (target.id === "message") document.getElementById("message").scrollIntoView({ block: "nearest" });
});

/** The row of the command that is open. */
function mark() {
  const id = life()?.dataset.id;
  for (const row of list.querySelectorAll(".rws > a")) {
    if (row.dataset.id === id) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
  const crumb = document.querySelector("[data-crumb]");
  if (crumb && id) crumb.textContent = `#${id}`;
}

addEventListener("popstate", () => location.reload());

// J and K move through the list; Enter opens, being a link.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
  const step = { j: 1, k: -1 }[event.key.toLowerCase()];
  if (!step) return;
  const rows = [...list.querySelectorAll(".rws > a")];
  if (!rows.length) return;
  const here = rows.indexOf(document.activeElement.closest?.(".rws > a"));
  const from = here >= 0 ? here : rows.findIndex((row) => row.hasAttribute("aria-current"));
  const next = rows[Math.min(Math.max(from + step, 0), rows.length - 1)];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
});

onTopic("command", null, ({ data }) => {
  if (rowOf(data.id)) rowChanged(data.id);
  else something();
  lifeChanged(data.id);
});
onTopic("diagnosis", null, ({ data }) => lifeChanged(data.command));
onResync(() => {
  const rows = [...list.querySelectorAll(".rws > a")].map((row) => row.dataset.id);
  rows.slice(0, MOST_ROWS).forEach(rowChanged);
  something();
  lifeSoon();
});
proofChart(document.getElementById("proof-chart"));
if (pane.firstElementChild?.id === "life") mark();

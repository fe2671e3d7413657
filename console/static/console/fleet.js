// The fleet's list: live values in place, rows refreshed one by one and never re-sorted, selection, peek, keys.

import "./acting_hold.js";
import { onResync, onTopic } from "./live.js";
import { paced } from "./pace.js";
import { answered, fetched } from "./renew.js";
import { batteryWord, fixed, gridWord, say, setText, showPower, t, tn } from "./words.js";

const card = document.querySelector("section.fleet");
const changed = document.getElementById("fleet-changed");
const sheet = document.getElementById("sheet");
const list = () => document.getElementById("fleet-list");
const rowOf = (id) => document.getElementById(`p${id}`);
const rows = () => [...document.querySelectorAll("tr.pr")];
const FIELDS = [["grid", "grid_kw"], ["pv", "pv_kw"], ["battery", "battery_kw"], ["load", "load_kw"], ["soc", "soc_pct"]];
const TOP_EVERY_MS = 10_000, ROWS_EVERY_MS = 30_000, DAY_EVERY_MS = 60_000, CALM_MS = 10_000, RENEW_EVERY_MS = 400;

// --- live values: only what changed is touched ---------------------------------------------------------------------

function bar(rect, kw, size, taking, giving) {
  if (!rect || kw === null || kw === undefined) return;
  const width = Math.min(50, (Math.abs(kw) / size) * 50);
  rect.setAttribute("x", `${(kw > 0 ? 50 - width : 50).toFixed(1)}%`);
  rect.setAttribute("width", `${width.toFixed(1)}%`);
  rect.setAttribute("class", `bar ${kw > 0 ? taking : giving}`);
}

export function showTile(row, tile) {
  const field = (name) => row.querySelector(`[data-f="${name}"]`);
  const power = (name, kw) => { const at = field(name); if (at && kw !== undefined) showPower(at, kw); };
  power("grid", tile.grid_kw);
  power("pv", tile.pv_kw);
  power("battery", tile.battery_kw);
  power("load", tile.load_kw);
  const word = (name, text) => { const at = field(name); if (at && text) setText(at, text); };
  word("grid-word", gridWord(tile.grid_kw));
  word("battery-word", batteryWord(tile.battery_kw));
  bar(field("grid-bar"), tile.grid_kw, Number(row.dataset.grid), "imp", "exp");
  bar(field("battery-bar"), tile.battery_kw, Number(row.dataset.battery), "chg", "dis");
  if (typeof tile.soc_pct === "number") {
    const soc = field("soc");
    if (soc?.firstChild?.nodeType === Node.TEXT_NODE) soc.firstChild.data = fixed(tile.soc_pct);
    field("soc-bar")?.setAttribute("width", `${Math.min(100, Math.max(0, tile.soc_pct)).toFixed(1)}%`);
  }
  const age = row.querySelector(".c-fr time");
  if (age && tile.measured_at) age.dateTime = tile.measured_at;
}

function onTile(event) {
  const tile = event.data, row = rowOf(event.key);
  if (!row) return;
  // What was silent speaks again, a value comes or goes, the mode is another: the row says more than numbers then.
  const comesOrGoes = FIELDS.some(([name, key]) => key in tile && (tile[key] !== null) !== Boolean(row.querySelector(`[data-f="${name}"]`)));
  if (row.classList.contains("old") || comesOrGoes || "mode" in tile) renew(row.dataset.id);
  else showTile(row, tile);
}

// --- rows that changed: fetched anew, each at its place ------------------------------------------------------------

const waiting = new Set();
const renewSoon = paced(fetchRows, RENEW_EVERY_MS);
function renew(id) {
  waiting.add(String(id));
  renewSoon();
}
async function fetchRows() {
  const ids = [...waiting].filter(rowOf).slice(0, 50);
  waiting.clear();
  if (!ids.length) return undefined;
  const text = await fetched(`${card.dataset.rows}?ids=${ids.join(",")}`);
  if (!text) {
    if (text === false) for (const id of ids) waiting.add(id);
    return text;
  }
  const holder = document.createElement("template");
  holder.innerHTML = text;
  let done = 0;
  for (const fresh of holder.content.querySelectorAll("tr.pr")) {
    replace(fresh);
    // A page of rows at once would hold up a frame.
    if (++done % 5 === 0 && !document.hidden) await new Promise(requestAnimationFrame);
  }
  return true;
}
function replace(fresh) {
  const row = rowOf(fresh.dataset.id);
  if (!row) return;
  const field = row.querySelector(".pick input"), focused = row.contains(document.activeElement);
  if (document.getSelection()?.containsNode(row, true) && !document.getSelection().isCollapsed) return;
  fresh.querySelector(".pick input").checked = field.checked;
  fresh.classList.toggle("at", row.classList.contains("at"));
  const moves = said(row) !== said(fresh);
  row.replaceWith(fresh);
  window.htmx?.process(fresh);
  if (focused) fresh.querySelector(".pl a").focus();
  if (moves) {
    fresh.querySelector(".c-pc").classList.add("changed");
    noteChange(fresh.dataset.id);
  }
}
const said = (row) => row.querySelector(".sev").innerHTML + row.querySelector(".c-pc").textContent.replace(/[\d.,:]+/g, "");

// What no event tells: a plant fell silent, drifts from its plan, an override's minutes run down.
function refreshRows() {
  if (!document.hidden) for (const row of rows()) renew(row.dataset.id);
}

// --- order: told, and refreshed by a person, or when nobody looks at the list closely ----------------------------

const moved = new Set();
let pointerIn = false, calmSince = performance.now();
function noteChange(id) {
  moved.add(String(id));
  calmSince = performance.now();
  showMoved();
}
function showMoved() {
  if (!changed) return;
  changed.hidden = moved.size === 0;
  setText(changed, tn("{n} changed, refresh", "{n} changed, refresh", moved.size));
}
function refreshList() {
  moved.clear();
  showMoved();
  answered("GET", location.pathname + location.search, { source: "#fleet-list", target: "#fleet-list", swap: "outerHTML" });
}
changed?.addEventListener("click", () => { refreshList(); say(t("The list is in order again")); });
card?.addEventListener("pointerenter", () => { pointerIn = true; });
card?.addEventListener("pointerleave", () => { pointerIn = false; calmSince = performance.now(); });
function refreshWhenCalm() {
  const busy = pointerIn || card.contains(document.activeElement) || !sheet.hidden || picked().length > 0
    || !document.getSelection().isCollapsed || document.querySelector("dialog[open]");
  if (moved.size && !busy && performance.now() - calmSince > CALM_MS) refreshList();
}

// --- the top: totals and cards --------------------------------------------------------------------------------------

let dayAt = performance.now();
function refreshTop() {
  if (document.hidden || !window.htmx) return;
  const top = document.getElementById("fleet-top");
  if (top && !top.contains(document.activeElement)) window.htmx.trigger(top, "refresh");
  const day = document.getElementById("fleet-day");
  if (day && performance.now() - dayAt > DAY_EVERY_MS) {
    dayAt = performance.now();
    window.htmx.trigger(day, "refresh");
  }
}

// --- selection --------------------------------------------------------------------------------------------------------

const boxes = () => [...document.querySelectorAll(".pr .pick input")];
const picked = () => boxes().filter((box) => box.checked);
function showPicked() {
  const number = picked().length, bar = document.querySelector(".picked");
  if (!bar) return;
  bar.hidden = number === 0;
  card.classList.toggle("picking", number > 0);
  setText(bar.querySelector("[data-picked]"), tn("{n} selected", "{n} selected", number));
  const all = document.querySelector("[data-pick-page]");
  if (all) { all.checked = number > 0 && number === boxes().length; all.indeterminate = number > 0 && !all.checked; }
}
let lastBox = null;
card?.addEventListener("click", (event) => {
  // The whole cell ticks: a finger is wider than a box.
  if (event.target.matches("td.pick")) return event.target.querySelector("input").click();
  const box = event.target.closest(".pick input");
  if (box?.matches("[data-pick-page]")) for (const one of boxes()) one.checked = box.checked;
  else if (box) {
    if (event.shiftKey && lastBox?.isConnected) {
      const every = boxes(), [low, high] = [every.indexOf(lastBox), every.indexOf(box)].sort((a, b) => a - b);
      for (const one of every.slice(low, high + 1)) one.checked = box.checked;
    }
    lastBox = box;
  } else if (event.target.closest("[data-clear]")) for (const one of boxes()) one.checked = false;
  else return undefined;
  return showPicked();
});

// --- peek and keys ----------------------------------------------------------------------------------------------------

let cameFrom = null;
async function peek(id) {
  const url = card.dataset.peek.replace(/\/0\/$/, `/${id}/`);
  cameFrom = rowOf(id)?.querySelector(".pl a") ?? null;
  if (!await answered("GET", url, { source: "#sheet", target: "#sheet", swap: "innerHTML" }) || !sheet.firstElementChild) return;
  sheet.hidden = false;
  sheet.querySelector("[data-focus]")?.focus();
}
function closeSheet() {
  if (sheet.hidden) return;
  sheet.hidden = true;
  sheet.replaceChildren();
  cameFrom?.focus();
}
sheet?.addEventListener("click", (event) => { if (event.target.closest("[data-close-sheet]")) closeSheet(); });
document.addEventListener("click", (event) => {
  const cancel = event.target.closest("dialog [data-cancel]");
  if (cancel) { event.preventDefault(); cancel.closest("dialog").close(); }
  const open = document.querySelector(".filt[open]");
  if (open && !open.contains(event.target)) open.open = false;
});
function step(by) {
  const all = rows();
  const at = all.findIndex((row) => row.classList.contains("at"));
  const next = all[Math.min(all.length - 1, Math.max(0, at + by))];
  if (!next) return;
  all[at]?.classList.remove("at");
  next.classList.add("at");
  next.querySelector(".pl a").focus();
  next.scrollIntoView({ block: "nearest" });
  if (!sheet.hidden) peek(next.dataset.id);
}
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    closeSheet();
    document.querySelector(".filt[open]")?.removeAttribute("open");
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
  const key = event.key.toLowerCase();
  if (key === "j") step(1);
  else if (key === "k") step(-1);
  else if (event.key === " " && !event.target.closest("button, summary")) {
    const row = event.target.closest("tr.pr") ?? document.querySelector("tr.pr.at");
    if (!row) return;
    event.preventDefault();
    if (sheet.hidden) peek(row.dataset.id); else closeSheet();
  }
});

// --- joining: what is live, and what comes anew after a swap ----------------------------------------------------------

let leave = [];
function listen() {
  for (const stop of leave) stop();
  const ids = rows().map((row) => row.dataset.id), ofThese = ids.map((id) => `p${id}`);
  leave = [];
  if (!ids.length) return undefined;
  leave.push(onTopic("plant", ids, onTile));
  for (const topic of ["command", "plan", "diagnosis"]) leave.push(onTopic(topic, ofThese, onRowEvent));
  for (const topic of ["alarm", "override", "latch"]) leave.push(onTopic(topic, null, onRowEvent));
  leave.push(onTopic("link", null, refreshTop));
  leave.push(onResync(() => { for (const id of ids) renew(id); refreshTop(); }));
}
function onRowEvent(event) {
  const id = event.data.plant;
  if (id === undefined || id === null) return;
  if (rowOf(id)) renew(id);
  else noteChange(id);
}
function joined() {
  calmSince = performance.now();
  moved.clear();
  showMoved();
  showPicked();
  listen();
}
if (card) {
  document.body.addEventListener("htmx:afterSettle", (event) => { if (event.detail.target.id === "fleet-list") joined(); });
  setInterval(refreshTop, TOP_EVERY_MS);
  setInterval(refreshRows, ROWS_EVERY_MS);
  setInterval(refreshWhenCalm, 1000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refreshTop(); });
  joined();
}

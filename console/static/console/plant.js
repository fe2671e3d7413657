// A plant's page: its chart is loaded after the page, then everything follows the live values.

import { dayChart } from "./day_chart.js";
import { fillTable } from "./day_chart_tip.js";
import { Flow } from "./flow.js";
import { onResync, onTopic } from "./live.js";
import { paced } from "./pace.js";
import { fetched } from "./renew.js";
import { serverNow, setText, t } from "./words.js";

const RENEW_ASSETS_MS = 2000;
const RENEW_LAST_MS = 400;
const RENEW_CHART_MS = 5000;
const grid = document.querySelector("[data-plant]");
const plant = Number(grid.dataset.plant);

// --- the chart --------------------------------------------------------------------------------------------------------

const card = document.getElementById("day");
const place = card.querySelector("[data-chart]");
const words = card.querySelector("[data-words]");
const failed = card.querySelector("[data-failed]");
const whole = card.querySelector("[data-whole]");
const table = document.getElementById("day-table");
const tableButton = card.querySelector("[data-table]");
let chart = null;
let shown = null; // the span that is drawn, null = the whole day
let asked = 0;

async function load(span = null) {
  const turn = (asked += 1);
  const query = new URLSearchParams({ width: Math.round(place.clientWidth - 90) || 640 });
  if (span) {
    query.set("from", Math.round(span.from));
    query.set("to", Math.round(span.to));
  } else query.set("day", card.dataset.day);
  failed.hidden = true;
  let data;
  try {
    const answer = await fetch(`${card.dataset.path}?${query}`, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(`answered ${answer.status}`);
    data = await answer.json();
  } catch (problem) {
    if (turn === asked) fail(problem);
    return;
  }
  if (turn !== asked) return;
  shown = span;
  show(data, span !== null);
}

function fail(problem) {
  failed.hidden = false;
  failed.title = String(problem.message ?? problem);
  if (!chart) place.querySelector(".skel")?.setAttribute("hidden", "");
}

function show(data, zoomed) {
  if (chart) chart.replace(data);
  else {
    place.replaceChildren();
    chart = dayChart(place, data, {
      open: (command) => location.assign(card.dataset.command.replace("/0/", `/${command}/`)),
      zoom: (from, to) => load(clamped(from, to)),
    });
  }
  whole.hidden = !zoomed;
  setText(words, data.summary);
  for (const cell of table.querySelectorAll("[data-soc-column]")) cell.hidden = !data.has_battery;
  setText(card.querySelector("[data-unit]"), chart.unit);
  if (!table.hidden) fill();
}

/** At least ten minutes are shown. */
function clamped(from, to) {
  const least = 10 * 60_000;
  const more = Math.max(0, least - (to - from)) / 2;
  return { from: from - more, to: to + more };
}

function fill() {
  const { from, to } = chart.data;
  const minutes = to - from > 6 * 3_600_000 ? 15 : to - from > 3_600_000 ? 5 : 1;
  fillTable(table.querySelector("tbody"), chart, minutes);
}

tableButton.addEventListener("click", () => {
  table.hidden = !table.hidden;
  tableButton.setAttribute("aria-expanded", String(!table.hidden));
  if (!table.hidden && chart) fill();
});
whole.addEventListener("click", () => load());
card.querySelector("[data-again]").addEventListener("click", () => load());
card.querySelector(".day-input").addEventListener("change", (event) => {
  if (event.target.value) event.target.form.requestSubmit();
});

// The arrows go along the chart by a slot, Enter opens what was commanded there, Escape leaves it.
let pointed = null;
place.addEventListener("keydown", (event) => {
  if (!chart) return;
  const { from, to } = chart.data;
  const step = Math.max(60_000, Math.round((to - from) / 96 / 60_000) * 60_000);
  const moves = { ArrowLeft: -step, ArrowRight: step, PageUp: -4 * step, PageDown: 4 * step };
  if (event.key in moves) {
    event.preventDefault();
    const begin = pointed ?? Math.min(Math.max(serverNow(), from), to - step) - moves[event.key];
    pointed = Math.min(Math.max(begin + moves[event.key], from), to - 1);
    chart.point(pointed);
  } else if (event.key === "Enter" && pointed !== null) chart.open(pointed);
  else if (event.key === "Escape" && pointed !== null) {
    pointed = null;
    chart.point(null);
  }
});
place.addEventListener("blur", () => {
  pointed = null;
  chart?.point(null);
});
load();

// What was asked of the plant is another: commanded, planned and overrides are drawn anew, never under a drawn span.
let isDrawing = false;
let isBehind = false;
const renewChart = paced(async () => {
  isBehind = document.hidden || isDrawing;
  if (isBehind) return undefined;
  await load(shown);
  return failed.hidden;
}, RENEW_CHART_MS);
const catchUp = () => { if (isBehind && !document.hidden) renewChart(); };
place.addEventListener("pointerdown", () => { isDrawing = true; });
for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => { isDrawing = false; catchUp(); });
document.addEventListener("visibilitychange", catchUp);
for (const topic of ["command", "override", "plan", "latch"]) onTopic(topic, [`p${plant}`], renewChart);

// --- live values ------------------------------------------------------------------------------------------------------

const flow = new Flow(document.getElementById("flow"));
const badge = document.querySelector(".plant-head [data-fresh] time");

// What is told of a plant is a sample, or its mode alone.
onTopic("plant", [plant], (event) => {
  const tile = event.data;
  if (tile.measured_at) {
    if (!flow.drawn || !badge) return location.reload(); // the first sample ever: the page has another shape now
    showSample(tile);
    if (chart) chart.append({ at: Date.parse(tile.measured_at), grid_kw: tile.grid_kw, soc_pct: tile.soc_pct });
    renewAssets();
  }
  const mode = document.querySelector(".plant-head [data-mode]");
  if (tile.mode) {
    mode.hidden = false;
    setText(mode, label(tile.mode));
  }
  return undefined;
});
setInterval(() => flow.refresh(serverNow()), 5000);

/** The flow, its age and quality; not of a sample that is older than the one that stands there. */
function showSample(tile) {
  if (Date.parse(tile.measured_at) < flow.measured) return;
  flow.show(tile);
  badge.dateTime = tile.measured_at;
  const quality = document.querySelector(".plant-head [data-quality]");
  if ("quality" in tile) {
    quality.hidden = !tile.quality || tile.quality === "GOOD";
    setText(quality, quality.dataset[tile.quality?.toLowerCase()] ?? tile.quality ?? "");
  }
}

const label = (word) => (word === word.toUpperCase() ? t(word.replaceAll("_", " ").toLowerCase().replace(/^./, (c) => c.toUpperCase())) : word);

/** A part of the page as our own server answered it, escaped there. */
const partOf = (text, id) => new DOMParser().parseFromString(text, "text/html").getElementById(id);

// The devices: a live sample does not tell of them, so the list is asked for after one. Its answer says which sample it
// is of; where that is newer than what was heard, the flow follows it: both tell the same.
let unseen = false;
const renewAssets = paced(async () => {
  unseen = document.hidden;
  if (unseen) return undefined;
  const text = await fetched(document.getElementById("assets").dataset.now);
  if (!text) return text;
  const fresh = partOf(text, "assets");
  if (!fresh) return undefined;
  const { dataset } = fresh;
  showDevices(fresh);
  flow.chargers(dataset);
  if (flow.drawn && badge && dataset.tile) showSample(JSON.parse(dataset.tile));
  return true;
}, RENEW_ASSETS_MS);
document.addEventListener("visibilitychange", () => { if (!document.hidden && unseen) renewAssets(); });

/** Rows are brought up to date in place; they come, go and move only while nobody points at them. */
function showDevices(fresh) {
  const shown = document.getElementById("assets");
  const [rows, now] = [shown, fresh].map((card) => [...card.querySelectorAll(".asset")]);
  const order = (list) => list.map((row) => row.getAttribute("href")).join(" ");
  if (order(rows) !== order(now) && !shown.matches(":hover, :focus-within")) {
    const [was, more] = [shown, fresh].map((card) => card.querySelector("details"));
    if (was && more) more.open = was.open;
    return void shown.replaceWith(fresh);
  }
  shown.querySelector("header").replaceWith(fresh.querySelector("header"));
  for (const row of rows) {
    const next = now.find((one) => one.getAttribute("href") === row.getAttribute("href"));
    if (!next || row.isEqualNode(next)) continue;
    row.className = next.className;
    row.title = next.title;
    row.replaceChildren(...next.childNodes);
  }
}

// Last commands: chips change in place at once; rows come and go only while nobody points at them.
const renewLast = paced(async () => {
  const list = document.getElementById("last");
  const text = await fetched(list.dataset.last);
  if (!text) return text;
  const fresh = partOf(text, "last");
  if (!fresh) return undefined;
  if (!list.matches(":hover, :focus-within")) return void list.replaceWith(fresh);
  for (const row of list.querySelectorAll("[data-command]")) {
    const now = fresh.querySelector(`[data-command="${row.dataset.command}"] .chip`);
    const chip = row.querySelector(".chip");
    if (now && chip && now.outerHTML !== chip.outerHTML) chip.replaceWith(now);
  }
  list.addEventListener("mouseleave", renewLast, { once: true });
  return true;
}, RENEW_LAST_MS);
onTopic("command", [`p${plant}`], renewLast);
onResync((topics) => {
  const missed = (topic) => topics === null || topics.includes(topic);
  if (missed("command")) renewLast();
  if (missed("plant")) {
    renewAssets();
    load();
  }
});

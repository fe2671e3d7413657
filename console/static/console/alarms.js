// The alarm inbox: which row is chosen, keys, what changes while it is looked at. Swiping is in alarms_swipe.js, the
// chart in alarms_chart.js. Nothing is shown as done before the server has said so.

import { showChart } from "./alarms_chart.js";
import { onSwipe } from "./alarms_swipe.js";
import { onTopic, onResync } from "./live.js";
import { paced } from "./pace.js";
import { answered, fetched } from "./renew.js";
import { say, t, tn, toast } from "./words.js";

const page = document.getElementById("alarms");
const rows = document.getElementById("alarm-rows");
const pane = document.getElementById("alarm-case");
const news = document.getElementById("alarm-news");
const WIDE = matchMedia("(min-width: 1181px)");
const ASK_EVERY_MS = 250, ASKED_AT_ONCE = 50;

const rowOf = (id) => document.getElementById(`alarm-${id}`);
const links = () => [...rows.querySelectorAll(".al-row > a")];
const chosen = () => rows.querySelector(".al-row > a[aria-current]");

// --- the chosen row ----------------------------------------------------------------------------------------------

function choose(link) {
  chosen()?.removeAttribute("aria-current");
  link?.setAttribute("aria-current", "true");
}
rows.addEventListener("click", (event) => {
  const link = event.target.closest(".al-row > a");
  if (link) choose(link);
});
pane.addEventListener("htmx:afterSwap", shown);
function shown() {
  const id = pane.querySelector("[data-shown]")?.dataset.shown;
  page.classList.toggle("has-case", Boolean(pane.querySelector("[data-shown], .empty:not(.al-none)")));
  document.querySelector(".al-head")?.classList.toggle("al-behind", page.classList.contains("has-case"));
  if (id) choose(rowOf(id)?.querySelector("a"));
  if (!WIDE.matches && id) scrollTo({ top: 0 });
  showChart(pane.querySelector("[data-chart]"));
}
function step(by) {
  const all = links();
  if (!all.length) return;
  const at = all.indexOf(chosen());
  const next = all[Math.min(Math.max(at + by, 0), all.length - 1)];
  if (next === chosen()) return;
  choose(next);
  next.scrollIntoView({ block: "nearest" });
  if (WIDE.matches) next.click();
  else next.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat && "amc".includes(event.key)) return;
  if (event.target.closest("input, select, textarea, [contenteditable], dialog") || document.querySelector("dialog[open]")) return;
  const key = event.key.toLowerCase();
  if (key === "j" || key === "k") step(key === "j" ? 1 : -1);
  else if (key === "enter" && event.target === document.body) chosen()?.click();
  else if (key === "escape" && !WIDE.matches && page.classList.contains("has-case")) history.back();
  else if ("amc".includes(key) && key.length === 1 && !leading()) pane.querySelector(`[data-key="${key}"]`)?.click();
  else return;
  event.preventDefault();
});
// "G then A" goes to this page: that A is not an acknowledgement.
let ledAt = -Infinity;
document.addEventListener("keydown", (event) => { if (event.key === "g") ledAt = performance.now(); }, { capture: true });
const leading = () => performance.now() - ledAt < 1200;

document.addEventListener("change", (event) => event.target.closest("form[data-auto]")?.requestSubmit());

// --- what was done -----------------------------------------------------------------------------------------------

document.body.addEventListener("alarm-done", (event) => {
  const { id, said, undo } = event.detail;
  ask(id);
  if (!said) return;
  toast(said, undo ? () => act(undo, id) : undefined);
  say(said);
});
/** An act from outside the pane: the pane is brought up to date only where it shows this alarm. */
function act(address, id, values = {}) {
  const isShown = pane.querySelector("[data-shown]")?.dataset.shown === String(id);
  const how = isShown ? { target: pane, swap: "innerHTML" } : { target: rowOf(id) ?? pane, swap: "none" };
  return answered("POST", address + page.dataset.query, { ...how, source: rowOf(id) ?? pane, values });
}
onSwipe(rows, {
  right: (row) => act(row.dataset.acknowledge, row.dataset.case),
  left: (row) => act(row.dataset.assign, row.dataset.case, { owner: "me" }),
});

// --- what changes meanwhile --------------------------------------------------------------------------------------

const wanted = new Set();
const unseen = new Set();
const askSoon = paced(askNow, ASK_EVERY_MS);

function ask(id) {
  wanted.add(String(id));
  askSoon();
}
async function askNow() {
  const ids = [...wanted].slice(0, ASKED_AT_ONCE);
  ids.forEach((id) => wanted.delete(id));
  const address = new URL(page.dataset.changed + page.dataset.query, location.href);
  address.searchParams.set("ids", ids.join(","));
  const text = await fetched(address);
  if (!text) {
    if (text === false) ids.forEach((id) => wanted.add(id));
    return text;
  }
  apply(new DOMParser().parseFromString(text, "text/html"));
  if (wanted.size > 0) askSoon();
  return true;
}
function apply(answer) {
  const tabs = answer.getElementById("alarm-tabs");
  if (tabs) document.getElementById("alarm-tabs").replaceWith(tabs);
  for (const row of answer.querySelectorAll(".al-row")) {
    const old = rowOf(row.dataset.case);
    if (old) replaceRow(old, row);
    else if (!("elsewhere" in row.dataset)) {
      if (!unseen.has(row.dataset.case) && row.dataset.severity === "CRITICAL") sayCritical(row);
      unseen.add(row.dataset.case);
    }
  }
  showNews();
}
function replaceRow(old, row) {
  const link = old.querySelector("a");
  const isChosen = link.hasAttribute("aria-current"), hasFocus = link === document.activeElement;
  old.replaceWith(row);
  window.htmx.process(row);
  row.classList.add("fresh-row");
  if (isChosen) choose(row.querySelector("a"));
  if (hasFocus) row.querySelector("a").focus({ preventScroll: true });
}
function showNews() {
  news.hidden = unseen.size === 0;
  news.textContent = tn("{n} new alarm, show", "{n} new alarms, show", unseen.size);
}
function sayCritical(row) {
  const place = document.createElement("div");
  place.className = "vh";
  place.setAttribute("role", "alert");
  place.textContent = `${t("Critical alarm")}: ${row.querySelector(".al-title").textContent}, ${row.querySelector(".al-place").textContent}`;
  document.body.append(place);
  setTimeout(() => place.remove(), 10_000);
}
news.addEventListener("click", () => location.reload());
onTopic("alarm", null, (event) => ask(event.data?.id ?? event.key));
onResync(() => links().slice(0, ASKED_AT_ONCE).forEach((link) => ask(link.parentElement.dataset.case)));

shown();
// An address of its own stays what was asked for, in the list or not: its keys act on what is shown.
if (WIDE.matches && !page.dataset.selected) links()[0]?.click();

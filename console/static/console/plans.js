// The page of a planned day: puts the model, the picture, the panel, the tables, saving and live states together.

import { Chart } from "./plans_chart.js";
import { Findings } from "./plans_findings.js";
import { keys, paste, put } from "./plans_keys.js";
import { Model } from "./plans_model.js";
import { Panel } from "./plans_panel.js";
import { Saver, merged } from "./plans_save.js";
import { follow } from "./plans_live.js";
import { Tables } from "./plans_table.js";
import { Conflict } from "./plans_conflict.js";
import { decimal, powerText, say, setText, t, tn, toast } from "./words.js";

const doc = JSON.parse(document.getElementById("plan").textContent);
const page = document.getElementById("plan-page");
const model = new Model(doc);
const sprite = page.dataset.sprite;

export function icon(name, size = "") {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", `i ${size}`);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${sprite}#${name}`);
  svg.append(use);
  return svg;
}

/** "Export 120 kW", "Import 5 kWh, high priority", "Nothing planned". */
function ask(slot) {
  if (!slot) return t("Nothing planned");
  const parts = [`${slot.direction === "EXPORT" ? t("Export") : t("Import")} ${decimal(Math.round(slot.value * 100) / 100)}\u202f${slot.type === "POWER" ? "kW" : "kWh"}`];
  if (!slot.withConsumption) parts.push(t("without consumption"));
  if (slot.priority === "HIGH") parts.push(t("high priority"));
  return parts.join(", ");
}

function fate(from, to) {
  const words = new Map();
  for (let i = from; i <= to; i += 1) {
    const one = chart?.outcomes?.[i];
    if (one && (i < model.locked || !model.editable)) words.set(one.word, (words.get(one.word) ?? 0) + 1);
  }
  return [...words].map(([word, n]) => (n > 1 && words.size > 1 ? `${word} ${n}` : word)).join(", ");
}

/** The tip of a slot; as text for who does not see it. */
function describe(i, asText = false, brief = false) {
  const lines = [[model.when(i), ""], [t("Planned"), ask(model.rows[i])]];
  if (!brief) details(i, lines);
  if (asText) return lines.map((line) => line.filter(Boolean).join(" ")).join(", ");
  const list = document.createElement("dl");
  lines.slice(1).forEach(([name, text]) => {
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = name;
    dd.textContent = text;
    list.append(dt, dd);
  });
  const head = document.createElement("b");
  head.textContent = lines[0][0];
  return [head, list];
}

function details(i, lines) {
  if (model.editable && model.published && model.changed(i)) lines.push([`v${doc.published.number}`, ask(model.published[i])]);
  const one = chart.outcomes?.[i];
  if (one && (!model.editable || i < model.locked)) lines.push([t("State"), [one.word, one.more].filter(Boolean).join(". ")]);
  for (const found of chart.findings.filter(({ slot }) => slot === i)) lines.push([found.title, found.nearest === null ? "" : t("fits {n}", { n: `${Math.round(found.nearest * 100) / 100}\u202f${found.nearestUnit}` })]);
  const slot = model.rows[i], limit = slot ? doc.limits[slot.direction].hard[i] : null;
  if (limit !== null && limit !== undefined && slot.type === "POWER") lines.push([t("Limit"), powerText(limit)]);
  const pct = chart.charge?.points[i];
  if (pct !== null && pct !== undefined) lines.push([t("SoC"), `${Math.round(pct)}\u202f%${chart.charge.known ? "" : ` ${t("assumed")}`}`]);
  if (model.editable && i < model.locked) lines.push([t("locked"), ""]);
}

const chart = new Chart(document.getElementById("plan-chart"), doc, model, { t, describe });
const panel = model.editable ? new Panel(document.getElementById("block-form"), model, { t }) : null;
const findings = model.editable ? new Findings(document.getElementById("findings"), model, { t, icon, ask }) : null;
const tables = new Tables(document.getElementById("tables"), model, {
  t, ask, fate, edit: () => panel?.type(),
  count: (n) => { const place = document.querySelector("[data-changes]"); if (place) setText(place, n ? String(n) : ""); },
});
tables.note(doc.findings);
keys(chart, model, { t, say, toast, type: (digit) => panel?.type(digit), pasted });
chart.place.addEventListener("tapped", () => { if (model.editable && !model.isLocked(model.span[0])) selectBlock(); });
follow(doc, model, chart, tables, { onMark: (mark) => saver?.seen?.(mark) });

function selectBlock() {
  const here = model.span[0];
  const block = model.blocks().find(({ from, to }) => from <= here && here <= to);
  model.select(Math.max(block.from, model.locked), block.to);
  panel.open();
}

// ---- what came from a spreadsheet -----------------------------------------------------------------------------------

function pasted(found) {
  if (found.error) {
    const words = {
      NO_NUMBERS: t("Nothing was pasted: there is no column of numbers."),
      NO_SUCH_TIMES: t("Nothing was pasted: none of its times is a slot of this day."),
      NOT_A_NUMBER: t("Nothing was pasted: “{n}” is no power or no time.", { n: found.cell ?? "" }),
      TOO_LONG: t("Nothing was pasted: it has too many lines."),
    };
    toast(words[found.error]);
    return;
  }
  const parts = [tn("{n} slot pasted", "{n} slots pasted", found.cells.length - found.locked)];
  if (found.skipped + found.locked) parts.push(tn("{n} left out: locked or outside the day", "{n} left out: locked or outside the day", found.skipped + found.locked));
  if (!found.assumed) { toast(parts.join(", "), () => model.undo()); return; }
  parts.push(t("positive read as export"));
  toast(parts.join(", "), () => model.undo());
  const swap = document.createElement("button");
  swap.type = "button";
  swap.textContent = t("Read as import");
  swap.addEventListener("click", () => { model.undo(); put(found.cells, model, -1); swap.remove(); });
  document.querySelector(".toast")?.append(swap);
}

// ---- the editor's own buttons ---------------------------------------------------------------------------------------

const saver = model.editable ? edit() : null;

function edit() {
  const saving = new Saver(doc, model, { owner: page.dataset.owner });
  const state = document.getElementById("save-state");
  const words = {
    idle: "", waiting: t("Changed, saving soon"), saving: t("Saving"), saved: t("Draft saved"),
    failed: t("Not saved yet, trying again. Kept in this browser."), refused: t("Not saved"), changed: t("Not saved: somebody else changed this day"),
  };
  saving.addEventListener("state", ({ detail }) => {
    setText(state, saving.state === "refused" ? `${words.refused}: ${detail?.text ?? ""}` : words[saving.state]);
    state.dataset.state = saving.state;
    if (saving.version) drafted(saving.version);
    if (saving.version) page.querySelectorAll("[data-needs-draft]").forEach((one) => { one.hidden = false; });
    sums();
  });
  saving.addEventListener("restored", () => toast(t("What was not saved is back."), () => model.undo()));
  saving.addEventListener("begun", () => toast(t("Slots have begun meanwhile: they stay as they are.")));
  saving.addEventListener("checked", ({ detail }) => {
    model.lock(detail.locked, null);
    chart.show({ findings: detail.findings, charge: detail.charge });
    findings.show(detail.findings);
    tables.note(detail.findings);
  });
  new Conflict(document.getElementById("changed-dialog"), saving, model, { ask, merged, t });
  findings.show(doc.findings);
  buttons(saving);
  return saving;
}

/** The head tells of the draft from its first save on. */
function drafted({ number }) {
  const word = document.getElementById("version-word");
  setText(word, t("v{n} draft", { n: number }));
  const chip = word.closest(".chip");
  chip.className = "chip wait";
  chip.querySelector("svg")?.replaceWith(icon("pencil"));
  // The card keeps its place: nothing moves under the hand that draws.
  for (const told of page.querySelectorAll("[data-no-plan] [data-drafted]")) setText(told, told.dataset.drafted);
}

function buttons(saving) {
  const acts = {
    undo: () => model.undo(), redo: () => model.redo(),
    draw: () => tool("draw"), select: () => tool("select"),
    paste: async () => {
      try { paste(await navigator.clipboard.readText(), model, pasted); } catch { toast(t("Press Ctrl V to paste: this browser does not let a button read the clipboard.")); }
    },
  };
  page.addEventListener("click", (event) => acts[event.target.closest("[data-do]")?.dataset.do]?.());
  function tool(name) {
    chart.tool = name;
    page.querySelectorAll("[data-do=draw], [data-do=select]").forEach((one) => one.setAttribute("aria-pressed", one.dataset.do === name));
    chart.redraw();
  }
  const refresh = () => {
    page.querySelector("[data-do=undo]").disabled = !model.canUndo;
    page.querySelector("[data-do=redo]").disabled = !model.canRedo;
    sums();
  };
  model.addEventListener("rows", refresh);
  refresh();
  // The server reviews what it has: everything typed is kept first.
  document.body.addEventListener("htmx:confirm", (event) => {
    if (!event.target.matches?.("[data-saves-first]")) return;
    event.preventDefault();
    saving.flush().then((done) => { if (done) event.detail.issueRequest(true); });
  });
}

function sums() {
  const found = model.sums();
  const show = { import: powerText(found.IMPORT, "kWh"), export: powerText(found.EXPORT, "kWh"), slots: String(found.slots) };
  for (const place of page.querySelectorAll("[data-sum]")) setText(place, show[place.dataset.sum]);
  const publish = page.querySelector("[data-publish]");
  if (!publish) return;
  publish.disabled = found.slots === 0;
  publish.title = found.slots ? "" : publish.dataset.why;
  document.getElementById("publish-why").hidden = found.slots > 0;
}

// Keys of the picture: arrows, digits, Delete, undo, the clipboard. None of them reaches the wire: they edit the draft.

import { copyText, readPaste } from "./plans_clip.js";
import { tn } from "./words.js";

const STEP_KW = 5;

export function keys(chart, model, { t, say, toast, type, pasted }) {
  const { svg } = chart;
  svg.addEventListener("keydown", (event) => {
    const done = (event.ctrlKey || event.metaKey) ? control(event, model, svg) : plain(event, model, type);
    if (!done) return;
    event.preventDefault();
    event.stopPropagation();
    if (done === "moved") tell(chart, model, say);
  });
  svg.addEventListener("focus", () => { if (!model.selection) model.select(Math.min(model.locked, model.size - 1)); });
  document.addEventListener("copy", (event) => {
    if (document.activeElement !== svg || !model.span) return;
    event.clipboardData.setData("text/plain", copyText(model, ...model.span));
    event.preventDefault();
    toast(tn("{n} slot copied", "{n} slots copied", model.places.length));
  });
  document.addEventListener("paste", (event) => {
    if (event.target.closest?.("input, textarea, select") || document.querySelector("dialog[open]") || !model.editable) return;
    event.preventDefault();
    paste(event.clipboardData.getData("text/plain"), model, pasted);
  });
}

/** Puts pasted text into the day; `pasted` is told what came of it. */
export function paste(text, model, pasted) {
  const start = model.span ? model.span[0] : 0;
  const found = readPaste(text, { grid: model.grid, start });
  if (found.error) return pasted(found);
  put(found.cells, model);
  return pasted({ ...found, locked: found.cells.filter(({ at }) => model.isLocked(at)).length });
}

export function put(cells, model, sign = 1) {
  const by = new Map(cells.map(({ at, kw }) => [at, kw]));
  model.apply([...by.keys()], (slot, i) => {
    const kw = by.get(i);
    return kw === null ? null : model.shaped(slot?.type === "POWER" ? slot : null, kw * sign, i);
  });
  const places = [...by.keys()];
  model.select(Math.min(...places), Math.max(...places));
}

function control(event, model) {
  const key = event.key.toLowerCase();
  if (key === "z" && !event.shiftKey) { model.undo(); return "moved"; }
  if (key === "y" || (key === "z" && event.shiftKey)) { model.redo(); return "moved"; }
  if (key === "a") { model.select(0, model.size - 1); return "moved"; }
  return false;
}

function plain(event, model, type) {
  const { key, shiftKey } = event;
  const at = model.selection ?? { anchor: model.locked, head: model.locked };
  const jump = { ArrowLeft: -1, ArrowRight: 1, PageUp: -4, PageDown: 4 }[key];
  if (jump) return move(model, at, at.head + jump, shiftKey);
  if (key === "Home") return move(model, at, 0, shiftKey);
  if (key === "End") return move(model, at, model.size - 1, shiftKey);
  if (key === "Escape" && model.selection) { model.select(null); return true; }
  if (!model.editable || event.altKey) return false;
  if (key === "ArrowUp" || key === "ArrowDown") { model.nudge(model.places, key === "ArrowUp" ? STEP_KW : -STEP_KW); return "moved"; }
  if (key === "Delete" || key === "Backspace") { model.clear(model.places); return "moved"; }
  if (/^[0-9]$/.test(key) || key === "Enter") { type(key === "Enter" ? "" : key); return true; }
  return false;
}

function move(model, at, to, extends_) {
  if (extends_) model.select(at.anchor, to);
  else model.select(to);
  return "moved";
}

/** What is selected, for who does not see the picture. */
function tell(chart, model, say) {
  if (!model.span) return;
  const [from, to] = model.span;
  say(from === to ? chart.describe(from, true) : `${model.when(from, to)}: ${model.places.length}`);
}

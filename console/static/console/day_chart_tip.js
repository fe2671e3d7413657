// What a chart says at a moment in words, and the same as a table.

import { decimal, fixed } from "./words.js";

const NARROW_SPACE = "\u202f";

/** `275 kW`, `8.2 kW`, `1.20 MW`; the unit is the chart's, so that one chart has one. */
export function amountText(kw, unit = "kW", withUnit = true) {
  const size = Math.abs(unit === "MW" ? kw / 1000 : kw);
  const text = decimal(size, unit === "MW" ? 2 : size >= 0.05 && size < 9.95 ? 1 : 0);
  return withUnit ? `${text}${NARROW_SPACE}${unit}` : text;
}

/** A number of the axis: with as many decimals as the distance between two of them needs. */
export function axisText(kw, unit, step) {
  const share = unit === "MW" ? 1000 : 1;
  const places = Math.min(2, Math.max(0, Math.ceil(-Math.log10(step / share) - 1e-9)));
  return decimal(Math.abs(kw) / share, places);
}

const clocks = new Map();

function clock(zone) {
  if (!clocks.has(zone)) {
    clocks.set(zone, new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit" }));
  }
  return clocks.get(zone);
}

/** `13:42` on the plant's clock; the second time that an hour comes it is `02:10 B`. */
export function clockText(at, data) {
  const again = data.fold && at >= data.fold[0] && at < data.fold[1];
  return clock(data.zone).format(at) + (again ? " B" : "");
}

export class Tip {
  constructor(element, chart) {
    this.chart = chart;
    this.moment = null;
    this.box = document.createElement("div");
    this.box.className = "tip day-tip";
    this.box.hidden = true;
    this.box.setAttribute("role", "status");
    element.append(this.box);
  }

  remove() {
    this.box.remove();
  }

  refresh() {
    if (this.moment !== null) this.show(this.moment);
  }

  show(moment) {
    this.moment = moment;
    if (moment === null) {
      this.box.hidden = true;
      return;
    }
    const { chart } = this;
    this.box.replaceChildren(...this._lines(chart.at(moment)));
    this.box.hidden = false;
    const plot = chart.plots[0];
    const left = plot.valToPos(moment / 1000, "x") + plot.bbox.left / (window.devicePixelRatio || 1);
    const width = this.box.offsetWidth;
    const beside = left + 16 + width > chart.width ? left - 16 - width : left + 16;
    this.box.style.left = `${Math.max(4, Math.min(beside, chart.width - width - 4))}px`;
  }

  _lines(found) {
    const { data } = this.chart;
    const { words } = data;
    const head = document.createElement("div");
    head.append(strong(clockText(found.moment, data)), dim(` ${clock("UTC").format(found.moment)} UTC`));
    const list = document.createElement("dl");
    const row = (name, value) => {
      const term = document.createElement("dt");
      term.textContent = name;
      const told = document.createElement("dd");
      told.append(value);
      list.append(term, told);
    };
    for (const [name, value] of rows(found, data, this.chart.unit)) row(name, value ?? dim(words.nothing));
    if (found.planned?.text) row(words.slot, found.planned.text);
    const lines = [head, list];
    const command = found.commanded?.command ?? found.planned?.command;
    if (command && this.chart.options.open) {
      const hint = dim(words.click);
      hint.className = "dim day-tip-hint";
      lines.push(hint);
    }
    return lines;
  }
}

/** [name, text or null] of all that is known at a moment. */
export function rows(found, data, unit) {
  const { words } = data;
  const flow = (up) => {
    if (up == null) return null;
    if (Math.abs(up) < 0.05) return amountText(0, unit);
    return `${up > 0 ? words.export : words.import} ${amountText(up, unit)}`;
  };
  const list = [
    [words.planned, flow(found.planned?.up)],
    [words.commanded, flow(found.commanded?.up) && flow(found.commanded.up) + (found.commanded.own ? ` ${words.own}` : "")],
  ];
  if (!found.future) {
    list.push([words.actual, found.gap ? words.no_data : flow(found.up) ?? words.no_data]);
    if (data.has_battery) list.push([words.soc, found.soc == null ? words.no_data : `${fixed(found.soc)}${NARROW_SPACE}%`]);
  }
  if (found.override) list.push([words.override, found.override.text]);
  return list;
}

/** Fills a table's body with the chart's quarter-hours (or `minutes`): the same numbers in words. */
export function fillTable(body, chart, minutes = 15) {
  const { data } = chart;
  const unit = chart.unit;
  const lines = [];
  for (let at = data.from; at < data.to; at += minutes * 60_000) {
    // In the middle, so that what begins and ends with the slot is the slot's own.
    const found = chart.at(at + minutes * 30_000);
    const known = new Map(rows(found, data, unit));
    const line = document.createElement("tr");
    const cell = (text, tag = "td") => {
      const made = document.createElement(tag);
      made.textContent = text ?? "";
      line.append(made);
    };
    cell(clockText(at, data), "th");
    line.firstChild.scope = "row";
    for (const name of [data.words.planned, data.words.commanded, data.words.actual]) cell(known.get(name) ?? data.words.nothing);
    if (data.has_battery) cell(known.get(data.words.soc) ?? data.words.nothing);
    lines.push(line);
  }
  body.replaceChildren(...lines);
}

function strong(text) {
  const made = document.createElement("b");
  made.textContent = text;
  return made;
}

function dim(text) {
  const made = document.createElement("span");
  made.className = "dim";
  made.textContent = text;
  return made;
}

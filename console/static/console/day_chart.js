// The chart of a day (or of any span of it): planned dashed, commanded as steps in ink, actual coloured and filled,
// unknown hatched; the battery's charge in its window below, one cursor for both.
//
//   const chart = dayChart(element, data, {open: (commandId) => ..., zoom: (from, to) => ...});
//   chart.append({at, grid_kw, soc_pct});   chart.replace(data);   chart.destroy();
//
// `data` is what /console/plants/<id>/day/ answers. options: height, socHeight (0 = no charge below), open(commandId):
// a slot was clicked, zoom(from, to): a span was drawn with the mouse.

import {
  byDirection, clearWords, drawGaps, drawLimit, drawMoment, drawOverrides, drawSteps, drawWindow, faint,
} from "./day_chart_draw.js";
import { LiveTail, measured, powerRange, rowsOf, splits, stepAt, steps, valueAt } from "./day_chart_series.js";
import { Tip, amountText, axisText, clockText } from "./day_chart_tip.js";
import { token } from "./words.js";

const { uPlot } = window; // vendor/uplot, loaded by the page before this module: see plant/_chart_head.html

const NARROW = 480;
const REDRAW_MS = 1000;
const BROKEN_AFTER = 2; // expected periods between samples that a line still joins
let charts = 0;

export function dayChart(element, data, options = {}) {
  return new DayChart(element, data, options);
}

class DayChart {
  constructor(element, data, options) {
    this.element = element;
    this.options = { height: 232, socHeight: 108, ...options };
    this.key = `day-chart-${(charts += 1)}`;
    this.plots = [];
    this.drawn = 0;
    element.classList.add("day-chart");
    this.power = element.appendChild(document.createElement("div"));
    this.charge = element.appendChild(document.createElement("div"));
    this.tip = new Tip(element, this);
    this.replace(data);
    this.resized = new ResizeObserver(() => this._resize());
    this.resized.observe(element);
    this.rebuild = () => this._build();
    document.addEventListener("theme", this.rebuild);
    this.clock = setInterval(() => this._tick(), 20_000);
  }

  /** Other data of the same plant: another day, or a span of it. */
  replace(data) {
    this.data = data;
    this.socHeight = data.has_battery ? this.options.socHeight : 0;
    this.skew = data.now - Date.now();
    this.planned = steps(data.planned);
    this.commanded = steps(data.commanded);
    this.gaps = rowsOf(data.gaps);
    this.overrides = rowsOf(data.overrides);
    this.window = rowsOf(data.soc_window);
    this.marks = rowsOf(data.marks);
    this.reach = BROKEN_AFTER * data.period_s * 1000;
    this.actual = measured(data.actual, this.gaps, data.now);
    const width = this.element.clientWidth || 700;
    this.live = new LiveTail(this.reach, (data.to - data.from) / (2 * width));
    this._build();
  }

  /** The present by the server's clock. */
  now() {
    return Date.now() + this.skew;
  }

  /** A measurement that has just come; drawn at most once a second. */
  append({ at, grid_kw: gridKw, soc_pct: socPct }) {
    const { from, to } = this.data;
    if (at < from || at >= to) return;
    const open = this.gaps.find((gap) => gap.open);
    if (open) {
      open.open = false;
      open.to = at;
    }
    this.live.add(at, gridKw, socPct);
    if (this.waiting) return;
    this.waiting = setTimeout(() => {
      this.waiting = null;
      if (!document.hidden) this._update();
    }, Math.max(0, this.drawn + REDRAW_MS - performance.now()));
  }

  destroy() {
    clearInterval(this.clock);
    clearTimeout(this.waiting);
    this.resized.disconnect();
    document.removeEventListener("theme", this.rebuild);
    this._clear();
    this.tip.remove();
    this.element.replaceChildren();
  }

  /** What the chart says about a moment: for the tip, the table, and a click. */
  at(moment) {
    const { actual, live } = this;
    const isLive = live.at.length > 0 && moment >= live.at[0];
    const series = isLive ? live : actual;
    const gap = this.gaps.find((one) => one.from <= moment && moment < one.to);
    // A sample may be a little ahead of the server's clock.
    const present = Math.max(this.now(), live.at.at(-1) ?? 0) + 1;
    const known = !gap && moment <= present;
    return {
      moment,
      planned: stepAt(this.planned, moment),
      commanded: stepAt(this.commanded, moment),
      override: this.overrides.find((one) => one.from <= moment && moment < one.to),
      gap,
      up: known ? valueAt(series, series.up, moment, this.reach) : null,
      soc: known ? valueAt(series, series.soc, moment, this.reach) : null,
      future: moment > present,
    };
  }

  /** Show what is known of a moment, as if the mouse were there; null = nothing. */
  point(moment) {
    const [plot] = this.plots;
    if (!plot) return;
    if (moment === null) plot.setCursor({ left: -10, top: -10 });
    else plot.setCursor({ left: plot.valToPos(moment / 1000, "x"), top: plot.over.clientHeight / 2 });
  }

  /** Open the command of a moment, if there is one. */
  open(moment) {
    const { planned, commanded } = this.at(moment);
    const command = commanded?.command ?? planned?.command;
    if (command && this.options.open) this.options.open(command);
  }

  _tick() {
    const { from, to } = this.data;
    if (document.hidden || this.now() < from || this.now() > to + 60_000) return;
    const open = this.gaps.find((gap) => gap.open);
    if (open) open.to = Math.min(this.now(), to);
    this._update();
  }

  _columns() {
    const { actual, live } = this;
    const edges = [this.data.from, this.data.to];
    const seconds = (list) => list.map((at) => at / 1000);
    const nothing = edges.map(() => undefined);
    const above = (list) => list.map((up) => (up == null ? up : Math.max(0, up)));
    const below = (list) => list.map((up) => (up == null ? up : Math.min(0, up)));
    const bucketed = actual.stepped ? actual : { at: [], up: [], low: [], high: [], soc: [] };
    const sampled = actual.stepped ? live : joined(actual, live, this.reach);
    const expected = this.data.soc_expected ?? { at: [], pct: [] };
    const tables = [
      [seconds(edges), nothing],
      [seconds(bucketed.at), above(bucketed.up), below(bucketed.up), bucketed.up, bucketed.low, bucketed.high],
      [seconds(sampled.at), above(sampled.up), below(sampled.up), sampled.up],
    ];
    const charge = [
      [seconds(edges), nothing],
      [seconds(bucketed.at), bucketed.soc],
      [seconds(sampled.at), sampled.soc],
      [seconds(expected.at), expected.pct],
    ];
    return [uPlot.join(tables), uPlot.join(charge)];
  }

  _build() {
    this._clear();
    const [power, charge] = this._columns();
    this.width = this.element.clientWidth;
    if (!this.width) return;
    this.plots.push(new uPlot(this._powerOptions(), power, this.power));
    if (this.socHeight) this.plots.push(new uPlot(this._chargeOptions(), charge, this.charge));
    for (const plot of this.plots) this._listen(plot);
    this.drawn = performance.now();
  }

  _update() {
    const columns = this._columns();
    this.range = this._range();
    this.plots.forEach((plot, i) => plot.setData(columns[i], true));
    this.drawn = performance.now();
    this.tip.refresh();
  }

  _resize() {
    if (this.element.clientWidth === this.width) return;
    const wasNarrow = this.width < NARROW;
    this.width = this.element.clientWidth;
    if (!this.plots.length || wasNarrow !== this.width < NARROW) this._build();
    else {
      const heights = [this._height(), this.socHeight];
      this.plots.forEach((plot, i) => plot.setSize({ width: this.width, height: heights[i] }));
    }
  }

  _clear() {
    for (const plot of this.plots) plot.destroy();
    this.plots = [];
  }

  _height() {
    const own = this.width < NARROW ? Math.min(this.options.height, 204) : this.options.height;
    return own + this.options.socHeight - this.socHeight; // without a battery its place is the power's
  }

  _range() {
    const series = { ...this.actual, up: [...this.actual.up, ...this.live.up] };
    return powerRange(series, [this.planned, this.commanded], this.data.limits);
  }

  _base() {
    const { from, to } = this.data;
    return {
      width: this.width,
      legend: { show: false },
      cursor: {
        sync: { key: this.key },
        y: false,
        points: { show: false },
        drag: { x: Boolean(this.options.zoom), y: false, setScale: false, dist: 8 },
      },
      select: { show: Boolean(this.options.zoom) },
      scales: { x: { time: false, range: () => [from / 1000, to / 1000] } },
    };
  }

  _axis(more) {
    const ink = token("--ink-3");
    return {
      stroke: ink,
      font: `11px ${token("--f")}`,
      grid: { stroke: token("--line"), width: 1 },
      ticks: { show: false },
      ...more,
    };
  }

  /** The hours: so many as there is room for, always on round ones. */
  _hours(show) {
    const { at, text, n } = this.data.ticks;
    const fitting = Math.max(2, Math.floor((this.width - 90) / 58));
    const every = [1, 2, 3, 6, 12, 24].find((one) => (at.length - 1) / one <= fitting) ?? 24;
    const kept = at.map((_, i) => i).filter((i) => (n[i] < 0 ? every === 1 : n[i] % every === 0));
    const words = new Map(kept.map((i) => [at[i] / 1000, text[i]]));
    return this._axis({
      show: show,
      grid: { show: false },
      size: 22,
      gap: 5,
      splits: () => [...words.keys()],
      values: (_, list) => list.map((one) => words.get(one) ?? ""),
    });
  }

  _powerOptions() {
    this.range = this._range();
    const narrow = this.width < NARROW;
    const { words } = this.data;
    const stepped = uPlot.paths.stepped({ align: 1 });
    const area = (hue, paths) => ({ width: 0, fill: faint(hue, token("--area")), fillTo: 0, paths, ...bare });
    const line = (paths) => ({ stroke: byDirection, width: 2, paths, ...bare });
    const edge = { stroke: "transparent", width: 0, paths: stepped, ...bare };
    const side = (up, step) => {
      if (up === 0) return `0\u202f${this.unit}`; // the unit of all, once
      const word = up > 0 ? words.export : words.import;
      return `${narrow ? word.slice(0, 3) : word} ${axisText(up, this.unit, step)}`;
    };
    return {
      ...this._base(),
      height: this._height(),
      padding: [8, narrow ? 22 : 26, this.socHeight ? 4 : 0, 0],
      scales: { ...this._base().scales, y: { range: () => this.range } },
      axes: [
        this._hours(!this.socHeight),
        this._axis({
          size: narrow ? 58 : 82,
          gap: 6,
          splits: () => splits(...this.range, narrow ? 4 : 5),
          values: (_, list) => list.map((up) => side(up, list.length > 1 ? list[1] - list[0] : 1)),
        }),
      ],
      bands: [{ series: [6, 5], fill: faint("--ink-3", "14%") }],
      series: [
        {}, { show: false },
        area("--exp", stepped), area("--imp", stepped), line(stepped), edge, edge,
        area("--exp"), area("--imp"), line(),
      ],
      hooks: { drawClear: [(u) => this._under(u, true)], drawSeries: [(u, i) => this._between(u, i)], draw: [(u) => this._over(u, true)] },
    };
  }

  _chargeOptions() {
    const narrow = this.width < NARROW;
    const { words } = this.data;
    const line = { stroke: token("--chg"), width: 2, ...bare };
    return {
      ...this._base(),
      height: this.socHeight,
      padding: [8, narrow ? 22 : 26, 0, 0],
      scales: { ...this._base().scales, y: { range: [0, 100] } },
      axes: [
        this._hours(true),
        this._axis({
          size: narrow ? 58 : 82,
          gap: 6,
          splits: () => [0, 50, 100],
          values: (_, list) => list.map((pct) => `${pct === 100 && !narrow ? `${words.soc} ` : ""}${pct}\u202f%`),
        }),
      ],
      series: [
        {}, { show: false }, line, line,
        { stroke: token("--chg"), width: 1.25, dash: [4, 3], ...bare },
      ],
      hooks: {
        drawClear: [(u) => { drawWindow(u, this.window); this._under(u, false); }],
        draw: [(u) => this._over(u, false)],
      },
    };
  }

  _under(u, named) {
    clearWords(u);
    drawGaps(u, this.gaps, named ? (gap) => gap.text : null, (left, right) => this._heights(u, left, right));
    drawOverrides(u, this.overrides, named ? this.data.words.override : "");
  }

  /** How high the lines are within a part of the picture, in canvas pixels. */
  _heights(u, left, right) {
    const [from, to] = [left, right].map((x) => u.posToVal(x, "x", true) * 1000);
    const { at, up } = this.actual;
    const seen = up.filter((value, i) => value != null && at[i] >= from && at[i] <= to);
    const steps = [...this.planned, ...this.commanded].filter((one) => one.to > from && one.from < to && one.up != null);
    const grid = splits(...this.range, this.width < NARROW ? 4 : 5);
    return [...seen, ...steps.map((one) => one.up), ...grid].map((value) => u.valToPos(value, "y", true));
  }

  /** Plan and commands stand above the area and below the line of what was measured. */
  _between(u, index) {
    if (index === 3) {
      drawSteps(u, this.planned, { colour: token("--ink-3"), width: 1.25, dash: [4, 3] });
      drawSteps(u, this.commanded, { colour: token("--ink"), width: 1.75 });
    }
  }

  _over(u, main) {
    const { limits, words, from, to, change } = this.data;
    const now = this.now();
    if (change) drawMoment(u, change.at, { colour: token("--st-doubt"), text: main ? change.text : "", dash: [2, 3] });
    if (now > from && now < to) drawMoment(u, now, { colour: token("--ink"), text: main ? clockText(now, this.data) : "" });
    if (main) {
      const unit = this.unit;
      const named = (word, kw) => `${word} ${amountText(kw, unit)}`;
      if (limits.export_kw != null) drawLimit(u, limits.export_kw, named(words.export_limit, limits.export_kw));
      if (limits.import_kw != null) drawLimit(u, -limits.import_kw, named(words.import_limit, limits.import_kw));
      const strongFirst = [...this.marks].sort((a, b) => b.strong - a.strong);
      for (const mark of strongFirst) drawMoment(u, mark.at, { colour: token(mark.strong ? "--st-fail" : "--ink-2"), text: mark.text, dash: [3, 3] });
    }
  }

  /** One unit for the whole chart. */
  get unit() {
    const [low, high] = this.range;
    return Math.max(high, -low) >= 1000 ? "MW" : "kW";
  }

  _listen(plot) {
    const moment = () => plot.posToVal(plot.cursor.left, "x") * 1000;
    plot.hooks.setCursor = [() => this.tip.show(plot.cursor.left < 0 ? null : moment())];
    let begun = null;
    plot.over.addEventListener("mousedown", (event) => { begun = event.clientX; });
    plot.over.addEventListener("click", (event) => {
      if (begun !== null && Math.abs(event.clientX - begun) > 6) return;
      this.open(moment());
    });
    if (this.options.zoom) {
      plot.hooks.setSelect = [() => {
        const { left, width } = plot.select;
        plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        if (width < 8) return;
        this.options.zoom(plot.posToVal(left, "x") * 1000, plot.posToVal(left + width, "x") * 1000);
      }];
    }
  }
}

const bare = { points: { show: false } };

/** Samples and what came after them; broken where they are too far apart. */
function joined(actual, live, reach) {
  const last = actual.at.length - 1;
  if (last < 0 || !live.at.length) return live.at.length ? live : actual;
  const breaks = live.at[0] - actual.at[last] > reach;
  const between = breaks ? [actual.at[last] + reach / 2] : [];
  const nothing = breaks ? [null] : [];
  return {
    at: [...actual.at, ...between, ...live.at],
    up: [...actual.up, ...nothing, ...live.up],
    soc: [...actual.soc, ...nothing, ...live.soc],
  };
}

// Drawing the day: own SVG, one pixel of the picture is one of the screen. Up is export, down is import.

const SVG = "http://www.w3.org/2000/svg";
const NARROW = "\u202f";

export function element(name, attributes = {}, text = undefined) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Where things lie: from slots and powers to pixels and back. */
export class Frame {
  constructor(doc, model, width, { small, reach }) {
    this.doc = doc;
    this.model = model;
    this.width = width;
    this.left = small ? 54 : 76;
    this.right = small ? 8 : 14;
    this.top = 16;
    this.powerHeight = small ? 190 : 264;
    this.strip = doc.outcomes ? 14 : 0;
    this.stripTop = this.top + this.powerHeight + 6;
    this.socTop = this.stripTop + this.strip + (this.strip ? 10 : 4);
    this.socHeight = doc.charge ? (small ? 62 : 84) : 0;
    this.axisTop = this.socTop + this.socHeight + (this.socHeight ? 6 : 0);
    this.height = this.axisTop + 18;
    this.begin = model.grid[0][0];
    this.end = model.grid[model.size - 1][1];
    this.reach = reach;
    this.zero = this.top + (this.powerHeight * reach.up) / (reach.up + reach.down);
    this.perKw = this.powerHeight / (reach.up + reach.down);
  }

  get plot() { return this.width - this.left - this.right; }
  xAt(ms) { return this.left + ((ms - this.begin) / (this.end - this.begin)) * this.plot; }
  x(i) { return i >= this.model.size ? this.left + this.plot : this.xAt(this.model.grid[i][0]); }
  y(kw) { return this.zero - kw * this.perKw; }
  ySoc(pct) { return this.socTop + this.socHeight * (1 - pct / 100); }
  kwAt(y) { return (this.zero - y) / this.perKw; }
  slotAt(x) {
    const ms = this.begin + ((x - this.left) / this.plot) * (this.end - this.begin);
    const { grid, size } = this.model;
    for (let i = 0; i < size; i += 1) if (ms < grid[i][1]) return i;
    return size - 1;
  }
}

/** How far up and down the picture reaches: what is planned and the limits near it, rounded to steps of the axis. */
export function reachOf(doc, model, least = { up: 0, down: 0 }) {
  const powers = model.rows.concat(model.published ?? []).map((_, n) => {
    const rows = n < model.size ? model.rows : model.published;
    return model.power(n % model.size, rows) ?? 0;
  });
  const side = (sign, limit) => {
    const planned = Math.max(0, ...powers.map((kw) => kw * sign));
    const near = limit !== null && limit !== undefined && (limit <= planned * 2 || planned === 0) ? limit : 0;
    return Math.max(planned, near);
  };
  let up = side(1, doc.limits.site.EXPORT), down = side(-1, doc.limits.site.IMPORT);
  if (!up && !down) up = down = 100;
  up = Math.max(up, down * 0.18, least.up);
  down = Math.max(down, up * 0.18, least.down);
  return { up: up * 1.1, down: down * 1.1 };
}

/** A step of the axis that gives some three to six lines. */
export function axisStep(reach, height) {
  const wanted = (reach.up + reach.down) / Math.max(3, height / 44);
  const size = 10 ** Math.floor(Math.log10(wanted));
  return [1, 2, 2.5, 5, 10].map((n) => n * size).find((n) => n >= wanted);
}

export function draw(frame, { t, selected, findings, charge, outcomes, now }) {
  const root = document.createDocumentFragment();
  root.append(...grounds(frame, t), ...limits(frame, t), ...published(frame));
  root.append(...bars(frame, findings), ...changed(frame), ...marks(frame, findings), ...selection(frame, selected));
  if (frame.strip) root.append(...strip(frame, outcomes));
  if (frame.socHeight) root.append(...soc(frame, charge, t, now));
  root.append(...moment(frame, now, t));
  return root;
}


function* grounds(frame, t) {
  const { model, doc } = frame;
  const bottom = frame.axisTop;
  if (model.editable && model.locked > 0) {
    const width = frame.x(Math.min(model.locked, model.size)) - frame.left;
    yield element("rect", { class: "p-locked", x: frame.left, y: frame.top, width, height: bottom - frame.top });
  }
  const step = axisStep(frame.reach, frame.powerHeight);
  for (let kw = Math.ceil(-frame.reach.down / step) * step; kw <= frame.reach.up; kw += step) {
    const level = Math.round(kw * 100) / 100;
    const y = Math.round(frame.y(level)) + 0.5;
    yield element("line", { class: level === 0 ? "p-zero" : "p-grid", x1: frame.left, x2: frame.left + frame.plot, y1: y, y2: y });
    const small = frame.left < 60;
    const word = level === 0 ? "0" : `${small ? (level > 0 ? t("exp") : t("imp")) : level > 0 ? t("export") : t("import")} ${number(Math.abs(level))}`;
    yield element("text", { class: "p-axis r", x: frame.left - 8, y: y + 4 }, word);
  }
  yield element("text", { class: "p-axis r", x: frame.left - 8, y: frame.top - 4 }, "kW");
  const every = frame.plot < 420 ? 6 : frame.plot < 760 ? 3 : 2;
  let last = -99;
  for (let i = 0; i < model.size; i += 1) {
    const label = model.grid[i][2];
    if (!label.includes(":00") || Number(label.slice(0, 2)) % every !== 0) continue;
    const x = Math.round(frame.x(i)) + 0.5;
    if (x - last < 34) continue;
    last = x;
    yield element("line", { class: "p-hour", x1: x, x2: x, y1: frame.top, y2: bottom });
    yield element("text", { class: "p-axis m", x, y: bottom + 14 }, label);
  }
  const end = frame.left + frame.plot;
  if (end - last > 34) yield element("text", { class: "p-axis e", x: end, y: bottom + 14 }, "24:00");
  yield* leap(frame, doc, t);
}

const number = (kw) => (kw >= 1000 ? `${Math.round(kw / 10) / 100}${NARROW}MW` : String(Math.round(kw * 10) / 10));

/** A missing hour is drawn as a cut; the repeated one is named on the axis. */
function* leap(frame, doc, t) {
  const { grid } = frame.model;
  for (let i = 1; i < grid.length; i += 1) {
    const before = minutes(grid[i - 1][2]), here = minutes(grid[i][2]);
    const passed = (grid[i][0] - grid[i - 1][0]) / 60_000;
    if (here - before === passed) continue;
    const x = frame.x(i);
    yield element("line", { class: "p-cut", x1: x, x2: x, y1: frame.top, y2: frame.axisTop });
    yield element("text", { class: "p-cut-name", x: x + 4, y: frame.top + 14 }, here - before > passed ? t("clock leaps forward") : t("clock goes back"));
  }
}
const minutes = (label) => Number(label.slice(0, 2)) * 60 + Number(label.slice(3, 5));

function* limits(frame, t) {
  const { doc, model } = frame;
  for (const [side, sign] of [["EXPORT", 1], ["IMPORT", -1]]) {
    const { hard, soft } = doc.limits[side];
    const edge = sign > 0 ? frame.reach.up : frame.reach.down;
    // Beyond what passes at all.
    for (const [from, to, kw] of runs(hard, model.locked)) {
      if (kw === null || kw >= edge) continue;
      const [a, b] = [frame.y(sign * kw), frame.y(sign * edge)];
      yield element("rect", { class: "p-beyond", x: frame.x(from), width: frame.x(to + 1) - frame.x(from), y: Math.min(a, b), height: Math.abs(a - b), fill: "url(#p-hatch)" });
    }
    const path = steps(frame, soft, sign, edge, model.locked);
    if (path) yield element("path", { class: "p-soft", d: path });
    const site = doc.limits.site[side];
    if (site !== null && site < edge) {
      const y = Math.round(frame.y(sign * site)) + 0.5;
      yield element("line", { class: "p-limit", x1: frame.left, x2: frame.left + frame.plot, y1: y, y2: y });
      const name = sign > 0 ? t("Export limit {n}", { n: number(site) }) : t("Import limit {n}", { n: number(site) });
      yield element("text", { class: "p-limit-name", x: frame.left + 6, y: sign > 0 ? y - 5 : y + 13 }, name);
    }
  }
}

/** [from, to, value] of neighbours with the same value, from the first slot that is not over. */
function* runs(values, from = 0) {
  let start = from;
  for (let i = from + 1; i <= values.length; i += 1) {
    if (i < values.length && values[i] === values[start]) continue;
    if (start < values.length) yield [start, i - 1, values[start]];
    start = i;
  }
}

function steps(frame, values, sign, edge, from) {
  let path = "";
  for (const [a, b, kw] of runs(values, from)) {
    if (kw === null || kw >= edge) continue;
    const y = (Math.round(frame.y(sign * kw)) + 0.5).toFixed(1);
    path += `M${frame.x(a).toFixed(1)} ${y}H${frame.x(b + 1).toFixed(1)}`;
  }
  return path;
}

/** The version in force as a dashed step, where the draft differs from it. */
function* published(frame) {
  const { model } = frame;
  if (!model.editable || !model.published || !model.changes().length) return;
  let path = "", before = null;
  for (let i = 0; i < model.size; i += 1) {
    const kw = model.power(i, model.published);
    if (kw === null) { before = null; continue; }
    const y = frame.y(kw).toFixed(1), x1 = frame.x(i).toFixed(1), x2 = frame.x(i + 1).toFixed(1);
    path += before === null ? `M${x1} ${y}` : before === kw ? "" : `V${y}`;
    path += `H${x2}`;
    before = kw;
  }
  if (path) yield element("path", { class: "p-published", d: path });
}

function* bars(frame, findings) {
  const { model } = frame;
  const bad = new Map(findings.filter((one) => one.slot !== null).map((one) => [one.slot, one.severity]));
  for (const one of findings) if (one.slot !== null && one.severity === "ERROR") bad.set(one.slot, "ERROR");
  const wide = frame.plot / model.size;
  const gap = wide > 5 ? 1 : wide > 3 ? 0.5 : 0;
  for (let i = 0; i < model.size; i += 1) {
    const kw = model.power(i);
    if (kw === null) continue;
    const x = frame.x(i) + gap / 2, width = Math.max(1, frame.x(i + 1) - frame.x(i) - gap);
    const top = Math.min(frame.y(kw), frame.zero), height = Math.max(2, Math.abs(kw) * frame.perKw);
    const y = kw === 0 ? frame.zero - 1 : top;
    const names = ["p-bar", kw >= 0 ? "exp" : "imp"];
    if (model.editable && i < model.locked) names.push("locked");
    if (model.rows[i].priority === "HIGH") names.push("high");
    const box = { x: x.toFixed(2), y: y.toFixed(2), width: width.toFixed(2), height: height.toFixed(2) };
    yield element("rect", { class: names.join(" "), ...box });
    const edge = kw >= 0 ? y : y + height - 2;
    yield element("rect", { class: `p-edge ${names.slice(1).join(" ")}`, x: box.x, y: edge.toFixed(2), width: box.width, height: 2 });
    if (bad.has(i) && !names.includes("locked")) {
      yield element("rect", { class: "p-bad", ...box, fill: bad.get(i) === "ERROR" ? "url(#p-error)" : "url(#p-warning)" });
    }
  }
}

/** Neighbours that differ from the version in force, in one outline. */
function* changed(frame) {
  const { model } = frame;
  if (!model.editable || !model.published) return;
  let path = "", open = false;
  for (let i = model.locked; i <= model.size; i += 1) {
    const kw = i < model.size && model.changed(i) ? model.power(i) : null;
    const x = frame.x(i).toFixed(1);
    if (kw !== null) { path += open ? "" : `M${x} ${frame.zero.toFixed(1)}`; path += `V${frame.y(kw).toFixed(1)}H${frame.x(i + 1).toFixed(1)}`; }
    else if (open) path += `V${frame.zero.toFixed(1)}`;
    open = kw !== null;
  }
  if (path) yield element("path", { class: "p-changed", d: path });
}

/** A marker over the first of neighbouring slots with the same kind of conflict. */
function* marks(frame, findings) {
  const { model } = frame;
  const seen = new Set();
  let last = -99;
  const sorted = findings.filter((one) => one.slot !== null && one.slot >= model.locked).sort((a, b) => a.slot - b.slot);
  const key = (one, slot) => `${one.severity} ${one.code} ${slot}`;
  for (const one of sorted) {
    seen.add(key(one, one.slot));
    if (seen.has(key(one, one.slot - 1))) continue;
    const kw = model.power(one.slot) ?? 0;
    const x = (frame.x(one.slot) + frame.x(one.slot + 1)) / 2;
    if (x - last < 14) continue;
    last = x;
    const y = kw >= 0 ? Math.max(frame.top + 2, frame.y(kw) - 9) : Math.min(frame.top + frame.powerHeight - 2, frame.y(kw) + 9);
    const group = element("g", { class: `p-mark ${one.severity === "ERROR" ? "fail" : "doubt"}`, transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` });
    group.append(
      one.severity === "ERROR"
        ? element("path", { d: "M-3 -7h6l4 4v6l-4 4h-6l-4 -4v-6z" })
        : element("path", { d: "M0 -7l8 13h-16z" }),
      element("path", { class: "p-mark-sign", d: one.severity === "ERROR" ? "M0 -3.5v4M0 3v.2" : "M0 -2.5v4M0 4v.2" }),
    );
    yield group;
  }
}

function* selection(frame, selected) {
  if (!selected) return;
  const [from, to] = selected;
  const x = frame.x(from), width = frame.x(to + 1) - x;
  yield element("rect", { class: "p-selected", x, y: frame.top, width, height: frame.powerHeight, rx: 2 });
}

/** One tick for each slot that has a fate: full height for what needs a person, so that form tells too. */
function* strip(frame, outcomes) {
  if (!outcomes) return;
  const found = [];
  const heights = { ok: 6, move: 4, wait: 2, doubt: 11, fail: 14, crit: 14 };
  outcomes.forEach((one, i) => {
    if (!one) return;
    const height = heights[one.family] ?? 4;
    const x = frame.x(i) + 0.5, width = Math.max(1, frame.x(i + 1) - frame.x(i) - 1);
    found.push(element("rect", { class: `p-fate ${one.family}`, x: x.toFixed(2), width: width.toFixed(2), y: frame.stripTop + 14 - height, height, rx: 1 }));
  });
  yield* found;
}

function* soc(frame, charge, t, now) {
  const { doc, model } = frame;
  let low = "", high = "";
  for (const [from, to, window] of runs(doc.limits.soc.map((one) => one.join(" ")))) {
    const [min, max] = window.split(" ").map(Number);
    const x1 = frame.x(from), x2 = frame.x(to + 1);
    yield element("rect", { class: "p-window", x: x1, width: x2 - x1, y: frame.ySoc(max), height: frame.ySoc(min) - frame.ySoc(max) });
    low += `M${x1} ${frame.ySoc(min)}H${x2}`;
    high += `M${x1} ${frame.ySoc(max)}H${x2}`;
  }
  yield element("path", { class: "p-window-edge", d: low + high });
  for (const [pct, text] of [[0, `0${NARROW}%`], [50, `50${NARROW}%`], [100, `${t("SoC")} 100${NARROW}%`]]) {
    const y = Math.round(frame.ySoc(pct)) + 0.5;
    yield element("line", { class: "p-grid", x1: frame.left, x2: frame.left + frame.plot, y1: y, y2: y });
    yield element("text", { class: "p-axis r", x: frame.left - 8, y: y + 4 }, frame.left < 60 ? text.replace(`${t("SoC")} `, "") : text);
  }
  if (!charge) return;
  let path = "";
  charge.points.forEach((pct, i) => {
    if (pct === null) return;
    if (!path) path = `M${frame.xAt(Math.max(frame.begin, Math.min(frame.end, Math.max(model.grid[i][0], now)))).toFixed(1)} ${frame.ySoc(charge.start).toFixed(1)}`;
    path += `L${frame.x(i + 1).toFixed(1)} ${frame.ySoc(pct).toFixed(1)}`;
  });
  if (path) yield element("path", { class: charge.known ? "p-soc" : "p-soc unsure", d: path });
}

function* moment(frame, now, t) {
  if (now <= frame.begin || now >= frame.end) return;
  const x = Math.round(frame.xAt(now)) + 0.5;
  yield element("line", { class: "p-now", x1: x, x2: x, y1: frame.top - 4, y2: frame.axisTop });
  const clock = new Date(now).toLocaleTimeString("en-GB", { timeZone: frame.doc.zone, hour: "2-digit", minute: "2-digit" });
  const right = x < frame.left + frame.plot - 40;
  yield element("text", { class: right ? "p-now-name" : "p-now-name r", x: right ? x + 4 : x - 4, y: frame.top - 5 }, clock);
}

/** Patterns: what is beyond a limit, what is in conflict. */
export function patterns() {
  const defs = element("defs");
  for (const [id, name] of [["p-hatch", "p-stroke-beyond"], ["p-error", "p-stroke-error"], ["p-warning", "p-stroke-warning"]]) {
    const pattern = element("pattern", { id, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(-45)" });
    pattern.append(element("rect", { class: name, width: name === "p-stroke-beyond" ? 2 : 1.5, height: 6 }));
    defs.append(pattern);
  }
  return defs;
}

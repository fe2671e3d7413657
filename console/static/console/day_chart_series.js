// From the columns that the server sends to what a chart draws: pure, no DOM.
// Times are milliseconds since 1970; powers are the grid's in the sign of the site (+ = import). Up = export is the
// chart's own business: everything here that is named `up` has the sign turned.

/** Running sums: [start, start + d0, ...]. */
export function times(start, deltas) {
  if (start == null) return [];
  const found = [start];
  for (const delta of deltas) found.push(found[found.length - 1] + delta);
  return found;
}

const turned = (value) => (value == null ? null : value === 0 ? 0 : -value);

/** Steps of a plan or of commands as objects: {from, to, up, ...other columns}. */
export function steps(columns) {
  if (!columns || !columns.from.length) return [];
  const { from, to, grid_import_kw: powers, ...others } = columns;
  const names = Object.keys(others);
  return from.map((begin, i) => {
    const step = { from: begin, to: to[i], up: turned(powers[i]) };
    for (const name of names) step[name] = others[name][i];
    return step;
  });
}

/** The step that holds at `at`, or undefined: binary search, steps are in order and do not overlap. */
export function stepAt(list, at) {
  let low = 0;
  let high = list.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (list[middle].from > at) high = middle - 1;
    else if (list[middle].to <= at) low = middle + 1;
    else return list[middle];
  }
  return undefined;
}

/** Columns as objects: spans {from, to, ...}, marks {at, ...}. */
export function rowsOf(columns) {
  const names = Object.keys(columns ?? {});
  if (!names.length) return [];
  return columns[names[0]].map((_, i) => Object.fromEntries(names.map((name) => [name, columns[name][i]])));
}

/** What was measured, as {at: [], up: [], low: [], high: [], soc: [], stepped}: nulls where a line must break. */
export function measured(actual, gaps, now) {
  const at = times(actual.start, actual.deltas);
  const found = { at: [], up: [], low: [], high: [], soc: [], stepped: actual.tier !== "RAW" };
  const push = (moment, up, low, high, soc) => {
    found.at.push(moment);
    found.up.push(up);
    found.low.push(low);
    found.high.push(high);
    found.soc.push(soc);
  };
  const { grid_import_kw: mean, grid_import_kw_max: most, grid_import_kw_min: least, soc_pct: soc } = actual;
  if (!found.stepped) {
    at.forEach((moment, i) => push(moment, turned(mean[i]), null, null, soc[i]));
    return found;
  }
  at.forEach((begin, i) => {
    const end = Math.min(i + 1 < at.length ? at[i + 1] : actual.end, Math.max(now, begin));
    const values = [turned(mean[i]), turned(most[i]), turned(least[i]), soc[i]];
    const last = i + 1 === at.length;
    cut(begin, end, values, gaps, push, last || mean[i + 1] == null);
    if (last && end > begin) push(end, ...values.map(() => null));
  });
  return found;
}

/** One bucket, without the holes in it. Its step is drawn to where a hole begins, or to its end where nothing follows. */
function cut(begin, end, values, gaps, push, isLast) {
  let from = begin;
  const until = (to) => {
    push(from, ...values);
    if (to - 1 > from) push(to - 1, ...values);
  };
  for (const gap of gaps) {
    if (gap.to <= from || gap.from >= end) continue;
    if (gap.from > from) until(gap.from);
    push(Math.max(gap.from, from), null, null, null, null);
    from = Math.min(gap.to, end);
  }
  if (from >= end) return;
  if (isLast) until(end);
  else push(from, ...values);
}

/** The value that is drawn at `at`: of the bucket that holds it, or of the sample before it within `reach`. */
export function valueAt(series, values, at, reach) {
  const list = series.at;
  let low = 0;
  let high = list.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (list[middle] > at) high = middle - 1;
    else low = middle;
  }
  if (!list.length || list[low] > at) return null;
  if (!series.stepped && at - list[low] > reach) return null;
  return values[low] ?? null;
}

/** Points that came after the page was made, thinned to what can be seen. */
export class LiveTail {
  constructor(reach, spacing) {
    this.reach = reach;
    this.spacing = spacing;
    this.at = [];
    this.up = [];
    this.soc = [];
    this.stepped = false;
    this.kept = -Infinity;
  }

  /** `spacing`: points nearer than this to the one before take its place. */
  add(at, gridKw, socPct) {
    const last = this.at.length - 1;
    if (last >= 0 && at <= this.at[last]) return;
    if (last >= 0 && at - this.at[last] > this.reach) {
      this._push(this.at[last] + this.reach / 2, null, null); // it speaks for one expected period
    } else if (last >= 0 && at - this.kept < this.spacing && this.up[last] !== null) {
      this.at[last] = at;
      this.up[last] = turned(gridKw);
      this.soc[last] = socPct;
      return;
    }
    this.kept = at;
    this._push(at, turned(gridKw), socPct);
  }

  _push(at, up, soc) {
    this.at.push(at);
    this.up.push(up);
    this.soc.push(soc);
  }
}

/** [lowest, highest] for the axis: all that is drawn, limits only where they are near. */
export function powerRange(series, lists, limits) {
  let low = 0;
  let high = 0;
  const see = (value) => {
    if (value == null) return;
    if (value < low) low = value;
    if (value > high) high = value;
  };
  for (const one of [series.up, series.low, series.high]) one.forEach(see);
  for (const list of lists) for (const step of list) see(step.up);
  // A limit far beyond what happens would flatten the picture: it is drawn where it is near.
  if (limits.export_kw != null && high >= limits.export_kw / 2) see(limits.export_kw);
  if (limits.import_kw != null && -low >= limits.import_kw / 2) see(-limits.import_kw);
  if (low === 0 && high === 0) {
    see(limits.export_kw ?? 10);
    see(-(limits.import_kw ?? 10));
  }
  const span = Math.max(high - low, 2);
  return [low === 0 ? -0.06 * span : low - 0.1 * span, high === 0 ? 0.06 * span : high + 0.14 * span];
}

/** Round numbers between low and high, zero among them; about `wanted` of them. */
export function splits(low, high, wanted) {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
  const found = [];
  for (let n = Math.ceil(low / step); n * step <= high; n += 1) found.push(n * step);
  return found;
}

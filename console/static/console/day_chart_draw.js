// What a chart draws itself, in the order of the design: gap hatch, override shade, (actual area), planned, commanded,
// (actual line), limit, now. Colours are the page's tokens, read when drawn.

import { token } from "./words.js";

/** A token's colour at a share of its strength. */
export const faint = (name, share) => `color-mix(in srgb, ${token(name)} ${share}, transparent)`;

const NAMED_PX = 14;
const ratio = () => window.devicePixelRatio || 1;

function hatched(context, colour) {
  const tile = document.createElement("canvas");
  const size = Math.round(7 * ratio());
  tile.width = size;
  tile.height = size;
  const brush = tile.getContext("2d");
  brush.strokeStyle = colour;
  brush.lineWidth = 1.4 * ratio();
  brush.beginPath();
  for (const shift of [-size, 0, size]) {
    brush.moveTo(shift - 1, size + 1);
    brush.lineTo(shift + size + 1, -1);
  }
  brush.stroke();
  return context.createPattern(tile, "repeat");
}

const x = (u, at) => u.valToPos(at / 1000, "x", true);

/** Keeps a span within the picture: [left, width] in canvas pixels, or null. */
function place(u, from, to) {
  const left = Math.max(x(u, from), u.bbox.left);
  const right = Math.min(x(u, to), u.bbox.left + u.bbox.width);
  return right > left ? [left, right - left] : null;
}

const taken = new WeakMap();

/** Holes in the data, hatched; `word(gap)` stands in those that are wide enough, where `lines(left, right)` does not go. */
export function drawGaps(u, gaps, word, lines) {
  const { ctx, bbox } = u;
  ctx.save();
  const pattern = gaps.length ? hatched(ctx, token("--line-2")) : null;
  for (const gap of gaps) {
    const found = place(u, gap.from, gap.to);
    if (!found) continue;
    const width = Math.max(found[1], ratio());
    ctx.fillStyle = pattern;
    ctx.fillRect(found[0], bbox.top, width, bbox.height);
    const text = word ? word(gap) : "";
    // Of a narrow one the tip and the sentence tell.
    if (text && width >= NAMED_PX * ratio()) label(u, text, found[0], width, lines, gap.open);
  }
  ctx.restore();
}

/** A word on a small patch of the surface where there is room and no other word; `before`: it ends where the hole does. */
function label(u, text, from, room, lines, before) {
  const { ctx, bbox } = u;
  const d = ratio();
  ctx.font = `500 ${10.5 * d}px ${token("--f")}`;
  const width = ctx.measureText(text).width + 10 * d;
  if (width > room + 90 * d || u.width < 480) return;
  const wanted = before ? Math.min(from + (room - width) / 2, from + room - width - 2 * d) : from + (room - width) / 2;
  const left = Math.min(Math.max(wanted, bbox.left + 2 * d), bbox.left + bbox.width - width - 2 * d);
  const right = left + width;
  if ((taken.get(u) ?? []).some((one) => left < one.right + 4 * d && right + 4 * d > one.left)) return;
  const crossed = lines(left, right);
  const bases = [46 * d, 28 * d, 64 * d, bbox.height - 12 * d, bbox.height - 30 * d, bbox.height / 2].map((base) => bbox.top + base);
  const top = bases.find((base) => !crossed.some((y) => y > base - 13 * d && y < base + 6 * d));
  if (top === undefined) return;
  ctx.fillStyle = token("--surface");
  ctx.fillRect(left, top - 12 * d, width, 17 * d);
  taken.get(u)?.push({ left, right, top: top - 12 * d, bottom: top + 5 * d });
  ctx.fillStyle = token("--ink-3");
  ctx.textAlign = "left";
  ctx.fillText(text, left + 5 * d, top);
}

/** Forgets which words stand at the top: a picture is drawn anew. */
export const clearWords = (u) => taken.set(u, []);

/** An edge of the surface's colour around a word: it is read over hatch and shade. */
function outline(ctx, text, left, base) {
  ctx.save();
  ctx.setLineDash([]);
  ctx.lineJoin = "round";
  ctx.lineWidth = 3 * ratio();
  ctx.strokeStyle = token("--surface");
  ctx.strokeText(text, left, base);
  ctx.restore();
}

/** Writes at the first place [left, baseline] where the word covers no other; at none it is left out: its line stays. */
function firstFree(u, text, places, lines = false) {
  const { ctx } = u;
  const d = ratio();
  const width = ctx.measureText(text).width;
  const words = taken.get(u) ?? [];
  for (const [left, base] of places) {
    const right = left + width;
    const [top, bottom] = [base - 11 * d, base + 3 * d];
    const covers = (one) => left < one.right + 6 * d && right + 6 * d > one.left && top < one.bottom && bottom > one.top;
    if (words.some((one) => (lines || !one.line) && covers(one))) continue;
    words.push({ left, right, top, bottom });
    taken.set(u, words);
    ctx.textAlign = "left";
    if (lines) outline(ctx, text, left, base);
    ctx.fillText(text, left, base);
    return;
  }
}

/** A word at the top, in the first of two rows where it covers no other. */
const topWord = (u, text, left) => firstFree(u, text, [12, 26].map((row) => [left, u.bbox.top + row * ratio()]));

/** Overrides as a shade from top to bottom; a word beside the top where there is room. */
export function drawOverrides(u, overrides, word) {
  const { ctx, bbox } = u;
  const d = ratio();
  ctx.save();
  for (const one of overrides) {
    const found = place(u, one.from, one.to);
    if (!found) continue;
    ctx.fillStyle = faint("--st-doubt", "11%");
    ctx.fillRect(found[0], bbox.top, Math.max(found[1], d), bbox.height);
    if (!word || u.width < 480) continue;
    ctx.font = `600 ${10.5 * d}px ${token("--f")}`;
    ctx.fillStyle = token("--st-doubt");
    const width = ctx.measureText(word).width;
    const beside = found[0] + found[1] + 6 * d;
    const fits = beside + width < bbox.left + bbox.width;
    topWord(u, word, fits ? beside : found[0] - 6 * d - width);
  }
  ctx.restore();
}

/** A course of steps: one line, broken where nothing was asked for. */
export function drawSteps(u, list, { colour, width, dash }) {
  const { ctx, bbox } = u;
  const d = ratio();
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.strokeStyle = colour;
  ctx.lineWidth = width * d;
  ctx.lineJoin = "round";
  ctx.setLineDash(dash ? dash.map((part) => part * d) : []);
  ctx.beginPath();
  let ends = null;
  for (const step of list) {
    if (step.up == null) {
      ends = null;
      continue;
    }
    const y = u.valToPos(step.up, "y", true);
    const left = x(u, step.from);
    if (ends === step.from) ctx.lineTo(left, y);
    else ctx.moveTo(left, y);
    ctx.lineTo(x(u, step.to), y);
    ends = step.to;
  }
  ctx.stroke();
  ctx.restore();
}

/** A limit, dotted, with its name. */
export function drawLimit(u, value, text) {
  const { ctx, bbox } = u;
  const scale = u.scales.y;
  if (value < scale.min || value > scale.max) return;
  const d = ratio();
  const y = Math.round(u.valToPos(value, "y", true)) + 0.5 * (d % 2);
  ctx.save();
  ctx.strokeStyle = token("--st-fail");
  ctx.lineWidth = d;
  ctx.setLineDash([2 * d, 3 * d]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.fillStyle = token("--st-fail");
  ctx.font = `500 ${10.5 * d}px ${token("--f")}`;
  // On its far side or its near one, at the left or at the right: where no word stands and no line goes through it.
  const sides = value >= 0 ? [y - 5 * d, y + 13 * d] : [y + 13 * d, y - 5 * d];
  const ends = [bbox.left + 6 * d, bbox.left + bbox.width - ctx.measureText(text).width - 6 * d];
  const inside = sides.filter((base) => base - 11 * d >= 0 && base <= bbox.top + bbox.height - 2 * d);
  firstFree(u, text, inside.flatMap((base) => ends.map((left) => [left, base])), true);
  ctx.restore();
}

/** An upright line at a moment, with a word at its top. */
export function drawMoment(u, at, { colour, text, dash }) {
  const { ctx, bbox } = u;
  const d = ratio();
  const left = Math.round(x(u, at)) + 0.5 * (d % 2);
  if (left < bbox.left || left > bbox.left + bbox.width) return;
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.lineWidth = d;
  ctx.setLineDash(dash ? dash.map((part) => part * d) : []);
  ctx.beginPath();
  ctx.moveTo(left, bbox.top);
  ctx.lineTo(left, bbox.top + bbox.height);
  ctx.stroke();
  taken.get(u)?.push({ left, right: left, top: bbox.top, bottom: bbox.top + bbox.height, line: true });
  if (text && u.width >= 480) {
    ctx.font = `600 ${11 * d}px ${token("--f")}`;
    ctx.fillStyle = colour;
    const width = ctx.measureText(text).width;
    const before = left - width - 6 * d > bbox.left;
    topWord(u, text, before ? left - 6 * d - width : left + 6 * d);
  }
  ctx.restore();
}

/** The window that the battery's charge may be in. */
export function drawWindow(u, list) {
  const { ctx } = u;
  ctx.save();
  ctx.fillStyle = faint("--chg", "11%");
  for (const one of list) {
    const found = place(u, one.from, one.to);
    if (!found) continue;
    const top = u.valToPos(one.max_pct, "y", true);
    ctx.fillRect(found[0], top, found[1], u.valToPos(one.min_pct, "y", true) - top);
  }
  ctx.restore();
}

/** Above zero the colour of giving, below that of taking. */
export function byDirection(u) {
  const { ctx, bbox } = u;
  const zero = u.valToPos(0, "y", true);
  const share = Math.min(Math.max((zero - bbox.top) / bbox.height, 0), 1);
  const paint = ctx.createLinearGradient(0, bbox.top, 0, bbox.top + bbox.height);
  paint.addColorStop(0, token("--exp"));
  paint.addColorStop(share, token("--exp"));
  paint.addColorStop(share, token("--imp"));
  paint.addColorStop(1, token("--imp"));
  return paint;
}

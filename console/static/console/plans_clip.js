// What spreadsheets and the editor say to each other: a column of powers, or times beside powers, as text.
//
// Copied text names its column `grid_export_kw`, so that it means the same when it comes back. In what is pasted a
// header (grid_import_kw, grid_export_kw) or a column of words (import, export) says what a sign means; without either
// a positive number is an export, and the answer says that it was assumed. An empty cell plans nothing.

const TIME = /^(?:\d{4}-\d{2}-\d{2}[T ]|\d{1,2}[.\/]\s?\d{1,2}[.\/]\s?\d{4}\s+)?(\d{1,2}):(\d{2})(?::\d{2})?(?:\s*[-–].*)?(?:\s*([AB]))?$/i;
const NUMBER = /^[+\-−]?[\d\s\u00a0\u202f.,']*\d[\d.,]*(?:\s*kW)?$/i;
const WORDS = { import: -1, charge: -1, export: 1, discharge: 1 };
const MOST_LINES = 2000;

/** Slots `from` to `to` of the model as lines of time and power, + = export. */
export function copyText(model, from, to) {
  const lines = ["time\tgrid_export_kw"];
  for (let i = from; i <= to; i += 1) {
    const kw = model.power(i);
    lines.push(`${model.grid[i][2]}\t${kw === null ? "" : Math.round(kw * 1000) / 1000}`);
  }
  return lines.join("\n") + "\n";
}

/** {cells: [{at, kw}], assumed, skipped} or {error}: `at` is the place in the grid, kw null = nothing planned. */
export function readPaste(text, { grid, start }) {
  const lines = text.replace(/\r\n?/g, "\n").replace(/\n+$/, "").split("\n");
  if (lines.length > MOST_LINES) return { error: "TOO_LONG" };
  const table = lines.map((line) => split(line, lines));
  const header = readHeader(table[0]);
  if (header) table.shift();
  const columns = header ?? guess(table);
  if (!table.length || columns.power === undefined) return { error: "NO_NUMBERS" };
  const rows = [];
  for (const cells of table) {
    const read = readRow(cells, columns);
    if (read === undefined) return { error: "NOT_A_NUMBER", cell: (cells[columns.power] ?? "").slice(0, 40) };
    rows.push(read);
  }
  if (rows.every((row) => row.kw === null)) return { error: "NO_NUMBERS" };
  const placed = columns.time === undefined ? inOrder(rows, grid, start) : byTime(rows, grid);
  if (!placed.cells.length) return { error: "NO_SUCH_TIMES" };
  return { ...placed, assumed: columns.sign === undefined && columns.word === undefined };
}

function split(line, lines) {
  const separator = lines.some((one) => one.includes("\t")) ? "\t"
    : lines.some((one) => one.includes(";")) ? ";"
      : lines.every((one) => /^[^,]*[:a-z][^,]*,/i.test(one)) ? "," : null;
  return (separator ? line.split(separator) : [line]).map((cell) => cell.trim().replace(/^"(.*)"$/, "$1"));
}

function readHeader(cells) {
  if (cells.some((cell) => NUMBER.test(cell) || TIME.test(cell))) return null;
  const found = {};
  cells.forEach((cell, i) => {
    const name = cell.toLowerCase();
    if (/^(time|start|from|hour|čas|zeit)/.test(name)) found.time ??= i;
    else if (/direction|směr|richtung/.test(name)) found.word ??= i;
    else if (/import|odběr|bezug/.test(name)) { found.power ??= i; found.sign ??= -1; }
    else if (/export|dodávka|einspeisung/.test(name)) { found.power ??= i; found.sign ??= 1; }
    else if (/kw|power|value|výkon|leistung/.test(name)) found.power ??= i;
  });
  return found.power === undefined ? null : found;
}

function guess(table) {
  const found = {};
  const first = table.find((cells) => cells.some(Boolean)) ?? [];
  first.forEach((_, i) => {
    const filled = table.map((cells) => cells[i] ?? "").filter(Boolean);
    if (!filled.length) return;
    if (filled.every((cell) => TIME.test(cell))) found.time ??= i;
    else if (filled.every((cell) => cell.toLowerCase() in WORDS)) found.word ??= i;
    else if (filled.every((cell) => NUMBER.test(cell))) found.power ??= i;
  });
  if (found.power === undefined) first.forEach((_, i) => { if (i !== found.time && i !== found.word) found.power ??= i; });
  return found;
}

function readRow(cells, { time, power, word, sign }) {
  const text = cells[power] ?? "";
  const at = time === undefined ? null : TIME.exec(cells[time] ?? "");
  if (time !== undefined && !at) return undefined;
  if (!text) return { at, kw: null };
  const kw = number(text);
  if (kw === null) return undefined;
  const said = word === undefined ? 0 : WORDS[(cells[word] ?? "").toLowerCase()];
  if (word !== undefined && !said) return undefined;
  return { at, kw: said ? Math.abs(kw) * said : kw * (sign ?? 1) + 0 };
}

/** "1 234,5", "1,234.5", "−20 kW"; null where it is no number. */
export function number(text) {
  if (!NUMBER.test(text)) return null;
  let plain = text.replace(/kW$/i, "").replace(/[\s\u00a0\u202f']/g, "").replace("−", "-");
  const comma = plain.lastIndexOf(","), dot = plain.lastIndexOf(".");
  if (comma >= 0 && dot >= 0) plain = comma > dot ? plain.replace(/\./g, "").replace(",", ".") : plain.replace(/,/g, "");
  else if (comma >= 0) plain = plain.replace(",", ".");
  const value = Number(plain);
  return plain && Number.isFinite(value) ? value : null;
}

/** A bare column goes down from `start`; 24 values over a whole day of quarters fill each its hour. */
function inOrder(rows, grid, start) {
  const each = start === 0 && rows.length < grid.length && grid.length % rows.length === 0 && rows.length >= 23
    ? grid.length / rows.length : 1;
  const cells = [];
  rows.forEach((row, n) => {
    for (let k = 0; k < each; k += 1) if (start + n * each + k < grid.length) cells.push({ at: start + n * each + k, kw: row.kw });
  });
  return { cells, skipped: Math.max(0, start + rows.length * each - grid.length) };
}

/** Each value at its time, until the next named one when the sheet's steps are longer than the plan's slots. */
function byTime(rows, grid) {
  const places = new Map();
  grid.forEach(([, , label], i) => places.set(label, i));
  const used = new Set();
  const known = [];
  let skipped = 0;
  for (const { at, kw } of rows) {
    const label = `${at[1].padStart(2, "0")}:${at[2]}`;
    const second = at[3]?.toUpperCase() === "B" || (used.has(label) && places.has(`${label} B`));
    const place = places.get(second ? `${label} B` : label);
    if (place === undefined) { skipped += 1; continue; }
    used.add(label);
    known.push({ at: place, kw });
  }
  known.sort((a, b) => a.at - b.at);
  const steps = known.slice(1).map((cell, n) => cell.at - known[n].at);
  const step = steps.length && Math.min(...steps) > 1 ? Math.min(...steps) : 1;
  const cells = [];
  for (const { at, kw } of known) for (let k = 0; k < step && at + k < grid.length; k += 1) cells.push({ at: at + k, kw });
  return { cells, skipped };
}

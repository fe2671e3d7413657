// The day as it is edited: slots on the day's grid, what is selected, undo and redo. Nothing here touches the page.
//
// A slot is {type, value, direction, withConsumption, priority} or null (nothing planned); slots are never changed in
// place. Powers are told with export up: + = export. Events: "rows", "selection", "locked".

const MOST_STEPS = 200;
const MOST_VALUE = 10_000_000;

export const same = (a, b) =>
  a === b ||
  (a !== null && b !== null && a.type === b.type && a.value === b.value && a.direction === b.direction &&
    a.withConsumption === b.withConsumption && a.priority === b.priority);

export const sameRows = (a, b) => a.length === b.length && a.every((row, i) => same(row, b[i]));

export class Model extends EventTarget {
  constructor(doc) {
    super();
    this.grid = doc.grid;
    this.rows = doc.rows;
    this.base = doc.rows;
    this.published = doc.published?.rows ?? null;
    this.editable = doc.editable;
    this.locked = doc.grid.filter(([start]) => start <= doc.at).length;
    this.selection = null;
    this.findings = doc.findings;
    this._undo = [];
    this._redo = [];
  }

  get size() { return this.grid.length; }
  hours(i) { return (this.grid[i][1] - this.grid[i][0]) / 3_600_000; }
  isLocked(i) { return !this.editable || i < this.locked; }
  get dirty() { return !sameRows(this.rows, this.base); }

  /** Mean power of a slot, + = export; null where nothing is planned. */
  power(i, rows = this.rows) {
    const slot = rows[i];
    if (!slot) return null;
    const kw = slot.type === "POWER" ? slot.value : slot.value / this.hours(i);
    return slot.direction === "EXPORT" ? kw : -kw;
  }

  changed(i) { return this.published !== null && !same(this.rows[i], this.published[i]); }
  changes() { return this.grid.map((_, i) => i).filter((i) => this.changed(i)); }

  // ---- editing ------------------------------------------------------------------------------------------------------

  /** Begins one step of undo; changes until `end` belong to it. */
  begin() { this._before = this.rows; }
  end() {
    if (this._before && !sameRows(this._before, this.rows)) {
      this._undo.push(this._before);
      if (this._undo.length > MOST_STEPS) this._undo.shift();
      this._redo = [];
      this._tell("rows");
    }
    this._before = null;
  }

  /** One step: `make(slot, i)` answers the new slot for each place that may be changed. */
  apply(places, make) {
    const alone = !this._before;
    if (alone) this.begin();
    const rows = this.rows.slice();
    for (const i of places) if (i >= 0 && i < this.size && !this.isLocked(i)) rows[i] = make(rows[i], i);
    this.rows = rows;
    this._tell("rows");
    if (alone) this.end();
  }

  /** Another day's worth of rows as one step (a merge, a restored draft); locked slots stay. */
  replace(rows) { this.apply(this.grid.map((_, i) => i), (_, i) => rows[i]); }

  undo() { this._step(this._undo, this._redo); }
  redo() { this._step(this._redo, this._undo); }
  get canUndo() { return this._undo.length > 0; }
  get canRedo() { return this._redo.length > 0; }
  _step(from, to) {
    if (!from.length) return;
    to.push(this.rows);
    const rows = from.pop();
    this.rows = this.rows.map((row, i) => (this.isLocked(i) ? row : rows[i]));
    this._tell("rows");
  }

  /** A slot like `like` (or a new one) whose mean power is `kw`, + = export. */
  shaped(like, kw, i) {
    const type = like?.type ?? "POWER";
    const value = Math.min(MOST_VALUE, Math.abs(kw) * (type === "POWER" ? 1 : this.hours(i)));
    const direction = kw === 0 ? (like?.direction ?? "EXPORT") : kw > 0 ? "EXPORT" : "IMPORT";
    return {
      type, value: round(value), direction,
      withConsumption: like?.withConsumption ?? true, priority: like?.priority ?? "NORMAL",
    };
  }
  paint(i, kw) { this.apply([i], (slot) => this.shaped(slot, kw, i)); }
  nudge(places, by) {
    this.apply(places, (slot, i) => this.shaped(slot, (slot ? this.power(i) : 0) + by, i));
  }
  clear(places) { this.apply(places, () => null); }

  /** From outside: slots that have begun stay as they are kept. */
  lock(count, kept) {
    const rows = kept ? this.rows.map((row, i) => (i < count ? kept[i] : row)) : this.rows;
    const moved = count !== this.locked;
    this.locked = count;
    if (!sameRows(rows, this.rows)) { this.rows = rows; this._tell("rows"); }
    if (moved) this._tell("locked");
  }

  // ---- selection ----------------------------------------------------------------------------------------------------

  select(from, to = from) {
    const within = (i) => Math.max(0, Math.min(this.size - 1, i));
    this.selection = from === null ? null : { anchor: within(from), head: within(to) };
    this._tell("selection");
  }
  get span() {
    if (!this.selection) return null;
    const { anchor, head } = this.selection;
    return [Math.min(anchor, head), Math.max(anchor, head)];
  }
  get places() {
    if (!this.span) return [];
    const [from, to] = this.span;
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  }

  /** Neighbours that ask for the same, as one: [{from, to, slot}]; nothing planned is a block too. */
  blocks(rows = this.rows) {
    const found = [];
    rows.forEach((slot, i) => {
      const last = found[found.length - 1];
      const border = i === this.locked;
      if (last && !border && same(last.slot, slot)) last.to = i;
      else found.push({ from: i, to: i, slot });
    });
    return found;
  }

  /** Energy in kWh by direction. */
  sums(rows = this.rows) {
    const found = { IMPORT: 0, EXPORT: 0, slots: 0 };
    rows.forEach((slot, i) => {
      if (!slot) return;
      found.slots += 1;
      found[slot.direction] += Math.abs(this.power(i, rows)) * this.hours(i);
    });
    return found;
  }

  when(from, to = from) { return `${this.grid[from][2]}–${this.grid[to][3]}`; }
  _tell(what) { this.dispatchEvent(new Event(what)); }
}

/** Four decimals at most: what is shown is what is kept. */
export const round = (value) => Math.round(value * 10_000) / 10_000;

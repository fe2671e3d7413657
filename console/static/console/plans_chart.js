// The picture that is edited: a drag paints, shift drags a selection, a click selects, keys do the rest.
//
// Touch only reads and selects here: a finger that scrolls must not repaint a day. Its edits are made in the sheet.

import { Frame, draw, element, patterns, reachOf } from "./plans_draw.js";
import { serverNow } from "./words.js";

const MOVED_PX = 4;
const SMALL = 560;

export class Chart {
  constructor(place, doc, model, { t, describe }) {
    Object.assign(this, { place, doc, model, t, describe });
    this.findings = doc.findings;
    this.charge = doc.charge;
    this.outcomes = doc.outcomes;
    this.tool = "draw";
    this.svg = element("svg", { class: "p-chart", role: "application", tabindex: "0" });
    this.svg.setAttribute("aria-label", place.dataset.label);
    this.svg.setAttribute("aria-describedby", "plan-keys");
    this.svg.setAttribute("aria-roledescription", t("day of slots"));
    place.replaceChildren(this.svg);
    this.tip = place.appendChild(document.createElement("div"));
    this.tip.className = "tip";
    this.tip.hidden = true;
    new ResizeObserver(() => this.redraw()).observe(place);
    for (const what of ["rows", "selection", "locked"]) model.addEventListener(what, () => this.redraw());
    setInterval(() => this.redraw(), 20_000);
    this._listen();
  }

  /** Other findings, charge or outcomes than before. */
  show(news) { Object.assign(this, news); this.redraw(); }

  redraw() {
    if (this._asked) return;
    this._asked = requestAnimationFrame(() => { this._asked = 0; this._draw(); });
  }

  _draw() {
    const width = this.place.clientWidth;
    if (!width) return;
    const small = width < SMALL;
    const reach = this._painting ? this.frame.reach : reachOf(this.doc, this.model);
    this.frame = new Frame(this.doc, this.model, width, { small, reach });
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", this.frame.height);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${this.frame.height}`);
    this.svg.replaceChildren(patterns(), draw(this.frame, {
      t: this.t, selected: this.model.span, findings: this.findings, charge: this.charge,
      outcomes: this.outcomes, now: serverNow(),
    }));
    this.svg.classList.toggle("paints", this.model.editable && this.tool === "draw");
  }

  // ---- pointer ------------------------------------------------------------------------------------------------------

  _listen() {
    const { svg } = this;
    svg.addEventListener("pointerdown", (event) => this._down(event));
    svg.addEventListener("pointermove", (event) => this._move(event));
    svg.addEventListener("pointerup", (event) => this._up(event));
    svg.addEventListener("pointercancel", () => this._cancel());
    svg.addEventListener("pointerleave", () => { if (!this._from) this.tip.hidden = true; });
    svg.addEventListener("blur", () => { this.tip.hidden = true; });
  }

  _at(event) {
    const box = this.svg.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  _down(event) {
    if (event.button !== 0 || !this.frame) return;
    const at = this._at(event);
    if (at.x < this.frame.left - 4 || at.y > this.frame.axisTop) return;
    this._from = { ...at, slot: this.frame.slotAt(at.x), touch: event.pointerType === "touch" };
    this._selects = event.shiftKey || this.tool === "select";
    if (event.pointerType !== "touch") this.svg.setPointerCapture(event.pointerId);
    if (event.shiftKey && this.model.selection) this.model.select(this.model.selection.anchor, this._from.slot);
  }

  _move(event) {
    if (!this.frame) return;
    const at = this._at(event);
    if (!this._from || this._from.touch) return event.pointerType === "touch" ? undefined : this._hover(at);
    const slot = this.frame.slotAt(at.x);
    if (this._selects) return this.model.select(event.shiftKey && this.model.selection ? this.model.selection.anchor : this._from.slot, slot);
    const moved = Math.hypot(at.x - this._from.x, at.y - this._from.y) > MOVED_PX;
    if (!this._painting && (!moved || !this.model.editable)) return undefined;
    if (!this._painting) { this._painting = true; this._last = this._from; this.model.begin(); }
    this._paint(at, slot);
    this._hover(at);
    return undefined;
  }

  /** Every slot between the last place and this one, at the height of the straight line between them. */
  _paint(at, slot) {
    const from = this._last.slot, step = slot >= from ? 1 : -1;
    for (let i = from; ; i += step) {
      const part = slot === from ? 1 : Math.abs(i - from) / Math.abs(slot - from);
      this.model.paint(i, this._snapped(this._last.y + (at.y - this._last.y) * part));
      if (i === slot) break;
    }
    this._last = { ...at, slot };
    this.model.select(this._from.slot, slot);
  }

  _snapped(y) {
    const { frame } = this;
    const within = Math.max(frame.top, Math.min(frame.top + frame.powerHeight, y));
    const perPixel = 1 / frame.perKw;
    const step = [1, 5, 10, 50, 100, 500, 1000].find((one) => one >= perPixel * 1.5) ?? 1000;
    return Math.round(frame.kwAt(within) / step) * step + 0;
  }

  _up(event) {
    const from = this._from;
    this._from = null;
    if (this._painting) { this._painting = false; this.model.end(); this.redraw(); return; }
    if (!from || this._selects && !from.touch && this.model.selection) { if (from && !event.shiftKey && this.model.span?.[0] === this.model.span?.[1]) this.model.select(from.slot); return; }
    this.model.select(from.slot);
    if (from.touch) this.place.dispatchEvent(new CustomEvent("tapped", { detail: from.slot }));
  }

  _cancel() {
    if (this._painting) { this._painting = false; this.model.end(); }
    this._from = null;
  }

  _hover({ x, y }) {
    const { frame } = this;
    if (x < frame.left || x > frame.left + frame.plot || y > frame.axisTop) { this.tip.hidden = true; return; }
    this._tipAt(frame.slotAt(x));
  }

  _tipAt(slot) {
    this.tip.replaceChildren(...this.describe(slot, false, this._painting));
    this.tip.hidden = false;
    const right = this.frame.x(slot) > this.frame.left + this.frame.plot / 2;
    const x = right ? this.frame.x(slot) - this.tip.offsetWidth - 10 : this.frame.x(slot + 1) + 10;
    this.tip.style.setProperty("left", `${Math.max(4, x)}px`);
    this.tip.style.setProperty("top", `${this.frame.top + 8}px`);
  }
}

// What is selected, typed: span, direction, power, unit, options. The typed equal of everything that a drag can do.
// On a phone the same form comes up as a sheet, one block at a time.

import { number } from "./plans_clip.js";
import { round } from "./plans_model.js";
import { t, tn } from "./words.js";

const PHONE = matchMedia("(max-width: 640px)");

export class Panel {
  constructor(form, model, { t }) {
    Object.assign(this, { form, model, t });
    this.fields = form.elements;
    this.dialog = document.getElementById("block-sheet");
    this.home = form.parentElement;
    model.grid.forEach(([, , from, to], i) => {
      this.fields.from.add(new Option(from, i));
      this.fields.to.add(new Option(to, i));
    });
    for (const name of ["from", "to"]) this.fields[name].addEventListener("change", () => this._span(name));
    form.addEventListener("submit", (event) => { event.preventDefault(); this._take(); });
    form.addEventListener("change", (event) => { if (!["from", "to"].includes(event.target.name)) this._take(); });
    form.querySelector("[data-clear]").addEventListener("click", () => model.clear(model.places));
    this.fields.value.addEventListener("keydown", (event) => this._key(event));
    for (const what of ["selection", "rows", "locked"]) model.addEventListener(what, () => this.show());
    this.dialog?.addEventListener("close", () => this.home.append(form));
    this.show();
  }

  /** What the places have in common; null where they differ. */
  _common(read) {
    const { model } = this;
    const found = new Set(model.places.map((i) => JSON.stringify(read(model.rows[i], i) ?? null)));
    return found.size === 1 ? JSON.parse([...found][0]) : undefined;
  }

  show() {
    const { model, fields, form } = this;
    const span = model.span;
    form.classList.toggle("none", !span);
    const open = span !== null && model.places.some((i) => !model.isLocked(i));
    form.querySelector("[data-hint]").hidden = span !== null && open;
    form.querySelector("[data-hint]").textContent = !span ? (PHONE.matches ? t("Tap a block to change it.") : t("Select slots in the picture, or choose a span here."))
      : model.editable ? this.t("These slots have begun: they stay as they are.") : "";
    if (span) { fields.from.value = span[0]; fields.to.value = span[1]; }
    const direction = span ? this._common((slot) => slot?.direction ?? "") : undefined;
    for (const one of form.querySelectorAll("[name=direction]")) one.checked = one.value === direction;
    const type = span ? this._common((slot) => slot?.type ?? "POWER") ?? "POWER" : "POWER";
    for (const one of form.querySelectorAll("[name=type]")) one.checked = one.value === type;
    const value = span ? this._common((slot) => slot?.value ?? "") : "";
    if (document.activeElement !== fields.value) fields.value.value = value ?? "";
    fields.value.placeholder = value === undefined ? this.t("different") : "";
    form.querySelector("[data-unit]").textContent = type === "POWER" ? "kW" : "kWh";
    fields.without.checked = span ? this._common((slot) => slot?.withConsumption === false) === true : false;
    fields.high.checked = span ? this._common((slot) => slot?.priority === "HIGH") === true : false;
    for (const field of fields) if (!["from", "to"].includes(field.name) && !field.matches("[data-close]")) field.disabled = !open;
    const count = form.querySelector("[data-count]");
    count.textContent = span ? tn("{n} slot", "{n} slots", model.places.length) : "";
  }

  _span(moved) {
    let from = Number(this.fields.from.value), to = Number(this.fields.to.value);
    if (!this.model.span) { if (moved === "from") to = from; else from = to; }
    if (to < from) { if (moved === "from") to = from; else from = to; }
    this.model.select(from, to);
  }

  _take() {
    const { fields, form, model } = this;
    if (!model.span) return;
    const direction = form.querySelector("[name=direction]:checked")?.value;
    const typed = fields.value.value.trim();
    const value = typed === "" ? null : number(typed);
    const bad = typed !== "" && (value === null || value < 0 || value > 10_000_000);
    fields.value.toggleAttribute("aria-invalid", bad);
    if (bad) fields.value.setAttribute("aria-invalid", "true");
    form.querySelector("[data-error]").hidden = !bad;
    if (bad) return;
    if (direction === "") { model.clear(model.places); return; }
    const type = form.querySelector("[name=type]:checked")?.value ?? "POWER";
    model.apply(model.places, (slot) => {
      const was = slot ?? { type, value: 0, direction: "EXPORT", withConsumption: true, priority: "NORMAL" };
      if (!slot && value === null && !direction) return slot;
      return {
        type, direction: direction ?? was.direction, value: value === null ? was.value : round(value),
        withConsumption: !fields.without.checked, priority: fields.high.checked ? "HIGH" : "NORMAL",
      };
    });
  }

  _key(event) {
    if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      event.preventDefault();
      const value = number(this.fields.value.value) ?? 0;
      this.fields.value.value = Math.max(0, value + (event.key === "ArrowUp" ? 5 : -5));
      this._take();
    } else if (event.key === "Enter") {
      event.preventDefault();
      this._take();
      const next = this.model.span[1] + 1;
      if (next < this.model.size && !PHONE.matches) { this.model.select(next); this.fields.value.select(); }
    }
  }

  /** Begins to type a power for what is selected: on a phone in the sheet. */
  type(digit = "") {
    if (PHONE.matches) this.open();
    if (!this.model.span || this.fields.value.disabled) return;
    this.fields.value.focus();
    if (digit) this.fields.value.value = digit;
    else this.fields.value.select();
    if (digit && !this.form.querySelector("[name=direction]:checked")?.value) this.form.querySelector("[name=direction][value=EXPORT]").checked = true;
  }

  /** The sheet of a phone. */
  open() {
    if (!this.dialog || !PHONE.matches || this.dialog.open) return;
    this.dialog.append(this.form);
    this.dialog.showModal();
  }
}

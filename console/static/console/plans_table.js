// The day as a table: blocks to read and tap, slots to type into, changes against the version in force.

import { number } from "./plans_clip.js";
import { round } from "./plans_model.js";

const cell = (text, name = "") => {
  const made = document.createElement("td");
  if (name) made.className = name;
  if (text instanceof Node) made.append(text);
  else made.textContent = text;
  return made;
};

export class Tables {
  constructor(card, model, { t, ask, fate, edit, count }) {
    Object.assign(this, { card, model, t, ask, fate, edit, count });
    this.findings = [];
    this.tabs = [...card.querySelectorAll("[role=tab]")];
    this.tabs.forEach((tab) => {
      tab.addEventListener("click", () => this.open(tab.dataset.tab));
      tab.addEventListener("keydown", (event) => this._tabKey(event, tab));
    });
    model.addEventListener("rows", () => this.show());
    model.addEventListener("locked", () => { this.rowsMade = false; this.show(); });
    this.open(new URLSearchParams(location.search).get("tab") ?? card.dataset.first, false);
  }

  _tabKey(event, tab) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = this.tabs[(this.tabs.indexOf(tab) + step + this.tabs.length) % this.tabs.length];
    next.focus();
    this.open(next.dataset.tab);
  }

  open(name, kept = true) {
    if (!this.tabs.some((tab) => tab.dataset.tab === name)) name = this.tabs[0].dataset.tab;
    this.opened = name;
    for (const tab of this.tabs) {
      const here = tab.dataset.tab === name;
      tab.setAttribute("aria-selected", here);
      tab.tabIndex = here ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = !here;
    }
    if (kept) {
      const address = new URL(location.href);
      address.searchParams.set("tab", name);
      history.replaceState(history.state, "", address);
    }
    this.show();
  }

  note(findings) { this.findings = findings; this.show(); }

  show() {
    const changes = this.model.published ? this.model.changes().length : 0;
    this.count(changes);
    if (this.opened === "blocks") this._blocks();
    else if (this.opened === "slots") this._slots();
    else if (this.opened === "changes") this._changes();
  }

  _body(id) { return document.querySelector(`#${id} tbody`); }

  _worst(from, to) {
    const within = this.findings.filter((one) => one.slot !== null && one.slot >= from && one.slot <= to);
    return within.find((one) => one.severity === "ERROR") ?? within[0];
  }

  _blocks() {
    const { model, t } = this;
    this._body("tab-blocks").replaceChildren(...model.blocks().map(({ from, to, slot }) => {
      const row = document.createElement("tr");
      row.className = slot ? slot.direction.toLowerCase() : "none";
      const when = cell(model.when(from, to), "num nw");
      const what = cell(this.ask(slot, from));
      const energy = cell(slot ? `${trim(Math.abs(model.power(from)) * this._hours(from, to))}\u202fkWh` : "", "dim r nw");
      const worst = this._worst(from, to);
      const said = cell(worst ? worst.title : this.fate(from, to), worst ? (worst.severity === "ERROR" ? "fail tone" : "doubt tone") : "");
      row.append(when, what, energy, said);
      const act = cell("", "r");
      if (model.editable && to >= model.locked) {
        const button = document.createElement("button");
        button.type = "button";
        button.className = "btn sm plain";
        button.textContent = t("Edit");
        button.setAttribute("aria-label", `${t("Edit")} ${model.when(from, to)}`);
        button.addEventListener("click", () => { model.select(Math.max(from, model.locked), to); this.edit(); });
        act.append(button);
      } else act.textContent = model.editable ? t("locked") : "";
      row.append(act);
      return row;
    }));
  }

  _hours(from, to) { return (this.model.grid[to][1] - this.model.grid[from][0]) / 3_600_000; }

  // ---- slots: made once, filled in after each change ----------------------------------------------------------------

  _slots() {
    const { model } = this;
    const body = this._body("tab-slots");
    if (!this.rowsMade || body.rows.length !== model.size) {
      body.replaceChildren(...model.grid.map((_, i) => this._slotRow(i)));
      this.rowsMade = true;
    }
    [...body.rows].forEach((row, i) => this._fill(row, i));
  }

  _slotRow(i) {
    const { model, t } = this;
    const row = document.createElement("tr");
    const label = model.when(i);
    row.append(cell(label, "num nw"));
    if (model.isLocked(i)) row.append(cell("", "what"), cell(""));
    else {
      const direction = document.createElement("select");
      direction.setAttribute("aria-label", `${t("Direction")} ${label}`);
      for (const [value, word] of [["", t("Nothing planned")], ["EXPORT", t("Export")], ["IMPORT", t("Import")]]) direction.add(new Option(word, value));
      const value = document.createElement("input");
      value.inputMode = "decimal";
      value.autocomplete = "off";
      value.maxLength = 14;
      value.setAttribute("aria-label", `${t("Power")} ${label}`);
      direction.addEventListener("change", () => this._typed(i, direction, value));
      value.addEventListener("change", () => this._typed(i, direction, value));
      value.addEventListener("keydown", (event) => this._key(event, i));
      row.addEventListener("focusin", () => { if (model.span?.[0] !== i || model.span?.[1] !== i) model.select(i); });
      const unit = document.createElement("span");
      unit.className = "u";
      const held = document.createElement("span");
      held.className = "inp tight";
      held.append(value, unit);
      const chosen = document.createElement("span");
      chosen.className = "inp tight";
      chosen.append(direction);
      row.append(cell(chosen), cell(held));
    }
    row.append(cell("", "dim nw pub"), cell("", "said"));
    return row;
  }

  _fill(row, i) {
    const { model } = this;
    const slot = model.rows[i];
    const direction = row.querySelector("select"), value = row.querySelector("input");
    if (direction) {
      direction.value = slot?.direction ?? "";
      if (document.activeElement !== value) value.value = slot ? slot.value : "";
      row.querySelector(".u").textContent = slot?.type === "ENERGY" ? "kWh" : "kW";
    } else row.cells[1].textContent = this.ask(slot, i);
    row.classList.toggle("changed-row", model.editable && model.changed(i));
    row.classList.toggle("locked-row", model.editable && i < model.locked);
    row.querySelector(".pub").textContent = model.published && model.changed(i) ? this.ask(model.published[i], i) : "";
    const worst = this._worst(i, i), said = row.querySelector(".said");
    said.textContent = worst && !model.isLocked(i) ? worst.title : this.fate(i, i);
    said.className = `said${worst && !model.isLocked(i) ? (worst.severity === "ERROR" ? " fail tone" : " doubt tone") : ""}`;
  }

  _typed(i, direction, value) {
    const { model } = this;
    const typed = value.value.trim();
    const read = typed === "" ? 0 : number(typed);
    const bad = read === null || read < 0 || read > 10_000_000;
    if (bad) { value.setAttribute("aria-invalid", "true"); return; }
    value.removeAttribute("aria-invalid");
    const like = model.rows[i];
    const towards = direction.value || (typed !== "" && !like ? "EXPORT" : "");
    if (!towards) { model.clear([i]); return; }
    model.apply([i], () => ({
      type: like?.type ?? "POWER", value: round(read), direction: towards,
      withConsumption: like?.withConsumption ?? true, priority: like?.priority ?? "NORMAL",
    }));
  }

  _key(event, i) {
    if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      event.preventDefault();
      event.target.dispatchEvent(new Event("change"));
      this.model.nudge([i], event.key === "ArrowUp" ? 5 : -5);
      event.target.value = this.model.rows[i]?.value ?? "";
    } else if (event.key === "Enter") {
      event.preventDefault();
      event.target.dispatchEvent(new Event("change"));
      const body = this._body("tab-slots");
      const next = body.rows[i + (event.shiftKey ? -1 : 1)]?.querySelector("input");
      next?.focus();
      next?.select();
    }
  }

  _changes() {
    const { model } = this;
    const places = model.published ? model.changes() : [];
    document.getElementById("no-changes").hidden = places.length > 0;
    document.querySelector("#tab-changes table").hidden = places.length === 0;
    this._body("tab-changes").replaceChildren(...places.map((i) => {
      const row = document.createElement("tr");
      row.append(cell(model.when(i), "num nw"), cell(this.ask(model.published[i], i), "dim"), cell(this.ask(model.rows[i], i)));
      return row;
    }));
  }
}

const trim = (value) => String(Math.round(value * 10) / 10);

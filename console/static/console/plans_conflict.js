// Two people edited the same day: what the other one made of it beside what is here, and three ways to go on.

import { same } from "./plans_model.js";
import { tn } from "./words.js";

const MOST_SHOWN = 120;

export class Conflict {
  constructor(dialog, saver, model, { ask, merged, t }) {
    Object.assign(this, { dialog, saver, model, ask, merged, t });
    saver.addEventListener("changed", ({ detail }) => this._show(detail));
    dialog.querySelectorAll("[data-keep]").forEach((one) => one.addEventListener("click", () => this._go(one.dataset.keep)));
    // There is no way past the question: closing it would leave edits that are saved nowhere.
    dialog.addEventListener("cancel", (event) => event.preventDefault());
  }

  _show(theirs) {
    this.theirs = theirs;
    const { model, dialog } = this;
    const differ = model.grid.map((_, i) => i).filter((i) => !same(theirs.rows[i], model.rows[i]));
    const clash = differ.filter((i) => !same(theirs.rows[i], theirs.base[i]) && !same(model.rows[i], theirs.base[i]));
    dialog.querySelector("[data-who]").textContent = theirs.by || this.t("Somebody");
    const at = dialog.querySelector("[data-when]");
    at.textContent = theirs.at ? new Date(theirs.at).toLocaleTimeString("en-GB") : "";
    dialog.querySelector("[data-clash]").textContent = clash.length
      ? tn("{n} slot was changed by both: there yours would stand.", "{n} slots were changed by both: there yours would stand.", clash.length)
      : this.t("No slot was changed by both.");
    dialog.querySelector("tbody").replaceChildren(...differ.slice(0, MOST_SHOWN).map((i) => {
      const row = document.createElement("tr");
      if (clash.includes(i)) row.className = "changed-row";
      for (const text of [model.when(i), this.ask(theirs.rows[i], i), this.ask(model.rows[i], i)]) {
        const cell = document.createElement("td");
        cell.textContent = text;
        row.append(cell);
      }
      return row;
    }));
    if (!dialog.open) dialog.showModal();
  }

  _go(way) {
    const { theirs, model } = this;
    const rows = { theirs: theirs.rows, mine: model.rows, both: this.merged(theirs.base, model.rows, theirs.rows) }[way];
    this.dialog.close();
    this.saver.resolve(theirs, rows);
  }
}

// What stands against the day: neighbours with the same conflict as one line, each with the nearest value that fits.

const MOST_SHOWN = 40;

/** [{from, to, one, slots}]: neighbouring slots with the same kind of finding together. */
export function grouped(findings) {
  const groups = [];
  const order = { ERROR: 0, WARNING: 1 };
  const sorted = [...findings].sort((a, b) => order[a.severity] - order[b.severity] || a.code.localeCompare(b.code) || (a.slot ?? -1) - (b.slot ?? -1));
  for (const one of sorted) {
    const last = groups[groups.length - 1];
    if (last && one.slot !== null && last.one.code === one.code && last.one.severity === one.severity && last.to === one.slot - 1) {
      last.to = one.slot;
      last.all.push(one);
    } else groups.push({ from: one.slot, to: one.slot, one, all: [one] });
  }
  return groups;
}

export class Findings {
  constructor(card, model, { t, icon, ask }) {
    Object.assign(this, { card, model, t, icon, ask });
    this.list = card.querySelector("ul");
    card.querySelector("[data-use-all]").addEventListener("click", () => this._use(this.findings.filter((one) => one.severity === "ERROR")));
  }

  show(findings) {
    this.findings = findings;
    const groups = grouped(findings);
    const errors = findings.filter((one) => one.severity === "ERROR");
    this.card.querySelector("[data-none]").hidden = groups.length > 0;
    this.card.querySelector("[data-count]").textContent = groups.length ? groups.length : "";
    this.card.querySelector("[data-use-all]").hidden = errors.filter((one) => one.nearest !== null).length < 2 || !this.model.editable;
    this.list.replaceChildren(...groups.slice(0, MOST_SHOWN).map((group) => this._line(group)));
    if (groups.length > MOST_SHOWN) {
      const more = document.createElement("li");
      more.className = "more";
      more.textContent = this.t("and {n} more", { n: groups.length - MOST_SHOWN });
      this.list.append(more);
    }
  }

  _line({ from, to, one, all }) {
    const { t, model } = this;
    const line = document.createElement("li");
    line.className = one.severity === "ERROR" ? "fail" : "doubt";
    const text = document.createElement("button");
    text.type = "button";
    text.className = "what";
    const title = document.createElement("b");
    title.textContent = one.title;
    const more = document.createElement("small");
    more.textContent = this._numbers(one, all);
    more.title = one.text;
    if (from !== null) {
      const when = document.createElement("span");
      when.className = "num";
      when.textContent = model.when(from, to);
      text.append(when);
    }
    text.append(title, more);
    if (from !== null) text.addEventListener("click", () => { model.select(from, to); document.querySelector(".p-chart")?.focus(); });
    else text.disabled = true;
    line.append(this.icon(one.severity === "ERROR" ? "octagon-alert" : "triangle-alert", "s"), text);
    if (one.nearest !== null && model.editable) {
      const use = document.createElement("button");
      use.type = "button";
      use.className = "btn sm";
      use.textContent = all.every(({ nearest }) => nearest === one.nearest) ? t("Use {n}", { n: `${trimmed(one.nearest)}\u202f${one.nearestUnit}` }) : t("Use what fits");
      use.addEventListener("click", () => this._use(all));
      line.append(use);
    }
    return line;
  }

  /** "export 320 kW, limit 300, 20 kW over; fits 300" */
  _numbers(one, all) {
    if (one.slot === null || one.nearest === null) return one.text;
    const { t, model } = this;
    const worst = all.reduce((a, b) => ((b.overBy ?? 0) > (a.overBy ?? 0) ? b : a), one);
    const parts = [this.ask(model.rows[worst.slot], worst.slot)];
    if (one.code === "SOC_WINDOW") parts.push(t("window ends at {n} %", { n: trimmed(worst.limit) }));
    else if (worst.limit !== null) parts.push(t("limit {n}", { n: `${trimmed(worst.limit)}\u202f${worst.unit}` }));
    if (worst.overBy !== null) parts.push(t("{n} over", { n: `${trimmed(worst.overBy)}\u202f${worst.unit}` }));
    parts.push(t("fits {n}", { n: `${trimmed(worst.nearest)}\u202f${worst.nearestUnit}` }));
    return parts.join(", ");
  }

  _use(all) {
    const nearest = new Map(all.filter((one) => one.slot !== null && one.nearest !== null).map((one) => [one.slot, one.nearest]));
    for (const one of all) if (nearest.has(one.slot)) nearest.set(one.slot, Math.min(nearest.get(one.slot), one.nearest));
    this.model.apply([...nearest.keys()], (slot, i) => (slot ? { ...slot, value: nearest.get(i) } : slot));
  }
}

export const trimmed = (value) => String(Math.round(value * 100) / 100);

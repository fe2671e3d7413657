// The energy flow, brought up to date by attributes and texts only: the same rules as console/plant/flow.py.

import { batteryWord, fixed, gridWord, powerText, serverNow, setText, showPower, t } from "./words.js";

const IDLE_KW = 0.5;
const STALE_MS = 60_000;
const NARROWEST = 3;
const WIDEST = 16;

export class Flow {
  constructor(card) {
    this.card = card;
    this.body = card.querySelector("[data-flow]");
    this.rating = Number(card.dataset.rating) || 1;
    this.ev = card.dataset.ev === undefined ? null : Number(card.dataset.ev);
    this.evWord = "";
    this.measured = Date.parse(card.querySelector("[data-flow-stale] time")?.dateTime ?? "");
  }

  /** Whether there is a picture to bring up to date: a plant that never spoke has none. */
  get drawn() {
    return this.body !== null;
  }

  /** What the devices told, of which a snapshot says nothing: the chargers' power and how many of them charge. */
  chargers({ ev, evWord }) {
    this.ev = ev === undefined ? null : Number(ev);
    this.evWord = evWord ?? "";
  }

  /** A snapshot of the plant: grid_kw, pv_kw, battery_kw, load_kw, soc_pct, measured_at. */
  show(tile) {
    if (!this.drawn) return;
    this.measured = Date.parse(tile.measured_at);
    const known = [tile.grid_kw, tile.pv_kw, tile.battery_kw, tile.load_kw].filter((kw) => kw != null);
    this.rating = Math.max(this.rating, ...known.map(Math.abs));
    const gives = tile.battery_kw != null && tile.battery_kw < 0;
    const exports = tile.grid_kw != null && tile.grid_kw < 0;
    this._bay("grid", tile.grid_kw, exports ? "exp" : "imp", !exports, gridWord(tile.grid_kw) || t("Grid"));
    this._bay("pv", tile.pv_kw, "pv", true, tile.pv_kw == null ? t("PV") : Math.abs(tile.pv_kw) < IDLE_KW ? t("Idle") : t("Producing"));
    this._bay("battery", tile.battery_kw, gives ? "dis" : "chg", gives, batteryWord(tile.battery_kw) || t("Battery"));
    const load = tile.load_kw != null && this.ev !== null ? Math.max(tile.load_kw - this.ev, 0) : tile.load_kw;
    this._bay("load", load, "load", false);
    this._bay("ev", this.ev, "ev", false, this.evWord);
    const limit = this.body.querySelector('[data-bay="grid"] [data-detail]');
    if (limit) setText(limit, limit.dataset[exports ? "exp" : "imp"] ?? "");
    const soc = this.body.querySelector('[data-bay="battery"] [data-detail]');
    if (soc) setText(soc, tile.soc_pct == null ? "" : `, ${fixed(tile.soc_pct)}\u202f%`);
    this._sums(tile);
    this.refresh(serverNow());
  }

  /** Grey and still when the last sample is too old. */
  refresh(now) {
    if (!this.drawn || Number.isNaN(this.measured)) return;
    const stale = now - this.measured > STALE_MS;
    this.body.classList.toggle("is-stale", stale);
    const note = this.card.querySelector("[data-flow-stale]");
    note.hidden = !stale;
    const time = note.querySelector("time");
    const iso = new Date(this.measured).toISOString();
    if (time.dateTime !== iso) {
      const zone = time.title.split(" · ")[1];
      time.dateTime = iso;
      time.title = `${iso} · ${zone}`;
      const form = { timeZone: zone, hour: "2-digit", minute: "2-digit", second: "2-digit" };
      setText(time, new Intl.DateTimeFormat("en-GB", form).format(this.measured));
    }
  }

  _bay(name, kw, hue, into, word) {
    const bay = this.body.querySelector(`[data-bay="${name}"]`);
    const wire = this.body.querySelector(`[data-wire="${name}"]`);
    if (!bay || !wire) return;
    const knot = this.body.querySelector(`[data-knot="${name}"]`);
    showPower(bay.querySelector("[data-power]"), kw);
    bay.classList.toggle("is-unknown", kw == null);
    if (word) setText(bay.querySelector("[data-word]"), word);
    const idle = kw == null || Math.abs(kw) < IDLE_KW;
    for (const element of [bay, wire, knot]) paint(element, idle ? "idle" : hue);
    for (const element of [wire, knot]) element.classList.toggle("is-idle", idle);
    const width = idle ? 2 : Math.min(WIDEST, Math.max(NARROWEST, (WIDEST * Math.abs(kw)) / this.rating));
    put(wire.querySelector(".wire-bed"), "stroke-width", width.toFixed(1));
    put(knot, "r", Math.max(5, width * 0.55).toFixed(1));
    const drift = wire.querySelector(".wire-drift");
    put(drift, "stroke-width", Math.max(2, width * 0.42).toFixed(1));
    if (idle) return;
    const top = wire.dataset.top === "1";
    const up = into !== top;
    const [low, high] = top ? ["0", "50%"] : ["50%", "100%"];
    put(drift, "y1", up ? high : low);
    put(drift, "y2", up ? low : high);
    put(wire.querySelector(".chevron"), "transform", up ? "rotate(0)" : "rotate(180)");
  }

  _sums({ grid_kw: grid, pv_kw: pv, battery_kw: battery, load_kw: load }) {
    const through = Math.max(grid ?? 0, 0) + Math.max(pv ?? 0, 0) + Math.max(-(battery ?? 0), 0);
    const sum = this.body.querySelector("[data-through]");
    sum.hidden = grid == null && pv == null && battery == null;
    replaceAmount(sum, through);
    const place = this.card.querySelector("[data-balance]");
    if (grid == null || load == null) return place.replaceChildren();
    const rest = grid + (pv ?? 0) - (battery ?? 0) - load;
    if (Math.abs(rest) <= Math.max(1, 0.02 * through)) return setText(place, t("Balanced to 1 kW"));
    const told = document.createElement("span");
    told.className = "tone doubt";
    told.textContent = t("{power} unexplained", { power: powerText(rest) });
    return place.replaceChildren(told);
  }
}

/** Puts a number and its unit where the sentence has them; its other words stay. */
function replaceAmount(element, kw) {
  const unit = element.querySelector(".u");
  const number = unit?.previousSibling;
  if (!unit || number?.nodeType !== Node.TEXT_NODE) return;
  const [amount, word] = powerText(kw).split("\u202f");
  const text = number.data.replace(/[\d.,]+$/, amount);
  if (number.data !== text) number.data = text;
  setText(unit, word);
}

function put(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

function paint(element, hue) {
  const wanted = `c-${hue}`;
  if (element.classList.contains(wanted)) return;
  const old = [...element.classList].find((name) => name.startsWith("c-"));
  if (old) element.classList.remove(old);
  element.classList.add(wanted);
}

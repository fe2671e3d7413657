// The draft is kept by the server shortly after each change, and by this browser until the server has it.
//
// A save names the state of the day that was edited (If-Match). When somebody else changed the day, nothing is written:
// the person sees what differs and decides. Leaving with something unsaved asks.

import { same, sameRows } from "./plans_model.js";

const CALM_MS = 1200, CHECK_MS = 150, RETRY_MS = 5000;

export class Saver extends EventTarget {
  constructor(doc, model, { owner }) {
    super();
    this.doc = doc;
    this.model = model;
    this.mark = doc.mark;
    this.key = `busbar.plan.${owner}.${doc.plant.id}.${doc.day}`;
    this.state = "idle";
    this.note = document.getElementById("note");
    this.noteKept = this.note?.value ?? "";
    model.addEventListener("rows", () => this._onRows());
    this.note?.addEventListener("input", () => this._onRows());
    addEventListener("beforeunload", (event) => { if (this.unsaved) event.preventDefault(); });
    document.addEventListener("visibilitychange", () => { if (document.hidden && this.unsaved) this.flush(); });
    this._restore();
  }

  get unsaved() { return this.model.dirty || (this.note?.value ?? "") !== this.noteKept; }

  _onRows() {
    this._keepHere();
    clearTimeout(this._later);
    if (this.unsaved) {
      if (this.state !== "saving") this._set("waiting");
      this._later = setTimeout(() => this.flush(), CALM_MS);
    } else if (this.state === "waiting") this._set("saved");
    clearTimeout(this._checkLater);
    this._checkLater = setTimeout(() => this.check(), CHECK_MS);
  }

  /** Saves now what is unsaved; true when the server has everything. */
  async flush() {
    clearTimeout(this._later);
    if (this._running) { await this._running; return this.unsaved ? this.flush() : this.state !== "changed"; }
    if (!this.unsaved) return this.state !== "changed";
    if (this.state === "changed") return false;
    this._running = this._save();
    const done = await this._running;
    this._running = null;
    if (done && this.unsaved) this._onRows();
    return done;
  }

  async _save() {
    const rows = this.model.rows, note = this.note?.value ?? "";
    this._set("saving");
    const answer = await this._post(this.doc.urls.save, { slots: rows, note }, { "If-Match": `"${this.mark}"` });
    if (answer === null) {
      this._set("failed");
      this._later = setTimeout(() => this.flush(), RETRY_MS);
      return false;
    }
    // An earlier save of ours whose answer was lost (a reload in between) is nobody else's change.
    if (answer.outcome === "changed" && sameRows(answer.rows, rows)) Object.assign(answer, { outcome: "saved", refused: [] });
    if (answer.outcome === "changed") { this._changed(answer); return false; }
    if (answer.outcome !== "saved") { this._set("refused", answer); return false; }
    this.mark = answer.mark;
    this.model.base = rows;
    this.noteKept = note;
    if (answer.refused.length) this._begun(answer);
    this.version = answer.version ?? this.version;
    this._keepHere();
    this._set(this.unsaved ? "waiting" : "saved", answer);
    return true;
  }

  _begun({ refused, kept }) {
    const base = this.model.base.map((row, i) => (refused.includes(i) ? kept[i] : row));
    this.model.base = base;
    this.model.lock(Math.max(this.model.locked, Math.max(...refused) + 1), base);
    this.dispatchEvent(new CustomEvent("begun", { detail: refused }));
  }

  /** Somebody else changed the day: what they made of it, beside what is here. */
  _changed(theirs, base = this.model.base) {
    this._set("changed");
    this.dispatchEvent(new CustomEvent("changed", { detail: { ...theirs, base } }));
  }

  /** Goes on after a decision: `rows` over what somebody else made of the day. */
  resolve(theirs, rows) {
    this.mark = theirs.mark;
    this.model.base = theirs.rows;
    this.version = theirs.version ?? this.version;
    this._set("waiting");
    if (sameRows(rows, this.model.rows)) this._onRows();
    else this.model.replace(rows);
  }

  async check() {
    this._checked?.abort();
    this._checked = new AbortController();
    const answer = await this._post(this.doc.urls.check, { slots: this.model.rows }, {}, this._checked.signal);
    if (answer?.findings) this.dispatchEvent(new CustomEvent("checked", { detail: answer }));
  }

  async _post(url, body, headers = {}, signal = undefined) {
    try {
      const response = await fetch(url, {
        method: "POST", signal, body: JSON.stringify(body), redirect: "error",
        headers: { "Content-Type": "application/json", "X-CSRFToken": document.body.dataset.csrf ?? "", ...headers },
      });
      return response.ok || response.status === 422 ? await response.json() : null;
    } catch {
      return null; // not reached, signed out meanwhile (a redirect), or a newer check took its place
    }
  }

  _keepHere() {
    try {
      if (!this.unsaved) localStorage.removeItem(this.key);
      else localStorage.setItem(this.key, JSON.stringify(this._copy()));
    } catch {
      // A full or forbidden store: the server's copy is the one that counts.
    }
  }

  _copy() {
    return { mark: this.mark, base: this.model.base, rows: this.model.rows, note: this.note?.value ?? "", at: Date.now() };
  }

  _restore() {
    let kept = null;
    try { kept = JSON.parse(localStorage.getItem(this.key) ?? "null"); } catch { kept = null; }
    if (!kept || kept.rows?.length !== this.model.size) return;
    if (sameRows(kept.rows.map((row, i) => (this.model.isLocked(i) ? this.model.rows[i] : row)), this.model.rows)) {
      localStorage.removeItem(this.key);
      return;
    }
    if (kept.mark === this.mark) {
      if (this.note) this.note.value = kept.note ?? "";
      queueMicrotask(() => { this.model.replace(kept.rows); this.dispatchEvent(new CustomEvent("restored", { detail: kept.at })); });
      return;
    }
    const theirs = { mark: this.mark, rows: this.model.rows, by: "", at: null, version: this.doc.version };
    queueMicrotask(() => {
      this.state = "changed";
      this.model.rows = kept.rows.map((row, i) => (this.model.isLocked(i) ? this.model.rows[i] : row));
      this.model.dispatchEvent(new Event("rows"));
      this._changed(theirs, kept.base ?? theirs.rows);
    });
  }

  _set(state, detail = null) {
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail }));
  }
}

/** Three ways to go on: mine over theirs, theirs, or theirs with what was changed here. */
export function merged(base, mine, theirs) {
  return theirs.map((row, i) => (same(mine[i], base[i]) ? row : mine[i]));
}

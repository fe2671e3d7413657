// The tab that leads: it holds the browser's one stream, for the wishes of all tabs.

import { later, newest, oldest, parsePosition } from "./live_place.js";

const KEYS_MAX = 400, FIRST_WAIT_MS = 1000, LONGEST_WAIT_MS = 30000, CENSUS_MS = 300000, ANSWER_MS = 10000, PROBE_MS = 15000;
const OPENS_SOON_MS = 40;
const WHY = { 429: "many", 503: "busy" };

export class Leader {
  /** `tell` reaches every tab; `over` ends the lead. */
  constructor({ url, tell, place, over }) {
    Object.assign(this, { url, tell, place, over });
    this.tabs = new Map();      // id -> {topics, slow, said}
    this.source = null;
    this.covered = "";          // what the open stream brings
    this.failures = 0;
    // `why` it is not live, where the server said so: "busy", or "many" streams of this person are open.
    this.state = { live: false, since: Date.now(), away: false, signedOut: false, why: "" };
    this.timers = {};
    // A broken network is known sooner than its silence is noticed.
    this.offline = () => this.failed();
    this.online = () => { if (!this.source && !this.state.signedOut) this.later("again", 100, () => this.probe()); };
    addEventListener("offline", this.offline);
    addEventListener("online", this.online);
    this.census = setInterval(() => this.count(), CENSUS_MS);
  }

  /** A tab's wishes, and where it stands: what it has not heard is asked for once more. */
  wished({ from, topics, place, slow }) {
    const known = this.tabs.has(from);
    this.tabs.set(from, { topics, slow, said: Date.now() });
    if (this.state.signedOut) {
      // A page that was opened since: somebody has signed in again.
      if (!known) this.probe();
      return;
    }
    if (!known) this.tell({ kind: "state", state: this.state });
    const behind = place && this.place && later(this.place, place);
    if (behind && !known) this.place = oldest(this.place, place) ?? this.place;
    if (!this.place && place) this.place = place;
    if ((behind && !known) || this.query() !== this.covered) this.soon();
  }

  gone(tab) {
    this.tabs.delete(tab);
  }

  stop() {
    clearInterval(this.census);
    removeEventListener("offline", this.offline);
    removeEventListener("online", this.online);
    Object.values(this.timers).forEach(clearTimeout);
    this.close();
    this.over();
  }

  /** Tabs that crashed said no good-bye. */
  count() {
    const before = Date.now();
    this.tell({ kind: "who" });
    this.later("census", ANSWER_MS, () => {
      for (const [tab, { said }] of this.tabs) if (said < before) this.tabs.delete(tab);
    });
  }

  query() {
    const topics = {};
    let slow = this.tabs.size > 0;
    for (const tab of this.tabs.values()) {
      if (!Object.keys(tab.topics).length) continue;
      slow &&= tab.slow;
      for (const [topic, keys] of Object.entries(tab.topics)) {
        if (keys === null) topics[topic] = null;
        else if (topics[topic] !== null) for (const key of keys) (topics[topic] ??= new Set()).add(key);
      }
    }
    const parts = Object.entries(topics).sort().map(([topic, keys]) =>
      keys === null || keys.size > KEYS_MAX ? topic : `${topic}:${[...keys].sort().join(",")}`);
    return parts.length ? `topics=${encodeURIComponent(parts.join("|"))}${slow ? "&slow=1" : ""}` : "";
  }

  soon() {
    this.later("open", OPENS_SOON_MS, () => this.open());
  }

  open() {
    const query = this.query();
    this.close();
    this.covered = query;
    if (!query || this.state.signedOut) return;
    const from = this.place ? `&from=${encodeURIComponent(this.place.text)}` : "";
    const source = (this.source = new EventSource(`${this.url}?${query}${from}`));
    const on = (name, act) => source.addEventListener(name, (event) => {
      if (source !== this.source) return;
      this.watch();
      act(event, JSON.parse(event.data));
    });
    on("hello", (_, { away, beat_s }) => {
      this.failures = 0;
      this.beatMs = beat_s * 1000;
      this.watch();
      this.become({ live: true, away, why: "" });
    });
    on("live", (event, items) => this.bring(parsePosition(event.lastEventId), items));
    on("resync", (event, { topics }) => {
      this.place = parsePosition(event.lastEventId);
      this.tell({ kind: "resync", place: this.place, topics });
    });
    on("beat", (event) => { this.place = newest(parsePosition(event.lastEventId), this.place); });
    on("away", () => this.become({ away: true }));
    on("back", () => this.become({ away: false }));
    on("end", (_, { why }) => this.ended(why));
    source.onerror = () => { if (source === this.source) this.failed(); };
    this.watch();
  }

  bring(place, items) {
    this.place = newest(place, this.place);
    this.tell({ kind: "live", place, items });
  }

  ended(why) {
    this.close();
    if (why === "signed_out") this.become({ live: false, signedOut: true });
    else this.later("again", 200 + Math.random() * 1300, () => this.open());
  }

  failed(why = "", leastMs = 0) {
    this.close();
    this.become({ live: false, why });
    const most = Math.max(leastMs * 2, Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.failures++));
    this.later("again", most * (0.5 + Math.random() / 2), () => this.probe());
  }

  /** EventSource does not tell why it was refused: is the person still signed in, is there room? */
  async probe() {
    try {
      const answer = await fetch(`${this.url}?probe=1&topics=plant`, { headers: { "HX-Request": "true" }, redirect: "manual", signal: AbortSignal.timeout(PROBE_MS) });
      if (answer.headers.has("HX-Redirect")) this.become({ live: false, signedOut: true });
      else if (answer.status === 204) {
        this.become({ signedOut: false });
        this.open();
      }
      else this.failed(WHY[answer.status], 1000 * Number(answer.headers.get("Retry-After") ?? 0));
    } catch {
      this.failed();
    }
  }

  /** A stream that has gone silent is broken, whatever the network says. */
  watch() {
    this.later("silence", 2.5 * (this.beatMs ?? 15000), () => this.failed());
  }

  become(change) {
    const next = { ...this.state, ...change };
    if (next.live !== this.state.live) next.since = Date.now();
    this.state = next;
    this.tell({ kind: "state", state: next });
  }

  close() {
    clearTimeout(this.timers.silence);
    this.source?.close();
    this.source = null;
  }

  later(name, ms, act) {
    clearTimeout(this.timers[name]);
    this.timers[name] = setTimeout(act, ms);
  }
}

// Live data: one stream per browser. One tab leads (Web Locks) and holds the stream; the others hear it over a channel.
// onTopic("plant", ["12"] | null, (event) => …)   event = {topic, key, at, data}
// onResync((topics) => …)   what the page shows of these topics (null = all) has to be read again
// state()   {live, since, away, signedOut}

import { Leader } from "./live_leader.js";
import { showState } from "./live_bar.js";
import { isLater, newest, parsePosition } from "./live_place.js";

const SLOW_AFTER_MS = 5000;
const body = document.body;
const url = body.dataset.live;
const me = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
const channel = url && "BroadcastChannel" in window ? new BroadcastChannel("esm-live") : null;

const wishes = [];          // {topic, keys: Set|null, fn}
const resyncs = [];
let place = parsePosition(body.dataset.liveFrom);
let queue = [];             // events that wait for the next animation frame
let asked = false;
let now = { live: false, since: Date.now(), away: false, signedOut: false, started: false };
let leader = null;
let slow = false;

/** Hear of a topic: of these keys (ids, or "p<id>" for what belongs to a plant), or of all with null. Returns an end. */
export function onTopic(topic, keys, fn) {
  const wish = { topic, keys: keys === null || keys === undefined ? null : new Set([...keys].map(String)), fn };
  wishes.push(wish);
  tellWishes();
  return () => {
    const at = wishes.indexOf(wish);
    if (at >= 0) wishes.splice(at, 1);
    tellWishes();
  };
}

/** Called when something was missed: read the page's part of these topics again (null = all). Returns an end. */
export function onResync(fn) {
  resyncs.push(fn);
  return () => { resyncs.splice(resyncs.indexOf(fn), 1); };
}

/** How the stream does: `live`, since when (ms), `away` = the server itself hears no news. */
export const state = () => ({ ...now });

// --- what comes in ---------------------------------------------------------------------------------------------------

function hear(message) {
  switch (message.kind) {
    case "live":
      for (const [at, event] of message.items) if (isNews(at, event, message.place)) queue.push(event);
      place = newest(message.place, place);
      if (queue.length) schedule();
      break;
    case "resync":
      place = message.place;
      queue = [];
      for (const fn of resyncs) guarded(fn, message.topics);
      break;
    case "state":
      now = { ...message.state, started: true };
      showState(now);
      document.dispatchEvent(new CustomEvent("live:state", { detail: state() }));
      break;
  }
}

/** A stream that began for another tab's sake tells once more what this one has heard. */
function isNews(at, event, of) {
  if (!place || of?.epoch !== place.epoch) return true;
  return isLater(at, event.topic === "plant" ? place.tiles : place.lists);
}

function schedule() {
  if (asked) return;
  asked = true;
  // A hidden tab gets no animation frames; its page is brought up to date all the same, without any hurry.
  if (document.hidden) setTimeout(apply, 250);
  else requestAnimationFrame(apply);
}

function apply() {
  asked = false;
  const events = queue;
  queue = [];
  for (const event of events) {
    for (const wish of [...wishes]) {
      if (wish.topic === event.topic && wanted(wish.keys, event)) guarded(wish.fn, event);
    }
  }
}

const wanted = (keys, event) => keys === null || keys.has(event.key) || keys.has(`p${event.data.plant}`);

function guarded(fn, value) {
  try {
    fn(value);
  } catch (error) {
    console.error(error);
  }
}

// --- what this tab wishes for, and who leads --------------------------------------------------------------------------

function ownWishes() {
  const topics = {};
  for (const { topic, keys } of wishes) {
    if (keys === null) topics[topic] = null;
    else if (topics[topic] !== null) topics[topic] = [...new Set([...(topics[topic] ?? []), ...keys])];
  }
  return topics;
}

let telling = 0;
function tellWishes() {
  clearTimeout(telling);
  telling = setTimeout(() => say({ to: "leader", kind: "wishes", from: me, topics: ownWishes(), place, slow }), 0);
}

function say(message) {
  channel?.postMessage(message);
  if (message.to === "leader") leader?.wished(message);
}

/** What the leader tells everybody, itself included. */
function broadcast(message) {
  channel?.postMessage({ to: "all", ...message });
  hear(message);
}

function lead() {
  return new Promise((over) => {
    leader = new Leader({ url, tell: broadcast, place, over });
    leader.wished({ from: me, topics: ownWishes(), place, slow });
    channel?.postMessage({ to: "all", kind: "who" });
  });
}

if (url) {
  if (channel) {
    channel.onmessage = ({ data }) => {
      if (data.to === "leader") {
        if (data.kind === "gone") leader?.gone(data.from);
        else leader?.wished(data);
      } else if (data.kind === "who") tellWishes();
      else hear(data);
    };
  }
  // The lock is held as long as the tab lives: when it closes, the next one takes over where all have heard it.
  if (navigator.locks && channel) navigator.locks.request("esm-live", lead).catch(() => lead());
  else lead();
  addEventListener("pagehide", () => {
    channel?.postMessage({ to: "leader", kind: "gone", from: me });
    leader?.stop();
  });
  // Back from the browser's memory of pages: nothing was heard meanwhile.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  let hiding = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    const set = (value) => { if (slow !== value) { slow = value; tellWishes(); } };
    if (document.hidden) hiding = setTimeout(() => set(true), SLOW_AFTER_MS);
    else set(false);
  });
}

// The bar that says when what is on screen does not move any more.

import { ageText, setText, t } from "./words.js";

const SHOWN_AFTER_MS = 3000;
const bar = document.getElementById("live-bar");
let shown = null;
let wasOut = false;
let timer = 0;

/** Show how the stream does: `{live, since, away, signedOut, why}`. */
export function showState(state) {
  wasOut ||= state.signedOut;
  shown = state;
  clearInterval(timer);
  if (!state.live || state.away) timer = setInterval(draw, 1000);
  draw();
}

function draw() {
  if (!bar || !shown) return;
  const paused = Date.now() - shown.since;
  document.documentElement.toggleAttribute("data-paused", !shown.live || shown.away);
  if (wasOut) {
    // What this page would send was made for the session that is over.
    if (shown.live) tell(t("You have signed in again in another window."), t("Load this page anew"));
    else tell(t("You are signed out."), t("Sign in again"));
  } else if (!shown.live && shown.why === "many") {
    setText(bar, t("Too many windows of yours are open: values stand still in this one. Close another."));
    bar.hidden = false;
  } else if (!shown.live && shown.why === "busy" && paused >= SHOWN_AFTER_MS) {
    setText(bar, t("The server is busy: live updates paused {age}, trying again", { age: ageText(paused / 1000) }));
    bar.hidden = false;
  } else if (!shown.live && paused >= SHOWN_AFTER_MS) {
    setText(bar, t("Live updates paused {age}, reconnecting", { age: ageText(paused / 1000) }));
    bar.hidden = false;
  } else if (shown.live && shown.away) {
    setText(bar, t("The server hears no news at present: values stand still, commands are carried out."));
    bar.hidden = false;
  } else {
    bar.hidden = true;
  }
}

function tell(text, label) {
  bar.hidden = false;
  if (bar.querySelector("a")?.textContent === label) return;
  const link = document.createElement("a");
  // Back here afterwards; without the fragment, which no server sees.
  link.href = location.pathname + location.search;
  link.textContent = label;
  bar.replaceChildren(`${text} `, link);
}

/** A request of this page's own was answered with the way to the sign-in. */
export function showSignedOut() {
  showState({ live: false, since: Date.now(), away: false, why: "", ...shown, signedOut: true });
}

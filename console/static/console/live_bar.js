// The bar that says when what is on screen does not move any more.

import { ageText, setText, t } from "./words.js";

const SHOWN_AFTER_MS = 3000;
const bar = document.getElementById("live-bar");
let shown = null;
let timer = 0;

/** Show how the stream does: `{live, since, away, signedOut}`. */
export function showState(state) {
  shown = state;
  clearInterval(timer);
  if (!state.live || state.away) timer = setInterval(draw, 1000);
  draw();
}

function draw() {
  if (!bar || !shown) return;
  const paused = Date.now() - shown.since;
  document.documentElement.toggleAttribute("data-paused", !shown.live || shown.away);
  if (shown.signedOut) {
    if (bar.querySelector("a")) return;
    const link = document.createElement("a");
    link.href = location.href;
    link.textContent = t("Sign in again");
    bar.replaceChildren(`${t("You are signed out.")} `, link);
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

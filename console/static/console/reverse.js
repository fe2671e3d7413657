// The reverse channel, live: the lamp, the day's picture, and how many requests came since the journal was read.

import { onTopic, onResync } from "./live.js";
import { paced } from "./pace.js";
import { say, t, tn } from "./words.js";

let fresh = 0;

function arrived() {
  fresh += 1;
  const button = document.getElementById("fresh-pulls");
  if (button) {
    button.hidden = false;
    button.textContent = tn("{n} new", "{n} new", fresh);
  }
  document.getElementById("day")?.dispatchEvent(new Event("pulled"));
  refreshLast();
}

/** The line on top is the server's. */
const refreshLast = paced(
  () => htmx.ajax("GET", location.pathname, { target: "#last", swap: "outerHTML", select: "#last" }), 1000,
);

onTopic("pull", null, arrived);
onTopic("update", null, () => {
  say(t("An update of Voke was added or decided."));
  htmx.ajax("GET", location.pathname, { target: "main", swap: "innerHTML", select: "main > *" });
});
onResync(() => htmx.ajax("GET", location.pathname, { target: "main", swap: "innerHTML", select: "main > *" }));
document.body.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id === "journal") fresh = 0;
});

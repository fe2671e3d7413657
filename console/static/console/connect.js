// Connections, live: the lamp lights with Voke's first pull, the list follows the links' health.

import { onTopic, onResync } from "./live.js";

let waiting = null;
/** Parts of the page are fetched again, at most once a second: what they show is the server's word. */
function refresh(selector) {
  if (waiting || !document.querySelector(selector)) return;
  waiting = setTimeout(() => {
    waiting = null;
    if (!document.querySelector("dialog[open]")) htmx.ajax("GET", location.pathname, { target: selector, select: selector, swap: "outerHTML" });
  }, 1000);
}

onTopic("pull", null, () => refresh("#lamp"));
onTopic("link", null, () => refresh("#connections"));
onResync(() => { refresh("#lamp"); refresh("#connections"); });

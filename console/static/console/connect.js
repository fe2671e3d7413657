// Connections, live: the lamp lights with Voke's first pull, the list follows the links' health.

import { onTopic, onResync } from "./live.js";
import { paced } from "./pace.js";

/** A part of the page is fetched again, at most once a second: what it shows is the server's word. */
function renewed(selector) {
  return paced(() => {
    if (!document.querySelector(selector) || document.querySelector("dialog[open]")) return undefined;
    return htmx.ajax("GET", location.pathname, { target: selector, select: selector, swap: "outerHTML" });
  }, 1000);
}
const lamp = renewed("#lamp"), connections = renewed("#connections");

onTopic("pull", null, lamp);
onTopic("link", null, connections);
onResync(() => { lamp(); connections(); });

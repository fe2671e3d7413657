// An emergency for many plants: the dialog, and the page that follows it until nothing is on its way any more.

import "./acting_hold.js";
import { onResync, onTopic } from "./live.js";
import { paced } from "./pace.js";

const EVERY_MS = 3000, AT_MOST_EVERY_MS = 500;
const part = () => document.getElementById("order");

function refresh() {
  if (document.hidden || !part() || document.querySelector("dialog[open]")) return;
  window.htmx.trigger(part(), "refresh");
}
const soon = paced(refresh, AT_MOST_EVERY_MS);

document.addEventListener("click", (event) => {
  const cancel = event.target.closest("dialog[open] [data-cancel]");
  if (cancel && !cancel.closest(".alone")) { event.preventDefault(); cancel.closest("dialog").close(); }
});
setInterval(() => { if (part()?.dataset.moving) refresh(); }, EVERY_MS);
if (part()) {
  onTopic("command", null, soon);
  onTopic("latch", null, soon);
  onResync(soon);
}

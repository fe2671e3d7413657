// An emergency for many plants: the dialog, and the page that follows it until nothing is on its way any more.

import "./acting_hold.js";
import { onResync, onTopic } from "./live.js";
import { renewal } from "./renew.js";

const EVERY_MS = 3000, AT_MOST_EVERY_MS = 500;
const part = () => document.getElementById("order");

const soon = renewal(["order"], AT_MOST_EVERY_MS, () => part()?.getAttribute("hx-get"));

document.addEventListener("click", (event) => {
  const cancel = event.target.closest("dialog[open] [data-cancel]");
  if (cancel && !cancel.closest(".alone")) { event.preventDefault(); cancel.closest("dialog").close(); }
});
setInterval(() => { if (part()?.dataset.moving && !document.hidden) soon(); }, EVERY_MS);
if (part()) {
  onTopic("command", null, soon);
  onTopic("latch", null, soon);
  onResync(soon);
}

// The reverse channel, live: the lamp, the day's picture, what waits, and how many requests came since the journal was read.

import { onTopic, onResync } from "./live.js";
import { paced } from "./pace.js";
import { renewal } from "./renew.js";
import { say, setText, t, tn } from "./words.js";

const LAST_EVERY_MS = 1000, DAY_EVERY_MS = 10_000;
const last = renewal(["last"], LAST_EVERY_MS);
const updates = renewal(["waiting", "decided"], LAST_EVERY_MS);
const day = paced(() => htmx.trigger("#day", "renew"), DAY_EVERY_MS);
let fresh = 0;

/** There is more than the journal shows. */
function showMore(text) {
  const button = document.getElementById("fresh-pulls");
  if (!button) return;
  button.hidden = false;
  setText(button, text);
}
onTopic("pull", null, () => {
  fresh += 1;
  showMore(tn("{n} new", "{n} new", fresh));
  day();
  last();
});
onTopic("update", null, () => {
  say(t("An update of Voke was added or decided."));
  updates();
});
onResync(() => {
  last();
  updates();
  day();
  showMore(t("Newest"));
  const journal = document.getElementById("journal");
  if (!journal.querySelector("[data-newest-page]") || journal.matches(":hover, :focus-within")) return;
  htmx.trigger("#fresh-pulls", "click");
});
document.body.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id === "journal") fresh = 0;
});

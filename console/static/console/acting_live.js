// What stands above the plan and how far a sent command has come: asked for anew when the server says that it changed.

import { onResync, onTopic } from "./live.js";
import { paced } from "./pace.js";

const EVERY_MS = 250;
const plantShown = () => Number(document.getElementById("act-banner")?.dataset.plant ?? 0);
const commandShown = () => Number(document.getElementById("act-sent")?.dataset.command ?? 0);

/** The server's word for one part of the page. Not by htmx: what it queues for a part that an answer replaces meanwhile
 *  is never asked, and nobody is told. */
const renewal = (id) => paced(async () => {
  const path = document.getElementById(id)?.getAttribute("hx-get");
  if (!path) return;
  // A server that is away is told by the bar of live data.
  const answer = await fetch(path, { headers: { "HX-Request": "true" }, credentials: "same-origin" }).catch(() => null);
  if (answer?.status !== 200) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(id);
  const shown = document.getElementById(id);
  if (!fresh || shown?.getAttribute("hx-get") !== path) return;
  shown.replaceWith(fresh);
  window.htmx?.process(fresh);
}, EVERY_MS);
const banner = renewal("act-banner"), sent = renewal("act-sent"), rows = renewal("act-rows");

for (const topic of ["override", "latch", "plan"]) {
  onTopic(topic, null, ({ data }) => {
    if (data.plant !== plantShown()) return;
    banner();
    const fit = document.querySelector(".act-fit");
    if (fit) window.htmx?.trigger(fit, "recheck");
  });
}
onTopic("command", null, ({ data }) => {
  if (data.plant !== plantShown()) return;
  if (data.id === commandShown()) sent();
  if (data.kind === "emergency") banner();
  rows();
});
onResync(() => {
  banner();
  sent();
  rows();
});

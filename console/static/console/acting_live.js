// What stands above the plan and how far a sent command has come: asked for anew when the server says that it changed.

import { onResync, onTopic } from "./live.js";
import { paced } from "./pace.js";

const EVERY_MS = 250;
const plantShown = () => Number(document.getElementById("act-banner")?.dataset.plant ?? 0);
const commandShown = () => Number(document.getElementById("act-sent")?.dataset.command ?? 0);

/** The server's word for one part of the page. Not by its own trigger: an answer replaces the part, and what htmx had
 *  queued for the replaced one meanwhile would never be asked. */
const renewal = (id) => paced(async () => {
  const path = document.getElementById(id)?.getAttribute("hx-get");
  if (path) await window.htmx?.ajax("GET", path, { target: `#${id}`, swap: "outerHTML" });
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

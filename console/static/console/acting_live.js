// What stands above the plan and how far a sent command has come: asked for anew when the server says that it changed.

import { onResync, onTopic } from "./live.js";
import { paced } from "./pace.js";
import { renewal } from "./renew.js";

const EVERY_MS = 250;
const plantShown = () => Number(document.getElementById("act-banner")?.dataset.plant ?? 0);
const commandShown = () => Number(document.getElementById("act-sent")?.dataset.command ?? 0);

const renewed = (id) => renewal([id], EVERY_MS, () => document.getElementById(id)?.getAttribute("hx-get"));
const banner = renewed("act-banner"), sent = renewed("act-sent"), rows = renewed("act-rows");

const recheck = paced(() => {
  const fit = document.querySelector(".act-fit");
  if (fit) window.htmx?.trigger(fit, "recheck");
}, EVERY_MS);

document.body.addEventListener("acting:done", rows);
// Of this plant alone: an organisation's ten thousand others say much that nobody looks at here.
const here = plantShown() ? [`p${plantShown()}`] : null;
for (const topic of ["override", "latch", "plan"]) {
  onTopic(topic, here, ({ data }) => {
    if (data.plant !== plantShown()) return;
    banner();
    recheck();
  });
}
onTopic("command", here, ({ data }) => {
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

// What stands above the plan and how far a sent command has come: asked for anew when the server says that it changed.

import { onResync, onTopic } from "./live.js";

const plantShown = () => Number(document.getElementById("act-banner")?.dataset.plant ?? 0);
const commandShown = () => Number(document.getElementById("act-sent")?.dataset.command ?? 0);
const refresh = (id) => window.htmx?.trigger(id, "refresh");

for (const topic of ["override", "latch", "plan"]) {
  onTopic(topic, null, (event) => {
    if (Number(event.plant) !== plantShown()) return;
    refresh("#act-banner");
    const fit = document.querySelector(".act-fit");
    if (fit) window.htmx?.trigger(fit, "recheck");
  });
}
onTopic("command", null, (event) => {
  if (Number(event.id) === commandShown()) refresh("#act-sent");
  if (event.kind === "emergency" && Number(event.plant) === plantShown()) refresh("#act-banner");
  if (Number(event.plant) === plantShown() && document.getElementById("act-rows")) refresh("#act-rows");
});
onResync(() => {
  refresh("#act-banner");
  if (commandShown()) refresh("#act-sent");
});

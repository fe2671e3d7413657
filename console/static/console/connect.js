// Connections, live: the lamp lights with Voke's first pull, the list follows the links' health.

import { onTopic, onResync } from "./live.js";
import { renewal } from "./renew.js";

const EVERY_MS = 1000;
const renewed = (id) => renewal([id], EVERY_MS, () => document.getElementById(id) && location.pathname + location.search);
const lamp = renewed("lamp"), connections = renewed("connections");

onTopic("pull", null, lamp);
onTopic("link", null, connections);
onResync(() => { lamp(); connections(); });


// On a phone the steps are wider than the screen: the present one is in sight.
const steps = document.querySelector(".stages"), now = steps?.querySelector(".now");
if (now) steps.scrollLeft = now.offsetLeft - steps.offsetLeft - (steps.clientWidth - now.offsetWidth) / 2;

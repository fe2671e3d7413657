// Connections, live: the lamp lights with Voke's first pull, the list follows the links' health.

import { onTopic, onResync } from "./live.js";
import { renewal } from "./renew.js";

const EVERY_MS = 1000;
const renewed = (id) => renewal([id], EVERY_MS, () => document.getElementById(id) && location.pathname + location.search);
const lamp = renewed("lamp"), connections = renewed("connections");

onTopic("pull", null, lamp);
onTopic("link", null, connections);
onResync(() => { lamp(); connections(); });

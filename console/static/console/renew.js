// Parts of a page that are read anew when something happened.
// Not by htmx: what it queues for a part that an answer replaces meanwhile is never asked, of what waits for one element
// it keeps the last alone, and nobody is told.

import { showSignedOut } from "./live_bar.js";
import { paced } from "./pace.js";

const AT_MOST_MS = 15_000;

/** The server's words; false when it has none at present (ask again), null when it has none for this page. */
export async function fetched(address, headers = {}) {
  try {
    const answer = await fetch(address, {
      headers: { "HX-Request": "true", ...headers }, credentials: "same-origin", signal: AbortSignal.timeout(AT_MOST_MS),
    });
    if (answer.status === 200) return await answer.text();
    if (answer.headers.has("HX-Redirect")) showSignedOut();
    return answer.status >= 500 || answer.status === 429 ? false : null;
  } catch {
    return false; // a server that is away is told by the bar of live data
  }
}

/** What a person asked htmx for from a script: whether there was an answer. That there was none is told by shell.js. */
export const answered = (verb, address, how) => window.htmx.ajax(verb, address, how).then(() => true, () => false);

/** `renewal(["last"], 1000)()`: the parts with these ids as the page at `address()` has them now. */
export function renewal(ids, everyMs, address = () => location.pathname + location.search) {
  return paced(async () => {
    const asked = address();
    if (!asked) return undefined;
    const text = await fetched(asked);
    if (!text) return text;
    if (address() !== asked) return undefined;
    const made = new DOMParser().parseFromString(text, "text/html");
    for (const id of ids) put(document.getElementById(id), made.getElementById(id));
    return true;
  }, everyMs);
}

function put(shown, fresh) {
  if (!shown || !fresh || shown.isEqualNode(fresh)) return;
  const focused = shown.contains(document.activeElement) ? mark(document.activeElement) : null;
  shown.replaceWith(fresh);
  window.htmx?.process(fresh);
  if (focused) fresh.querySelector(focused)?.focus({ preventScroll: true });
}

/** How to find what has the focus in the part that comes in its place. */
function mark(element) {
  for (const name of ["id", "hx-get", "href"]) {
    const value = element.getAttribute(name);
    if (value) return `[${name}="${CSS.escape(value)}"]`;
  }
  return null;
}

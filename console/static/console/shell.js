// What every page has: the CSRF header of htmx, one timer for all ages, theme, palette, sheet, dialogs, copying.

import { showSignedOut } from "./live_bar.js";
import { ageText, countdownText, serverNow, setText, toast, t } from "./words.js";

const root = document.documentElement;
const LATE_S = 10, STALE_S = 60;

// A session ends when nobody uses it: what follows upon an act of a person says so, what the page renews by itself does not.
const PRESENT_MS = 60_000;
let acted = performance.now();
for (const kind of ["pointerdown", "keydown", "wheel"]) {
  document.addEventListener(kind, () => { acted = performance.now(); }, { capture: true, passive: true });
}
document.body.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["X-CSRFToken"] = document.body.dataset.csrf ?? "";
  if (performance.now() - acted < PRESENT_MS) event.detail.headers["X-By-Person"] = "1";
});
// What a page renews by itself may fail: the next time it works, and the bar of live data tells of a server that is away.
const isAsked = ({ verb, triggeringEvent: by }) => verb !== "get" || !by || by.isTrusted || by.type === "load";
document.body.addEventListener("htmx:sendError", (event) => isAsked(event.detail.requestConfig) && toast(t("The server can't be reached. Nothing was changed.")));
// What was sent may have been done all the same: nobody knows, and nobody shall send it again unseen.
document.body.addEventListener("htmx:timeout", ({ detail }) => {
  if (!isAsked(detail.requestConfig)) return;
  toast(detail.requestConfig.verb === "get" ? t("The server did not answer in time. Try again.")
    : t("The server did not answer in time. It may be done: look at the commands before you send it again."));
});
document.body.addEventListener("htmx:responseError", (event) => {
  if (!isAsked(event.detail.requestConfig)) return;
  const id = event.detail.xhr.getResponseHeader("X-Request-Id");
  toast(`${t("That did not work. Nothing is shown as done.")} ${event.detail.xhr.status}${id ? `, ${id}` : ""}`);
});
// A session that has run out takes nobody's page away by itself: the bar says it. Whoever acts is led to the sign-in.
document.body.addEventListener("htmx:beforeOnLoad", (event) => {
  if (isAsked(event.detail.requestConfig) || !event.detail.xhr.getResponseHeader("HX-Redirect")) return;
  event.preventDefault();
  showSignedOut();
});
// The result of an action speaks for itself: its heading gets the focus.
document.body.addEventListener("htmx:afterSwap", (event) => {
  showDialogs(event.detail.target);
  event.detail.target.querySelector?.("[data-focus]")?.focus();
});

// One timer: ages, freshness, countdowns, clock.
function tick() {
  const now = serverNow();
  for (const element of document.querySelectorAll("time[data-age]")) {
    const age = (now - Date.parse(element.dateTime)) / 1000;
    setText(element, ageText(age));
    const badge = element.closest("[data-fresh]");
    if (badge) {
      badge.classList.toggle("late", age >= LATE_S && age < STALE_S);
      badge.classList.toggle("stale", age >= STALE_S);
    }
  }
  for (const element of document.querySelectorAll("[data-until]")) {
    setText(element, countdownText((Date.parse(element.dataset.until) - now) / 1000));
  }
  for (const element of document.querySelectorAll("[data-clock]")) showClock(element, now);
}
function showClock(element, now) {
  const zone = element.dataset.clock;
  const text = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(now);
  const place = zone.split("/").pop().replace("_", " ");
  const label = document.createElement("span");
  label.textContent = ` ${place}`;
  element.replaceChildren(text, label);
  element.title = `${new Date(now).toISOString().slice(11, 19)} UTC`;
}
tick();
setInterval(tick, 1000);

// Theme: system, light, dark, in turn; kept by the server.
const THEMES = ["system", "light", "dark"];
document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-theme-switch], [data-copy], [data-open-palette], [data-open-more], [data-open], [data-close]");
  if (!target) return;
  if (target.matches("[data-theme-switch]")) switchTheme();
  else if (target.matches("[data-copy]")) copy(target);
  else if (target.matches("[data-open-palette]")) openPalette();
  else if (target.matches("[data-open-more]")) document.getElementById("more").showModal();
  else if (target.matches("[data-open]")) document.getElementById(target.dataset.open)?.showModal();
  else target.closest("dialog")?.close();
});
function switchTheme() {
  const next = THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length];
  root.dataset.theme = next;
  document.dispatchEvent(new CustomEvent("theme"));
  toast({ system: t("Theme: as the device"), light: t("Theme: light"), dark: t("Theme: dark") }[next]);
  const form = new URLSearchParams({ theme: next });
  fetch(new URL("account/theme/", document.querySelector(".brand").href), {
    method: "POST", body: form, headers: { "X-CSRFToken": document.body.dataset.csrf ?? "" },
  }).catch(() => toast(t("The theme could not be kept.")));
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new CustomEvent("theme")));

async function copy(button) {
  const text = button.dataset.copy || document.getElementById(button.dataset.copyFrom)?.textContent || "";
  try {
    await navigator.clipboard.writeText(text.trim());
    toast(t("Copied"));
  } catch {
    toast(t("Copying is not allowed here; select the text instead."));
  }
}

// Dialogs that came with an answer open at once; a closed one that came so goes.
function showDialogs(within) {
  for (const dialog of within.querySelectorAll?.("dialog[data-show]") ?? []) {
    if (dialog.open || dialog.closest(".alone")) continue;
    dialog.showModal();
    dialog.addEventListener("close", () => dialog.remove(), { once: true });
  }
}
showDialogs(document);

const palette = document.getElementById("palette");
function openPalette() {
  if (!palette || palette.open) return;
  palette.showModal();
  palette.querySelector("input").select();
}
palette?.addEventListener("keydown", (event) => {
  const found = [...palette.querySelectorAll("#found a")];
  const at = found.findIndex((one) => one.getAttribute("aria-selected") === "true");
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    const next = (at + (event.key === "ArrowDown" ? 1 : -1) + found.length) % found.length;
    found.forEach((one, index) => one.setAttribute("aria-selected", index === next));
    found[next]?.scrollIntoView({ block: "nearest" });
  } else if (event.key === "Enter" && found.length) {
    event.preventDefault();
    location.href = found[Math.max(at, 0)].href;
  }
});

// What scrolls sideways is a stop of Tab, so that arrows move it; what fits is none.
const reached = new ResizeObserver((entries) => entries.forEach(({ target }) => {
  if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
  else target.removeAttribute("tabindex");
}));
const watchScrolling = (place) => place.querySelectorAll(".scroll-x").forEach((one) => reached.observe(one));
watchScrolling(document);
document.body.addEventListener("htmx:afterSettle", (event) => watchScrolling(event.detail.target.parentElement ?? document));

// Keys: Ctrl K finds, G then F/S/C/A goes, / filters; no key alone reaches the wire.
const GOES = { f: "fleet/", s: "plans/", c: "commands/", a: "alarms/", r: "reverse/" };
let went = -Infinity;
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    openPalette();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, [contenteditable], dialog")) return;
  const key = event.key.toLowerCase();
  if (performance.now() - went < 1200 && GOES[key]) location.href = new URL(GOES[key], document.querySelector(".brand").href);
  else if (key === "g") went = performance.now();
  else if (key === "/") {
    const field = document.querySelector("main input[type=search]");
    if (field) { event.preventDefault(); field.focus(); }
  }
});

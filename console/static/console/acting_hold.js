// Buttons that are held: [data-hold="1000"] submits its form once it was kept pressed so long, by pointer, Space or Enter.

import { say } from "./words.js";

const reduced = matchMedia("(prefers-reduced-motion: reduce)");
let held = null;

function begin(button) {
  if (held || button.disabled) return;
  const needs = Number(button.dataset.hold), bar = button.querySelector("progress");
  held = { button, bar, since: performance.now(), needs, frame: 0 };
  const step = () => {
    const gone = performance.now() - held.since;
    if (bar) bar.value = reduced.matches ? 0 : Math.min(needs, gone);
    if (gone < needs) held.frame = requestAnimationFrame(step);
    else finish();
  };
  held.frame = requestAnimationFrame(step);
}

function finish() {
  const { button } = held;
  cancelAnimationFrame(held.frame);
  held = null;
  const form = button.form;
  // What is missing is said before anything is sent.
  const missing = form.querySelector("textarea[required]");
  if (missing && !missing.value.trim()) {
    reset(button);
    missing.setAttribute("aria-invalid", "true");
    missing.focus();
    say(form.querySelector(".lab")?.textContent.trim() ?? "");
    return;
  }
  button.dataset.armed = "1";
  form.requestSubmit(button);
}

function reset(button) {
  const bar = button.querySelector("progress");
  if (bar) bar.value = 0;
}

function letGo() {
  if (!held) return;
  cancelAnimationFrame(held.frame);
  reset(held.button);
  const hint = document.getElementById(held.button.getAttribute("aria-describedby"));
  if (hint) say(hint.textContent.trim());
  held = null;
}

// Whatever came of it: a full bar would say that it was sent.
document.body.addEventListener("htmx:afterRequest", (event) => {
  const button = event.detail.elt.querySelector?.("[data-hold]");
  if (button) reset(button);
});

const holder = (event) => event.target.closest?.("[data-hold]");

document.addEventListener("pointerdown", (event) => {
  const button = holder(event);
  if (button && event.button === 0) { button.setPointerCapture?.(event.pointerId); begin(button); }
});
for (const name of ["pointerup", "pointercancel"]) document.addEventListener(name, letGo, true);
window.addEventListener("blur", letGo);
document.addEventListener("focusout", (event) => { if (held && event.target === held.button) letGo(); });
document.addEventListener("keydown", (event) => {
  const button = holder(event);
  if (!button || (event.key !== " " && event.key !== "Enter")) return;
  event.preventDefault();
  if (!event.repeat) begin(button);
});
document.addEventListener("keyup", (event) => {
  if (event.key === " " || event.key === "Enter") letGo();
});
document.addEventListener("contextmenu", (event) => { if (holder(event)) event.preventDefault(); });
// A click alone, and Enter in a field of the form, send nothing.
document.addEventListener("click", (event) => { if (holder(event)) event.preventDefault(); }, true);
document.addEventListener("submit", (event) => {
  const button = event.target.querySelector?.("[data-hold]");
  if (!button) return;
  if (button.dataset.armed) { delete button.dataset.armed; return; }
  event.preventDefault();
  event.stopImmediatePropagation();
}, true);

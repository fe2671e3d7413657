// The command box: slider and number are one, devices narrow actions, what was typed survives, the button waits for
// the check. What may be sent the server says; nothing here decides it.

import { powerText, say, serverNow } from "./words.js";
import "./acting_draft.js";
import "./acting_hold.js";
import "./acting_live.js";

const forms = () => document.querySelectorAll("[data-act-form]");
const numberOf = (text) => Number.parseFloat(String(text).replaceAll(/[\s\u202f]/g, "").replace(",", "."));
const changed = (input) => input.dispatchEvent(new Event("input", { bubbles: true }));

function setUp(form) {
  if (form.dataset.ready) return;
  form.dataset.ready = "1";
  if (form.querySelector("[data-slider]")) slider(form);
  if (form.querySelector("[name=asset]")) device(form);
}

// --- setpoint: the slider ------------------------------------------------------------------------------------------

function slider(form) {
  const box = form.querySelector("[data-slider]");
  const range = box.querySelector("input"), amount = form.querySelector("[name=amount]");
  const label = box.querySelector(".act-at"), mark = box.querySelector(".act-mark");
  box.hidden = false;
  const show = () => {
    const energy = form.querySelector("[name=target]:checked")?.value === "ENERGY";
    const direction = form.querySelector("[name=direction]:checked")?.value ?? "EXPORT";
    const limit = box.dataset[direction.toLowerCase()];
    const kw = numberOf(amount.value) || 0, top = Number(box.dataset[`top${direction[0]}${direction.slice(1).toLowerCase()}`]);
    range.max = String(top);
    range.step = top > 4000 ? 100 : top > 40 ? 5 : top > 8 ? 1 : 0.1;
    range.value = String(kw);
    const brief = (power) => (power < 1000 ? String(power) : powerText(power));
    box.querySelector(".act-top").textContent = brief(top);
    box.hidden = energy;
    box.dataset.direction = direction;
    box.toggleAttribute("data-over", limit !== "" && kw > Number(limit));
    box.style.setProperty("--fill", `${Math.min(100, (kw / top) * 100)}%`);
    const at = limit === "" ? 0 : Math.min(100, (Number(limit) / top) * 100);
    box.style.setProperty("--mark", `${at}%`);
    mark.hidden = limit === "";
    label.hidden = limit === "" || at < 12 || at > (top < 1000 ? 90 : 74);
    label.textContent = `${label.dataset.word} ${brief(limit)}`;
    for (const word of form.querySelectorAll("[data-amount-word], [data-unit]")) word.textContent = energy ? word.dataset.energy : word.dataset.power;
  };
  range.addEventListener("input", () => { amount.value = String(Number(Number(range.value).toFixed(1))); show(); });
  form.addEventListener("input", (event) => {
    if (event.target !== range) show();
  });
  show();
}

// --- device: what fits -----------------------------------------------------------------------------------------------

function device(form) {
  const asset = form.querySelector("[name=asset]"), action = form.querySelector("[name=action]");
  const narrow = () => {
    const chosen = asset.selectedOptions[0];
    if (!chosen) return;
    for (const option of action.options) {
      option.hidden = option.disabled = option.dataset.fits !== chosen.dataset.fits;
    }
    if (action.selectedOptions[0]?.disabled) action.value = [...action.options].find((one) => !one.disabled)?.value ?? "";
    const takes = action.selectedOptions[0]?.dataset.amount ?? "";
    form.querySelector("[data-device-amount]").hidden = takes === "";
    form.querySelector("[data-device-limits]").hidden = takes === "";
    form.querySelector("[data-unit]").textContent = takes;
    const word = form.querySelector("[data-amount-word]");
    word.textContent = takes === "%" ? word.dataset.percent : word.dataset.power;
    form.querySelector("[data-rated-now]").textContent = takes === "kW" && chosen.dataset.rated ? `${chosen.dataset.rated}\u202fkW` : "";
    form.querySelector(".act-until").hidden = action.selectedOptions[0]?.dataset.ends === "no";
  };
  form.addEventListener("change", narrow);
  narrow();
}

// --- what the check said ---------------------------------------------------------------------------------------------

function judge(fit) {
  const form = fit.closest("form"), button = form?.querySelector("[data-review]");
  const found = fit.querySelector("[data-blocked]");
  if (!button || !found || form.querySelector("fieldset").disabled) return;
  const refused = found.querySelector(".fail");
  button.setAttribute("aria-disabled", refused ? "true" : "false");
  button.title = refused ? refused.textContent.trim() : "";
}

document.addEventListener("click", (event) => {
  const use = event.target.closest("[data-use]");
  if (use) {
    const amount = document.querySelector("[data-act-form] [name=amount]");
    amount.value = use.dataset.use;
    use.closest("dialog")?.close();
    changed(amount);
    amount.focus();
  }
  const review = event.target.closest("[data-review][aria-disabled=true]");
  if (review) {
    event.preventDefault();
    event.stopImmediatePropagation();
    say(review.title);
  }
}, true);

// Enter in a field opens the review at most; in a question it sends nothing.
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches?.("[data-sends] input")) event.preventDefault();
});
document.addEventListener("submit", (event) => {
  const review = event.target.querySelector?.("[data-review]");
  if (event.submitter === null && review?.getAttribute("aria-disabled") === "true") event.preventDefault();
}, true);

// Nothing optimistic: the button says that it sends, the state comes from the server.
document.body.addEventListener("htmx:beforeRequest", (event) => {
  const busy = event.detail.elt.matches?.("[data-sends]") && event.detail.elt.querySelector("[data-busy]");
  if (!busy) return;
  const label = busy.querySelector("span");
  busy.dataset.calm ??= label.textContent;
  label.textContent = busy.dataset.busy;
});
// No answer that took the question away: it can be sent again, under the same key.
document.body.addEventListener("htmx:afterRequest", (event) => {
  const busy = event.detail.elt.matches?.("[data-sends]") && event.detail.elt.querySelector("[data-calm]");
  if (busy) busy.querySelector("span").textContent = busy.dataset.calm;
});
document.body.addEventListener("htmx:afterSwap", () => forms().forEach(setUp));
document.body.addEventListener("htmx:oobAfterSwap", () => forms().forEach(setUp));
document.body.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.target.matches?.(".act-fit")) judge(event.detail.target);
});
document.body.addEventListener("acting:done", () => {
  document.querySelector("#act-sent [data-result]")?.focus();
  const fit = document.querySelector(".act-fit");
  if (fit) window.htmx?.trigger(fit, "recheck");
});

// The bar under a running override; over, the banner is asked for anew.
function bars() {
  for (const bar of document.querySelectorAll(".act-bar")) {
    const from = Date.parse(bar.dataset.from), to = Date.parse(bar.dataset.to), now = serverNow();
    bar.value = Math.min(1, Math.max(0, (now - from) / (to - from)));
    if (now > to + 1000 && !bar.dataset.over) {
      bar.dataset.over = "1";
      window.htmx?.trigger("#act-banner", "refresh");
    }
  }
}
setInterval(bars, 1000);
bars();
forms().forEach(setUp);

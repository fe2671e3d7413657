// What was typed into the box outlives a reload and the end of a session; it is dropped once it was sent or discarded.

const KEPT = ["csrfmiddlewaretoken", "key", "seen", "fixed_from", "fixed_until"];

function values(form) {
  return [...new FormData(form).entries()].filter(([name, value]) => !KEPT.includes(name) && typeof value === "string");
}

function restore(form) {
  if (form.dataset.drafted) return;
  form.dataset.drafted = "1";
  const kept = sessionStorage.getItem(form.dataset.draft);
  // Errors of the server stand beside what was typed already.
  if (!kept || form.querySelector("[aria-invalid=true], .note.fail") || form.querySelector("fieldset").disabled) return;
  const entries = JSON.parse(kept);
  if (JSON.stringify(values(form)) === JSON.stringify(entries)) return;
  for (const box of form.querySelectorAll("input[type=checkbox]")) box.checked = entries.some(([name]) => name === box.name);
  for (const [name, value] of entries) {
    for (const field of form.querySelectorAll(`[name="${CSS.escape(name)}"]`)) {
      if (field.type === "radio") field.checked = field.value === value;
      else if (field.type !== "checkbox") field.value = value;
    }
  }
  form.querySelector("[data-draft-note]").hidden = false;
  form.dispatchEvent(new Event("change", { bubbles: true }));
  form.querySelector("[name=amount], [name=mode]")?.dispatchEvent(new Event("input", { bubbles: true }));
}

const all = () => document.querySelectorAll("[data-draft]");
document.addEventListener("input", (event) => {
  const form = event.target.closest("[data-draft]");
  if (form) sessionStorage.setItem(form.dataset.draft, JSON.stringify(values(form)));
});
document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-draft-drop]")) return;
  const form = event.target.closest("[data-draft]");
  sessionStorage.removeItem(form.dataset.draft);
  form.reset();
  form.querySelector("[data-draft-note]").hidden = true;
  form.dispatchEvent(new Event("change", { bubbles: true }));
  form.dispatchEvent(new Event("input", { bubbles: true }));
  sessionStorage.removeItem(form.dataset.draft);
});
document.body.addEventListener("acting:done", () => {
  for (const form of all()) {
    sessionStorage.removeItem(form.dataset.draft);
    form.querySelector("[data-draft-note]").hidden = true;
  }
});
document.body.addEventListener("htmx:afterSwap", () => all().forEach(restore));
// After the page's own script has set up its forms.
queueMicrotask(() => all().forEach(restore));

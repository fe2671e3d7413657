// Copy buttons: the text to copy stands in the button's own data attribute.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const sign = button.querySelector(".material-symbols-outlined");
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    if (sign) sign.textContent = "check";
    button.setAttribute("aria-label", "Copied");
  } catch {
    // No clipboard without TLS: select the text instead, so that one key copies it.
    const text = button.previousElementSibling;
    if (text) getSelection().selectAllChildren(text);
  }
});

// A long table of a day opens where the day is.
document.addEventListener("DOMContentLoaded", () => {
  for (const row of document.querySelectorAll(".scroller.tall tr[aria-current]")) {
    const frame = row.closest(".scroller");
    frame.scrollTop = row.offsetTop - frame.clientHeight / 3;
  }
});

// The theme writes a chosen file's name into a text field beside it, and fails where there is none.
document.addEventListener("DOMContentLoaded", () => {
  for (const input of document.querySelectorAll(".page-form input[type=file]")) input.hasChangeListener = true;
});

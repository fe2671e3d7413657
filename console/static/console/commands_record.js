// The record's one control: the browser's print dialog.
document.querySelector("[data-print]")?.addEventListener("click", () => window.print());

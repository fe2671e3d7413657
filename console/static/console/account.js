// Coming in: counts a wait down; a person's own page: the theme changes at once, the server keeps it.

for (const element of document.querySelectorAll("[data-wait]")) {
  const until = performance.now() + Number(element.dataset.wait) * 1000;
  const show = () => {
    const left = Math.max(0, Math.ceil((until - performance.now()) / 1000));
    const minutes = Math.floor(left / 60);
    element.textContent = minutes ? `${minutes}:${String(left % 60).padStart(2, "0")} min` : `${left} s`;
    if (left === 0) clearInterval(timer);
  };
  const timer = setInterval(show, 1000);
  show();
}

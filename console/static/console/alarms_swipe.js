// Swiping a row with a finger: right and left of a threshold do something; below it the row goes back.

const BEGINS_PX = 12, DOES_PX = 88, FURTHEST_PX = 140;

/** `does.right(row)` and `does.left(row)`; only for rows that say what may be done with them (data-acknowledge). */
export function onSwipe(list, does) {
  let row = null, link = null, startX = 0, startY = 0, moved = 0, pointer = 0;

  list.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "touch" || !event.isPrimary) return;
    row = event.target.closest(".al-row[data-acknowledge]");
    link = row?.querySelector("a");
    [startX, startY, moved, pointer] = [event.clientX, event.clientY, 0, event.pointerId];
  });
  list.addEventListener("pointermove", (event) => {
    if (!row || event.pointerId !== pointer) return;
    const dx = event.clientX - startX, dy = event.clientY - startY;
    if (!moved && (Math.abs(dx) < BEGINS_PX || Math.abs(dy) > Math.abs(dx))) return;
    if (!moved) link.setPointerCapture(pointer);
    const may = dx < 0 || !("acknowledged" in row.dataset);
    moved = may ? Math.max(-FURTHEST_PX, Math.min(FURTHEST_PX, dx)) : 1;
    row.dataset.swiping = "";
    link.style.transform = `translateX(${moved}px)`;
  });
  const end = (event, counts) => {
    if (!row || event.pointerId !== pointer) return;
    const done = row, by = moved;
    row = null;
    if (!by) return;
    done.dataset.swiping = "back";
    link.style.transform = "";
    link.addEventListener("transitionend", () => delete done.dataset.swiping, { once: true });
    // The click that ends the swipe opens nothing.
    link.addEventListener("click", (click) => { click.preventDefault(); click.stopImmediatePropagation(); }, { once: true, capture: true });
    if (counts && by >= DOES_PX) does.right(done);
    if (counts && by <= -DOES_PX) does.left(done);
  };
  list.addEventListener("pointerup", (event) => end(event, true));
  list.addEventListener("pointercancel", (event) => end(event, false));
}

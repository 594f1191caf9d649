// Dragging rows by their grips with a mouse, pen or finger.

/** Makes rows draggable; calls `dropped(row)` when a row was moved to another place. */
export function enableDragging(list, dropped) {
  let drag = null;

  list.addEventListener("pointerdown", (event) => {
    const grip = event.target.closest(".checklist-grip");
    if (!grip || event.button !== 0) return;
    const row = grip.closest(".checklist-row");
    grip.setPointerCapture(event.pointerId);
    drag = { row, grip, next: row.nextElementSibling };
    row.classList.add("is-dragged");
  });

  list.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const others = [...list.children].filter((row) => row !== drag.row && row.offsetParent !== null);
    const next = others.find((row) => event.clientY < middle(row)) ?? null;
    if (next === drag.row.nextElementSibling) return;
    list.insertBefore(drag.row, next);
    // Moving a node in the document releases the pointer.
    drag.grip.setPointerCapture(event.pointerId);
  });

  list.addEventListener("pointerup", () => finish(true));
  list.addEventListener("pointercancel", () => finish(false));
  list.addEventListener("keydown", (event) => {
    if (drag && event.key === "Escape") finish(false);
  });

  function finish(keep) {
    if (!drag) return;
    const { row, grip, next } = drag;
    drag = null;
    row.classList.remove("is-dragged");
    if (!keep) list.insertBefore(row, next);
    grip.focus();
    if (keep && row.nextElementSibling !== next) dropped(row);
  }

  return { isDragging: () => drag !== null };
}

function middle(row) {
  const box = row.getBoundingClientRect();
  return box.top + box.height / 2;
}

// Moving a row by its grip with a mouse, pen or finger. Tells the result and knows nothing of what it means.

/** Let rows be dragged; `dropped(row)` is called once a row rests at another place. */
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
    // A node that is moved lets go of the pointer.
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

// The screen: rows, progress, times and messages. No requests to the server.

const at = (id) => document.getElementById(id);
const root = at("checklist");
const list = at("checklist-items");
const blank = at("checklist-row").content;
const ago = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const STEPS = [["second", 60], ["minute", 60], ["hour", 24], ["day", 30.4], ["month", 12], ["year", Infinity]];

/** The items as last received from the server, by id. */
export const known = new Map();

export const rows = () => [...list.children];
export const rowOf = (id) => list.querySelector(`:scope > [data-id="${id}"]`);
export const itemOf = (row) => known.get(Number(row.dataset.id));
export const isShown = (row) => row.offsetParent !== null;

/** Returns the nearest visible row in this direction (-1 or 1). */
export function neighbour(row, direction) {
  const key = direction < 0 ? "previousElementSibling" : "nextElementSibling";
  let next = row[key];
  while (next && !isShown(next)) next = next[key];
  return next;
}

/** Shows a whole list in its order; keeps the focus and texts that are being edited. */
export function drawAll(items) {
  const ids = new Set(items.map((item) => String(item.id)));
  for (const row of rows()) if (!ids.has(row.dataset.id) && !row.classList.contains("is-editing")) drop(row);
  const wanted = items.map(draw);
  // Remaining rows are being edited although their items were removed: they stay in place until the editor closes.
  for (const [place, row] of rows().entries()) if (!wanted.includes(row)) wanted.splice(place, 0, row);
  if (!inOrder(wanted)) arrange(wanted);
  summarise();
}

/** Shows an item; ignores one that is older than what is shown. */
export function draw(item) {
  const row = rowOf(item.id) ?? list.appendChild(blank.firstElementChild.cloneNode(true));
  const former = known.get(item.id);
  if (former && former.version > item.version) return row;
  known.set(item.id, item);
  row.dataset.id = item.id;
  row.toggleAttribute("data-done", item.done);
  const box = row.querySelector("input");
  box.checked = item.done;
  box.disabled = !root.hasAttribute("data-editable");
  write(row.querySelector(".checklist-text"), item.text);
  for (const control of row.querySelectorAll(".checklist-control")) {
    control.disabled = false;
    control.setAttribute("aria-label", `${control.dataset.label}: ${item.text}`);
  }
  write(row.querySelector("[data-part=who]"), `${item.stamp.verb} by ${item.stamp.who}`);
  showPicture(row.querySelector(".checklist-picture"), item.stamp.picture);
  showTime(row.querySelector("time"), item.stamp.at);
  return row;
}

function showPicture(image, url) {
  image.hidden = !url;
  if (url && image.getAttribute("src") !== url) image.src = url;
}

export function drop(row) {
  known.delete(Number(row.dataset.id));
  row.remove();
}

/** Updates progress, the empty state and the number of hidden items. */
export function summarise() {
  const all = rows().length;
  const done = list.querySelectorAll(":scope > [data-done]").length;
  const hiding = root.hasAttribute("data-hide-done");
  at("checklist-head").hidden = all === 0;
  at("checklist-empty").hidden = all > 0;
  at("checklist-progress").max = all || 1;
  at("checklist-progress").value = done;
  write(at("checklist-count"), all && done === all ? "All done" : `${done} of ${all} done`);
  at("checklist-hide").hidden = done === 0;
  at("checklist-hide").setAttribute("aria-pressed", String(hiding));
  at("checklist-hidden").hidden = !(hiding && done);
  write(at("checklist-hidden"), `${done} done ${done === 1 ? "item is" : "items are"} hidden`);
}

/** Announces a message; `undo` is the action of the button beside it, until the next message. */
export function announce(sentence, undo = null) {
  at("checklist-status").textContent = sentence;
  at("checklist-undo").hidden = !undo;
  at("checklist-undo").onclick = undo;
}

/** Shows an error in its box, or hides the box. */
export function showError(sentence, box = at("checklist-error")) {
  box.hidden = !sentence;
  box.textContent = sentence ?? "";
}

/** Focuses a control of the row, or the list. */
export function focusOn(row, selector = "input") {
  (row?.querySelector(selector) ?? list).focus();
}

// Rows are moved around the focused one, because a node loses focus when it is moved.
function arrange(wanted) {
  const held = document.activeElement?.closest(".checklist-row");
  const pivot = wanted.includes(held) ? held : null;
  let behind = pivot === null;
  for (const row of wanted) {
    if (row === pivot) behind = true;
    else list.insertBefore(row, behind ? null : pivot);
  }
}

function inOrder(wanted) {
  return wanted.every((row, place) => list.children[place] === row);
}

function showTime(element, iso) {
  const then = new Date(iso);
  let amount = Math.min(0, (then - Date.now()) / 1000);
  let unit = "second";
  for (const [name, size] of STEPS) {
    unit = name;
    if (Math.abs(amount) < size) break;
    amount /= size;
  }
  element.dateTime = iso;
  element.title = then.toLocaleString();
  write(element, unit === "second" ? "just now" : ago.format(Math.round(amount), unit));
}

// Writes only changed text, so that screen readers and selections are not disturbed.
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

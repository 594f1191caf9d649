// What is on the screen: rows, progress, times, sentences. Knows nothing of the server.

const at = (id) => document.getElementById(id);
const root = at("checklist");
const list = at("checklist-items");
const blank = at("checklist-row").content;
const ago = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const STEPS = [["second", 60], ["minute", 60], ["hour", 24], ["day", 30.4], ["month", 12], ["year", Infinity]];

/** Each item as the server last told it, by id. */
export const known = new Map();

export const rows = () => [...list.children];
export const rowOf = (id) => list.querySelector(`:scope > [data-id="${id}"]`);
export const itemOf = (row) => known.get(Number(row.dataset.id));
export const isShown = (row) => row.offsetParent !== null;

/** The nearest row in this direction (-1 or 1) that is not hidden. */
export function neighbour(row, direction) {
  const key = direction < 0 ? "previousElementSibling" : "nextElementSibling";
  let next = row[key];
  while (next && !isShown(next)) next = next[key];
  return next;
}

/** Show a whole list, in its order, without taking the focus or a text being typed from anyone. */
export function drawAll(items) {
  const ids = new Set(items.map((item) => String(item.id)));
  for (const row of rows()) if (!ids.has(row.dataset.id) && !row.classList.contains("is-editing")) drop(row);
  const wanted = items.map(draw);
  // What is left is being edited although its item was removed: it stays where it is until the editor closes.
  for (const [place, row] of rows().entries()) if (!wanted.includes(row)) wanted.splice(place, 0, row);
  if (!inOrder(wanted)) arrange(wanted);
  summarise();
}

/** Show one item as the server told it; a telling older than what is shown is ignored. */
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

/** Bring progress, the empty state and the count of hidden items up to date. */
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

/** Say something politely; `undo` is what the button beside it does, until the next sentence. */
export function tell(sentence, undo = null) {
  at("checklist-status").textContent = sentence;
  at("checklist-undo").hidden = !undo;
  at("checklist-undo").onclick = undo;
}

/** Show a refusal in its box, or take the box away. */
export function complain(sentence, box = at("checklist-error")) {
  box.hidden = !sentence;
  box.textContent = sentence ?? "";
}

/** Put the row's focus where the reader can go on: the same control of that row, or the list. */
export function focusOn(row, selector = "input") {
  (row?.querySelector(selector) ?? list).focus();
}

// Rows move around the one that has the focus: a node that is moved loses it.
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

// Only a text that differs is written, so that screen readers and selections are left in peace.
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

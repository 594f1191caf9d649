// User actions and requests to the server. Changes are sent one after another.

const root = document.getElementById("checklist");
const list = document.getElementById("checklist-items");
const form = document.getElementById("checklist-add");
const hide = document.getElementById("checklist-hide");
const view = await import(root.dataset.view);
const { enableDragging } = await import(root.dataset.drag);

const REFRESH_MS = 20_000;
const HIDE_KEY = "addonkit.issue_panel.hide-done";
// A change is retried with the item's new version if these fields are still as the user saw them.
const UNCHANGED_FIELDS = { done: ["text", "done"], text: ["text"], place: ["rank"], remove: ["text"] };
let queue = Promise.resolve();
let pending = 0;
let changes = 0;
// The list as last received, with its ETag: the server answers a refresh of the same list with 304.
let latest = { etag: null, items: [] };

view.drawAll(JSON.parse(document.getElementById("checklist-data").textContent).items);
const drag = enableDragging(list, (row) => move(row));
startHiding();
if (root.hasAttribute("data-editable")) startEditing();
setInterval(() => document.visibilityState === "visible" && refresh(), REFRESH_MS);
window.addEventListener("focus", refresh);
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && refresh());

// ---- Requests

async function send(path, method, json, headers = {}) {
  try {
    const response = await addonkit.fetch(path, json === undefined ? { method, headers } : { method, json, headers });
    if (response.status === 304) return { status: 304, body: null, error: null };
    const body = response.status === 204 ? null : await response.json().catch(() => null);
    const error = response.ok ? null : body?.error ?? `The change was refused (status ${response.status}). Reload the page.`;
    return { status: response.status, body, error, etag: response.headers.get("ETag") };
  } catch (problem) {
    // A TypeError is a network error; other errors have a message of addonkit.fetch, such as an expired session.
    const cause = problem instanceof TypeError ? "the server cannot be reached. Check your connection and try again." : problem.message;
    return { status: 0, body: null, error: `Nothing was saved: ${cause}` };
  }
}

/** Runs work after all earlier changes, then updates the summary. */
function inTurn(work) {
  changes += 1;
  pending += 1;
  queue = queue.catch(() => {}).then(work).finally(() => { pending -= 1; view.summarise(); });
  return queue;
}

/** Changes an item at the version that is shown; retries once if a concurrent change does not conflict. */
async function change(row, part, json) {
  const shown = view.itemOf(row);
  if (!shown) return { status: 404, error: "This item was removed by somebody else." };
  const attempt = (version) => part === "remove"
    ? send(`items/${shown.id}?version=${version}`, "DELETE")
    : send(`items/${shown.id}/${part}`, "PUT", { version, ...json });
  let answer = await attempt(shown.version);
  const now = answer.body?.item;
  if (now && part === "done" && now.done === json.done) answer = { status: 200, body: now, error: null };
  else if (now && UNCHANGED_FIELDS[part].every((name) => now[name] === shown[name])) answer = await attempt(now.version);
  if (answer.body?.item) view.draw(answer.body.item);
  else if (!answer.error && answer.body) view.draw(answer.body);
  return answer;
}

async function refresh() {
  if (pending || drag.isDragging()) return;
  const before = changes;
  const answer = await send("items", "GET", undefined, latest.etag ? { "If-None-Match": latest.etag } : {});
  if (answer.error) return;
  if (answer.status !== 304) latest = { etag: answer.etag, items: answer.body.items };
  // Ignore a response that was requested before the latest change; the next refresh includes it.
  if (before === changes && !drag.isDragging()) view.drawAll(latest.items);
}

/** Shows the item as it is now, and why a change failed. */
function recover(row, answer) {
  if (answer.status === 404) view.drop(row);
  else if (view.itemOf(row)) view.draw(view.itemOf(row));
  view.showError(answer.error);
}

// ---- Actions

function startEditing() {
  for (const control of form.elements) control.disabled = false;
  form.addEventListener("submit", (event) => { event.preventDefault(); addTyped(); });
  form.elements[0].addEventListener("paste", addPasted);
  list.addEventListener("change", (event) => event.target.matches("[type=checkbox]") && tick(rowAt(event)));
  list.addEventListener("click", (event) => {
    const act = event.target.closest("[data-act]")?.dataset.act;
    if (act === "edit") edit(rowAt(event));
    if (act === "up" || act === "down") step(rowAt(event), act === "up" ? -1 : 1);
    if (act === "remove") remove(rowAt(event));
  });
  list.addEventListener("keydown", (event) => {
    const direction = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    const onGrip = event.target.matches(".checklist-grip");
    if (!direction || !(event.altKey || onGrip)) return;
    event.preventDefault();
    step(rowAt(event), direction);
  });
  addonkit.ready.then((host) => host.events?.on("ISSUE_QUICK_ADD_CLICKED", () => form.elements[0].focus()), () => {});
}

const rowAt = (event) => event.target.closest(".checklist-row");
const idOf = (row) => (row ? Number(row.dataset.id) : null);

async function addTyped() {
  const input = form.elements[0];
  const text = input.value;
  if (!text.trim()) return input.focus();
  input.value = "";
  const error = await add(text);
  // Restore the refused text, unless the user has typed something new meanwhile.
  if (error && !input.value) input.value = text;
  input.focus();
}

/** Adds one item for each pasted line. */
async function addPasted(event) {
  const lines = (event.clipboardData?.getData("text/plain") ?? "").split(/\r?\n/).filter((line) => line.trim());
  if (lines.length < 2) return;
  event.preventDefault();
  for (const [place, line] of lines.entries()) {
    if (!await add(line)) continue;
    form.elements[0].value = lines.slice(place).join(" ");
    return;
  }
}

async function add(text, before = null) {
  let answer;
  await inTurn(async () => {
    answer = await send("items", "POST", { text, before });
    view.showError(answer.error);
    if (!answer.error) show(answer.body);
  });
  if (!answer.error) refresh();
  return answer.error;
}

function show(item) {
  view.draw(item).classList.add("is-new");
  view.announce(`Added “${item.text}”`);
}

function tick(row) {
  const done = row.querySelector("[type=checkbox]").checked;
  row.toggleAttribute("data-done", done);
  const next = view.isShown(row) ? null : view.neighbour(row, 1) ?? view.neighbour(row, -1);
  if (!view.isShown(row)) view.focusOn(next);
  view.summarise();
  return inTurn(async () => {
    const answer = await change(row, "done", { done });
    if (answer.error) return recover(row, answer);
    view.showError(null);
    view.announce(`${done ? "Done" : "Reopened"}: ${answer.body.text}`);
  });
}

function step(row, direction) {
  const other = view.neighbour(row, direction);
  if (!other) return view.announce(direction < 0 ? "This item is already first" : "This item is already last");
  const focused = document.activeElement;
  list.insertBefore(row, direction < 0 ? other : other.nextElementSibling);
  if (row.contains(focused)) focused.focus();
  return move(row);
}

async function move(row) {
  const before = idOf(row.nextElementSibling);
  const place = view.rows().indexOf(row) + 1;
  view.announce(`Moved “${view.itemOf(row).text}” to place ${place} of ${view.rows().length}`);
  await inTurn(async () => {
    const answer = await change(row, "place", { before });
    if (answer.error) return recover(row, answer);
    view.showError(null);
  });
  return refresh();
}

function remove(row) {
  const { id, text } = view.itemOf(row);
  return inTurn(async () => {
    const answer = await change(row, "remove");
    if (answer.error && answer.status !== 404) return recover(row, answer);
    const before = idOf(row.nextElementSibling);
    const next = view.neighbour(row, 1) ?? view.neighbour(row, -1);
    const hadFocus = row.contains(document.activeElement);
    view.drop(row);
    view.showError(null);
    view.announce(`Removed “${text}”`, () => add(text, before));
    if (hadFocus) next ? view.focusOn(next, "[data-act=remove]") : form.elements[0].focus();
  });
}

// ---- Editing a text

function edit(row) {
  if (row.classList.contains("is-editing")) return;
  const editor = document.getElementById("checklist-edit").content.firstElementChild.cloneNode(true);
  const field = editor.querySelector("textarea");
  field.value = view.itemOf(row).text;
  row.append(editor);
  row.classList.add("is-editing");
  field.focus();
  field.setSelectionRange(field.value.length, field.value.length);
  editor.addEventListener("submit", (event) => { event.preventDefault(); save(row, editor); });
  editor.querySelector("[data-act=cancel]").addEventListener("click", () => close(row, editor));
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.isComposing) { event.preventDefault(); save(row, editor); }
    if (event.key === "Escape") { event.stopPropagation(); close(row, editor); }
  });
}

function save(row, editor) {
  const text = editor.querySelector("textarea").value;
  if (view.itemOf(row)?.text === text) return close(row, editor);
  return inTurn(async () => {
    const answer = await change(row, "text", { text });
    if (!answer.error) return close(row, editor);
    if (answer.status === 404) return rescue(row, text);
    const theirs = answer.body?.item?.text;
    view.showError(theirs === undefined ? answer.error
      : `Somebody changed this item to “${theirs}” in the meantime. Save again to replace it with your text, or cancel to keep theirs.`,
    editor.querySelector(".checklist-error"));
    editor.querySelector("textarea").focus();
  });
}

function close(row, editor) {
  const focused = editor.contains(document.activeElement);
  editor.remove();
  row.classList.remove("is-editing");
  if (focused) view.focusOn(row, "[data-act=edit]");
  if (!view.itemOf(row)) view.drop(row);
}

/** Moves the typed text of a removed item to the field for new items. */
function rescue(row, text) {
  view.drop(row);
  form.elements[0].value ||= text;
  form.elements[0].focus();
  view.showError("Somebody removed this item. Your text is now in the field for new items.");
}

// ---- Hiding done items, stored in this browser

function startHiding() {
  root.toggleAttribute("data-hide-done", recall() === "yes");
  view.summarise();
  hide.addEventListener("click", () => {
    remember(root.toggleAttribute("data-hide-done") ? "yes" : "no");
    view.summarise();
  });
}

// Browsers that block storage in frames throw here; then the choice lasts until the page is closed.
function recall() {
  try { return localStorage.getItem(HIDE_KEY); } catch { return null; }
}

function remember(value) {
  try { localStorage.setItem(HIDE_KEY, value); } catch { /* see above */ }
}

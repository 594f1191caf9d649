// Macros on a page: their frames, and in the editor the macro browser and the forms for them.
import { BIN, PEN, ask, boot, element, icon } from "./dom.js";
import { openMacroEditor } from "./confluence.js";
import { mount } from "./frames.js";
import { openDialog } from "./overlays.js";

const list = document.getElementById("macros");
const url = `/wiki/sandbox/pages/${encodeURIComponent(boot.page)}/macros`;

function offeredFor(macro) {
  return boot.available.find((offered) => offered.key === macro.key);
}

function content(macro) {
  const slot = element("div", { class: "macro-content" });
  if (macro.html === undefined) {
    mount(slot, { addon_key: boot.addonKey, key: macro.key, options: { productContext: macro.context } });
  } else {
    slot.innerHTML = macro.html; // cleaned by the server
  }
  return slot;
}

function tools(macro, node) {
  const remove = async () => {
    await ask(`${url}/${encodeURIComponent(macro.id)}`, undefined, "DELETE");
    node.remove();
  };
  const offered = offeredFor(macro);
  return element(
    "span",
    { class: "macro-tools" },
    offered && element("button", { type: "button", class: "icon-button", "aria-label": `Edit ${macro.name}`, on: { click: () => edit(offered, macro) } }, icon(PEN)),
    element("button", { type: "button", class: "icon-button", "aria-label": `Remove ${macro.name}`, on: { click: remove } }, icon(BIN)),
  );
}

function draw(macro) {
  const node = element("section", { class: `macro${boot.editing ? " editable" : ""}`, "data-macro": macro.id, "aria-label": macro.name });
  if (boot.editing) node.append(element("div", { class: "macro-bar" }, element("span", {}, macro.name), tools(macro, node)));
  node.append(content(macro));
  const former = list.querySelector(`[data-macro="${CSS.escape(macro.id)}"]`);
  if (former) former.replaceWith(node);
  else list.append(node);
  return node;
}

async function save(macro, parameters, body) {
  const node = draw(await ask(url, { id: macro.id, key: macro.key, parameters, body }, "PUT"));
  node.scrollIntoView({ block: "nearest" });
}

function edit(offered, macro) {
  const keep = (parameters, body) => save(macro, parameters, body);
  if (offered.editor) openMacroEditor(offered, macro, keep);
  else if (offered.parameters.length) openForm(offered, macro, keep);
  else if (!macro.id) keep({}, "");
}

function field(parameter, value) {
  const name = (parameter.name && parameter.name.value) || parameter.identifier;
  const held = value === undefined ? parameter.defaultValue || "" : value;
  const input =
    parameter.type === "enum"
      ? element("select", { class: "input", name: parameter.identifier }, ...(parameter.values || []).map((option) => element("option", { selected: option === held }, option)))
      : element("input", { class: "input", name: parameter.identifier, value: held, required: parameter.required, type: parameter.type === "int" ? "number" : "text" });
  return element("label", { class: "field" }, name, input);
}

function openForm(offered, macro, keep) {
  const dialog = openDialog({ title: `${macro.id ? "Edit" : "Insert"} ${offered.name}`, width: "480px", dismiss: () => dialog.close() });
  const submit = (event) => {
    event.preventDefault();
    dialog.close();
    keep(Object.fromEntries(new FormData(form)), macro.body);
  };
  const form = element("form", { class: "fields", id: "macro-form", on: { submit } }, ...offered.parameters.map((parameter) => field(parameter, (macro.parameters || {})[parameter.identifier])));
  dialog.body.append(form);
  dialog.footer.append(
    element("button", { type: "button", class: "button plain", on: { click: dialog.close } }, "Cancel"),
    element("button", { class: "button primary", form: "macro-form" }, macro.id ? "Save" : "Insert"),
  );
  const first = form.querySelector("input, select");
  if (first) first.focus();
}

function card(offered, choose) {
  const sign = offered.icon ? element("img", { src: offered.icon, alt: "", width: 24, height: 24 }) : offered.name[0];
  return element(
    "button",
    { type: "button", class: "macro-card", "data-key": offered.key, on: { click: () => choose(offered) } },
    element("span", { class: "app-mark large", "aria-hidden": "true" }, sign),
    element("span", {}, element("b", {}, offered.name), element("small", {}, offered.description)),
  );
}

function browse() {
  const dialog = openDialog({ title: "Insert a macro", width: "640px", wide: true, dismiss: () => dialog.close() });
  const choose = (offered) => {
    dialog.close();
    edit(offered, { key: offered.key });
  };
  const cards = boot.available.map((offered) => card(offered, choose));
  const confirm = (event) => {
    const hits = cards.filter((made) => !made.hidden);
    if (event.key !== "Enter" || event.isComposing || hits.length !== 1) return;
    event.preventDefault();
    hits[0].click();
  };
  const search = element("input", {
    type: "search",
    class: "input",
    placeholder: "Search macros",
    "aria-label": "Search macros",
    on: {
      keydown: confirm,
      input: () => cards.forEach((made) => { made.hidden = !made.textContent.toLowerCase().includes(search.value.toLowerCase()); }),
    },
  });
  dialog.body.append(search, element("div", { class: "macro-cards" }, ...cards));
  if (!cards.length) dialog.body.append(element("p", { class: "subtle" }, "The add-on offers no macros."));
  search.focus();
}

if (list) {
  boot.macros.forEach(draw);
  if (boot.editing) document.getElementById("insert").addEventListener("click", browse);
}

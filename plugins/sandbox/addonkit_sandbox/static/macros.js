// Macros on a page: their frames, and the macro browser and forms of the editor.
import { BIN, PEN, ask, boot, element, icon } from "./dom.js";
import { openMacroEditor } from "./confluence.js";
import { mount } from "./frames.js";
import { openDialog } from "./overlays.js";

const list = document.getElementById("macros");
const url = `/wiki/sandbox/pages/${encodeURIComponent(boot.page)}/macros`;

function definitionOf(macro) {
  return boot.available.find((definition) => definition.key === macro.key);
}

function content(macro) {
  const slot = element("div", { class: "macro-content" });
  if (macro.html === undefined) {
    mount(slot, { addon_key: boot.addonKey, key: macro.key, options: { productContext: macro.context } });
  } else {
    slot.innerHTML = macro.html; // Sanitized by the server.
  }
  return slot;
}

function tools(macro, node) {
  const remove = async () => {
    await ask(`${url}/${encodeURIComponent(macro.id)}`, undefined, "DELETE");
    node.remove();
  };
  const definition = definitionOf(macro);
  return element(
    "span",
    { class: "macro-tools" },
    definition && element("button", { type: "button", class: "icon-button", "aria-label": `Edit ${macro.name}`, on: { click: () => edit(definition, macro) } }, icon(PEN)),
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

function edit(definition, macro) {
  const onSave = (parameters, body) => save(macro, parameters, body);
  if (definition.editor) openMacroEditor(definition, macro, onSave);
  else if (definition.parameters.length) openForm(definition, macro, onSave);
  else if (!macro.id) onSave({}, "");
}

function field(parameter, value) {
  const name = (parameter.name && parameter.name.value) || parameter.identifier;
  const current = value === undefined ? parameter.defaultValue || "" : value;
  const input =
    parameter.type === "enum"
      ? element("select", { class: "input", name: parameter.identifier }, ...(parameter.values || []).map((option) => element("option", { selected: option === current }, option)))
      : element("input", { class: "input", name: parameter.identifier, value: current, required: parameter.required, type: parameter.type === "int" ? "number" : "text" });
  return element("label", { class: "field" }, name, input);
}

function openForm(definition, macro, onSave) {
  const dialog = openDialog({ title: `${macro.id ? "Edit" : "Insert"} ${definition.name}`, width: "480px", dismiss: () => dialog.close() });
  const submit = (event) => {
    event.preventDefault();
    dialog.close();
    onSave(Object.fromEntries(new FormData(form)), macro.body);
  };
  const form = element("form", { class: "fields", id: "macro-form", on: { submit } }, ...definition.parameters.map((parameter) => field(parameter, (macro.parameters || {})[parameter.identifier])));
  dialog.body.append(form);
  dialog.footer.append(
    element("button", { type: "button", class: "button plain", on: { click: dialog.close } }, "Cancel"),
    element("button", { class: "button primary", form: "macro-form" }, macro.id ? "Save" : "Insert"),
  );
  const first = form.querySelector("input, select");
  if (first) first.focus();
}

function card(definition, choose) {
  const sign = definition.icon ? element("img", { src: definition.icon, alt: "", width: 24, height: 24 }) : definition.name[0];
  return element(
    "button",
    { type: "button", class: "macro-card", "data-key": definition.key, on: { click: () => choose(definition) } },
    element("span", { class: "app-mark large", "aria-hidden": "true" }, sign),
    element("span", {}, element("b", {}, definition.name), element("small", {}, definition.description)),
  );
}

function browse() {
  const dialog = openDialog({ title: "Insert a macro", width: "640px", wide: true, dismiss: () => dialog.close() });
  const choose = (definition) => {
    dialog.close();
    edit(definition, { key: definition.key });
  };
  const cards = boot.available.map((definition) => card(definition, choose));
  const confirm = (event) => {
    const matches = cards.filter((made) => !made.hidden);
    if (event.key !== "Enter" || event.isComposing || matches.length !== 1) return;
    event.preventDefault();
    matches[0].click();
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
  if (!cards.length) dialog.body.append(element("p", { class: "subtle" }, "The add-on has no macros."));
  search.focus();
}

if (list) {
  boot.macros.forEach(draw);
  if (boot.editing) document.getElementById("insert").addEventListener("click", browse);
}

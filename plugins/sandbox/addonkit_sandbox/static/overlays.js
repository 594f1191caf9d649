// Dialogs, flags and messages of AP.dialog, AP.flag and AP.messages, and the dialogs of the sandbox's own screens.
import { CLOSE, element, host, icon } from "./dom.js";
import { mount } from "./frames.js";

const SIZES = {
  small: ["400px", "200px"],
  medium: ["600px", "400px"],
  large: ["800px", "520px"],
  "x-large": ["980px", "620px"],
  xlarge: ["980px", "620px"],
  fullscreen: ["100vw", "calc(100vh - 140px)"],
  maximum: ["100vw", "calc(100vh - 140px)"],
};
const stack = [];

// Everything below a dialog is inert: it receives neither keys nor clicks.
function coverScreen() {
  document.querySelectorAll(".top, .shell, .skip").forEach((part) => { part.inert = stack.length > 0; });
}

function provide(name, provider) {
  host.getFrameworkAdaptor().registerModule({
    getModuleRegistrationName: () => name,
    isEnabled: () => true,
    getProvider: () => provider,
  });
}

/** Opens a modal dialog and returns `{panel, body, footer, close}`; `dismiss` runs on Escape and on the close button. */
export function openDialog({ title, width, chrome = true, closable = true, dismiss, wide = false }) {
  const opener = document.activeElement;
  const body = element("div", { class: "dialog-body" });
  const footer = element("footer");
  const cross = element("button", { type: "button", class: "icon-button", "aria-label": "Close", on: { click: () => dismiss() } }, icon(CLOSE));
  const parts = chrome ? [element("header", {}, element("h2", {}, title), cross), body, footer] : [body];
  const panel = element("section", { role: "dialog", "aria-modal": "true", "aria-label": title, tabindex: "-1", class: `dialog${wide ? " wide" : ""}${chrome ? "" : " bare"}` }, ...parts);
  panel.style.width = width || "";
  const blanket = element("div", { class: "blanket" }, panel);
  const dialog = { panel, body, footer, closable, dismiss };
  dialog.close = () => {
    if (!stack.includes(dialog)) return;
    stack.splice(stack.indexOf(dialog), 1);
    blanket.remove();
    coverScreen();
    if (opener && opener.isConnected) opener.focus();
  };
  document.body.append(blanket);
  stack.push(dialog);
  coverScreen();
  panel.focus();
  return dialog;
}

function top() {
  return stack[stack.length - 1];
}

function button(id) {
  return (top() && top().buttons && top().buttons[id]) || element("button");
}

function addButton(dialog, action, before = null) {
  const kind = action.type === "primary" ? "primary" : "plain";
  const made = element("button", { type: "button", class: `button ${kind}`, "data-id": action.identifier, on: { click: () => action.onClick && action.onClick() } }, action.text || "");
  made.disabled = Boolean(action.disabled);
  made.hidden = Boolean(action.hidden);
  dialog.buttons[action.identifier] = made;
  dialog.footer.insertBefore(made, before);
}

provide("dialog", {
  create(options, extension) {
    const [width, height] = SIZES[options.size] || [options.width, options.height];
    const dismiss = () => {
      host.broadcastEvent("dialog.close", { addon_key: extension.addon_key });
      dialog.close();
      document.dispatchEvent(new CustomEvent("dialog-dismissed", { detail: extension.key }));
    };
    const dialog = openDialog({ title: options.header || extension.key, width, chrome: options.chrome, closable: options.closeOnEscape !== false, dismiss });
    Object.assign(dialog, { buttons: {}, extension });
    dialog.body.style.height = height;
    if (options.hint) dialog.footer.append(element("span", { class: "subtle hint" }, options.hint));
    [...(options.actions || [])].reverse().forEach((action) => addButton(dialog, action));
    mount(dialog.body, extension, {
      isDialog: true,
      dialogId: options.id,
      autoresize: false,
      callbackExtensionId: extension.callback_extension_id,
      preventDialogCloseOnEscape: options.closeOnEscape === false,
    });
  },
  close: () => {
    const dialog = top();
    if (!dialog) return;
    dialog.close();
    if (dialog.extension) document.dispatchEvent(new CustomEvent("dialog-dismissed", { detail: dialog.extension.key }));
  },
  isActiveDialog: (addonKey) => Boolean(top() && top().extension && top().extension.addon_key === addonKey),
  isButtonDisabled: (id) => button(id).disabled,
  setButtonDisabled: (id, disabled) => { button(id).disabled = disabled; },
  toggleButton: (id) => { button(id).disabled = !button(id).disabled; },
  isButtonHidden: (id) => button(id).hidden,
  setButtonHidden: (id, hidden) => { button(id).hidden = hidden; },
  createButton: (action) => addButton(top(), action, top().footer.querySelector("button")),
});

addEventListener("keydown", (event) => {
  if (event.key === "Escape" && top() && top().closable) top().dismiss();
});

const flags = element("div", { class: "flags", role: "region", "aria-label": "Notifications" });
document.body.append(flags);

function addFlag({ title, body = "", type = "info", actions = [], close }, onClose = () => {}) {
  const links = actions.map((action) => element("button", { type: "button", class: "link", on: { click: () => action.executeAction() } }, action.actionText));
  const remove = () => {
    if (!flag.isConnected) return;
    flag.remove();
    onClose();
  };
  const flag = element(
    "div",
    { class: `flag ${type}`, role: "alert" },
    element("span", { class: "sign", "aria-hidden": "true" }),
    element("div", {}, element("strong", {}, title), element("p", {}, body), element("div", { class: "actions" }, ...links)),
    element("button", { type: "button", class: "icon-button", "aria-label": "Dismiss", on: { click: remove } }, icon(CLOSE)),
  );
  flags.prepend(flag);
  if (close === "auto") setTimeout(remove, 5000);
  return { close: remove };
}

provide("flag", { create: (options) => addFlag(options, () => options.onClose(options.id)) });

const messages = Object.fromEntries(
  ["generic", "error", "warning", "success", "info", "hint"].map((name) => {
    const type = ["error", "warning", "success"].includes(name) ? name : "info";
    return [name, (title, body) => addFlag({ title, body, type })];
  }),
);
provide("messages", { ...messages, clear() {}, onClose() {} });
provide("inlineDialog", { hide() {} });

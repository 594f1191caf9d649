// Confluence's additions to the library, and the macro that is open in an editor dialog.
import { boot, host } from "./dom.js";

let edited = null;

/** Opens the add-on's editor for a macro; calls `save(parameters, body)` when it closes after a save. */
export function openMacroEditor(available, macro, save) {
  const existing = Boolean(macro.id);
  const title = existing ? available.editor.editTitle : available.editor.insertTitle;
  edited = { parameters: macro.parameters, body: macro.body || "", saved: false, save };
  host.dialog.create(
    {
      addon_key: boot.addonKey,
      key: `${available.key}__editor`,
      options: { productContext: { ...macro.parameters, ...boot.context, ...(existing ? { "macro.id": macro.id } : {}) } },
    },
    {
      header: (title && title.value) || `${existing ? "Edit" : "Insert"} ${available.name}`,
      chrome: true,
      size: "medium",
      ...(available.editor.width && available.editor.height ? { width: available.editor.width, height: available.editor.height, size: undefined } : {}),
      submitText: existing ? "Save" : "Insert",
      cancelText: "Cancel",
    },
  );
}

if (boot.product === "confluence") {
  document.addEventListener("dialog-dismissed", (event) => {
    if (!edited || !event.detail.endsWith("__editor")) return;
    const closed = edited;
    edited = null;
    if (closed.saved) closed.save(closed.parameters, closed.body);
  });

  host.defineModule("confluence", {
    saveMacro(parameters, body) {
      if (!edited) return;
      edited.parameters = parameters || {};
      if (typeof body === "string") edited.body = body; // Without a body, this argument is the callback.
      edited.saved = true;
    },
    closeMacroEditor(callback) {
      if (edited) host.dialog.close(callback._context.extension.addon_key);
    },
    getMacroData: (callback) => callback(edited ? edited.parameters : undefined),
    getMacroBody: (callback) => callback(edited ? edited.body : ""),
    onMacroPropertyPanelEvent() {},
    closeMacroPropertyPanel() {},
    getContentProperty: (_key, callback) => callback(null),
    setContentProperty: (_property, callback) => callback({ error: "the sandbox does not store content properties" }),
    syncPropertyFromServer: (_key, callback) => callback(null),
  });
}

// What Confluence alone defines on top of the library, and the one macro that an editor dialog works on.
import { boot, host } from "./dom.js";

let edited = null;

/** Open the add-on's editor for a macro; `save(parameters, body)` is called when the editor is closed after saving. */
export function openMacroEditor(offered, macro, save) {
  const existing = Boolean(macro.id);
  const title = existing ? offered.editor.editTitle : offered.editor.insertTitle;
  edited = { parameters: macro.parameters, body: macro.body || "", saved: false, save };
  host.dialog.create(
    {
      addon_key: boot.addonKey,
      key: `${offered.key}__editor`,
      options: { productContext: { ...macro.parameters, ...boot.context, ...(existing ? { "macro.id": macro.id } : {}) } },
    },
    {
      header: (title && title.value) || `${existing ? "Edit" : "Insert"} ${offered.name}`,
      chrome: true,
      size: "medium",
      ...(offered.editor.width && offered.editor.height ? { width: offered.editor.width, height: offered.editor.height, size: undefined } : {}),
      submitText: existing ? "Save" : "Insert",
      cancelText: "Cancel",
    },
  );
}

if (boot.product === "confluence") {
  document.addEventListener("dialog-dismissed", (event) => {
    if (!edited || !event.detail.endsWith("__editor")) return;
    const done = edited;
    edited = null;
    if (done.saved) done.save(done.parameters, done.body);
  });

  host.defineModule("confluence", {
    saveMacro(parameters, body) {
      if (!edited) return;
      edited.parameters = parameters || {};
      if (typeof body === "string") edited.body = body; // without a body the callback stands in its place
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
    setContentProperty: (_property, callback) => callback({ error: "the sandbox keeps no content properties" }),
    syncPropertyFromServer: (_key, callback) => callback(null),
  });
}

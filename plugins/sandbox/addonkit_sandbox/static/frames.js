// The add-on's frames: asking the server for a signed URL, making the iframe, following its size.
import { ask, boot, element, host } from "./dom.js";

const SLOW_MS = 12000;
const SILENT_MS = 2000;
const slow = new Map();

function resolve(extension) {
  const context = (extension.options && extension.options.productContext) || boot.context;
  const path = [extension.addon_key, extension.key].map(encodeURIComponent).join("/");
  return ask(`${boot.contextPath}/plugins/servlet/ac/${path}`, { classifier: "json", productContext: context });
}

async function resolveFresh(extension) {
  const answer = await resolve(extension);
  const stale = host.hasJwt(answer.url) && host.isJwtExpired(answer.url);
  return stale ? resolve(extension) : answer;
}

/** Put a module's frame into the container; `extra` are options of the bridge's. */
export async function mount(container, extension, extra = {}) {
  container.classList.add("frame", "is-loading");
  try {
    const answer = await resolveFresh(extension);
    const made = host.createExtension({
      addon_key: answer.addon_key,
      key: answer.key,
      url: answer.url,
      // both spellings are asked for; with an offset of 1 the frame finds us when we are framed ourselves, too
      options: { ...answer.options, ...extension.options, noDOM: true, noDom: true, hostFrameOffset: 1, ...extra },
    });
    const { id, name, src } = made.iframeAttributes;
    const frame = element("iframe", { id, name, title: answer.name, referrerpolicy: "no-referrer" });
    frame.src = src;
    frame.addEventListener("load", () => setTimeout(() => showSilent(container), SILENT_MS));
    container.replaceChildren(frame);
    slow.set(id, setTimeout(() => container.classList.add("is-slow"), SLOW_MS));
  } catch (error) {
    container.classList.remove("is-loading");
    container.replaceChildren(element("p", { class: "frame-error", role: "alert" }, `This part of the add-on could not be opened: ${error.message}.`));
  }
}

// a page that was refused, or does not load all.js, never says that it is there
function showSilent(container) {
  if (!container.classList.contains("is-loading")) return;
  container.classList.remove("is-loading");
  container.replaceChildren(element("p", { class: "frame-error", role: "alert" }, "The add-on's page did not connect to the host: it was refused, or does not load all.js."));
}

function frameOf(context) {
  return document.getElementById(context.extension_id);
}

function length(value) {
  return /^\d+$/.test(String(value)) ? `${value}px` : value;
}

host.onIframeEstablished((established) => {
  const frame = document.getElementById(established.extension.id);
  if (!frame) return;
  clearTimeout(slow.get(frame.id));
  slow.delete(frame.id);
  frame.parentNode.classList.remove("is-loading", "is-slow");
  frame.parentNode.classList.add("is-ready");
});

host.registerProvider("addon", {
  resize(width, height, context) {
    const frame = frameOf(context);
    if (!frame || context.extension.options.isDialog || frame.dataset.fills) return;
    frame.style.width = length(width);
    frame.style.height = length(height);
  },
  sizeToParent(_hideFooter, context) {
    const frame = frameOf(context);
    if (!frame || !context.extension.options.isFullPage) return;
    frame.dataset.fills = "true";
    frame.style.width = "100%";
    frame.style.height = `${innerHeight - frame.getBoundingClientRect().top - 24}px`;
  },
  registerUnmountCallback() {},
});
host.registerProvider("get-location", () => location.href);
host.registerContentResolver.resolveByExtension((extension) => {
  const answer = resolve(extension);
  // the library's own components expect jQuery's kind of promise
  return Object.assign(answer, {
    done: (callback) => (answer.then(callback, () => {}), answer),
    fail: (callback) => (answer.catch((error) => callback(null, { text: error.message })), answer),
  });
});

// The add-on's frames: signed URLs from the server, iframes, and their sizes.
import { ask, boot, element, host } from "./dom.js";

const SLOW_AFTER_MS = 12000;
const CONNECT_TIMEOUT_MS = 2000;
const slow = new Map();

function resolve(extension) {
  const context = (extension.options && extension.options.productContext) || boot.context;
  const path = [extension.addon_key, extension.key].map(encodeURIComponent).join("/");
  return ask(`${boot.contextPath}/plugins/servlet/ac/${path}`, { classifier: "json", productContext: context });
}

async function resolveFresh(extension) {
  const resolved = await resolve(extension);
  const isExpired = host.hasJwt(resolved.url) && host.isJwtExpired(resolved.url);
  return isExpired ? resolve(extension) : resolved;
}

/** Opens a module in a frame inside the container; `extra` holds options for the bridge. */
export async function mount(container, extension, extra = {}) {
  container.classList.add("frame", "is-loading");
  try {
    const resolved = await resolveFresh(extension);
    const made = host.createExtension({
      addon_key: resolved.addon_key,
      key: resolved.key,
      url: resolved.url,
      // The library reads both spellings. An offset of 1 lets the frame find this page if the page is framed itself.
      options: { ...resolved.options, ...extension.options, noDOM: true, noDom: true, hostFrameOffset: 1, ...extra },
    });
    const { id, name, src } = made.iframeAttributes;
    const frame = element("iframe", { id, name, title: resolved.name, referrerpolicy: "no-referrer" });
    frame.src = src;
    frame.addEventListener("load", () => setTimeout(() => showConnectFailure(container), CONNECT_TIMEOUT_MS));
    container.replaceChildren(frame);
    slow.set(id, setTimeout(() => container.classList.add("is-slow"), SLOW_AFTER_MS));
  } catch (error) {
    container.classList.remove("is-loading");
    container.replaceChildren(element("p", { class: "frame-error", role: "alert" }, `This part of the add-on could not be opened: ${error.message}.`));
  }
}

// A page that was refused or does not load all.js never connects.
function showConnectFailure(container) {
  if (!container.classList.contains("is-loading")) return;
  container.classList.remove("is-loading");
  container.replaceChildren(element("p", { class: "frame-error", role: "alert" }, "The add-on's page did not connect to the host. It was refused, or it does not load all.js."));
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
  const result = resolve(extension);
  // The library's own components expect a jQuery promise.
  return Object.assign(result, {
    done: (callback) => (result.then(callback, () => {}), result),
    fail: (callback) => (result.catch((error) => callback(null, { text: error.message })), result),
  });
});

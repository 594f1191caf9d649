// Shared by all scripts: the server's boot values, DOM elements, and requests to the server.

export const boot = JSON.parse(document.getElementById("boot").textContent);
export const host = window.connectHost;

// The browser's time zone, sent to the add-on so that its server and its scripts show the same times.
export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
document.cookie = `sandbox-zone=${zone}; path=/; SameSite=Strict`;

/** Creates an element; `on` in the attributes holds event listeners, children are nodes or text. */
export function element(tag, attributes = {}, ...children) {
  const { on = {}, ...rest } = attributes;
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(rest)) {
    if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  for (const [name, listener] of Object.entries(on)) node.addEventListener(name, listener);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Sends JSON to the server and returns its JSON; throws an Error with the server's message if it refuses. */
export async function ask(url, body, method = "POST") {
  const response = await fetch(url, {
    method,
    headers: { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (response.status === 204) return null;
  const result = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(result.error || `${response.status} ${response.statusText}`);
  return result;
}

/** Returns the calling frame's extension: the library attaches it to the callback, which is always the last argument. */
export function caller(callback) {
  return callback._context.extension;
}

/** Marks a module function as one that may be called without a callback and returns a promise. */
export function promised(call) {
  call.returnsPromise = true;
  return call;
}

/** Creates an icon like those in the templates, from an SVG path. */
export function icon(path) {
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  shape.setAttribute("viewBox", "0 0 16 16");
  shape.setAttribute("class", "icon");
  shape.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  shape.append(line);
  return shape;
}

export const CLOSE = "m4 4 8 8M12 4l-8 8";
export const PEN = "m10.5 3 2.5 2.5L5.5 13l-3 .5.5-3z";
export const BIN = "M3 4.5h10M6 4.5v-2h4v2M4.5 4.5 5 13.5h6l.5-9";

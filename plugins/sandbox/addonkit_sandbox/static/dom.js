// Small things that all scripts of these pages share: what the server told, making elements, asking the server.

export const boot = JSON.parse(document.getElementById("boot").textContent);
export const host = window.connectHost;

// the zone that the add-on is told is the browser's own, so that its times agree with those of its scripts
export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
document.cookie = `sandbox-zone=${zone}; path=/; SameSite=Strict`;

/** An element; `on` in the attributes holds listeners, children are nodes or text. */
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

/** The server's JSON answer; a refusal is an Error with its sentence. */
export async function ask(url, body, method = "POST") {
  const response = await fetch(url, {
    method,
    headers: { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error || `${response.status} ${response.statusText}`);
  return answer;
}

/** Whose frame calls: the library hands the caller over with the callback, which always comes last. */
export function caller(callback) {
  return callback._context.extension;
}

/** Lets a module's function be called with a callback and without one, when it gives a promise. */
export function promised(call) {
  call.returnsPromise = true;
  return call;
}

/** An icon like those in the templates, by the path it draws. */
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

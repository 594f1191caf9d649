// Both products' additions to the library: context, user, cookie, history, navigator and request.
import { ask, boot, caller, host, promised, zone } from "./dom.js";

function requestContext(callback) {
  const extension = caller(callback);
  return ask("/sandbox/context-token", { product: boot.product, productContext: extension.options.productContext });
}

host.defineModule("context", {
  getToken: promised(async (callback) => (await requestContext(callback)).token),
  getContext: promised(async (callback) => (await requestContext(callback)).context),
});

host.defineModule("user", {
  getCurrentUser: (callback) => callback({ atlassianAccountId: boot.user.accountId, accountType: boot.user.accountId ? "atlassian" : "unknown" }),
  getUser: (callback) => callback({ fullName: boot.user.name, id: boot.user.accountId, key: boot.user.accountId }),
  getTimeZone: (callback) => callback(zone),
  getLocale: (callback) => callback(boot.user.locale),
});

const DAY_MS = 864e5;
const cookieName = (callback, name) => `${caller(callback).addon_key}$$${name}`;
host.defineModule("cookie", {
  save(name, value, days, callback) {
    const cookie = { value: String(value), until: Date.now() + (days || 365) * DAY_MS };
    localStorage.setItem(cookieName(callback, name), JSON.stringify(cookie));
  },
  read(name, callback) {
    const cookie = JSON.parse(localStorage.getItem(cookieName(callback, name)) || "null");
    callback(cookie && cookie.until > Date.now() ? cookie.value : undefined);
  },
  erase: (name, callback) => localStorage.removeItem(cookieName(callback, name)),
});

// The add-on's history is stored behind "#!"; only full pages have one.
const anchor = () => location.hash.replace(/^#!?/, "");
function setAnchor(how, state, callback) {
  if (caller(callback).options.isFullPage) history[how]({ addon: state }, "", `#!${state}`);
}
host.defineModule("history", {
  pushState: (state, _title, url, callback) => setAnchor("pushState", typeof url === "string" && url ? url : state, callback || url),
  replaceState: (state, _title, url, callback) => setAnchor("replaceState", typeof url === "string" && url ? url : state, callback || url),
  getState: (type, callback) => callback(type === "all" ? { hash: anchor(), state: (history.state || {}).addon, href: location.href } : anchor()),
  go: (delta) => history.go(delta),
  back: () => history.back(),
  forward: () => history.forward(),
});
let last = anchor();
addEventListener("popstate", () => {
  const event = { newURL: anchor(), oldURL: last, hash: anchor(), state: (history.state || {}).addon, href: location.href };
  last = anchor();
  host.broadcastEvent("history_popstate", (registered) => registered.extension.options.isFullPage, event);
});

const TARGETS = {
  jira: {
    dashboard: "/",
    issue: "/browse/{issueKey}",
    addonModule: "/plugins/servlet/ac/{addonKey}/{moduleKey}",
    site: "{relativeUrl}",
  },
  confluence: {
    dashboard: "/",
    contentview: "/wiki/spaces/SHOP/pages/{contentId}",
    contentedit: "/wiki/spaces/SHOP/pages/{contentId}?edit=1",
    addonModule: "/wiki/plugins/servlet/ac/{addonKey}/{moduleKey}",
    site: "{relativeUrl}",
  },
}[boot.product];

function address(target, context = {}) {
  if (!TARGETS[target]) throw new Error(`the sandbox does not support the target '${target}'; it supports ${Object.keys(TARGETS).join(", ")}`);
  const path = TARGETS[target].replace(/\{(\w+)\}/g, (_, name) => (name === "relativeUrl" ? context[name] : encodeURIComponent(context[name])));
  const url = new URL(path, location.origin);
  if (url.origin !== location.origin) throw new Error("a relativeUrl must lead to this site");
  Object.entries(context.customData || {}).forEach(([name, value]) => url.searchParams.append(`ac.${name}`, value));
  return url;
}

host.defineModule("navigator", {
  getLocation(callback) {
    const jira = { target: "issue", context: { issueKey: boot.context["issue.key"], projectKey: boot.context["project.key"] } };
    const page = { contentId: boot.context["content.id"], contentType: "page", spaceKey: boot.context["space.key"] };
    const confluence = { target: boot.editing ? "contentedit" : "contentview", context: page };
    callback({ ...(boot.product === "jira" ? jira : confluence), href: location.href });
  },
  go: (target, context) => location.assign(address(target, context)),
  reload: () => location.reload(),
});

const FORWARDED_HEADERS = /^(accept|if-match|if-none-match|x-atlassian-token)$/i;
const NO_RESPONSE = { status: 0, statusText: "error", headers: {} };

function requestOf(options, addonKey) {
  const method = (options.type || "GET").toUpperCase();
  const url = new URL(boot.contextPath + options.url, location.origin);
  const headers = { "AP-Client-Key": addonKey, Accept: "*/*" };
  Object.entries(options.headers || {}).forEach(([name, value]) => { if (FORWARDED_HEADERS.test(name)) headers[name] = value; });
  let body = options.data;
  if (body && typeof body === "object" && (method === "GET" || !options.contentType)) {
    body = new URLSearchParams(body).toString();
    if (method !== "GET") headers["Content-Type"] = "application/x-www-form-urlencoded";
  }
  if (options.contentType) headers["Content-Type"] = options.contentType;
  if (method === "GET" && body) {
    url.search += (url.search ? "&" : "?") + body;
    body = undefined;
  }
  return { url, init: { method, headers, body: method === "GET" ? undefined : body } };
}

host.defineModule({
  async request(options, callback) {
    const { url, init } = requestOf(options, caller(callback).addon_key);
    if (url.origin !== location.origin || !/^\/(wiki\/)?rest\//.test(url.pathname)) {
      callback("forbidden", { ...NO_RESPONSE, responseText: "AP.request can only reach the product's REST API" }, "");
      return;
    }
    try {
      const response = await fetch(url, init);
      const body = await response.text();
      const headers = {};
      ["content-type", "etag"].forEach((name) => { if (response.headers.has(name)) headers[name] = response.headers.get(name); });
      const result = { status: response.status, statusText: response.statusText, responseText: body, headers };
      callback(response.ok ? false : response.statusText || "error", result, body);
    } catch (error) {
      callback(String(error.message), NO_RESPONSE, "");
    }
  },
});

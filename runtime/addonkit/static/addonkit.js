/*
 * addonkit.fetch() for pages of an add-on: it sends requests to the page's own plugin, as the user who opened the page.
 *
 * The session of the page is renewed before it expires, with a new context token of the host, and also after a 401.
 * Cookies are neither set nor read.
 */
(() => {
  "use strict";

  const RENEW_BEFORE_S = 120;
  const meta = (name) => document.querySelector(`meta[name="${name}"]`);
  const place = meta("addonkit-base");
  const base = place.content;
  const plugin = place.dataset.plugin;
  const served = meta("addonkit-session");

  let session = served ? served.content : null;
  let ageing = served ? performance.now() + (served.dataset.expiresIn - RENEW_BEFORE_S) * 1000 : 0;
  let renewing = null;

  const ready = new Promise((resolve, reject) => {
    const found = () => (window.AP && AP.context ? resolve(AP) : reject(new Error("the host's script is not there")));
    if (document.readyState === "complete") found();
    else window.addEventListener("load", found, { once: true });
  });
  ready.catch(() => {});

  async function contextToken() {
    const host = await ready;
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error("the host gave no token in time")), 10000);
      host.context.getToken((token) => {
        clearTimeout(late);
        resolve(token);
      });
    });
  }

  async function renewed() {
    const response = await fetch(`${base}/addonkit/session`, {
      method: "POST",
      credentials: "omit",
      headers: {
        Accept: "application/json",
        Authorization: `JWT ${await contextToken()}`,
        "Content-Type": "application/json",
      },
      body: JSON.stringify({ session }),
    });
    if (!response.ok) throw new Error("this page's session is over; reload the page");
    const fresh = await response.json();
    session = fresh.session;
    ageing = performance.now() + (fresh.expires_in - RENEW_BEFORE_S) * 1000;
  }

  /** Single flight: concurrent requests share one renewal. */
  function renew() {
    renewing ??= renewed().finally(() => {
      renewing = null;
    });
    return renewing;
  }

  async function authorization() {
    if (!served) return `JWT ${await contextToken()}`;
    // If this renewal fails, the request gets a 401, which leads to another renewal.
    if (performance.now() > ageing) await renew().catch(() => {});
    return `Session ${session}`;
  }

  async function send(url, options) {
    const headers = new Headers(options.headers);
    headers.set("Authorization", await authorization());
    if (!headers.has("Accept")) headers.set("Accept", "application/json");
    if (options.json !== undefined) headers.set("Content-Type", "application/json");
    const body = options.json === undefined ? options.body : JSON.stringify(options.json);
    return fetch(url, { ...options, headers, body, credentials: "omit", redirect: "error" });
  }

  /**
   * Send a request to a route of this page's plugin.
   *
   * @param {string} path Path relative to the plugin, such as "items/3".
   * @param {RequestInit & {json?: unknown}} options Options of fetch(); `json` is sent as a JSON body.
   * @returns {Promise<Response>}
   */
  async function call(path, options = {}) {
    const root = new URL(`${base}/${plugin}/`, location.origin);
    const url = new URL(path, root);
    if (url.origin !== root.origin || !url.pathname.startsWith(root.pathname)) {
      throw new Error(`addonkit.fetch reaches ${root.pathname} and nothing else`);
    }
    const response = await send(url, options);
    if (response.status !== 401 || !served) return response;
    await renew();
    return send(url, options);
  }

  /** Use the theme of the host, if it has themes. */
  ready.then((host) => host.theming && host.theming.initializeTheming && host.theming.initializeTheming()).catch(() => {});

  window.addonkit = Object.freeze({ fetch: call, ready });
})();

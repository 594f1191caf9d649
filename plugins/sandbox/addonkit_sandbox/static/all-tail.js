// The products' additions to the library in the frame. Functions cannot be sent with postMessage, so this file adapts the
// API functions that take callbacks in other positions or return a value at once.
(function (AP) {
  "use strict";
  if (!AP || !AP._hostModules || !AP._data || !AP._data.origin) {
    return; // The page was not opened by a host.
  }
  const modules = AP._hostModules;
  const globals = (modules._globals = modules._globals || {});

  function publish(name, owner) {
    if (owner && owner[name]) {
      AP[name] = globals[name] = owner[name];
    }
  }
  ["getLocation", "sizeToParent", "hideFooter"].forEach((name) => publish(name, AP.env));
  ["getUser", "getTimeZone"].forEach((name) => publish(name, AP.user));

  function asXhr(response) {
    const headers = (response && response.headers) || {};
    const keyOf = (name) => Object.keys(headers).find((key) => key.toLowerCase() === String(name).toLowerCase());
    return Object.assign({}, response, {
      headers: undefined,
      getResponseHeader: (name) => (keyOf(name) ? headers[keyOf(name)] : null),
      getAllResponseHeaders: () => Object.entries(headers).map(([name, value]) => `${name}: ${value}`).join("\r\n"),
    });
  }

  const remoteRequest = globals.request;
  if (remoteRequest) {
    AP.request = globals.request = function (url, options) {
      const settings = Object.assign({}, typeof url === "string" ? options : url);
      if (typeof url === "string") {
        settings.url = url;
      }
      const { success, error } = settings;
      delete settings.success;
      delete settings.error;
      const result = new Promise((resolve, reject) => {
        remoteRequest(settings, (problem, response, body) => {
          const xhr = asXhr(response);
          if (problem) {
            if (error) error(xhr, "error", problem);
            reject({ err: problem, xhr });
          } else {
            if (success) success(body, "success", xhr);
            resolve({ body, xhr });
          }
        });
      });
      result.catch(() => {}); // Callers with callbacks may ignore the promise.
      return result;
    };
  }

  if (AP.history) {
    let state = (AP._data.options.history || {}).state || "";
    const listeners = [];
    const remoteState = AP.history.getState;
    AP.register({
      history_popstate: (event) => {
        state = event.newURL;
        listeners.forEach((listener) => listener(event));
      },
    });
    const history = {
      popState: (listener) => listeners.push(listener),
      getState: (type, callback) => {
        const done = typeof type === "function" ? type : callback;
        return done ? remoteState(typeof type === "string" ? type : "hash", done) : state;
      },
    };
    ["pushState", "replaceState"].forEach((name) => {
      const remote = AP.history[name];
      history[name] = (next, title, url) => {
        state = typeof url === "string" && url ? url : next;
        remote(next, title, url);
      };
    });
    Object.assign(AP.history, history);
    Object.assign(modules.history, history);
  }

  if (AP.jira) {
    const create = AP.jira.openCreateIssueDialog;
    AP.jira.openCreateIssueDialog = modules.jira.openCreateIssueDialog = (callback, params) => {
      create(params || {}, callback || (() => {}));
    };
  }
})(window.AP);

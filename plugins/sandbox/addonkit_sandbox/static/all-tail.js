// What the products add to the library's half in the frame. Functions cannot cross postMessage, so whatever takes
// callbacks in an unusual place, or answers at once, is put in order here.
(function (AP) {
  "use strict";
  if (!AP || !AP._hostModules || !AP._data || !AP._data.origin) {
    return; // the page was not opened in a host
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

  function asXhr(answer) {
    const headers = (answer && answer.headers) || {};
    const named = (name) => Object.keys(headers).find((held) => held.toLowerCase() === String(name).toLowerCase());
    return Object.assign({}, answer, {
      headers: undefined,
      getResponseHeader: (name) => (named(name) ? headers[named(name)] : null),
      getAllResponseHeaders: () => Object.entries(headers).map(([name, value]) => `${name}: ${value}`).join("\r\n"),
    });
  }

  const remoteRequest = globals.request;
  if (remoteRequest) {
    AP.request = globals.request = function (url, options) {
      const asked = Object.assign({}, typeof url === "string" ? options : url);
      if (typeof url === "string") {
        asked.url = url;
      }
      const { success, error } = asked;
      delete asked.success;
      delete asked.error;
      const answered = new Promise((resolve, reject) => {
        remoteRequest(asked, (problem, answer, body) => {
          const xhr = asXhr(answer);
          if (problem) {
            if (error) error(xhr, "error", problem);
            reject({ err: problem, xhr });
          } else {
            if (success) success(body, "success", xhr);
            resolve({ body, xhr });
          }
        });
      });
      answered.catch(() => {}); // whoever passed callbacks need not look at the promise
      return answered;
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
        const answer = typeof type === "function" ? type : callback;
        return answer ? remoteState(typeof type === "string" ? type : "hash", answer) : state;
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

// The poll in its page: voting, changing a vote, results. The server renders the HTML; this script replaces it.
"use strict";

(() => {
  const DAY_MS = 24 * 60 * 60 * 1000;
  const region = document.getElementById("poll-region");
  const errorBox = document.getElementById("poll-error");
  const message = document.getElementById("poll-message");
  let busy = false;
  let closingTimer = 0;

  /** Shows times in the reader's time zone and language. */
  function localise() {
    const format = new Intl.DateTimeFormat(undefined, {
      year: "numeric",
      month: "short",
      day: "numeric",
      hour: "numeric",
      minute: "2-digit",
      timeZoneName: "short", // cannot be combined with dateStyle
    });
    for (const time of region.querySelectorAll("time[datetime]")) {
      time.textContent = format.format(new Date(time.dateTime));
    }
  }

  /** Shows the results when the closing time is reached while the page is open. */
  function scheduleClosing() {
    window.clearTimeout(closingTimer);
    const open = region.querySelector("[data-closes-at]");
    const left = open ? new Date(open.dataset.closesAt) - Date.now() : DAY_MS;
    if (left < DAY_MS) {
      closingTimer = window.setTimeout(() => request("view"), Math.max(left, 0) + 1000);
    }
  }

  function capitalize(text) {
    return text.charAt(0).toUpperCase() + text.slice(1);
  }

  function showError(text) {
    errorBox.textContent = text;
    errorBox.hidden = !text;
  }

  function draw(body, focus) {
    region.innerHTML = body.html;
    localise();
    scheduleClosing();
    message.textContent = body.message;
    const question = document.getElementById("poll-question");
    if (focus && question) {
      question.focus({ preventScroll: true });
    }
  }

  async function errorText(response) {
    const body = await response.json().catch(() => ({}));
    return body.error || `the request failed (status ${response.status}); reload the page and try again`;
  }

  /** Sends a request and draws the response; if it is refused, shows the reason and, on a conflict, the current poll. */
  async function request(path, options) {
    if (busy) {
      return;
    }
    busy = true;
    region.setAttribute("aria-busy", "true");
    showError("");
    const focus = region.contains(document.activeElement);
    try {
      const response = await addonkit.fetch(path, options);
      if (response.ok) {
        draw(await response.json(), focus);
      } else {
        showError(capitalize(await errorText(response)));
        if (response.status === 409) {
          const now = await addonkit.fetch("view");
          if (now.ok) {
            draw(await now.json(), focus);
          }
        }
      }
    } catch (problem) {
      const offline = problem instanceof TypeError;
      showError(offline ? "The server cannot be reached; check your connection and try again" : capitalize(problem.message));
    } finally {
      busy = false;
      region.removeAttribute("aria-busy");
    }
  }

  region.addEventListener("submit", (event) => {
    event.preventDefault();
    const choices = new FormData(event.target).getAll("choice");
    if (choices.length) {
      request("vote", { method: "PUT", json: { choices } });
    } else {
      showError(event.target.dataset.voted === "yes" ? "Choose an option, or withdraw your vote" : "Choose an option first");
      region.querySelector("input").focus();
    }
  });

  region.addEventListener("click", (event) => {
    const button = event.target.closest("button[type=button]");
    if (!button) {
      return;
    }
    if (button.dataset.show) {
      request(`view?part=${button.dataset.show}`);
    } else if ("withdraw" in button.dataset) {
      request("vote", { method: "DELETE" });
    }
  });

  localise();
  scheduleClosing();
})();

// The poll in its page: voting, changing one's vote, looking at the results. The server draws; this swaps and speaks.
"use strict";

(() => {
  const DAY_MS = 24 * 60 * 60 * 1000;
  const region = document.getElementById("poll-region");
  const fault = document.getElementById("poll-error");
  const said = document.getElementById("poll-said");
  let busy = false;
  let closing = 0;

  /** Times in the reader's own zone and way of writing. */
  function localise() {
    const format = new Intl.DateTimeFormat(undefined, {
      year: "numeric",
      month: "short",
      day: "numeric",
      hour: "numeric",
      minute: "2-digit",
      timeZoneName: "short", // not to be had together with dateStyle
    });
    for (const time of region.querySelectorAll("time[datetime]")) {
      time.textContent = format.format(new Date(time.dateTime));
    }
  }

  /** Show the results by itself when the closing time comes while the page is open. */
  function awaitClosing() {
    window.clearTimeout(closing);
    const open = region.querySelector("[data-closes-at]");
    const left = open ? new Date(open.dataset.closesAt) - Date.now() : DAY_MS;
    if (left < DAY_MS) {
      closing = window.setTimeout(() => ask("view"), Math.max(left, 0) + 1000);
    }
  }

  function capital(sentence) {
    return sentence.charAt(0).toUpperCase() + sentence.slice(1);
  }

  function tell(sentence) {
    fault.textContent = sentence;
    fault.hidden = !sentence;
  }

  function draw(answer, focus) {
    region.innerHTML = answer.html;
    localise();
    awaitClosing();
    said.textContent = answer.said;
    const question = document.getElementById("poll-question");
    if (focus && question) {
      question.focus({ preventScroll: true });
    }
  }

  async function sentence(response) {
    const body = await response.json().catch(() => ({}));
    return body.error || `this did not work (${response.status}); reload the page and try again`;
  }

  /** Ask the server and draw its answer; a refusal is said, and the poll drawn as it stands now. */
  async function ask(path, options) {
    if (busy) {
      return;
    }
    busy = true;
    region.setAttribute("aria-busy", "true");
    tell("");
    const focus = region.contains(document.activeElement);
    try {
      const response = await addonkit.fetch(path, options);
      if (response.ok) {
        draw(await response.json(), focus);
      } else {
        tell(capital(await sentence(response)));
        if (response.status === 409) {
          const now = await addonkit.fetch("view");
          if (now.ok) {
            draw(await now.json(), focus);
          }
        }
      }
    } catch (problem) {
      const offline = problem instanceof TypeError;
      tell(offline ? "The poll could not be reached; check your connection and try again" : capital(problem.message));
    } finally {
      busy = false;
      region.removeAttribute("aria-busy");
    }
  }

  region.addEventListener("submit", (event) => {
    event.preventDefault();
    const choices = new FormData(event.target).getAll("choice");
    if (choices.length) {
      ask("vote", { method: "PUT", json: { choices } });
    } else {
      tell(event.target.dataset.voted === "yes" ? "Choose an option, or withdraw your vote" : "Choose an option first");
      region.querySelector("input").focus();
    }
  });

  region.addEventListener("click", (event) => {
    const button = event.target.closest("button[type=button]");
    if (!button) {
      return;
    }
    if (button.dataset.show) {
      ask(`view?part=${button.dataset.show}`);
    } else if ("withdraw" in button.dataset) {
      ask("vote", { method: "DELETE" });
    }
  });

  localise();
  awaitClosing();
})();

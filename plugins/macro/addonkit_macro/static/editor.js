// The dialog in which an author edits a poll. The server validates; this script shows its messages.
"use strict";

(() => {
  const form = document.getElementById("editor");
  const list = document.getElementById("options");
  const question = document.getElementById("question");
  const closesAt = document.getElementById("closes-at");
  const errorBox = document.getElementById("editor-error");
  const lostVotes = document.getElementById("editor-lost-votes");
  const message = document.getElementById("editor-message");
  const add = document.getElementById("add");
  const template = document.getElementById("option-row");
  const stored = JSON.parse(document.getElementById("poll-data").textContent);
  const maxOptions = Number(form.dataset.most);
  const minOptions = Number(form.dataset.fewest);
  let confirmedVotes = 0;
  let votesToConfirm = 0;
  let saving = false;
  let locked = false;
  let draft = newKey();

  function newKey() {
    return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  function votes(number) {
    return `${number} ${number === 1 ? "vote" : "votes"}`;
  }

  // Options

  function rows() {
    return Array.from(list.children);
  }

  function inputOf(row) {
    return row.querySelector("input");
  }

  function part(row, name) {
    return row.querySelector(`[data-do="${name}"]`);
  }

  /** Updates labels and buttons that depend on an option's place. */
  function renumber() {
    const all = rows();
    all.forEach((row, index) => {
      const label = `option ${index + 1}`;
      inputOf(row).setAttribute("aria-label", `Option ${index + 1}`);
      for (const [action, title] of [["up", `Move ${label} up`], ["down", `Move ${label} down`], ["remove", `Remove ${label}`]]) {
        part(row, action).setAttribute("aria-label", title);
        part(row, action).title = title;
      }
      part(row, "up").disabled = index === 0;
      part(row, "down").disabled = index === all.length - 1;
      part(row, "remove").disabled = all.length <= minOptions;
    });
    add.disabled = all.length >= maxOptions;
    add.textContent = add.disabled ? `The maximum is ${maxOptions} options` : "Add an option";
  }

  function append(option) {
    const row = template.content.firstElementChild.cloneNode(true);
    row.dataset.key = option.key;
    row.dataset.votes = option.votes;
    inputOf(row).value = option.text;
    row.querySelector(".editor-field-error").id = `error-${option.key}`;
    inputOf(row).setAttribute("aria-describedby", `error-${option.key}`);
    const lozenge = row.querySelector(".editor-votes");
    lozenge.textContent = votes(option.votes);
    lozenge.hidden = !option.votes;
    list.append(row);
    return row;
  }

  function addOption() {
    if (rows().length < maxOptions) {
      const row = append({ key: newKey(), text: "", votes: 0 });
      renumber();
      changed();
      inputOf(row).focus();
    }
  }

  /** Removes empty options, such as one that Enter has added at the end; options with votes stay. */
  function removeEmpty() {
    const empty = rows().filter((row) => !inputOf(row).value.trim() && !Number(row.dataset.votes));
    for (const row of empty.reverse().slice(0, Math.max(rows().length - minOptions, 0))) {
      row.remove();
    }
    renumber();
  }

  function move(row, step) {
    const other = step < 0 ? row.previousElementSibling : row.nextElementSibling;
    if (!other) {
      return;
    }
    const focused = document.activeElement;
    if (step < 0) {
      other.before(row);
    } else {
      other.after(row);
    }
    renumber();
    changed();
    (focused.disabled ? inputOf(row) : focused).focus();
    message.textContent = `Option moved to place ${rows().indexOf(row) + 1} of ${rows().length}`;
  }

  function remove(row) {
    if (rows().length <= minOptions) {
      return;
    }
    const next = row.nextElementSibling || row.previousElementSibling;
    confirmedVotes += Number(row.dataset.votes);
    row.remove();
    renumber();
    changed();
    inputOf(next).focus();
    message.textContent = `Option removed, ${rows().length} left`;
  }

  function confirmRemoval(row) {
    const confirm = row.querySelector(".editor-confirm");
    confirm.querySelector("p").textContent =
      `Removing \u201c${inputOf(row).value}\u201d deletes its ${votes(Number(row.dataset.votes))} when you save.`;
    confirm.hidden = false;
    part(row, "keep").focus();
  }

  const actions = {
    up: (row) => move(row, -1),
    down: (row) => move(row, 1),
    remove: (row) => (Number(row.dataset.votes) ? confirmRemoval(row) : remove(row)),
    lose: remove,
    keep: (row) => {
      row.querySelector(".editor-confirm").hidden = true;
      part(row, "remove").focus();
    },
  };

  list.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-do]");
    if (button) {
      actions[button.dataset.do](button.closest(".editor-option"));
    }
  });

  list.addEventListener("keydown", (event) => {
    const row = event.target.closest(".editor-option");
    if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
      event.preventDefault();
      move(row, event.key === "ArrowUp" ? -1 : 1);
    } else if (event.key === "Enter" && event.target.matches("input") && !event.isComposing) {
      event.preventDefault();
      if (row.nextElementSibling) {
        inputOf(row.nextElementSibling).focus();
      } else {
        addOption();
      }
    }
  });

  // Time: the field uses the author's time zone, the server UTC

  function toField(text) {
    const date = new Date(text);
    return new Date(date - date.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
  }

  function closingTime() {
    return closesAt.value ? new Date(closesAt.value).toISOString() : null;
  }

  // Errors

  function showError(text, element, input) {
    element.textContent = text;
    element.hidden = !text;
    if (input) {
      input.toggleAttribute("aria-invalid", false);
      if (text) {
        input.setAttribute("aria-invalid", "true");
      }
    }
  }

  function capitalize(text) {
    return text.charAt(0).toUpperCase() + text.slice(1);
  }

  function showFieldErrors(fields) {
    const at = (name) => (fields[name] ? capitalize(fields[name]) : "");
    const number = Object.keys(fields).length;
    showError(number > 1 ? `Fix ${number} problems to save` : "", errorBox);
    showError(at("question"), document.getElementById("question-error"), question);
    showError(at("options"), document.getElementById("options-error"));
    showError(at("closes_at"), document.getElementById("closes-at-error"), closesAt);
    for (const row of rows()) {
      showError(at(`option-${row.dataset.key}`), row.querySelector(".editor-field-error"), inputOf(row));
    }
    const first = form.querySelector("[aria-invalid=true]");
    if (first) {
      first.focus();
    }
  }

  function showFormError(text) {
    showError(text, errorBox);
    if (text) {
      errorBox.focus();
      errorBox.scrollIntoView({ block: "nearest" });
    }
  }

  /** Generates a new idempotency key: saving a changed draft is not a repeated request. */
  function changed() {
    draft = newKey();
  }

  // Saving

  function submission() {
    return {
      draft,
      question: question.value,
      options: rows().map((row) => ({ key: row.dataset.key, text: inputOf(row).value })),
      several: form.elements.several.value === "yes",
      closes_at: closingTime(),
      revision: stored ? stored.revision : 0,
      may_lose: confirmedVotes,
    };
  }

  function submitButton() {
    return window.AP && AP.dialog && AP.dialog.getButton("submit");
  }

  function lockSaving(on) {
    saving = on;
    const button = submitButton();
    if (button) {
      button[on ? "disable" : "enable"]();
    }
  }

  async function showRefusal(response) {
    const body = await response.json().catch(() => ({}));
    if (body.fields) {
      showFieldErrors(body.fields);
    } else if (body.votes) {
      votesToConfirm = body.votes;
      document.getElementById("editor-lost-votes-text").textContent =
        `Saving deletes ${votes(body.votes)}. Some were cast while you were editing.`;
      lostVotes.hidden = false;
      lostVotes.querySelector("[data-lost-votes=back]").focus();
    } else {
      showFormError(capitalize(body.error || `the poll could not be saved (status ${response.status}); try again`));
    }
  }

  async function save() {
    if (saving || locked) {
      return;
    }
    lockSaving(true);
    removeEmpty();
    showFieldErrors({});
    lostVotes.hidden = true;
    let done = false;
    try {
      const response = await addonkit.fetch("save", { method: "POST", json: submission() });
      if (response.ok) {
        const { poll } = await response.json();
        done = true;
        AP.confluence.saveMacro({ poll });
        AP.confluence.closeMacroEditor();
      } else {
        await showRefusal(response);
      }
    } catch (problem) {
      const offline = problem instanceof TypeError;
      showFormError(offline ? "The poll could not be saved; check your connection and try again" : capitalize(problem.message));
    } finally {
      if (!done) {
        lockSaving(false);
      }
    }
  }

  lostVotes.addEventListener("click", (event) => {
    const choice = event.target.dataset.lostVotes;
    if (choice) {
      lostVotes.hidden = true;
      if (choice === "save") {
        confirmedVotes = votesToConfirm;
        save();
      } else {
        question.focus();
      }
    }
  });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    save();
  });
  form.addEventListener("input", changed);
  add.addEventListener("click", addOption);
  document.getElementById("clear").addEventListener("click", () => {
    closesAt.value = "";
    changed();
    closesAt.focus();
  });

  // Start

  const start = stored || { question: "", several: false, closesAt: null, options: [] };
  question.value = start.question;
  form.elements.several.value = start.several ? "yes" : "no";
  closesAt.value = start.closesAt ? toField(start.closesAt) : "";
  start.options.forEach(append);
  while (rows().length < minOptions) {
    append({ key: newKey(), text: "", votes: 0 });
  }
  renumber();
  document.getElementById("zone").textContent = ` (${Intl.DateTimeFormat().resolvedOptions().timeZone})`;
  question.focus();

  addonkit.ready.then(() => {
    // The dialog stays open until the poll is saved. The host may send one click twice; `saving` ignores the second.
    AP.dialog.disableCloseOnSubmit();
    AP.events.on("dialog.submit", () => save());
    AP.confluence.getMacroData((parameters) => {
      const poll = parameters && parameters.poll;
      if (poll && poll !== form.dataset.edited) {
        locked = true;
        showFormError("This dialog was opened for a different poll than the macro's; close it and open it again");
      }
    });
  });
})();

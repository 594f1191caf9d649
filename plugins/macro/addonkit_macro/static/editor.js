// The dialog in which an author writes a poll. What a poll may be is the server's to say; its sentences are shown here.
"use strict";

(() => {
  const form = document.getElementById("editor");
  const list = document.getElementById("options");
  const question = document.getElementById("question");
  const closesAt = document.getElementById("closes-at");
  const fault = document.getElementById("editor-error");
  const stake = document.getElementById("editor-stake");
  const said = document.getElementById("editor-said");
  const add = document.getElementById("add");
  const template = document.getElementById("option-row");
  const stored = JSON.parse(document.getElementById("poll-data").textContent);
  const most = Number(form.dataset.most);
  const fewest = Number(form.dataset.fewest);
  let agreed = 0;
  let atStake = 0;
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

  /** Names and switches that depend on an option's place. */
  function renumber() {
    const all = rows();
    all.forEach((row, index) => {
      const name = `option ${index + 1}`;
      inputOf(row).setAttribute("aria-label", `Option ${index + 1}`);
      for (const [action, words] of [["up", `Move ${name} up`], ["down", `Move ${name} down`], ["remove", `Remove ${name}`]]) {
        part(row, action).setAttribute("aria-label", words);
        part(row, action).title = words;
      }
      part(row, "up").disabled = index === 0;
      part(row, "down").disabled = index === all.length - 1;
      part(row, "remove").disabled = all.length <= fewest;
    });
    add.disabled = all.length >= most;
    add.textContent = add.disabled ? `${most} options are the most` : "Add an option";
  }

  function append(option) {
    const row = template.content.firstElementChild.cloneNode(true);
    row.dataset.key = option.key;
    row.dataset.votes = option.votes;
    inputOf(row).value = option.text;
    row.querySelector(".editor-fault").id = `fault-${option.key}`;
    inputOf(row).setAttribute("aria-describedby", `fault-${option.key}`);
    const lozenge = row.querySelector(".editor-votes");
    lozenge.textContent = votes(option.votes);
    lozenge.hidden = !option.votes;
    list.append(row);
    return row;
  }

  function addOption() {
    if (rows().length < most) {
      const row = append({ key: newKey(), text: "", votes: 0 });
      renumber();
      changed();
      inputOf(row).focus();
    }
  }

  /** Enter on the last option leaves an empty one behind, which nobody meant; options with votes are not dropped. */
  function dropEmpty() {
    const empty = rows().filter((row) => !inputOf(row).value.trim() && !Number(row.dataset.votes));
    for (const row of empty.reverse().slice(0, Math.max(rows().length - fewest, 0))) {
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
    said.textContent = `Option moved to place ${rows().indexOf(row) + 1} of ${rows().length}`;
  }

  function remove(row) {
    if (rows().length <= fewest) {
      return;
    }
    const next = row.nextElementSibling || row.previousElementSibling;
    agreed += Number(row.dataset.votes);
    row.remove();
    renumber();
    changed();
    inputOf(next).focus();
    said.textContent = `Option removed, ${rows().length} left`;
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

  // Time: the field holds the author's own, the server UTC

  function toField(text) {
    const date = new Date(text);
    return new Date(date - date.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
  }

  function closingTime() {
    return closesAt.value ? new Date(closesAt.value).toISOString() : null;
  }

  // Faults

  function show(message, element, input) {
    element.textContent = message;
    element.hidden = !message;
    if (input) {
      input.toggleAttribute("aria-invalid", false);
      if (message) {
        input.setAttribute("aria-invalid", "true");
      }
    }
  }

  function capital(sentence) {
    return sentence.charAt(0).toUpperCase() + sentence.slice(1);
  }

  function showFaults(fields) {
    const at = (name) => (fields[name] ? capital(fields[name]) : "");
    const number = Object.keys(fields).length;
    show(number > 1 ? `${number} things to mend` : "", fault);
    show(at("question"), document.getElementById("question-fault"), question);
    show(at("options"), document.getElementById("options-fault"));
    show(at("closes_at"), document.getElementById("closes-at-fault"), closesAt);
    for (const row of rows()) {
      show(at(`option-${row.dataset.key}`), row.querySelector(".editor-fault"), inputOf(row));
    }
    const first = form.querySelector("[aria-invalid=true]");
    if (first) {
      first.focus();
    }
  }

  function tell(sentence) {
    show(sentence, fault);
    if (sentence) {
      fault.focus();
      fault.scrollIntoView({ block: "nearest" });
    }
  }

  /** Another draft than the one that was sent: a save of it is no second click. */
  function changed() {
    draft = newKey();
  }

  // Saving

  function written() {
    return {
      draft,
      question: question.value,
      options: rows().map((row) => ({ key: row.dataset.key, text: inputOf(row).value })),
      several: form.elements.several.value === "yes",
      closes_at: closingTime(),
      revision: stored ? stored.revision : 0,
      may_lose: agreed,
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

  async function explain(response) {
    const body = await response.json().catch(() => ({}));
    if (body.fields) {
      showFaults(body.fields);
    } else if (body.votes) {
      atStake = body.votes;
      document.getElementById("editor-stake-text").textContent =
        `Saving deletes ${votes(body.votes)}: some came in while you were editing.`;
      stake.hidden = false;
      stake.querySelector("[data-stake=back]").focus();
    } else {
      tell(capital(body.error || `saving did not work (${response.status}); try again`));
    }
  }

  async function save() {
    if (saving || locked) {
      return;
    }
    lockSaving(true);
    dropEmpty();
    showFaults({});
    stake.hidden = true;
    let done = false;
    try {
      const response = await addonkit.fetch("save", { method: "POST", json: written() });
      if (response.ok) {
        const { poll } = await response.json();
        done = true;
        AP.confluence.saveMacro({ poll });
        AP.confluence.closeMacroEditor();
      } else {
        await explain(response);
      }
    } catch (problem) {
      const offline = problem instanceof TypeError;
      tell(offline ? "The poll could not be saved; check your connection and try again" : capital(problem.message));
    } finally {
      if (!done) {
        lockSaving(false);
      }
    }
  }

  stake.addEventListener("click", (event) => {
    const choice = event.target.dataset.stake;
    if (choice) {
      stake.hidden = true;
      if (choice === "save") {
        agreed = atStake;
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
  while (rows().length < fewest) {
    append({ key: newKey(), text: "", votes: 0 });
  }
  renumber();
  document.getElementById("zone").textContent = ` (${Intl.DateTimeFormat().resolvedOptions().timeZone})`;
  question.focus();

  addonkit.ready.then(() => {
    // The dialog stays open until the poll is saved. The host may tell of one click twice; `saving` makes it one.
    AP.dialog.disableCloseOnSubmit();
    AP.events.on("dialog.submit", () => save());
    AP.confluence.getMacroData((parameters) => {
      const poll = parameters && parameters.poll;
      if (poll && poll !== form.dataset.edited) {
        locked = true;
        tell("This dialog was opened for another poll than the one in the macro; close it and open it again");
      }
    });
  });
})();

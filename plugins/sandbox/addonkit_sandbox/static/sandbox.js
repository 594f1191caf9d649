// The entry point of every screen: bridge modules, frames declared in the template, switches.
import "./products.js";
import "./jira.js";
import "./macros.js";
import { boot } from "./dom.js";
import { mount } from "./frames.js";

document.querySelectorAll("[data-module]").forEach((container) => {
  mount(container, { addon_key: boot.addonKey, key: container.dataset.module, options: { productContext: boot.context } });
});

document.querySelectorAll("[data-switch]").forEach((control) => {
  control.addEventListener("change", () => control.form.requestSubmit());
});

// The theme changes in place; frames follow without being reopened.
const theme = document.getElementById("theme");
theme.form.addEventListener("submit", (event) => {
  event.preventDefault();
  const dark = document.documentElement.dataset.colorMode !== "dark";
  document.documentElement.dataset.colorMode = dark ? "dark" : "light";
  theme.setAttribute("aria-pressed", String(dark));
  fetch(theme.form.action, { method: "POST", headers: { "X-Requested-With": "fetch" }, body: new URLSearchParams({ theme: dark ? "dark" : "light" }) });
});

document.addEventListener("click", (event) => {
  document.querySelectorAll("details.menu[open]").forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; });
});

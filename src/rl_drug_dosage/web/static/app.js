// Tabs, and the start of each.

import { $ } from "./dom.js";
import * as bedside from "./bedside.js";
import * as trial from "./trial.js";
import * as play from "./play.js";

const tabs = ["bedside", "trial", "play"], begin = { trial: trial.start, play: play.start }, begun = new Set();

function fail(error) {
  $("status").textContent = `Something went wrong: ${error.message}`;
}

function show(name, focus) {
  for (const each of tabs) {
    const tab = $(`tab-${each}`), own = each === name;
    tab.setAttribute("aria-selected", String(own));
    tab.tabIndex = own ? 0 : -1;
    $(`panel-${each}`).hidden = !own;
    if (own && focus) tab.focus();
  }
  document.body.dataset.tab = name;
  if (begin[name] && !begun.has(name)) {
    begun.add(name);
    begin[name]().catch(fail);
  }
}

tabs.forEach((name, i) => {
  const tab = $(`tab-${name}`);
  tab.addEventListener("click", () => show(name));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) show(tabs[(i + step + tabs.length) % tabs.length], true);
  });
});
window.addEventListener("unhandledrejection", (event) => fail(event.reason));
bedside.start().catch(fail);

// The Bedside tab: whatever changes in the form is sent, and the newest answer is shown.

import { $, ask, el, options } from "./dom.js";
import * as form from "./case.js";
import { Results } from "./results.js";

const WAIT_MS = 30, PENDING_MS = 400;
let results, timer, running, sliding, wished, warm = {}, opened, without = false;

const ready = () => Boolean(warm.drugs) && warm.drugs[$("drug").value] === "ready";

const stamp = (name, since) => { document.body.dataset[name] = String(Math.round(performance.now() - since)); };

function edited() {
  document.body.dataset.state = "waiting";
  clearTimeout(timer);
  const since = performance.now();
  timer = setTimeout(() => send(since), WAIT_MS);
}

async function send(since) {
  if (running) running.abort();
  running = new AbortController();
  const own = running, all = ready(), body = { patient: form.patient(), ask: form.question(all) };
  results.box.setAttribute("aria-busy", "true");
  const pending = setTimeout(() => { if (own === running) results.wait(); }, PENDING_MS);
  try {
    const record = await ask("recommend", body, own.signal);
    if (own !== running) return;
    form.mark(null);
    without = !all && form.drug().policies.length > 1;
    results.show(record, body.patient.zone || "");
    stamp("reaction", since);
    document.body.dataset.state = "ready";
  } catch (error) {
    if (error.name === "AbortError" || own !== running) return;
    const said = error.message.replace(`${error.field}: `, ""), target = form.mark(error.field, said);
    results.refuse(target ? `${form.titleOf(target)}: ${said}` : error.message, target);
    document.body.dataset.state = "refused";
  } finally {
    clearTimeout(pending);
    if (own === running) results.box.setAttribute("aria-busy", "false");
  }
}

// One request for a dose of one's own at a time; of those that were wished meanwhile the last one counts.
async function chosen(dose_mg, interval_h) {
  wished = { dose_mg, interval_h, since: performance.now() };
  document.body.dataset.own = "waiting";
  if (sliding) return;
  sliding = true;
  while (wished) {
    const { since, ...own } = wished, record = results.record;
    wished = null;
    try {
      const policy = await ask("forecast", { patient: form.patient(), ask: form.question(ready()), ...own });
      // An answer for a patient who has changed since belongs to nobody.
      if (!wished && results.record === record) {
        results.showOwn(policy);
        stamp("slide", since);
      }
    } catch (error) {
      if (!wished && results.record === record) results.refuseOwn(error.message);
    }
  }
  sliding = false;
  document.body.dataset.own = "ready";
}

function load(patient) {
  if (running) running.abort();
  running = null;
  results.clear();
  form.mark(null);
  form.load(patient, edited);
}

async function chooseDrug(name, patient) {
  const record = await ask(`drugs/${encodeURIComponent(name)}`);
  $("drug").value = name;
  $("next").value = "";
  $("target").value = "";
  form.setDrug(record);
  load(patient || { drug: name });
}

async function chooseExample(name, place) {
  const { patients } = await ask(`drugs/${encodeURIComponent(name)}/examples`);
  load(patients[place]);
  $("example").value = `example ${place}`;
  edited();
}

const isTable = (file) => !/\.(json|toml)$/i.test(file.name);

// A table names no drug: it is read for the one that is chosen. A file may have a creatinine and name no formula.
async function openFile(file, formulas) {
  try {
    const drug = isTable(file) ? { drug: $("drug").value } : {}, by = formulas ? { formulas } : {};
    const { patients, notes } = await ask("read", { name: file.name, text: await file.text(), ...drug, ...by });
    opened = { name: file.name, patients };
    await chooseOpened(0);
    say(patients.length > 1 ? `${file.name} holds ${patients.length} patients; choose one beside the worked examples.` : notes.join("; "));
  } catch (error) {
    results.refuse(`${file.name}: ${error.message}`, null);
    // The file's drug need not be the one that is chosen: the message lists its formulas.
    const [, names] = /name a formula.*allowed: ([\w, -]+?) \(weight/.exec(error.message) || [];
    const choices = names ? form.formulaChoices(names.split(", ")) : [];
    if (choices.length) results.offer("Creatinine clearance by", choices.map(form.formulaText), (i) => openFile(file, { crcl: choices[i] }));
    document.body.dataset.state = "refused";
  }
}

async function chooseOpened(place) {
  const known = [...$("drug").options].map((o) => o.value), patient = opened.patients[place];
  const stem = String(patient.drug || $("drug").value);
  const name = known.find((k) => k === stem) || known.find((k) => stem.startsWith(`${k}-`));
  if (!name) throw new Error(`the page has no ${stem}; it has ${known.join(", ")}`);
  await chooseDrug(name, patient);
  if (stem !== name && [...$("model").options].some((o) => o.value === stem)) $("model").value = stem;
  form.setFile(opened, place);
  edited();
}

function save() {
  const patient = { format: 1, ...form.patient(), drug: $("model").value || $("drug").value };
  const text = `${JSON.stringify(patient, null, 1)}\n`;
  const link = el("a", { href: URL.createObjectURL(new Blob([text], { type: "application/json" })), download: `${$("drug").value}-case.json` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

let said = "";
function say(text) {
  said = text;
  showStatus();
}

function showStatus() {
  const name = $("drug").value, state = warm.drugs ? warm.drugs[name] : "";
  const preparing = state && state !== "ready" ? `${warm.text || `programs for ${name} are being prepared`}; the first answer takes longer, and the page can be used meanwhile.` : "";
  const text = [said, preparing].filter(Boolean).join(" ");
  if ($("status").textContent !== text) $("status").textContent = text;
  document.body.dataset.programs = state || "";
}

async function watch() {
  try {
    warm = (await ask("status")).programs;
    showStatus();
    // The last answer was asked for before the learnt policy's programs were there.
    if (without && ready() && document.body.dataset.state === "ready") {
      without = false;
      edited();
    }
  } catch (error) {
    say(error.message);
  }
  setTimeout(watch, ready() ? 5000 : 1000);
}

export async function start() {
  results = new Results($("results"), chosen);
  const { drugs } = await ask("drugs");
  options($("drug"), drugs.map((name) => [name, name]));
  if (Intl.supportedValuesOf) $("zones").replaceChildren(...Intl.supportedValuesOf("timeZone").map((z) => el("option", { value: z })));
  const first = drugs.includes("vancomycin") ? "vancomycin" : drugs[0];
  await chooseDrug(first);
  await chooseExample(first, 0);
  for (const id of ["name", "zone", "now", "next", "target"]) $(id).addEventListener("input", edited);
  $("model").addEventListener("change", edited);
  $("drug").addEventListener("change", async () => {
    const name = $("drug").value;
    await chooseDrug(name);
    await chooseExample(name, 0);
    showStatus();
  });
  $("example").addEventListener("change", () => {
    const [kind, place] = $("example").value.split(" ");
    if (kind === "file") chooseOpened(Number(place));
    else if (kind) chooseExample($("drug").value, Number(place));
  });
  $("new").addEventListener("click", () => {
    $("example").value = "";
    load({ drug: $("drug").value });
    clearTimeout(timer);
    document.body.dataset.state = "empty";
    $("name").focus();
  });
  $("open").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", async () => {
    if ($("file").files.length) await openFile($("file").files[0]);
    $("file").value = "";
  });
  $("save").addEventListener("click", save);
  $("print").addEventListener("click", () => window.print());
  $("case").addEventListener("submit", (event) => event.preventDefault());
  watch();
}

// The form of one patient: to and from a patient file (docs/patient-files.md). What is written is sent as it stands;
// the server reads units and clock times, and says what it cannot read next to the field.

import { $, capital, el, options, short } from "./dom.js";

const COLUMNS = {
  doses: ["time", "amount", "over", "rate", "route", "every", "times", "missed"],
  levels: ["time", "value", "output"],
};
const TITLES = {
  time: "Time", amount: "Amount", over: "Infused over", rate: "Rate", route: "Route", every: "Every", times: "Times",
  missed: "Missed", value: "Value", output: "Of",
};
const HINTS = { time: "2026-11-03 08:10", amount: "1 g", over: "1 h", value: "12.1 mg/L" };
const WEIGHTS = ["actual", "ideal", "adjusted"], SURFACES = ["mosteller", "du-bois"];

const state = { drug: null, rows: { doses: [], levels: [] }, covariates: [], comment: null };

export const drug = () => state.drug;

export function words(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "object") return "value" in value ? `${words(value.value)} ${value.unit || ""}`.trim() : JSON.stringify(value);
  return String(value);
}

// A number stays one, so that hours and codes are what they were.
function written(text) {
  const plain = text.trim();
  return /^-?\d+(\.\d+)?$/.test(plain) ? Number(plain) : plain;
}

export function setDrug(record) {
  state.drug = record;
  options($("model"), [["", record.models.length > 1 ? `all ${record.models.length}, weighed` : record.models[0].name],
    ...(record.models.length > 1 ? record.models.map((m) => [m.name, m.name]) : [])]);
  options($("example"), [["", "choose"], ...record.examples.map((name, i) => [`example ${i}`, name])]);
}

// The patients of a file stand beside the examples.
export function setFile({ name, patients }, place) {
  const group = el("optgroup", { label: name }, patients.map((p, i) => el("option", { value: `file ${i}` }, p.name || `patient ${i + 1}`)));
  $("example").append(group);
  $("example").value = `file ${place}`;
}

export function load(patient, edited) {
  $("name").value = patient.name || "";
  $("zone").value = patient.zone || "";
  $("now").value = words(patient.now);
  state.comment = patient.comment || null;
  for (const kind of ["doses", "levels"]) state.rows[kind] = (patient[kind] || []).map((row) => ({ ...row }));
  state.covariates = covariateRows(patient.covariates || {});
  drawCovariates(edited);
  drawTable("doses", edited);
  drawTable("levels", edited);
}

function covariateRows(told) {
  const fields = [...state.drug.covariates, ...state.drug.facts], known = fields.map((f) => f.key), rows = [];
  const keyOf = (key) => fields.find((f) => f.key === key || f.key.startsWith(`${key}_`) || alias(f.key) === key);
  for (const [key, value] of Object.entries(told)) {
    const field = keyOf(key);
    for (const one of Array.isArray(value) ? value : [value]) {
      const timed = one !== null && typeof one === "object" && "time" in one;
      rows.push({ key: field ? field.key : key, time: timed ? words(one.time) : "", value: timed ? covariateValue(one) : one });
    }
  }
  for (const key of known) if (!rows.some((row) => row.key === key)) rows.push({ key, time: "", value: "" });
  return rows.sort((a, b) => place(known, a.key) - place(known, b.key));
}

const place = (known, key) => (known.includes(key) ? known.indexOf(key) : known.length);
const alias = (key) => ({ wt_kg: "weight", age_y: "age", height_cm: "height", female: "sex", scr_mg_per_dl: "creatinine" })[key];
const covariateValue = (one) => ("unit" in one ? { value: one.value, unit: one.unit } : one.value);

export function formulaChoices(names) {
  const found = [];
  for (const name of names) {
    if (name === "cockcroft-gault") found.push(...WEIGHTS.map((w) => ({ formula: name, weight: w })));
    else if (/^(ckd-epi|schwartz)/.test(name)) found.push({ formula: name }, ...SURFACES.map((b) => ({ formula: name, bsa: b })));
    else found.push({ formula: name });
  }
  return found;
}

export const formulaText = (c) => c.formula + (c.weight ? `, ${c.weight} weight` : "") + (c.bsa ? `, surface by ${c.bsa}` : "");

function drawCovariates(edited) {
  const fields = [...state.drug.covariates, ...state.drug.facts];
  const box = $("covariates"), seen = {};
  const withFormula = state.covariates.some((row) => isFormula(row.value));
  box.replaceChildren(...state.covariates.map((row, i) => {
    const field = fields.find((f) => f.key === row.key) || { key: row.key, label: row.key, unit: "", choices: [], formulas: [], models: [] };
    const isFact = state.drug.facts.includes(field);
    if (isFact && !withFormula && row.value === "") return null;
    seen[row.key] = (seen[row.key] || 0) + 1;
    const many = state.covariates.filter((other) => other.key === row.key).length > 1;
    return covariateRow(field, row, i, many ? seen[row.key] : 0, edited);
  }).filter(Boolean));
}

const isFormula = (value) => value !== null && typeof value === "object" && "formula" in value;

function covariateRow(field, row, index, number, edited) {
  const id = `covariate-${index}`, at = `covariates.${field.key}${number ? `[${number}]` : ""}`;
  const range = field.low === null || field.low === undefined || field.choices.length ? "" : `${short(field.low)} to ${short(field.high)} ${field.unit}`;
  const change = (value) => { row.value = value; edited(); };
  let input;
  if (field.choices.length) {
    input = el("select", { id, "data-field": at, onchange: (e) => change(e.target.value === "" ? "" : field.choices[Number(e.target.value)].value) },
      el("option", { value: "" }, "not known"), field.choices.map((c, i) => el("option", { value: String(i) }, c.text)));
    const own = field.choices.findIndex((c) => same(c, row.value));
    input.value = own < 0 ? "" : String(own);
  } else if (isFormula(row.value)) {
    input = el("output", { id, "data-field": at, class: "computed", tabindex: "-1" }, "computed");
  } else {
    input = el("input", { id, "data-field": at, value: words(row.value), placeholder: range, oninput: (e) => change(written(e.target.value)) });
  }
  const parts = [el("label", { for: id, title: field.source }, capital(field.label)),
    el("span", { class: "hint" }, [range, field.models.length ? `for ${field.models.join(", ")}` : ""].filter(Boolean).join("; "))];
  const line = [input];
  if (row.time !== "" || number) {
    line.push(el("input", { "data-field": `${at}.time`, "aria-label": `${field.label}, since when`, value: row.time, placeholder: HINTS.time,
      oninput: (e) => { row.time = e.target.value; edited(); } }));
  }
  if (field.formulas.length) {
    const choices = formulaChoices(field.formulas);
    const select = el("select", { "aria-label": `${field.label}: value or formula`, onchange: (e) => {
      row.value = e.target.value === "" ? "" : choices[Number(e.target.value)];
      drawCovariates(edited);
      edited();
    } }, el("option", { value: "" }, "a value"), choices.map((c, i) => el("option", { value: String(i) }, formulaText(c))));
    const own = isFormula(row.value) ? choices.findIndex((c) => formulaText(c) === formulaText(row.value)) : -1;
    select.value = own < 0 ? "" : String(own);
    line.push(select);
  }
  if (!isFormula(row.value)) {
    line.push(el("button", { type: "button", class: "small-button", "aria-label": `${field.label}: another value, later`, title: "another value, later", onclick: () => {
      state.covariates.splice(index + 1, 0, { key: row.key, time: $("now").value, value: "" });
      drawCovariates(edited);
      $(`covariate-${index + 1}`).focus();
    } }, "+"));
  }
  if (number > 1) {
    line.push(el("button", { type: "button", class: "small-button", "aria-label": `${field.label}: remove this value`, onclick: () => {
      state.covariates.splice(index, 1);
      drawCovariates(edited);
      edited();
    } }, "×"));
  }
  return el("div", { class: "covariate" }, parts, el("div", { class: "line" }, line));
}

// Whether a choice is what a file says, in whatever of its forms: "female", 1, true, "yes".
function same(choice, told) {
  if (told === "" || told === null || told === undefined) return false;
  const value = typeof told === "object" ? told.value : told, truth = { true: 1, false: 0, yes: 1, no: 0 };
  if (typeof value === "string" && value.toLowerCase() === String(choice.value).toLowerCase()) return true;
  const code = typeof value === "number" ? value : value in truth || typeof value === "boolean" ? truth[String(value)] : Number(value);
  return code === choice.code;
}

function shown(kind) {
  const rows = state.rows[kind], used = (name) => rows.some((row) => row[name] !== undefined);
  return COLUMNS[kind].filter((name) => {
    if (["rate", "every", "times"].includes(name)) return used(name);
    if (name === "route") return state.drug.routes.length > 1 && (used(name) || kind === "doses" && state.drug.routes.some((r) => r.infused !== state.drug.routes[0].infused));
    if (name === "output") return state.drug.outputs.length > 1 || used(name);
    if (name === "over") return used(name) || state.drug.routes.some((r) => r.infused);
    return true;
  });
}

function drawTable(kind, edited) {
  const names = shown(kind), one = kind === "doses" ? "dose" : "level";
  const rows = state.rows[kind].map((row, i) => el("tr", {},
    names.map((name) => el("td", {}, entry(kind, row, name, i, edited))),
    el("td", {}, el("button", { type: "button", class: "small-button", "aria-label": `Remove ${one} ${i + 1}`, onclick: () => {
      state.rows[kind].splice(i, 1);
      drawTable(kind, edited);
      edited();
    } }, "×"))));
  const title = (name) => (name === "value" && state.drug.outputs.length ? `Value` : TITLES[name]);
  const grid = el("table", { class: "entry" }, el("thead", {}, el("tr", {}, names.map((n) => el("th", { scope: "col" }, title(n))), el("td", {}))), el("tbody", {}, rows));
  const add = el("button", { type: "button", id: `add-${one}`, onclick: () => {
    state.rows[kind].push(fresh(kind));
    drawTable(kind, edited);
    focusRow(kind, state.rows[kind].length - 1);
  } }, `Add a ${one}`);
  const box = $(kind);
  box.replaceChildren(...(rows.length ? [el("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": `Table: ${kind}` }, grid)] : [el("p", { class: "note" }, `No ${kind}.`)]), add);
}

// A new dose is as the last one, but for its time.
function fresh(kind) {
  const last = state.rows[kind].at(-1);
  if (kind !== "doses") return { time: "", value: "" };
  const kept = last ? Object.fromEntries(["amount", "over", "route"].filter((n) => last[n] !== undefined).map((n) => [n, last[n]])) : {};
  return { time: "", amount: "", ...kept };
}

function focusRow(kind, i) {
  const first = document.querySelector(`[data-field="${kind}[${i + 1}].time"]`);
  if (first) first.focus();
}

function entry(kind, row, name, i, edited) {
  const at = `${kind}[${i + 1}].${name}`, label = `${kind === "doses" ? "Dose" : "Level"} ${i + 1}, ${TITLES[name].toLowerCase()}`;
  const set = (value) => {
    if (value === "" && !["time", "amount", "value"].includes(name)) delete row[name];
    else row[name] = value;
    edited();
  };
  if (name === "missed") {
    if (Array.isArray(row.missed)) return el("output", { "data-field": at, "aria-label": label }, row.missed.join(", "));
    return el("input", { type: "checkbox", "data-field": at, "aria-label": label, checked: row.missed === true, onchange: (e) => set(e.target.checked || "") });
  }
  if (name === "route" || name === "output") {
    const rows = name === "route" ? state.drug.routes : state.drug.outputs;
    const select = el("select", { "data-field": at, "aria-label": label, onchange: (e) => set(e.target.value) },
      el("option", { value: "" }, rows.length ? rows[0].name : "first"), rows.slice(1).map((r) => el("option", { value: r.name }, r.name)));
    select.value = rows.slice(1).some((r) => r.name === row[name]) ? row[name] : "";
    return select;
  }
  const hint = name === "value" && state.drug.outputs.length ? `12.1 ${state.drug.outputs[0].unit}` : HINTS[name] || "";
  return el("input", { "data-field": at, "aria-label": label, value: words(row[name]), placeholder: hint, size: name === "time" ? 17 : 9,
    oninput: (e) => set(written(e.target.value)), onpaste: (e) => paste(e, kind, i, name, edited) });
}

// Cells of a spreadsheet: columns by tabs, rows by lines.
function paste(event, kind, first, name, edited) {
  const text = event.clipboardData.getData("text/plain");
  if (!/[\t\n]/.test(text.trim())) return;
  event.preventDefault();
  const names = shown(kind), from = names.indexOf(name);
  text.replace(/\r/g, "").replace(/\n+$/, "").split("\n").forEach((row, i) => {
    const target = state.rows[kind][first + i] || (state.rows[kind][first + i] = fresh(kind));
    row.split("\t").forEach((value, j) => {
      const column = names[from + j];
      if (!column) return;
      if (column === "missed") { if (/^(true|yes|missed|x|1)$/i.test(value.trim())) target.missed = true; }
      else if (value.trim() !== "" || ["time", "amount", "value"].includes(column)) target[column] = written(value);
    });
  });
  drawTable(kind, edited);
  focusRow(kind, first);
  edited();
}

export function patient() {
  const found = { drug: state.drug.name };
  if ($("name").value) found.name = $("name").value;
  if ($("zone").value.trim()) found.zone = $("zone").value.trim();
  if ($("now").value.trim()) found.now = written($("now").value);
  found.covariates = {};
  const told = state.covariates.filter((row) => row.value !== "" && row.value !== null);
  for (const row of told) {
    const own = told.filter((other) => other.key === row.key);
    if (own.length === 1 && row.time === "") found.covariates[row.key] = row.value;
    else (found.covariates[row.key] = found.covariates[row.key] || []).push(timed(row));
  }
  const full = (kind, row) => Object.entries(row).some(([name, value]) => !["route", "over", "output"].includes(name) && value !== "");
  for (const kind of ["doses", "levels"]) found[kind] = state.rows[kind].filter((row) => full(kind, row)).map((row) => ({ ...row }));
  if (state.comment) found.comment = state.comment;
  return found;
}

const timed = (row) => ({ ...(row.time === "" ? {} : { time: written(row.time) }), ...(typeof row.value === "object" ? row.value : { value: row.value }) });

// A learnt policy needs programs of its own: until they are ready, only the label is set beside Bayesian dosing.
export function question(ready) {
  const found = { policies: ready ? state.drug.policies : ["label"] };
  if ($("model").value) found.models = [$("model").value];
  if ($("next").value.trim()) found.next_dose = written($("next").value);
  if ($("target").value.trim()) found.target = $("target").value.trim();
  return found;
}

export const titleOf = (field) => field.getAttribute("aria-label") || (field.labels && field.labels.length ? field.labels[0].textContent : field.dataset.field);

// The words of a refusal next to its field; the place of the field, or null where there is none.
export function mark(field, message) {
  for (const old of document.querySelectorAll("#case .error")) old.remove();
  for (const old of document.querySelectorAll("#case [aria-invalid]")) {
    old.removeAttribute("aria-invalid");
    old.removeAttribute("aria-describedby");
  }
  if (!field) return null;
  const every = [...document.querySelectorAll("#case [data-field]")];
  const steps = [field, field.replace(/\.\w+$/, ""), field.replace(/\[\d+\](\.\w+)?$/, "")];
  const target = steps.flatMap((step) => every.filter((e) => e.dataset.field === step || e.dataset.field.startsWith(`${step}.`) || e.dataset.field.startsWith(`${step}[`)))[0]
    || every.find((e) => field.startsWith("covariates.") && e.dataset.field.startsWith(`${field.split(/[.[]/).slice(0, 2).join(".")}`));
  if (!target) return null;
  target.setAttribute("aria-invalid", "true");
  target.setAttribute("aria-describedby", "field-error");
  const said = el("p", { class: "error", id: "field-error" }, capital(message));
  const row = target.closest("tr");
  if (row) row.after(el("tr", { class: "error" }, el("td", { colspan: String(row.children.length) }, said)));
  else (target.closest(".covariate, .field") || target.parentElement).append(said);
  return target;
}

// The answer for one patient: dose, curve, policies, reasons, alternatives.

import { capital, cell, el, head, percent, short, table } from "./dom.js";
import { clockMarks, draw, hourMarks, swatch } from "./chart.js";

const NAMES = { bayes: "Bayesian dosing", label: "Label", own: "Your dose", learnt: "Learnt policy" };
const SERIES = 8;

export const policyName = (name) => NAMES[name] || (name.endsWith(".pt") ? `Learnt policy (${name})` : name);

const list = (texts, cls) => (texts.length ? el("ul", { class: cls || "plain" }, texts.map((t) => el("li", {}, capital(t)))) : null);
const tile = (term, ...value) => el("div", {}, el("dt", {}, term), el("dd", {}, ...value));
const big = (text) => el("span", { class: "big" }, text);
const middle = (row) => short(row.percentiles[2]);
const spread = (row) => `${short(row.percentiles[0])} to ${short(row.percentiles[4])}`;

export class Results {
  constructor(box, chosen) {
    this.box = box;
    this.chosen = chosen;
    this.record = null;
    this.own = null;
    this.zone = "";
    new ResizeObserver(() => this.redraw()).observe(box);
  }

  // Of another patient nothing may stay.
  clear() {
    this.record = null;
    this.own = null;
    this.box.dataset.state = "empty";
    this.box.setAttribute("aria-busy", "false");
    this.box.replaceChildren(el("section", {}, el("p", { class: "note" }, "Nothing is computed yet. Enter what is known of the patient, or choose a worked example.")));
  }

  refuse(message, target) {
    const go = target ? el("button", { type: "button", onclick: () => target.focus() }, "Go to the field") : null;
    this.outdated("refused", el("div", { class: "alarm", role: "alert" }, el("p", {}, capital(message)), go));
  }

  // What is shown is of the patient before the last change; a sentence above it says why.
  outdated(state, said) {
    const old = this.box.querySelector(":scope > .alarm, :scope > .busy");
    if (old) old.replaceWith(said);
    else this.box.prepend(said);
    this.box.dataset.state = state;
    for (const section of this.box.querySelectorAll("section")) section.classList.add("stale");
  }

  // A choice that would lift a refusal.
  offer(title, texts, chosen) {
    const select = el("select", { id: "offer", onchange: (e) => { if (e.target.value !== "") chosen(Number(e.target.value)); } },
      el("option", { value: "" }, "choose"), texts.map((text, i) => el("option", { value: String(i) }, text)));
    this.box.querySelector(":scope > .alarm").append(el("p", {}, el("label", { for: "offer" }, title, " "), select));
  }

  // The answer takes longer than a moment.
  wait() {
    if (this.record) this.outdated("waiting", el("p", { class: "busy", role: "status" }, "Computing; what is shown is of the patient before the last change."));
  }

  show(record, zone) {
    this.record = record;
    this.zone = zone;
    this.own = null;
    const best = record.policies.find((p) => p.regimen && !p.abstains) || record.policies[0];
    this.best = best;
    this.box.replaceChildren(
      el("section", { id: "dose", "aria-labelledby": "h-dose" }, el("h2", { id: "h-dose" }, "Dose"),
        el("p", { class: "use" }, "Research and education only."),
        record.warnings.length ? el("div", { class: "alarm", role: "alert" }, list(record.warnings)) : null,
        this.tiles(best), this.slider(best), el("div", { id: "policies" }, this.policies())),
      el("section", { "aria-labelledby": "h-curve" }, el("h2", { id: "h-curve" }, "Levels over time"), this.legend(),
        record.curves.map((c, i) => el("figure", {}, el("figcaption", {}, capital(c.words)), el("div", { class: "chart", id: `chart${i}` })))),
      el("section", { "aria-labelledby": "h-why" }, el("h2", { id: "h-why" }, "Why"), list(record.reasons),
        record.next_level ? el("p", {}, `The next level would tell most ${record.next_level.time}: it is expected to take away ${percent(record.next_level.reduction)} of the variance of ${record.next_level.of}.`) : null),
      el("section", { "aria-labelledby": "h-others" }, el("h2", { id: "h-others" }, "Alternatives"), this.alternatives()),
      el("section", { "aria-labelledby": "h-models" }, el("h2", { id: "h-models" }, "Models and estimate"), this.models(), this.parameters()),
      record.notes.length ? el("section", { "aria-labelledby": "h-notes" }, el("h2", { id: "h-notes" }, "How it was read"), list(record.notes)) : "");
    this.box.dataset.state = "ready";
    this.redraw();
  }

  tiles(best) {
    const r = this.record, row = best.regimen;
    const whose = best.name === "label" ? "the label's rule" : policyName(best.name);
    const title = r.contradicted && row ? `Nothing is recommended; ${whose} gives` : `${policyName(best.name)} recommends`;
    const said = [tile(title, big(best.words || "nothing")), tile("Next dose", big(r.next_dose.replace(/^at /, "")))];
    if (row) {
      said.push(tile("Probability of the target", big(percent(row.target))));
      said.push(...Object.entries(row.harms).map(([name, p]) => tile(capital(name), big(percent(p)))));
    }
    return [el("dl", { class: "tiles" }, said), el("p", { class: "note" },
      `Target: ${r.targets.join("; ")}. It counts in the interval that ends about ${r.horizon} after the next dose. Probabilities are those of the patient's true value, without the error of an assay.`)];
  }

  slider(best) {
    const { amounts_mg: amounts, intervals_h: intervals, intervals: words } = this.record.label;
    if (!amounts.length || !intervals.length) return null;
    const gap = amounts.length > 1 ? Math.min(...amounts.slice(1).map((a, i) => a - amounts[i])) : amounts[0];
    const low = amounts[0], high = amounts.at(-1), row = best.regimen;
    const range = el("input", { type: "range", id: "own-range", min: low, max: high, step: gap, "aria-describedby": "own-words" });
    range.value = String(row ? row.dose_mg : low);
    const exact = el("input", { type: "number", id: "own-mg", min: 0, step: "any" });
    exact.value = range.value;
    const every = el("select", { id: "own-interval" }, intervals.map((h, i) => el("option", { value: String(h) }, `every ${words[i]}`)));
    every.value = String(row && intervals.includes(row.interval_h) ? row.interval_h : intervals[0]);
    const send = () => this.chosen(Number(exact.value), Number(every.value));
    range.addEventListener("input", () => { exact.value = range.value; send(); });
    exact.addEventListener("input", () => { range.value = exact.value; send(); });
    every.addEventListener("change", send);
    this.controls = { range, exact, every };
    return el("fieldset", { class: "own-dose" }, el("legend", {}, "Try another dose"),
      el("div", { class: "own-line" }, el("label", { for: "own-range", class: "wide-label" }, "Amount", range),
        el("label", { for: "own-mg" }, "mg", exact), el("label", { for: "own-interval" }, "Interval", every)),
      el("p", { id: "own-words", class: "own-words", role: "status" }, "Move the slider: the forecast follows."));
  }

  try(row) {
    this.controls.exact.value = String(row.dose_mg);
    this.controls.range.value = String(row.dose_mg);
    this.controls.every.value = String(row.interval_h);
    this.chosen(row.dose_mg, row.interval_h);
    this.controls.range.focus();
  }

  showOwn(policy) {
    this.own = policy;
    const row = policy.regimen;
    const harms = Object.entries(row.harms).map(([name, p]) => `, ${name} ${percent(p)}`).join("");
    const said = this.box.querySelector("#own-words");
    said.className = policy.notes.length ? "own-words beyond" : "own-words";
    said.textContent = `${policy.words}: target ${percent(row.target)}${harms}; ${this.record.quantity.name} ${middle(row)} (${spread(row)}) ${this.record.quantity.unit.replace(/^1$/, "")}. ${policy.notes.map(capital).join(". ")}`;
    this.box.querySelector("#policies").replaceChildren(this.policies());
    this.redraw();
  }

  refuseOwn(message) {
    const said = this.box.querySelector("#own-words");
    if (said) {
      said.className = "own-words beyond";
      said.textContent = capital(message);
    }
  }

  columns(first) {
    const q = this.record.quantity, unit = q.unit === "1" ? "" : `, ${q.unit}`;
    return [first, "Target", ...this.record.harms.map(capital), `Median ${q.name}${unit}`, "90 % interval"];
  }

  chances(row) {
    return [percent(row.target), ...Object.values(row.harms).map(percent), middle(row), spread(row)].map((t) => cell(t));
  }

  policies() {
    const every = [...this.record.policies, ...(this.own ? [this.own] : [])];
    const blank = this.record.harms.length + 3;
    const rows = every.map((p) => el("tr", {}, head(policyName(p.name), p.notes.map((n) => el("span", { class: "sub small" }, capital(n)))),
      p.abstains ? el("td", { colspan: String(blank + 1) }, `abstains: ${p.abstains}`) : [cell(p.words), p.regimen ? this.chances(p.regimen) : Array.from({ length: blank }, () => cell())]));
    return table("The policies side by side, judged by the same forecast", ["Policy", ...this.columns("Dose")], rows, "regimens", "policies");
  }

  alternatives() {
    const rows = this.record.alternatives.map((row) => el("tr", {},
      head(el("button", { type: "button", class: "link", title: "try it", onclick: () => this.try(row) }, row.words)), this.chances(row)));
    return table("Regimens of the label, best first; choose one to see its forecast", this.columns("Regimen"), rows, "numbers alternatives", "alternatives");
  }

  models() {
    const rows = this.record.models.map((m) => el("tr", {}, head(m.name), cell(percent(m.weight)), cell(m.effective_draws.toFixed(0))));
    return table("How well each published model predicted the levels", ["Model", "Weight", "Effective draws"], rows, "numbers", "models");
  }

  parameters() {
    const rows = this.record.parameters.map((p) => el("tr", {}, head(["1", ""].includes(p.unit) ? p.name : `${p.name}, ${p.unit}`), cell(short(p.value)), cell(short(p.typical)), cell(`${p.sds < 0 ? "−" : "+"}${Math.abs(p.sds).toFixed(1)}`)));
    return table("The estimate of the most probable model", ["Parameter", "Patient", "Typical, same covariates", "Standard deviations"], rows, "numbers", "estimate");
  }

  others() {
    return this.record.policies.filter((p) => p.curve && p !== this.best);
  }

  legend() {
    const entry = (text, cls, kind) => el("li", {}, swatch(cls, kind), text);
    return el("ul", { class: "legend" }, entry(`median under ${policyName(this.best.name)}`, "c0", "median"), entry("50 % band", "c0", "inner"), entry("90 % band", "c0", "outer"),
      this.others().map((p, i) => entry(`median under ${policyName(p.name)}`, `c${(i + 2) % SERIES}`, "median")),
      entry("your dose", "c1", "own"), entry("level (hollow: below the limit)", "c5", "level"), entry("dose (hollow: missed)", "", "dose"),
      this.record.window ? entry("target", "", "window") : null);
  }

  redraw() {
    if (!this.record || !this.box.querySelector(".chart")) return;
    const r = this.record;
    r.curves.forEach((curve, i) => this.figure(curve, i));
  }

  figure(curve, i) {
    const r = this.record, first = i === 0, box = this.box.querySelector(`#chart${i}`);
    if (!box.clientWidth) return;
    const x0 = curve.time_h[0], x1 = Math.max(curve.time_h.at(-1), first && this.own ? this.own.curve.time_h.at(-1) : 0);
    const from = r.next_dose_h, most = Math.max(Math.floor(box.clientWidth / 75), 3);
    const base = (c, cls) => ({ cls, time: c.time_h, low: c.bands[0], high: c.bands[4], inner: [c.bands[1], c.bands[3]], median: c.bands[2] });
    const series = [base(curve, "c0")];
    if (first) series.push(...this.others().map((p, k) => ({ cls: `c${(k + 2) % SERIES}`, time: p.curve.time_h, median: p.curve.bands[2], from })));
    if (first && this.own) {
      const c = this.own.curve;
      series.push({ cls: "c1", time: c.time_h, median: c.bands[2], low: c.bands[0], high: c.bands[4], from, dashed: true });
    }
    const output = (v) => v.output || r.curves[0].output;
    const levels = r.levels.filter((v) => output(v) === curve.output).map((v) => ({ time_h: v.time_h, value: v.value, below: v.below_limit }));
    const marks = r.origin ? clockMarks(r.origin, this.zone, x0, x1, most) : hourMarks(x0, x1, most);
    draw(box, {
      id: `f${i}`, title: `${curve.words} of ${r.drug} over time`,
      description: `${curve.axis}: ${levels.length} levels, ${r.doses.length} doses, and the forecast under ${this.best.words || "no dose"}`,
      unitLabel: curve.axis, axisLabel: r.origin ? "clock time" : x1 - x0 > 96 ? "days" : "hours",
      x0, x1, marks, window: first ? r.window : null, series, doses: r.doses, levels,
      lines: [{ at: r.now_h, text: "now", cls: "zero" }, { at: r.next_dose_h, text: "next dose", cls: "ghost" }],
    });
  }
}

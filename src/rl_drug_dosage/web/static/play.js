// The Play tab: dose a virtual patient decision by decision; then see what the policies would have done.

import { $, ask, capital, cell, el, head, options, short, table } from "./dom.js";
import { draw, hourMarks, swatch } from "./chart.js";
import { follow, progress } from "./trial.js";

const UNITS = { d: "day", h: "hour", min: "minute" };
let game, turn, rivals;

const asked = () => ({ scenario: game.scenario, patient: game.patient, doses: game.doses });

async function admit(event) {
  event.preventDefault();
  game = { scenario: $("play-scenario").value, patient: Number($("play-patient").value), doses: [] };
  rivals = null;
  $("play-start").disabled = true;
  $("play-game").replaceChildren(el("section", {}, el("p", { role: "status" }, "Preparing the simulator; the first time takes some seconds.")));
  try {
    await next();
  } catch (error) {
    refuse(error);
  } finally {
    $("play-start").disabled = false;
  }
}

const refuse = (error) => $("play-game").prepend(el("div", { class: "alarm", role: "alert" }, capital(error.message)));

async function next() {
  turn = await ask("play", asked());
  show();
  if (turn.done && !rivals) compare();
}

function show() {
  const t = turn, per = t.shown_per_h, unit = UNITS[t.shown_unit], at = (h) => short(h * per + (per < 1 ? 1 : 0));
  const when = t.done ? "The course is over" : `${capital(unit)} ${at(t.decision * t.interval_h)}: decision ${t.decision + 1} of ${t.decisions}`;
  const facts = el("dl", { class: "facts" }, t.covariates.map((c) => el("div", {}, el("dt", {}, c.label), el("dd", {}, c.unit === "0/1" ? (c.value ? "yes" : "no") : `${short(c.value)} ${c.unit}`))));
  $("play-game").replaceChildren(
    el("section", { "aria-labelledby": "h-game" }, el("h2", { id: "h-game", tabindex: "-1" }, when), el("p", { class: "use" }, "Research and education only. A virtual patient."),
      el("p", { class: "note" }, `${capital(t.title)}. Endpoint: ${t.goal}.`), facts, t.done ? verdict() : prescribe(),
      legend(), el("div", { class: "chart", id: "play-chart" })),
    t.done ? el("div", { id: "play-rivals" }) : "",
    el("section", { "aria-labelledby": "h-chart" }, el("h2", { id: "h-chart" }, "Chart"), chart()));
  figure();
  if (rivals) showRivals();
  document.body.dataset.game = t.done ? "over" : String(t.decision);
}

function prescribe() {
  const t = turn, last = game.doses.at(-1), amounts = t.amounts;
  const start = last ? last[0] : t.usual;
  const place = amounts.reduce((best, a, i) => (Math.abs(a - start) < Math.abs(amounts[best] - start) ? i : best), 0);
  const range = el("input", { type: "range", id: "play-amount", min: 0, max: amounts.length - 1, step: 1, "aria-describedby": "play-words" });
  range.value = String(place);
  const words = el("output", { id: "play-words", for: "play-amount", class: "big" });
  const tell = () => {
    words.textContent = `${short(amounts[Number(range.value)])} ${t.dose_unit}`;
    range.setAttribute("aria-valuetext", words.textContent);
  };
  range.addEventListener("input", tell);
  tell();
  const every = t.intervals_h.length ? el("select", { id: "play-interval" }, t.intervals.map((words, i) => el("option", { value: String(i) }, `every ${words}`))) : null;
  if (every && last) every.value = String(last[1] || 0);
  return el("form", { class: "prescribe", onsubmit: async (event) => {
    event.preventDefault();
    game.doses.push([amounts[Number(range.value)], ...(every ? [Number(every.value)] : [])]);
    try {
      await next();
      $(turn.done ? "h-game" : "play-amount").focus();
    } catch (error) {
      game.doses.pop();
      refuse(error);
    }
  } }, el("label", { for: "play-amount" }, "Dose"), range, words, every ? el("label", {}, "Interval", every) : null,
  el("button", { type: "submit", class: "primary", id: "play-give" }, "Give it"));
}

const tile = (term, value) => el("div", {}, el("dt", {}, term), el("dd", {}, el("span", { class: "big" }, value)));

function verdict() {
  const c = turn.course;
  return el("dl", { class: "tiles" }, tile("In target", `${short(c.in_target_pct)} %`), tile("Under", `${short(c.under_pct)} %`), tile("Over", `${short(c.over_pct)} %`),
    Object.entries(c.harms).map(([name, count]) => tile(capital(name), `${short(count)} times`)), c.dropped_out ? tile("The patient", "dropped out") : null);
}

const shown = () => (rivals || []).slice(0, 6);

function legend() {
  const entry = (text, cls, kind) => el("li", {}, swatch(cls, kind), text);
  return el("ul", { class: "legend" }, entry("measured", "c5", "level"), entry("dose", "", "dose"), turn.window ? entry("target", "", "window") : null,
    turn.done ? entry("true course under your doses", "c0", "median") : null, turn.done ? shown().map((p, i) => entry(`under ${p.policy}`, `c${(i + 1) % 8}`, "median")) : null);
}

function figure() {
  const t = turn, box = $("play-chart");
  if (!box || !box.clientWidth) return;
  const end = t.decisions * t.interval_h, series = [];
  if (t.done) {
    shown().forEach((p, i) => series.push({ cls: `c${(i + 1) % 8}`, time: p.time_h, median: p.values }));
    series.push({ cls: "c0", time: t.course.time_h, median: t.course.values });
  }
  const scale = t.shown_per_h, most = Math.max(Math.floor(box.clientWidth / 75), 3);
  const marks = hourMarks(0, end, most), days = end > 96;
  draw(box, {
    id: "g", title: `${t.output} over time`, description: `${t.axis}: ${t.levels.length} levels and ${t.doses.length} doses`,
    unitLabel: t.axis, axisLabel: days ? "days" : "hours", x0: 0, x1: end, marks, window: t.window, series,
    doses: t.doses.map((d) => ({ time_h: d.time_h, given: d.amount > 0 })), levels: t.levels.map((v) => ({ ...v, below: false })),
    lines: t.done ? [] : [{ at: t.decision * t.interval_h, text: "now", cls: "zero" }],
  });
  return scale;
}

function chart() {
  const t = turn, rows = [];
  const events = [...t.doses.map((d) => [d.time_h, `dose ${short(d.amount)} ${t.dose_unit}`]), ...t.levels.map((v) => [v.time_h, `${t.output} ${short(v.value)} ${t.unit}`])];
  events.sort((a, b) => a[0] - b[0]);
  for (const [at, text] of events) rows.push(el("tr", {}, head(`${short(at)} h`), cell(text)));
  return rows.length ? table("Doses, and the results that are back", ["Time", "Event"], rows, "", "chart") : el("p", { class: "note" }, "Nothing yet.");
}

async function compare() {
  const own = game, box = () => $("play-rivals");
  try {
    const job = await ask("play/compare", asked());
    const found = await follow(job.id, (record) => { if (own === game && box() && !rivals) progress(box(), record); });
    if (own !== game || found.state !== "done") return;
    rivals = found.result.policies;
    show();
  } catch (error) {
    if (own === game) refuse(error);
  }
}

function showRivals() {
  const c = turn.course, harms = Object.keys(c.harms);
  const every = [{ policy: "you", title: "your doses", ...c }, ...rivals].sort((a, b) => b.in_target_pct - a.in_target_pct);
  const rows = every.map((p) => el("tr", { class: p.policy === "you" ? "you" : null }, head(p.policy, el("span", { class: "sub small" }, p.title)), cell(short(p.in_target_pct)), cell(short(p.under_pct)), cell(short(p.over_pct)),
    harms.map((h) => cell(short(p.harms[h]))), cell(p.doses.map(short).join(", "))));
  $("play-rivals").replaceChildren(el("section", { "aria-labelledby": "h-rivals" }, el("h2", { id: "h-rivals" }, "You and the policies"),
    table("The same patient, the same events", ["Who", "In target, %", "Under, %", "Over, %", ...harms.map((h) => `${capital(h)}, times`), `Doses, ${turn.dose_unit}`], rows, "regimens", "you and the policies"),
    el("p", { class: "note" }, "The oracle knows this patient's parameters; nobody at a bedside does.")));
  document.body.dataset.rivals = "shown";
}

export async function start() {
  const { scenarios } = await ask("scenarios");
  options($("play-scenario"), scenarios.filter((s) => s.playable).map((s) => [s.name, s.title]));
  $("play-scenario").value = "vancomycin";
  $("play-form").addEventListener("submit", admit);
  new ResizeObserver(() => { if (turn) figure(); }).observe($("play-game"));
}

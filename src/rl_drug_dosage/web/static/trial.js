// The Trial tab: choose, start, watch, read the report.

import { $, ask, capital, cell, el, head, options, table } from "./dom.js";

const EVERY_MS = 700;
let offer, job;

export function progress(box, record) {
  const share = Math.round(100 * record.done);
  box.replaceChildren(
    el("p", { class: "bar-text" }, record.state === "running" ? `${capital(record.text)} (${share} %)` : capital(record.error || record.text)),
    el("progress", { max: 100, value: share, "aria-label": "progress" }),
    record.notes.length ? el("ul", { class: "notes" }, record.notes.slice(-8).map((n) => el("li", {}, n))) : "");
}

export async function follow(id, tell) {
  for (;;) {
    const record = await ask(`jobs/${id}`);
    tell(record);
    if (record.state !== "running") return record;
    await new Promise((done) => setTimeout(done, EVERY_MS));
  }
}

const box = (id, value, text, checked) => el("label", {}, el("input", { type: "checkbox", name: id, value, checked }), text);

async function choose() {
  offer = await ask(`scenarios/${encodeURIComponent($("trial-scenario").value)}`);
  const usual = ["label", "best-bayes", "mipd", "learnt"].filter((p) => offer.policies.includes(p));
  $("trial-policies").replaceChildren(...offer.policies.map((p) => box("policy", p, p, usual.includes(p))));
  $("trial-stress").replaceChildren(...offer.stresses.map((s) => box("stress", s.name, s.title, false)),
    ...(offer.mismatch ? [box("mismatch", "mismatch", "every simulator against every controller", false)] : []));
}

const ticked = (name) => [...$("trial-form").querySelectorAll(`input[name=${name}]:checked`)].map((i) => i.value);

async function run(event) {
  event.preventDefault();
  const body = {
    scenario: $("trial-scenario").value, policies: ticked("policy"), stress: ticked("stress"), mismatch: ticked("mismatch").length > 0,
    patients: Number($("trial-patients").value), seed: Number($("trial-seed").value),
  };
  $("trial-start").disabled = true;
  $("trial-result").replaceChildren();
  try {
    job = await ask("trials", body);
    $("trial-stop").hidden = false;
    const found = await follow(job.id, (record) => progress($("trial-progress"), record));
    if (found.state === "done") showResult(found);
  } catch (error) {
    $("trial-progress").replaceChildren(el("div", { class: "alarm", role: "alert" }, capital(error.message)));
  } finally {
    $("trial-start").disabled = false;
    $("trial-stop").hidden = true;
  }
}

function showResult(record) {
  const r = record.result, one = (v) => v.toFixed(1);
  const rows = r.policies.map((p) => el("tr", {}, head(p.policy, el("span", { class: "sub small" }, p.title)), cell(one(p.attainment_pct.mean)),
    cell(`${one(p.attainment_pct.low)} to ${one(p.attainment_pct.high)}`), cell(one(p.worst_5_pct)), cell(one(p.under_pct)), cell(one(p.over_pct)),
    r.harms.map((h) => cell(one(p.harms_pct[h])))));
  const columns = ["Policy", "In target, %", "95 % interval", "Worst 5 %", "Under, %", "Over, %", ...r.harms.map((h) => `${capital(h)}, % of patients`)];
  $("trial-result").replaceChildren(el("section", { "aria-labelledby": "h-trial-result" }, el("h2", { id: "h-trial-result" }, capital(r.title)),
    el("p", { class: "use" }, "Research and education only."),
    el("p", { class: "note" }, `${r.patients.toLocaleString("en")} virtual patients, seed ${r.seed}. Primary endpoint: ${r.goal}.`),
    table("Policies, best first", columns, rows, "regimens", "policies"),
    el("p", {}, el("a", { href: `api/jobs/${record.id}/report`, target: "_blank", rel: "noopener", class: "button" }, "Open the report")),
    el("p", { class: "note" }, "The same on the command line:"), el("pre", { tabindex: "0" }, r.command)));
}

export async function start() {
  const { scenarios } = await ask("scenarios");
  options($("trial-scenario"), scenarios.map((s) => [s.name, s.title]));
  $("trial-scenario").value = "vancomycin";
  $("trial-scenario").addEventListener("change", choose);
  $("trial-form").addEventListener("submit", run);
  $("trial-stop").addEventListener("click", () => { if (job) ask(`jobs/${job.id}`, undefined, undefined, "DELETE"); });
  await choose();
}

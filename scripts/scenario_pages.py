"""Write docs/scenarios.md from the scenarios' own values. `make docs` runs it."""

import importlib
from pathlib import Path

import numpy as np

from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.stress import STRESSES
from rl_drug_dosage.pkpd import Target
from rl_drug_dosage.registry import SCENARIO, Found, find_scenario, names
from rl_drug_dosage.utils.runtime import configure

PAGE = Path(__file__).resolve().parents[1] / "docs" / "scenarios.md"

HEAD = """# Dosing scenarios

Written by `make docs` from the scenarios' own values; each is one file in `src/rl_drug_dosage/envs/`. A changed number
is a new version, the old one stays. For research and education only.

```bash
rl-drug-dosage info --scenarios
rl-drug-dosage benchmark --scenario vancomycin --patients 1000
```
"""


def edge(value: float) -> str:
    """An edge of a window as text."""
    return "open" if np.isinf(value) else f"{value:g}"


def window_line(scenario: Scenario, i: int, window: Target) -> str:
    """What has to hold, and since when."""
    low, high, aim = (e[:, i] for e in scenario.edges())
    starts = [0, *(np.flatnonzero((low[1:] != low[:-1]) | (high[1:] != high[:-1])) + 1).tolist()]
    unit = "" if window.unit == "1" else f" {window.unit}"
    spans = [
        f"{edge(low[k])} to {edge(high[k])}{unit} (aim {aim[k]:.4g})" + (f" from decision {k + 1} on" if k else "")
        for k in starts
    ]
    return f"- {window.metric} of {window.output}: {'; '.join(spans)}. Source: {window.source}"


def section(named: Found[Scenario]) -> str:
    """One scenario."""
    s = named.value
    doc = importlib.import_module(named.where).__doc__ or ""
    _, _, rest = doc.strip().partition("\n")
    dosage, monitoring, schedule = s.dosage, s.monitoring, s.schedule
    stresses = [name for name, stress in STRESSES.items() if stress.change(s) is not None]
    per = f" x {dosage.per}" if dosage.per else ""
    times = ", ".join(f"{t:.4g}" for t in monitoring.at_h)
    often = f", given {len(dosage.at_h)} times an interval" if len(dosage.at_h) > 1 else ""
    unit, every = schedule.shown_unit, schedule.interval_h * schedule.shown_per_h
    amounts = f"{len(dosage.amounts)} amounts from {dosage.amounts[0]:g} to {dosage.amounts[-1]:g} {dosage.unit}{per}"
    where = f"in {int(s.sampled().sum())} of {schedule.decisions} intervals, back after {monitoring.turnaround_h:.4g} h"
    harms = "; ".join(f"{h.name} ({h.source})" for h in s.goal.harms) or "none"
    card = PAGE.parents[1] / "models" / f"{named.name}.md"
    lines = [
        f"## {named.name}",
        "",
        f"{s.title[0].upper()}{s.title[1:]}. Gymnasium: `{named.env_id}`.",
        "",
        rest.strip(),
        "",
        f"- drug models (the first one by default, for patients and controller): {', '.join(s.models)}",
        f"- {schedule.decisions} decisions, every {every:.4g} {unit}",
        f"- dose: {amounts}{often}. Source: {dosage.source}",
        f"- levels: {monitoring.output} at {times} h of an interval, {where}. Source: {monitoring.source}",
        f"- goal: {s.goal.title}",
        *(window_line(s, i, w) for i, w in enumerate(s.goal.targets)),
        f"- harms: {harms}",
        f"- reward: {s.reward_text}",
        f"- `label`: {s.label_text}",
        f"- stress settings: {', '.join(stresses)}",
        *([f"- a policy that was trained here: [{card.name}](../models/{card.name})"] if card.exists() else []),
        "",
    ]
    if s.covariates:
        lines += ["| covariate | unit | range | meaning | source |", "|---|---|---|---|---|"]
        rows = [(f"`{c.name}`", c.unit, f"{c.low:g} to {c.high:g}", c.meaning, c.source) for c in s.covariates]
        lines += [f"| {' | '.join(row)} |" for row in rows]
        lines.append("")
    return "\n".join(lines)


def page() -> str:
    """The whole text."""
    found = {name: find_scenario(name) for name in names(SCENARIO)}
    return HEAD + "\n" + "\n".join(section(found[module]) for module in sorted(found))


def main() -> None:
    """Write it where it differs."""
    configure("cpu")
    text = page()
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        PAGE.write_text(text, encoding="utf-8")
        print(f"wrote {PAGE.name}")


if __name__ == "__main__":
    main()

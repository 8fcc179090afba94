"""Write the cards of the trained policies and the table of them all, from `models/<scenario>.json`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markdown import number, spread, table

from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.ppo.model_file import Model, load_model
from rl_drug_dosage.registry import Found, find_scenario

__all__ = ["write"]

_MARK = "<!-- written by scripts/make_models.py from here on -->"
_NOTICE = "For research and education only; it never treats a patient."
_RIGHT = "right model"


class Results:
    """What one scenario's trials came to."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        self.record = record
        self.scenario: str = record["scenario"]
        self.median: str = record["median"]
        self.seeds = sorted(record["validation_pct"])
        self.settings: list[str] = list(record["results"])

    def rows(self, setting: str) -> list[Mapping[str, Any]]:
        """The policies' summaries in one setting, best first."""
        return list(self.record["results"][setting]["policies"])

    def value(self, setting: str, policy: str, measure: str) -> float:
        """One number of one policy."""
        return number(next(r for r in self.rows(setting) if r["policy"] == policy), measure)

    def ppo(self, setting: str, measure: str = "attainment_pct") -> str:
        """The chosen model's number, and the range over all seeds."""
        all_ = [self.value(setting, seed, measure) for seed in self.seeds]
        return spread(self.value(setting, self.median, measure), all_)

    def has(self, setting: str, policy: str) -> bool:
        """Whether a policy took part."""
        return any(r["policy"] == policy for r in self.rows(setting))

    def ahead(self, setting: str, other: str, of: str = "") -> tuple[float, float, float]:
        """Points by which a model (the chosen one) is ahead of a policy, patient by patient, with its 95 % interval."""
        model = of or self.median
        for pair in self.record["results"][setting]["paired"]:
            if (pair["policy"], pair["against"]) == (model, other):
                return pair["mean"], pair["low"], pair["high"]
            if (pair["against"], pair["policy"]) == (model, other):
                return -pair["mean"], -pair["high"], -pair["low"]
        raise KeyError(other)


def _signed(difference: tuple[float, float, float]) -> str:
    mean, low, high = difference
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"


def _harms(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {h['patients_pct']:.1f} %" for name, h in row["harms"].items()) or "none counted"


def _result_table(results: Results, setting: str) -> str:
    """All policies in one setting: the chosen model once, with the range over the seeds."""
    rows = []
    for row in results.rows(setting):
        name = row["policy"]
        if name in results.seeds and name != results.median:
            continue
        own = name == results.median
        shown = results.ppo if own else (lambda s, m="attainment_pct", row=row: f"{number(row, m):.1f}")
        against = "-" if own else _signed(results.ahead(setting, name))
        rows.append(
            [
                "**PPO**" if own else name,
                shown(setting),
                f"{row['attainment_median_pct']:.1f}",
                shown(setting, "worst_5_pct"),
                shown(setting, "final_pct"),
                _harms(row),
                str(row["dropouts"]),
                against,
            ]
        )
    head = [
        "policy",
        "goal, %",
        "median patient",
        "worst 5 %",
        "last interval",
        "patients with harm",
        "left",
        "PPO ahead by",
    ]
    return table(head, rows)


def _stress_table(results: Results, setting: str) -> str:
    found = results.record["results"][setting].get("stress", [])
    if not found:
        return ""
    took_part = {row["policy"] for row in found[0]["policies"]}
    others = [n for n in ("mipd", "mipd-assay", "mipd-average", "pid", "label") if n in took_part]
    rows = []
    for stress in found:
        goal = {row["policy"]: number(row, "attainment_pct") for row in stress["policies"]}
        ours = spread(goal[results.median], [goal[seed] for seed in results.seeds])
        rows.append([stress["title"], ours, *(f"{goal[name]:.1f}" for name in others)])
    return "\nThe same in other wards, goal in %:\n\n" + table(["ward", "PPO", *others], rows)


def _facts(named: Found[Scenario], results: Results, model: Model) -> list[tuple[str, str]]:
    """What the model is and where it comes from."""
    scenario, record, training = named.value, results.record, model.training
    runs, cohorts = record["runs"], record["cohorts"]
    seconds = [run["train_s"] for run in runs]
    compiling = max(run["compile_s"] for run in runs)
    seed = next(run["seed"] for run in runs if results.median.endswith(f"-{run['seed']}"))
    together = f", {training['seeds']} seeds side by side" if training["seeds"] > 1 else ""
    which = f"--seeds {training['seeds']}` (the model of seed {seed}" if together else f"--seed {seed}"
    command = f"`rl-drug-dosage train --env-id {named.env_id} --preset scenario {which}" + (")" if together else "`")
    memory = "" if training["memory"] == "none" else f" and a GRU of {training['memory_size']}"
    shown = "the patient's true state while it learns" if training["privileged_critic"] else "what the actor sees"
    patients = f"{scenario.models[0]}, as published and varied as the options say"
    if len(scenario.models) > 1:
        patients += "; the scenario's other models took no part in training"
    shares = ", ".join(f"{v:.1f}" for v in record["validation_pct"].values())
    fastest = "" if together else f"{min(seconds):.0f} to "
    took = f"{fastest}{max(seconds):.0f} s on 2 cores that other work shared"
    chosen = f"{seed}, the median of {len(runs)} by attainment on the validation cohort (seed {cohorts['validation']})"
    tested = f"{cohorts['patients']:,} patients of cohort {cohorts['test']}, on which nothing was chosen"
    batch = f"{training['total_timesteps']:,} steps, {training['num_envs']:,} patients at a time{together}"
    return [
        ("task", f"{scenario.title} (`{named.env_id}`; `rl-drug-dosage info --scenarios`)"),
        ("made by", f"{command}; trained, chosen and tried: `make models SCENARIO={named.name}`"),
        ("training", f"{batch}; {took}, after up to {compiling:.0f} s of compiling"),
        ("networks", f"two hidden layers of {training['hidden_size']}{memory}; the critic sees {shown}"),
        ("environment", f"`{json.dumps(dict(model.env_options))}`"),
        ("patients", patients),
        ("seed", f"{chosen}: {shares} %"),
        ("tested on", f"{tested}; in brackets the range over all {len(runs)} training seeds"),
    ]


_LIMITS = """## Limits

It was trained and tried on simulated patients only. It knows the doses, the interval and the timetable of this version
of the scenario, and no others. Why it gives a dose cannot be read off it; what it does can be drawn:
`rl-drug-dosage explain --model-path models/{name}.pt --output-dir runs/{name}`.
"""


def _card(named: Found[Scenario], results: Results, model: Model) -> str:
    scenario = named.value
    parts = [
        f"# {named.name}: a policy trained with PPO\n\n{_NOTICE}\n",
        table(["", ""], _facts(named, results, model)),
        f"Goal: {scenario.goal.title}. PPO ahead by: points, patient by patient, with the 95 % bootstrap interval.\n",
    ]
    for setting in results.settings:
        title = setting[0].upper() + setting[1:]
        if setting == _RIGHT:
            title = f"Patients of {scenario.models[0]}, whom the controllers believe in too"
        parts.append(f"## {title}\n\n" + _result_table(results, setting) + _stress_table(results, setting))
    return "\n".join([*parts, _LIMITS.format(name=named.name)])


def _verdicts(all_: Sequence[Results]) -> str:
    rows = []
    for results in all_:
        for setting in results.settings:
            right = setting == _RIGHT
            goals = [
                f"{results.value(setting, name, 'attainment_pct'):.1f}" if results.has(setting, name) else "-"
                for name in ("mipd", "mipd-assay", "pid", "label")
            ]
            worst = [f"{results.value(setting, name, 'worst_5_pct'):.1f}" for name in (results.median, "mipd")]
            rows.append(
                [
                    f"[{results.scenario}]({results.scenario}.md)" if right else "",
                    "right" if right else "wrong",
                    results.ppo(setting),
                    *goals,
                    _signed(results.ahead(setting, "mipd")),
                    " / ".join(worst),
                ]
            )
    head = [
        "scenario",
        "model",
        "PPO",
        "mipd",
        "mipd-assay",
        "pid",
        "label",
        "PPO ahead of mipd",
        "worst 5 %: PPO / mipd",
    ]
    return table(head, rows)


def write(folder: Path) -> None:
    """All cards, and the table at the end of the folder's README."""
    all_ = []
    for path in sorted(folder.glob("*.json")):
        results = Results(json.loads(path.read_text()))
        model = load_model(folder / f"{results.scenario}.pt")
        (folder / f"{results.scenario}.md").write_text(_card(find_scenario(results.scenario), results, model))
        all_.append(results)
    readme = folder / "README.md"
    head = readme.read_text().partition(_MARK)[0].rstrip()
    readme.write_text(f"{head}\n\n{_MARK}\n\n{_verdicts(all_)}")

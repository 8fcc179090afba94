"""Write the cards of the trained policies and the summary table, from `models/<scenario>.json`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markdown import number, spread, table
from model_trials import REFERENCE as BEST
from model_trials import RIGHT
from seed_tables import card_part, summary, validated_on

from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.ppo.model_file import Model, load_model
from rl_drug_dosage.registry import Found, find_scenario
from rl_drug_dosage.utils.files import atomic_write

__all__ = ["write"]

_MARK = "<!-- written by scripts/make_models.py from here on -->"
_NOTICE = "For research and education only; not for treating patients."


class Results:
    """The trial results of one scenario."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        self.record = record
        self.scenario: str = record["scenario"]
        self.median: str = record["median"]
        self.seeds = sorted(record["validation_pct"])
        self.settings: list[str] = list(record["results"])

    def rows(self, setting: str) -> list[Mapping[str, Any]]:
        """The summaries of the policies in one setting, best first."""
        return list(self.record["results"][setting]["policies"])

    def value(self, setting: str, policy: str, measure: str) -> float:
        """One result of one policy."""
        return number(next(r for r in self.rows(setting) if r["policy"] == policy), measure)

    @property
    def once_more(self) -> bool:
        """Whether these results are of a later test, with the published model only."""
        return "over_seeds" in self.record and self.record["over_seeds"]["cohort"] != self.record["cohorts"]["test"]

    def test_only(self, setting: str) -> bool:
        """Whether the patients follow a model that no policy, tuning or training has seen."""
        return bool(self.record["results"][setting].get("test_only", False))

    def ppo(self, setting: str, measure: str = "attainment_pct") -> str:
        """The result of the chosen model, and the range over all seeds, where more than one took part."""
        all_ = [self.value(setting, seed, measure) for seed in self.seeds if self.has(setting, seed)]
        own = self.value(setting, self.median, measure)
        return spread(own, all_) if len(all_) > 1 else f"{own:.1f}"

    def variant(self, setting: str) -> str:
        """Which Bayesian dosing the reference was; empty: it did not take part."""
        row = next((r for r in self.rows(setting) if r["policy"] == BEST), None)
        return "" if row is None else str(row["tuned"]["variant"])

    def was_chosen(self, setting: str) -> bool:
        """Whether the reference was chosen among variants; otherwise it is the default."""
        return any(r["policy"] == BEST and "candidates" in r["tuned"] for r in self.rows(setting))

    def has(self, setting: str, policy: str) -> bool:
        """Whether a policy took part."""
        return any(r["policy"] == policy for r in self.rows(setting))

    def ahead(self, setting: str, other: str, of: str = "") -> tuple[float, float, float]:
        """Paired difference in points of a model (by default the chosen one) minus a policy, with its 95 % interval."""
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
    """All policies in one setting; the chosen model once, with the range over the seeds."""
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
                against,
                f"{row['attainment_median_pct']:.1f}",
                shown(setting, "worst_5_pct"),
                shown(setting, "final_pct"),
                _harms(row),
                str(row["dropouts"]),
            ]
        )
    head = [
        "policy",
        "target attainment, %",
        "PPO minus policy",
        "median patient",
        "worst 5 %",
        "last interval",
        "patients with harm",
        "drop-outs",
    ]
    return table(head, rows)


def _reference(results: Results, setting: str) -> str:
    """How the model does beside the reference, in a sentence; empty: the reference did not take part."""
    if not results.has(setting, BEST):
        return ""
    chosen = "chosen on validation patients" if results.was_chosen(setting) else "the default, as none was chosen here"
    ahead = f"PPO minus `{BEST}`: {_signed(results.ahead(setting, BEST))} points."
    if results.has(setting, "mipd"):
        ahead += f" PPO minus `mipd`: {_signed(results.ahead(setting, 'mipd'))}."
    return f"{ahead} `{BEST}` is `{results.variant(setting)}`, {chosen}.\n"


def _seeds_before(results: Results, setting: str) -> str:
    """What an earlier test says of the other seeds; empty: they took part in this one."""
    if not results.once_more:
        return ""
    earlier = results.record["over_seeds"]
    found = earlier["attainment_pct"].get(setting)
    if found is None:
        return "Measured with the published seed only.\n"
    return (
        f"Measured once more, with the published seed. Over {earlier['seeds']} seeds an earlier cohort (seed "
        f"{earlier['cohort']}) gave {found['low']:.1f} to {found['high']:.1f} %, and {found['published']:.1f} % with "
        "the published one.\n"
    )


def _stress_table(results: Results, setting: str) -> str:
    found = results.record["results"][setting].get("stress", [])
    if not found:
        return ""
    took_part = {row["policy"] for row in found[0]["policies"]}
    shown = (BEST, "mipd", "mipd-assay", "mipd-average", "pid", "label")
    others = [n for n in shown if n in took_part]
    rows = []
    for stress in found:
        goal = {row["policy"]: number(row, "attainment_pct") for row in stress["policies"]}
        seeds = [goal[seed] for seed in results.seeds if seed in goal]
        ours = spread(goal[results.median], seeds) if len(seeds) > 1 else f"{goal[results.median]:.1f}"
        rows.append([stress["title"], ours, *(f"{goal[name]:.1f}" for name in others)])
    return "\nStress settings, target attainment in %:\n\n" + table(["setting", "PPO", *others], rows)


def _facts(named: Found[Scenario], results: Results, model: Model) -> list[tuple[str, str]]:
    """What the model is and how it was made."""
    scenario, record, training = named.value, results.record, model.training
    runs, cohorts = record["runs"], record["cohorts"]
    seconds = [run["train_s"] for run in runs]
    compiling = max(run["compile_s"] for run in runs)
    seed = next(run["seed"] for run in runs if results.median.endswith(f"-{run['seed']}"))
    together = f", {training['seeds']} seeds in parallel" if training["seeds"] > 1 else ""
    which = f"--seeds {training['seeds']}` (the model of seed {seed}" if together else f"--seed {seed}"
    command = f"`rl-drug-dosage train --env-id {named.env_id} --preset scenario {which}" + (")" if together else "`")
    memory = "" if training["memory"] == "none" else f" and a GRU of {training['memory_size']}"
    shown = "the patient's true state during training" if training["privileged_critic"] else "the actor's observation"
    patients = f"{scenario.models[0]}, as published, with the variations given in the options"
    if len(scenario.models) > 1:
        patients += "; the scenario's other models were not used in training"
    shares = ", ".join(f"{v:.1f}" for v in record["validation_pct"].values())
    fastest = "" if together else f"{min(seconds):.0f} to "
    took = f"{fastest}{max(seconds):.0f} s on 2 shared cores"
    chosen = f"{seed}, the median of {len(runs)} by attainment on {validated_on(record)}"
    tested = f"{cohorts['patients']:,} patients of cohort {cohorts['test']}, not used for any choice"
    made = f"{command}; training, selection and test: `make models SCENARIO={named.name}`"
    if results.once_more:
        made += f"; this test: `scripts/make_models.py --again {named.name}`"
        tested += "; the published seed only"
    else:
        tested += f"; range over all {len(runs)} training seeds in brackets"
    batch = f"{training['total_timesteps']:,} steps, {training['num_envs']:,} patients at a time{together}"
    return [
        ("task", f"{scenario.title} (`{named.env_id}`; `rl-drug-dosage info --scenarios`)"),
        ("made by", made),
        ("training", f"{batch}; {took}, plus up to {compiling:.0f} s of compilation"),
        ("networks", f"two hidden layers of {training['hidden_size']}{memory}; the critic sees {shown}"),
        ("environment", f"`{json.dumps(dict(model.env_options))}`"),
        ("patients", patients),
        ("seed", f"{chosen}: {shares} %"),
        ("tested on", tested),
    ]


_REFERENCE = """`best-bayes` is the reference: the strongest Bayesian dosing, as chosen on validation patients of the
controller's model (`scripts/choose_bayes.py`), or a default where none was chosen. `mipd` is Bayesian dosing as
programs at the bedside do it, with the published numbers.
"""
_UNSEEN = "No policy, tuning or training has seen this model: it simulates test patients only.\n"
_LIMITS = """## Limits

The policy was trained and tested on simulated patients only. It is valid only for the doses, interval and schedule of
this version of the scenario. The network does not show why it gives a dose, but its behaviour can be plotted:
`rl-drug-dosage explain --model-path models/{name}.pt --output-dir runs/{name}`.
"""


def _card(named: Found[Scenario], results: Results, model: Model) -> str:
    scenario = named.value
    parts = [
        f"# {named.name}: a policy trained with PPO\n\n{_NOTICE}\n",
        table(["", ""], _facts(named, results, model)),
        f"Target attainment: {scenario.goal.title}. Paired differences in points, with 95 % bootstrap intervals.\n",
    ]
    for setting in results.settings:
        title = setting[0].upper() + setting[1:]
        if setting == RIGHT:
            title = f"Patients simulated from {scenario.models[0]}, which controllers also assume"
        text = [
            _UNSEEN if results.test_only(setting) else "",
            _reference(results, setting),
            _seeds_before(results, setting),
            _result_table(results, setting) + _stress_table(results, setting),
            card_part(results.record, setting),
        ]
        parts.append("\n".join([f"## {title}\n", *(part for part in text if part)]))
    if any(results.variant(setting) for setting in results.settings):
        parts.append(_REFERENCE)
    return "\n".join([*parts, _LIMITS.format(name=named.name)])


def _verdicts(all_: Sequence[Results]) -> str:
    rows = [_verdict(results, setting) for results in all_ for setting in results.settings]
    head = [
        "scenario",
        "model",
        "PPO",
        BEST,
        f"PPO minus {BEST}",
        f"{BEST} is",
        "mipd",
        "PPO minus mipd",
        "mipd-assay",
        "pid",
        "label",
        f"worst 5 %: PPO / {BEST} / mipd",
    ]
    return table(head, rows)


def _verdict(results: Results, setting: str) -> list[str]:
    """The row of one section in the summary table."""

    def value(policy: str, measure: str = "attainment_pct") -> str:
        return f"{results.value(setting, policy, measure):.1f}" if results.has(setting, policy) else "-"

    def ahead(policy: str) -> str:
        return _signed(results.ahead(setting, policy)) if results.has(setting, policy) else "-"

    right, variant = setting == RIGHT, results.variant(setting)
    chosen = "chosen" if results.was_chosen(setting) else "default"
    return [
        f"[{results.scenario}]({results.scenario}.md)" if right else "",
        "correct" if right else "third model" if results.test_only(setting) else "misspecified",
        results.ppo(setting),
        value(BEST),
        ahead(BEST),
        f"`{variant}` ({chosen})" if variant else "-",
        value("mipd"),
        ahead("mipd"),
        *(value(policy) for policy in ("mipd-assay", "pid", "label")),
        " / ".join(value(policy, "worst_5_pct") for policy in (results.median, BEST, "mipd")),
    ]


def write(folder: Path) -> None:
    """Write all cards, and the table at the end of the folder's README."""
    all_ = []
    for path in sorted(folder.glob("*.json")):
        results = Results(json.loads(path.read_text()))
        model = load_model(folder / f"{results.scenario}.pt")
        card = _card(find_scenario(results.scenario), results, model)
        atomic_write(folder / f"{results.scenario}.md", card.encode())
        all_.append(results)
    readme = folder / "README.md"
    head = readme.read_text().partition(_MARK)[0].rstrip()
    tables = "\n".join(part for part in (_verdicts(all_), summary([results.record for results in all_])) if part)
    atomic_write(readme, f"{head}\n\n{_MARK}\n\n{tables}".encode())

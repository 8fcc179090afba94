"""Explain a learnt policy to a person: curves, and a dosing table with its fidelity, beside `mipd` and `label`.

The PPO policy treats held-out patients; at every decision all policies say what they would give on that very chart. The
table is distilled from these decisions. A table that is a little wrong soon meets charts that the policy's own courses
never show, so it then treats the same patients, the policy says what it would have given, and a new table is made from
all of that (data set aggregation, Ross 2011); the table that does best on these patients is kept. It is judged on
patients that it has not seen: by its doses against the policy's, and by the goal when it doses the patients itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rl_drug_dosage.clinic.policy import Policy, Setting
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.envs.catalog import scenario_ids
from rl_drug_dosage.errors import ConfigError, ModelFileError
from rl_drug_dosage.explain.measures import Fidelity, fidelity_of, importance_of, start_variables
from rl_drug_dosage.explain.probe import Probe, Variable, ask, partial, variables
from rl_drug_dosage.explain.table import Page, Taught, distil, policy_of
from rl_drug_dosage.policies.adapters.learnt import dosing_policy
from rl_drug_dosage.ppo.model_file import Model, load_model
from rl_drug_dosage.registry import find_scenario
from rl_drug_dosage.trials.entrants import enter
from rl_drug_dosage.trials.statistics import bootstrap, endpoints, paired
from rl_drug_dosage.trials.trial import Cohort, run_trial
from rl_drug_dosage.utils.seeding import Stream, generator

__all__ = ["PPO", "TABLE", "ExplainOptions", "Explanation", "check", "explain"]

PPO, TABLE = "PPO", "table"
_OTHERS = ("mipd", "label")
_CORRECTIONS = 2
"""Tables made after the first one: of one warfarin model the first reached 55 % of the goal, the second 78 %."""
_FEW = 12
_POINTS = 15
"""Values of a covariate in its curve."""


@dataclass(frozen=True, kw_only=True)
class ExplainOptions:
    """What to explain, on whom, and where to write it; the command's options.

    Args:
        model_path: of a model of a dosing scenario.
        patients: to explain it on; as many again judge the table.
        seed: of both.
        output_dir: the model's folder, unless given.
        controller: drug model that `mipd` believes; empty: the scenario's first one.

    Raises:
        ConfigError: a number that is not allowed.
    """

    model_path: Path
    patients: int = 1000
    seed: int = 1
    output_dir: Path | None = None
    controller: str = ""

    def __post_init__(self) -> None:
        if not 50 <= self.patients <= 100_000:
            raise ConfigError(f"--patients must be from 50 to 100000, not {self.patients}")
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"--seed must be from 0 to 4294967295, not {self.seed}")


@dataclass(frozen=True)
class Explanation:
    """All that is written about a policy.

    Args:
        options: what was asked.
        env_id: the scenario's.
        setting: the task and both drug models.
        names: variables of the charts and of the table.
        pages: the table.
        fidelity: of all decisions, of the first, of the later ones.
        importance: (input in words, % of the mean first dose, % of the mean later dose), the largest first.
        probe: charts and answers; policies in the order of ``answered``.
        answered: whose answers they are.
        effects: covariate -> (values, first doses by point, patient and policy).
        attainment: policy -> mean, low, high of the goal's attainment in %, on the patients that judge the table.
        difference: other policy -> mean, low, high of table minus it, in points.
    """

    options: ExplainOptions
    env_id: str
    setting: Setting
    names: tuple[Variable, ...]
    pages: tuple[Page, ...]
    fidelity: tuple[Fidelity, Fidelity, Fidelity]
    importance: tuple[tuple[str, float, float], ...]
    probe: Probe
    answered: tuple[str, ...]
    effects: dict[str, tuple[np.ndarray, np.ndarray]]
    attainment: dict[str, tuple[float, float, float]]
    difference: dict[str, tuple[float, float, float]]

    @property
    def scenario(self) -> Scenario:
        """The task."""
        return self.setting.scenario


def check(options: ExplainOptions) -> None:
    """Refuse what cannot be explained, before a folder is made.

    Raises:
        ModelFileError, UnknownNameError, ConfigError: see `explain`.
    """
    _model(options)


def explain(options: ExplainOptions, *, say: Callable[[str], None] = lambda _: None) -> Explanation:
    """Ask, distil, judge. Nothing is written.

    Raises:
        ModelFileError: no model, or one of something else than a dosing scenario.
        UnknownNameError, ConfigError: a controller that does not exist or fit.
    """
    setting, ppo = _model(options)
    scenario, simulator = setting.scenario, setting.simulator
    policies: dict[str, Policy] = {PPO: ppo}
    for name in _OTHERS:
        try:
            policies[name] = enter(setting, name, seed=options.seed).policy
        except ConfigError as error:
            say(f"{name} is left out: {error}")
    names = variables(scenario, simulator)
    cohort = Cohort(options.seed, options.patients)
    judges = Cohort(options.seed, options.patients, options.patients)
    probe = ask(scenario, simulator, tuple(policies.values()), cohort, swaps=True)
    say(f"asked {', '.join(policies)} at {int(probe.alive.sum()):,} decisions of {options.patients:,} patients")
    importance = importance_of(scenario, names, probe)
    start = start_variables(scenario, names, probe)
    pages = _best_table(setting, names, (probe, cohort), ppo, start, say)
    table = policy_of(scenario, names, pages)
    values = _values(names, probe, start)
    effects = partial(scenario, simulator, tuple(policies.values()), cohort, values)
    judged = ask(scenario, simulator, (ppo, table), judges)
    attainment, difference = _trials(setting, policies | {TABLE: table}, judges, say)
    return Explanation(
        options=options,
        env_id=setting.task.env_id,
        setting=setting,
        names=names,
        pages=pages,
        fidelity=fidelity_of(scenario, judged),
        importance=importance,
        probe=probe,
        answered=tuple(policies),
        effects={name: (values[name], doses) for name, doses in effects.items()},
        attainment=attainment,
        difference=difference,
    )


def _model(options: ExplainOptions) -> tuple[Setting, Policy]:
    model = load_model(options.model_path)
    if model.env_id not in scenario_ids():
        raise ModelFileError(
            f"{options.model_path} was trained for {model.env_id}, which is no dosing scenario: explain needs charts "
            "and a label to compare with; train a model of one, see `rl-drug-dosage info --scenarios`"
        )
    named = find_scenario(model.env_id)
    scenario = named.value
    simulator = _simulator(model, scenario)
    setting = Setting(
        named, model_of(scenario, options.controller or scenario.models[0]), simulator_of(scenario, simulator)
    )
    return setting, dosing_policy(model, setting, options.model_path)


def _simulator(model: Model, scenario: Scenario) -> str:
    """The patients that it was trained on."""
    return str(model.env_options.get("simulator", "")) or scenario.models[0]


def _taught(probes: Sequence[tuple[Probe, int]]) -> Taught:
    """All decisions of several probes, with the answers of one policy of each."""
    parts = []
    for probe, policy in probes:
        decisions = np.broadcast_to(np.arange(probe.alive.shape[1]), probe.alive.shape)
        parts.append((probe.seen[probe.alive], probe.doses[..., policy][probe.alive], decisions[probe.alive]))
    return Taught(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _best_table(
    setting: Setting,
    names: Sequence[Variable],
    made_on: tuple[Probe, Cohort],
    policy: Policy,
    start: tuple[int, int],
    say: Callable[[str], None],
) -> tuple[Page, ...]:
    """The table that does best on the patients that it is made from, of one and its corrections."""
    scenario, simulator = setting.scenario, setting.simulator
    probe, own = made_on
    probes, found = [(probe, 0)], []
    for i in range(1 + _CORRECTIONS):
        pages = distil(scenario, names, _taught(probes), start)
        table = policy_of(scenario, names, pages)
        share = endpoints(scenario, run_trial(scenario, simulator, table, own))["attainment_pct"].mean()
        say(f"table {i + 1}: {share:.1f} % in the goal, on the patients that it is made from")
        found.append((float(share), -i, pages))
        if i < _CORRECTIONS:
            probes.append((ask(scenario, simulator, (table, policy), own), 1))
    return max(found, key=lambda f: f[:2])[2]


def _values(names: Sequence[Variable], probe: Probe, start: tuple[int, int]) -> dict[str, np.ndarray]:
    """Where the curves of the first dose are drawn: the covariates that differ between patients."""
    found = {}
    known = [i for i, v in enumerate(names) if v.covariate]
    for i in sorted(known, key=lambda i: (i not in start, i)):
        column = probe.seen[:, 0, i]
        values = np.unique(column)
        if len(values) < 2:
            continue
        if len(values) > _FEW:
            values = _spread(column)
        found[names[i].name] = values
    return found


def _spread(column: np.ndarray) -> np.ndarray:
    """Evenly over the central 95 % of the patients."""
    low, high = np.percentile(column, (2.5, 97.5))
    return np.linspace(float(low), float(high), _POINTS)


def _trials(
    setting: Setting, policies: dict[str, Policy], cohort: Cohort, say: Callable[[str], None]
) -> tuple[dict[str, tuple[float, float, float]], dict[str, tuple[float, float, float]]]:
    """Attainment of the goal, and of the table minus each other one, patient by patient."""
    shares = []
    for name, policy in policies.items():
        trial = run_trial(setting.scenario, setting.simulator, policy, cohort)
        shares.append(endpoints(setting.scenario, trial)["attainment_pct"])
        say(f"{name}: {shares[-1].mean():.1f} % in the goal")
    columns, rng = np.stack(shares, axis=1), generator(cohort.seed, Stream.EVALUATE, 4)
    attainment = {name: (i.mean, i.low, i.high) for name, i in zip(policies, bootstrap(columns, rng), strict=True)}
    rows: list[dict[str, Any]] = paired(list(policies), columns, rng)
    difference = {r["policy"]: (-r["mean"], -r["high"], -r["low"]) for r in rows if r["against"] == TABLE}
    return attainment, difference

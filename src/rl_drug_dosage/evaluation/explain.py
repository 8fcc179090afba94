"""Explain a learnt policy to a person: curves, a dosing table with its fidelity, and the same beside `mipd` and `label`.

The PPO policy treats held-out patients; at every decision all policies say what they would give on that very chart. The
table is distilled from these decisions and judged on patients that it has not seen: by its doses against the policy's,
and by the goal when it doses the patients itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from rl_drug_dosage.agents._policy import Policy, Setting
from rl_drug_dosage.agents.ppo.model_file import Model, load_model
from rl_drug_dosage.clinic.interval import model_of, simulator_of
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.envs._catalog import NamedScenario, find_scenario, scenario_ids
from rl_drug_dosage.errors import ConfigError, ModelFileError
from rl_drug_dosage.evaluation.benchmark import dosing_policy, enter
from rl_drug_dosage.evaluation.explain_probe import AT_START, Probe, Variable, ask, inputs, partial, variables
from rl_drug_dosage.evaluation.explain_table import Page, Taught, distil, policy_of
from rl_drug_dosage.evaluation.statistics import bootstrap, endpoints, paired
from rl_drug_dosage.evaluation.trial import Cohort, run_trial
from rl_drug_dosage.utils.seeding import Stream, generator

__all__ = [
    "PPO",
    "TABLE",
    "ExplainOptions",
    "Explanation",
    "Fidelity",
    "check",
    "explain",
    "fidelity_of",
    "importance_of",
]

PPO, TABLE = "PPO", "table"
_OTHERS = ("mipd", "label")
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
class Fidelity:
    """How near the table's doses come to the policy's, on the policy's own courses.

    Args:
        decisions: compared.
        same_pct: the same dose.
        near_pct: within one step of the grid, or 10 % of the policy's dose.
        mean_error: mean absolute difference, in the dosage's unit.
        r2: 1 - (squared error) / (variance of the policy's dose); 1 where the policy always gives the same and so does
            the table.
    """

    decisions: int
    same_pct: float
    near_pct: float
    mean_error: float
    r2: float


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
    named, setting, ppo = _model(options)
    scenario, simulator = setting.scenario, setting.simulator
    policies: dict[str, Policy] = {PPO: ppo}
    for name in _OTHERS:
        try:
            policies[name] = enter(named, setting, name, seed=options.seed).policy
        except ConfigError as error:
            say(f"{name} is left out: {error}")
    names = variables(scenario, simulator)
    cohort = Cohort(options.seed, options.patients)
    judges = Cohort(options.seed, options.patients, options.patients)
    probe = ask(scenario, simulator, tuple(policies.values()), cohort, swaps=True)
    say(f"asked {', '.join(policies)} at {int(probe.alive.sum()):,} decisions of {options.patients:,} patients")
    importance = importance_of(scenario, names, probe)
    start = start_variables(scenario, names, probe)
    pages = distil(scenario, names, _taught(probe), start)
    table = policy_of(scenario, names, pages)
    values = _values(names, probe, start)
    effects = partial(scenario, simulator, tuple(policies.values()), cohort, values)
    judged = ask(scenario, simulator, (ppo, table), judges)
    attainment, difference = _trials(setting, policies | {TABLE: table}, judges, say)
    return Explanation(
        options=options,
        env_id=named.env_id,
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


def _model(options: ExplainOptions) -> tuple[NamedScenario, Setting, Policy]:
    model = load_model(options.model_path)
    if model.env_id not in scenario_ids():
        raise ModelFileError(
            f"{options.model_path} was trained for {model.env_id}, which is no dosing scenario: explain needs charts "
            "and a label to compare with; train a model of one, see `rl-drug-dosage info --scenarios`"
        )
    named = find_scenario(model.env_id)
    scenario = named.scenario
    simulator = _simulator(model, scenario)
    setting = Setting(
        scenario, model_of(scenario, options.controller or scenario.models[0]), simulator_of(scenario, simulator)
    )
    return named, setting, dosing_policy(model, named, options.model_path)


def _simulator(model: Model, scenario: Scenario) -> str:
    """The patients that it was trained on."""
    return str(model.env_options.get("simulator", "")) or scenario.models[0]


def _taught(probe: Probe) -> Taught:
    decisions = np.broadcast_to(np.arange(probe.alive.shape[1]), probe.alive.shape)
    alive = probe.alive
    return Taught(probe.seen[alive], probe.doses[..., 0][alive], decisions[alive])


def _shares(probe: Probe) -> Float[np.ndarray, "input 2"]:
    """Mean change of the dose in % of the mean dose, at the first decision and at the later ones."""
    found = []
    for at in (slice(0, 1), slice(1, None)):
        alive, dose = probe.alive[:, at], probe.doses[:, at, 0]
        mean = dose[alive].mean() if alive.any() else 0.0
        change = np.abs(probe.swapped[:, at] - dose[..., None])[alive]
        share = 100.0 * change.mean(0) / mean if mean > 0 else np.zeros(probe.swapped.shape[2])
        found.append(share)
    return np.stack(found, axis=1)


def importance_of(scenario: Scenario, names: Sequence[Variable], probe: Probe) -> tuple[tuple[str, float, float], ...]:
    """(input, % at the first decision, % later), the largest first: permutation importance (Breiman 2001) of the dose.

    An input is taken from another patient at the same decision, all others stay: what is tied to it (a level to its
    dose) no longer fits, so these numbers rank and do not add up.
    """
    words = {v.name: v.label for v in names}
    rows = [
        (words.get(name, name), float(a), float(b))
        for name, (a, b) in zip(inputs(scenario), _shares(probe), strict=True)
    ]
    return tuple(sorted(rows, key=lambda r: -max(r[1], r[2])))


def start_variables(scenario: Scenario, names: Sequence[Variable], probe: Probe) -> tuple[int, int]:
    """The two covariates that the first dose depends on most, as indices of ``names``."""
    share = dict(zip(inputs(scenario), _shares(probe)[:, 0], strict=True))
    if AT_START in {v.name for v in names}:
        share[AT_START] = share["level before the first dose"]
    known = [i for i, v in enumerate(names) if v.covariate]
    # A scenario with fewer than two covariates has a page of one column, or of one cell.
    known = [*known, 0, 0] if len(known) < 2 else known
    first, second = sorted(known, key=lambda i: -share.get(names[i].name, -1.0))[:2]
    return first, second


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
            values = np.linspace(*np.percentile(column, (2.5, 97.5)), _POINTS)
        found[names[i].name] = values
    return found


def fidelity_of(scenario: Scenario, probe: Probe) -> tuple[Fidelity, Fidelity, Fidelity]:
    """The second policy's doses against the first one's: all decisions, the first, the later ones."""
    policy, table = (probe.doses[..., i].astype(np.float64) for i in (0, 1))
    parts = [slice(None), slice(0, 1), slice(1, None)]
    return tuple(  # type: ignore[return-value]
        _fidelity(scenario, policy[:, at][probe.alive[:, at]], table[:, at][probe.alive[:, at]]) for at in parts
    )


def _fidelity(scenario: Scenario, policy: np.ndarray, table: np.ndarray) -> Fidelity:
    if not len(policy):
        return Fidelity(0, np.nan, np.nan, np.nan, np.nan)
    grid = scenario.dosage.grid().astype(np.float64)
    place = [np.abs(grid[None] - d[:, None]).argmin(1) for d in (policy, table)]
    same = place[0] == place[1]
    near = (np.abs(place[0] - place[1]) <= 1) | (np.abs(policy - table) <= 0.1 * policy)
    error, spread = ((policy - table) ** 2).sum(), ((policy - policy.mean()) ** 2).sum()
    r2 = 1.0 - error / spread if spread > 0 else float(error == 0)
    return Fidelity(
        len(policy), 100.0 * float(same.mean()), 100.0 * float(near.mean()), float(np.abs(policy - table).mean()), r2
    )


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

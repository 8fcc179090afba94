"""Explain a trained policy by dose curves and a dosing table, compared with `mipd` and `label`.

The PPO policy treats held-out patients; at every decision the dose of every policy on the same record is computed. The
table is distilled from these decisions. Errors of the table lead to records that do not occur under the policy.
Therefore the table then treats the same patients, the policy's doses on these records are added to the data, and a new
table is made (data set aggregation, Ross 2011). The table with the highest attainment on these patients is kept. It is
assessed on new patients: by the agreement of its doses with the policy's, and by its own attainment.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rl_drug_dosage.clinic.policy import Policy, Setting
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.errors import ConfigError, ModelFileError
from rl_drug_dosage.explain.additions import Additions, additions_of, with_uncorrected
from rl_drug_dosage.explain.measures import Fidelity, fidelity_of, first_dose_values, importance_of, start_variables
from rl_drug_dosage.explain.probe import Probe, Variable, ask, partial, variables
from rl_drug_dosage.explain.table import Page, Taught, distil, policy_of
from rl_drug_dosage.explain.told import UNCORRECTED, corrects, uncorrected
from rl_drug_dosage.policies.adapters.learnt import dosing_policy, model_path
from rl_drug_dosage.ppo.model_file import load_model
from rl_drug_dosage.trials.entrants import enter
from rl_drug_dosage.trials.setting import scenario_of, setting_of
from rl_drug_dosage.trials.statistics import bootstrap, endpoints, paired
from rl_drug_dosage.trials.trial import Cohort, run_trial
from rl_drug_dosage.utils.arguments import checked
from rl_drug_dosage.utils.files import prepare_folder
from rl_drug_dosage.utils.progress import Progress, Steps, quiet
from rl_drug_dosage.utils.result import Result
from rl_drug_dosage.utils.seeding import Stream, check_seed, generator

__all__ = ["PPO", "TABLE", "ExplainOptions", "Explanation", "explain"]

type Spread = tuple[float, float, float]
"""Mean, low, high."""
PPO, TABLE = "PPO", "table"
_OTHERS = ("mipd", "label")
_CORRECTIONS = 2
"""Tables made after the first. For one warfarin model, attainment was 55 % with the first, 78 % with the second."""


@dataclass(frozen=True, kw_only=True)
class ExplainOptions:
    """What to explain, and on which patients.

    Args:
        model_path: a model file of a dosing scenario, or the folder of a run.
        patients: number of virtual patients; as many again are used to assess the table.
        seed: selects both cohorts.
        scenario: the task, for a model trained on a scenario that is not built in.
        simulator: drug model that simulates the patients; None: the one used in training.
        controller: drug model assumed by `mipd`; None: the scenario's first one.
        accept_changed: explain although the scenario file has changed since training.
        output_dir: folder for the files; None: nothing is written.

    Raises:
        ConfigError: a number that is not allowed.
    """

    model_path: Path
    patients: int = 1000
    seed: int = 1
    scenario: object = None
    simulator: object = None
    controller: object = None
    accept_changed: bool = False
    output_dir: Path | None = None

    def __post_init__(self) -> None:
        if not 50 <= self.patients <= 100_000:
            raise ConfigError(f"--patients must be from 50 to 100000, not {self.patients}")
        check_seed(self.seed)


@dataclass(frozen=True, repr=False)
class Explanation(Result):
    """The explanation of a policy.

    Args:
        options: the options used.
        env_id: id of the scenario.
        setting: the task and both drug models.
        names: variables of the records and of the table.
        pages: the table.
        fidelity: agreement over all decisions, the first one, and the later ones.
        importance: (input, % of the mean first dose, % of the mean later dose), largest first.
        probe: records and doses; policies in the order of ``answered``.
        answered: names of the policies in ``probe``.
        effects: covariate -> (values, first doses by point, patient and policy), without that of the Bayesian dose
            that is corrected.
        attainment: policy -> mean, low, high of attainment in %, on the patients that assess the table.
        difference: other policy -> mean, low, high of table minus that policy, in percentage points.
        additions: what the policy adds to the Bayesian dose that it corrects; None if it corrects none.
        files: files written; empty unless ``output_dir`` was given.
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
    attainment: dict[str, Spread]
    difference: dict[str, Spread]
    additions: Additions | None = None
    files: tuple[Path, ...] = ()

    @property
    def scenario(self) -> Scenario:
        """The task."""
        return self.setting.scenario

    @property
    def title(self) -> str:
        return f"{self.scenario.title}: {self.options.patients:,} patients not used to build the table"

    def columns(self) -> dict[str, np.ndarray]:
        """The dosing table with one row per cell: the columns of ``explain.csv``."""
        from rl_drug_dosage.explain.text import table_rows

        header, *rows = table_rows(self)
        return {name: np.asarray([row[i] for row in rows]) for i, name in enumerate(header)}

    def _summary(self) -> Mapping[str, np.ndarray]:
        names = sorted(self.attainment, key=lambda name: -self.attainment[name][0])
        return {
            "policy": np.asarray(names),
            "in target (%)": np.asarray([self.attainment[n][0] for n in names]),
            "95 % interval": np.asarray(["{1:.1f} to {2:.1f}".format(*self.attainment[n]) for n in names]),
        }

    def plot(self) -> Any:
        """Dose of each policy after a level, or the first dose if no level is known, on the same records."""
        from rl_drug_dosage.explain.files import main_figure

        return main_figure(self)

    @checked
    def save(self, folder: str | Path) -> tuple[Path, ...]:
        """Write ``explain.md``, ``explain.csv`` and the figures."""
        from rl_drug_dosage.explain.files import write_explanation

        return write_explanation(self, prepare_folder(Path(folder)))


def explain(options: ExplainOptions, *, progress: Progress = quiet) -> Explanation:
    """Compare the policies, distil the table and assess it.

    Raises:
        ModelFileError: no model file, or a model that was not trained on a dosing scenario.
        UnknownNameError, ConfigError: an unknown controller, or one that does not fit.
    """
    setting, ppo = _model(options)
    if options.output_dir is not None:
        prepare_folder(options.output_dir)
    scenario, simulator = setting.scenario, setting.simulator
    residual = corrects(ppo)
    # Steps: the other policies, the comparison, the tables, the curves, the assessment, and one trial per policy.
    steps = Steps(progress, len(_OTHERS) + 1 + (1 + 2 * _CORRECTIONS) + 2 + len(_OTHERS) + 2 + residual)
    policies: dict[str, Policy] = {PPO: ppo}
    for name in _OTHERS:
        try:
            with steps.step(f"tuning {name}"):
                policies[name] = enter(setting, name, seed=options.seed).policy
        except ConfigError as error:
            steps.note(f"{name} is left out: {error}")
    names = variables(scenario, simulator)
    cohort = Cohort(options.seed, options.patients)
    judges = Cohort(options.seed, options.patients, options.patients)
    with steps.step(f"comparing {', '.join(policies)}"):
        probe = ask(scenario, simulator, tuple(policies.values()), cohort, swaps=True, told=residual)
    steps.note(
        f"compared {', '.join(policies)} at {int(probe.alive.sum()):,} decisions of {options.patients:,} patients"
    )
    if residual:
        probe = with_uncorrected(probe)
    importance = importance_of(scenario, names, probe)
    start = start_variables(scenario, names, probe)
    pages = _best_table(setting, names, (probe, cohort), ppo, start, steps)
    table = policy_of(scenario, names, pages)
    values = first_dose_values(names, probe, start)
    with steps.step("first doses by covariate"):
        effects = partial(scenario, simulator, tuple(policies.values()), cohort, values)
    with steps.step("assessing the table"):
        judged = ask(scenario, simulator, (ppo, table), judges, told=residual)
    own = {UNCORRECTED: uncorrected(ppo)} if residual else {}
    attainment, pairs, late = _trials(setting, policies | own | {TABLE: table}, judges, steps)
    change = late[PPO], late.get(UNCORRECTED, late[PPO])
    difference = {name: _minus(pair) for (name, against), pair in pairs.items() if against == TABLE}
    found = Explanation(
        options=options,
        env_id=setting.task.env_id,
        setting=setting,
        names=names,
        pages=pages,
        fidelity=fidelity_of(scenario, judged),
        importance=importance,
        probe=probe,
        answered=(*policies, *own),
        effects={name: (values[name], doses) for name, doses in effects.items()},
        attainment=attainment,
        difference=difference,
        additions=additions_of(scenario, probe, judged, pairs[PPO, UNCORRECTED], change) if residual else None,
    )
    return found if options.output_dir is None else dataclasses.replace(found, files=found.save(options.output_dir))


def _model(options: ExplainOptions) -> tuple[Setting, Policy]:
    path = model_path(options.model_path)
    model = load_model(path)
    task = scenario_of(model, path, options.scenario)
    if task is None:
        raise ModelFileError(
            f"{path} was trained for {model.env_id}, which is not a known dosing scenario: explain needs "
            "one; give the scenario file (--scenario FILE), or train a model of "
            "a scenario, see `rl-drug-dosage info --scenarios`"
        )
    setting = setting_of(
        model,
        path,
        task,
        simulator=options.simulator,
        controller=options.controller,
        accept_changed=options.accept_changed,
    )
    return setting, dosing_policy(model, setting, path)


def _taught(probes: Sequence[tuple[Probe, int]]) -> Taught:
    """The decisions of several probes, with the doses of one policy from each."""
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
    steps: Steps,
) -> tuple[Page, ...]:
    """The best of the first table and its corrections, by attainment on the patients used to build them."""
    scenario, simulator = setting.scenario, setting.simulator
    probe, own = made_on
    probes, found = [(probe, 0)], []
    for i in range(1 + _CORRECTIONS):
        with steps.step(f"making table {i + 1}"):
            pages = distil(scenario, names, _taught(probes), start)
            table = policy_of(scenario, names, pages)
            share = endpoints(scenario, run_trial(scenario, simulator, table, own))["attainment_pct"].mean()
        steps.note(f"table {i + 1}: {share:.1f} % in target, on the patients used to build it")
        found.append((float(share), -i, pages))
        if i < _CORRECTIONS:
            with steps.step(f"comparing doses on the records of table {i + 1}"):
                probes.append((ask(scenario, simulator, (table, policy), own), 1))
    return max(found, key=lambda f: f[:2])[2]


def _trials(
    setting: Setting, policies: dict[str, Policy], cohort: Cohort, steps: Steps
) -> tuple[dict[str, Spread], dict[tuple[str, str], Spread], dict[str, float]]:
    """Attainment of each policy, the paired difference of every two, and each policy's late change of dose (%)."""
    shares, late = [], {}
    for name, policy in policies.items():
        with steps.step(f"running {name}"):
            trial = run_trial(setting.scenario, setting.simulator, policy, cohort)
        ends = endpoints(setting.scenario, trial)
        shares.append(ends["attainment_pct"])
        late[name] = float(np.median(ends["change_last_third_pct"]))
        steps.note(f"{name}: {shares[-1].mean():.1f} % in target")
    columns, rng = np.stack(shares, axis=1), generator(cohort.seed, Stream.EVALUATE, 4)
    attainment = {name: (i.mean, i.low, i.high) for name, i in zip(policies, bootstrap(columns, rng), strict=True)}
    rows: list[dict[str, Any]] = paired(list(policies), columns, rng)
    return attainment, {(r["policy"], r["against"]): (r["mean"], r["low"], r["high"]) for r in rows}, late


def _minus(pair: Spread) -> Spread:
    mean, low, high = pair
    return -mean, -high, -low

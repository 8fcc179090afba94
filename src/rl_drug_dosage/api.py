"""The Python API: every command as a function. The command line is a thin layer over these, with the same defaults.

A reference to a drug, scenario, policy or environment is a built-in name, a file, an entry point,
``package.module:NAME`` or the object itself, see `registry`. Nothing is written unless ``output_dir`` is given; only
training always writes a run folder. ``progress`` is True (a bar on a terminal, a line in a notebook), False, or a
callback, see `utils.progress`.

JAX and other heavy libraries are imported by the functions when they are called.
"""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.training.config import NOT_SWEPT, RunOptions, TrainConfig, options_of
from rl_drug_dosage.utils.arguments import checked
from rl_drug_dosage.utils.files import swept
from rl_drug_dosage.utils.progress import shown
from rl_drug_dosage.utils.runtime import configure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Unpack, overload

    from rl_drug_dosage.bedside import PatientHistory, Recommendation
    from rl_drug_dosage.clinic.scenario import Scenario
    from rl_drug_dosage.envs.functional import Env
    from rl_drug_dosage.explain.explanation import Explanation
    from rl_drug_dosage.pharmacometrics.across import ModelAverage
    from rl_drug_dosage.pharmacometrics.dose_options import Criterion, DrawsKind
    from rl_drug_dosage.pharmacometrics.dose_search import DoseSearch
    from rl_drug_dosage.pharmacometrics.estimation import Estimation, PosteriorKind
    from rl_drug_dosage.pharmacometrics.estimation_settings import EstimateSettings
    from rl_drug_dosage.pharmacometrics.readers.importing import ImportedModel
    from rl_drug_dosage.pharmacometrics.simulation import Simulation
    from rl_drug_dosage.pharmacometrics.validation import ModelValidation
    from rl_drug_dosage.pharmacometrics.validation_vpc import Clock
    from rl_drug_dosage.pkpd.model import DrugModel
    from rl_drug_dosage.pkpd.nonmem_data import Interpolation, PreDoseLevel
    from rl_drug_dosage.training.compare import Comparison
    from rl_drug_dosage.training.evaluate import Evaluation
    from rl_drug_dosage.training.run_result import RunResult
    from rl_drug_dosage.training.settings import SweepSettings, TrainSettings
    from rl_drug_dosage.training.sweep import SweepResult
    from rl_drug_dosage.trials.benchmark import Benchmark
    from rl_drug_dosage.trials.published_trial import PublishedTrial
    from rl_drug_dosage.utils.progress import Progress

__all__ = [
    "benchmark",
    "compare",
    "dose",
    "estimate",
    "evaluate",
    "explain",
    "import_model",
    "merge",
    "own_model",
    "recommend",
    "recommend_all",
    "simulate",
    "sweep",
    "train",
    "validate_model",
]


@checked
def simulate(
    drug: str | Path | DrugModel,
    *,
    patients: int = 1000,
    dose_mg: float | None = None,
    interval_h: float | None = None,
    duration_h: float | None = None,
    days: float | None = None,
    route: str | None = None,
    seed: int = 1,
    output_dir: str | Path | None = None,
    file_format: str = "csv",
    sample_every_h: float | None = None,
    covariates: Mapping[str, float] | None = None,
    variability: bool = True,
    device: str = "cpu",
    progress: Progress | bool = True,
) -> Simulation:
    """Simulate a virtual cohort on a drug model.

    Args:
        drug: the drug model.
        patients: number of virtual patients.
        dose_mg: amount of each dose; 0 for no drug, None for the drug's usual one.
        interval_h: dosing interval; None: the drug's usual one.
        duration_h: duration of each infusion, 0 for a bolus; None: that of the route.
        days: length of the course; None: 7 days, within 3 to 1,000 intervals.
        route: name of the route or a part of it; None: the drug's usual one.
        seed: selects the cohort; disjoint from training patients.
        output_dir: folder for data, record and figure.
        file_format: format of the data file, ``"csv"`` or ``"parquet"``.
        sample_every_h: sampling interval of the data; None: up to 200 samples per patient.
        covariates: fixed covariate values, the same for every patient.
        variability: False: typical patients, without random effects and residual error.
        device: ``"cpu"`` or ``"cuda"``.
        progress: True, False or a callback, see `utils.progress`.

    Raises:
        RlDrugDosageError: the simulation or the output is not possible; a one-line message says why.
    """
    configure(device)
    from rl_drug_dosage.pharmacometrics.simulation import SimulationOptions
    from rl_drug_dosage.pharmacometrics.simulation import simulate as run

    options = SimulationOptions(
        drug=drug,
        patients=patients,
        dose_mg=dose_mg,
        interval_h=interval_h,
        duration_h=duration_h,
        days=days,
        route=route,
        seed=seed,
        output_dir=_folder(output_dir),
        file_format=file_format,
        sample_every_h=sample_every_h,
        covariates=covariates or {},
        variability=variability,
    )
    with shown(progress) as tell, swept(options.output_dir):
        return run(options, progress=tell)


if TYPE_CHECKING:

    @overload
    def estimate(
        drug: str | Path | DrugModel, data: str | Path, **settings: Unpack[EstimateSettings]
    ) -> Estimation: ...
    @overload
    def estimate(
        drug: list[Any] | tuple[Any, ...], data: str | Path, **settings: Unpack[EstimateSettings]
    ) -> ModelAverage: ...


@checked
def estimate(
    drug: str | Path | DrugModel | Sequence[str | Path | DrugModel],
    data: str | Path,
    *,
    weight: Mapping[str, float] | None = None,
    occasions: bool = False,
    interpolation: Interpolation = "nocb",
    posterior: PosteriorKind = "laplace",
    seed: int = 1,
    prior_weight: float = 1.0,
    pre_dose_level: PreDoseLevel = "ignore",
    output_dir: str | Path | None = None,
    progress: Progress | bool = True,
) -> Estimation | ModelAverage:
    """Estimate each patient's parameters from measured levels (maximum a posteriori).

    With a list of drug models, each is fitted, weighted by how well it predicted the patient's levels, and the
    forecasts are averaged.

    Args:
        drug: the drug model, or a list of models of one drug.
        data: NONMEM-style CSV file of doses and levels.
        weight: weights of the models before the levels, by name; 1 for those that are not named.
        occasions: estimate inter-occasion variability; occasions are read from column OCC.
        interpolation: how covariates are carried between records, ``"nocb"`` (backward) or ``"locf"`` (forward).
        posterior: how intervals are computed, ``"laplace"``, ``"resample"`` (importance resampling), ``"library"``
            (weighted support patients) or ``"nuts"`` (no-U-turn sampler, extra ``nuts``).
        seed: random seed of the draws.
        prior_weight: weight of the prior; below 1 the levels count for more (omega is divided by it).
        pre_dose_level: a level above 0 before any dose: ``"ignore"``, ``"start"`` from it, or ``"refuse"``.
        output_dir: folder for tables and figures.
        progress: True, False or a callback, see `utils.progress`.

    Raises:
        RlDrugDosageError: the data cannot be read or fitted, or the output not written; a one-line message says why.
    """
    configure("cpu")
    from rl_drug_dosage.pharmacometrics.across import AcrossOptions, estimate_across
    from rl_drug_dosage.pharmacometrics.estimation import EstimationOptions
    from rl_drug_dosage.pharmacometrics.estimation import estimate as run

    if weight and not isinstance(drug, list | tuple):
        raise ConfigError("--weight weighs models against each other: give --drug more than once")
    options = EstimationOptions(
        drug=drug,
        data=Path(data),
        occasions=occasions,
        interpolation=interpolation,
        posterior=posterior,
        seed=seed,
        prior_weight=prior_weight,
        pre_dose_level=pre_dose_level,
        output_dir=_folder(output_dir),
    )
    with shown(progress) as tell, swept(options.output_dir):
        if isinstance(drug, list | tuple):
            return estimate_across(AcrossOptions(tuple(drug), options, weight), progress=tell)
        return run(options, progress=tell)


@checked
def dose(
    drug: str | Path | DrugModel,
    data: str | Path,
    *,
    target: str | None = None,
    criterion: Criterion = "probability",
    percentile: float = 95.0,
    amounts_mg: Sequence[float] = (),
    intervals_h: Sequence[float] = (),
    routes: Sequence[str] = (),
    durations_h: Sequence[float] = (),
    doses: int | None = None,
    start_h: float | None = None,
    wait_below: float | None = None,
    occasions: bool = False,
    interpolation: Interpolation = "nocb",
    posterior: DrawsKind = "resample",
    draws: int = 1000,
    prior_weight: float = 1.0,
    pre_dose_level: PreDoseLevel = "ignore",
    seed: int = 1,
    output_dir: str | Path | None = None,
    progress: Progress | bool = True,
) -> DoseSearch:
    """Search the dose and interval for each patient of a table, over the posterior of the parameters.

    Args:
        drug: the drug model.
        data: NONMEM-style CSV file of doses and levels.
        target: window: ``"trough 10-15"``, ``"auc24 400-600"``; None: the drug's first target.
        criterion: ranks regimens: ``"probability"`` (of the window), ``"map"``, ``"distance"`` or ``"percentile"``.
        percentile: of the posterior, for ``"percentile"`` (the largest dose of which 95 % is below the limit).
        amounts_mg: amounts to try; empty: the drug's.
        intervals_h: intervals to try; empty: the drug's.
        routes: routes to try, by name or a part of it; empty: the drug's first.
        durations_h: infusion durations to try; empty: the route's.
        doses: the dosing interval that counts, from 1; None: steady state.
        start_h: when the next dose is due, as the file counts; None: an interval after the last dose.
        wait_below: wait with the next dose until the level is below this one.
        occasions: estimate inter-occasion variability; future doses are in a new occasion.
        interpolation: how covariates are carried between records, ``"nocb"`` (backward) or ``"locf"`` (forward).
        posterior: where draws come from, ``"resample"`` (importance resampling) or ``"laplace"``.
        draws: number of posterior draws.
        prior_weight: weight of the prior; below 1 the levels count for more (omega is divided by it).
        pre_dose_level: a level above 0 before any dose: ``"ignore"``, ``"start"`` from it, or ``"refuse"``.
        seed: random seed of the draws.
        output_dir: folder for table, record and figure.
        progress: True, False or a callback, see `utils.progress`.

    Raises:
        RlDrugDosageError: the data cannot be read or fitted, or no regimen is possible; a one-line message says why.
    """
    configure("cpu")
    from rl_drug_dosage.pharmacometrics.dose_search import DoseOptions, search_doses

    options = DoseOptions(
        drug=drug,
        data=Path(data),
        target=target,
        criterion=criterion,
        percentile=percentile,
        amounts_mg=amounts_mg,
        intervals_h=intervals_h,
        routes=routes,
        durations_h=durations_h,
        doses=doses,
        start_h=start_h,
        wait_below=wait_below,
        occasions=occasions,
        interpolation=interpolation,
        posterior=posterior,
        draws=draws,
        prior_weight=prior_weight,
        pre_dose_level=pre_dose_level,
        seed=seed,
        output_dir=_folder(output_dir),
    )
    with shown(progress) as tell, swept(options.output_dir):
        return search_doses(options, progress=tell)


@checked
def validate_model(
    drugs: Sequence[object] | Mapping[str, object],
    data: str | Path,
    *,
    by: Sequence[str] = (),
    unit: str | None = None,
    occasions: bool = False,
    interpolation: Interpolation = "nocb",
    replicates: int = 500,
    vpc_time: Clock = "after-dose",
    seed: int = 1,
    output_dir: str | Path | None = None,
    progress: Progress | bool = True,
) -> ModelValidation:
    """Forecast every level of a clinic's patients from their earlier ones, with each of several models, and compare.

    Args:
        drugs: the drug models; a dict gives them names.
        data: NONMEM-style CSV file of doses and levels.
        by: columns to group by, numbers in thirds; empty: the covariates of the models.
        unit: unit of the concentrations in the file; None: that of the models, which then have to agree.
        occasions: inter-occasion variability, in models that have it; occasions are read from column OCC.
        interpolation: how covariates are carried between records, ``"nocb"`` (backward) or ``"locf"`` (forward).
        replicates: simulations of the clinic for the predictive check.
        vpc_time: time axis of the predictive check: ``"after-dose"`` (since the last dose) or ``"time"``.
        seed: random seed of proposals, bootstrap and simulation.
        output_dir: folder for tables and figures.
        progress: True, False or a callback, see `utils.progress`.

    Raises:
        RlDrugDosageError: the data cannot be read by a model, the models not compared, or the output not written; a
            one-line message says why.
    """
    configure("cpu")
    from rl_drug_dosage.pharmacometrics.validation import ValidationOptions
    from rl_drug_dosage.pharmacometrics.validation import validate_model as run

    options = ValidationOptions(
        drugs=[drugs] if isinstance(drugs, str | Path) else drugs,
        data=Path(data),
        by=by,
        unit=unit,
        occasions=occasions,
        interpolation=interpolation,
        replicates=replicates,
        vpc_time=vpc_time,
        seed=seed,
        output_dir=_folder(output_dir),
    )
    with shown(progress) as tell, swept(options.output_dir):
        return run(options, progress=tell)


@checked
def train(
    env: str | Path | Env | Scenario = TrainConfig.env_id,
    *,
    scenario: str | Path | Scenario | None = None,
    preset: str = "",
    decisions: int = 0,
    config: str | Path | None = None,
    init_from: str | Path | None = None,
    resume: str | Path | None = None,
    accept_changed: bool = False,
    command: str = "",
    progress: Progress | bool = True,
    **settings: Unpack[TrainSettings],
) -> RunResult:
    """Train a dosing policy with PPO in a new run folder, or resume a run.

    Args:
        env: an environment: built in, registered with Gymnasium, or a scenario.
        scenario: the dosing task, in place of ``env``.
        decisions: decisions per course in a dosing scenario; 0: the scenario's default.
        preset: a set of defaults: ``"blog"``, ``"fast"``, or ``"scenario"`` (those of a dosing scenario).
        config: a run's ``config.toml`` or a sweep's ``best.toml``: its settings, in place of the defaults.
        init_from: model file or run folder whose weights and observation normaliser the new run starts with.
        resume: the folder of a run to resume, bit-identically. A task that is not built in must be given again. With
            ``total_timesteps`` it is trained longer, and its learning rate is annealed over the new total.
        accept_changed: resume, or start from ``init_from``, although a scenario or drug file has changed since.
        command: the command line recorded in the run folder.
        progress: True, False or a callback, see `utils.progress`.
        **settings: see `training.config`; ``train --help`` explains each.

    Raises:
        RlDrugDosageError: a setting is not allowed, or a file cannot be written; a one-line message says why.
    """
    from rl_drug_dosage.training.start import go_on, start

    with shown(progress) as tell:
        if resume is None:
            return start(
                env,
                settings,
                scenario=scenario,
                preset=preset,
                decisions=decisions,
                config=config,
                init_from=init_from,
                accept_changed=accept_changed,
                command=command,
                progress=tell,
            )
        if config is not None:
            raise ConfigError("--resume continues the run as configured: leave out --config, or start a new run")
        if decisions:
            raise ConfigError("--resume continues the run as configured: leave out --decisions, or start a new run")
        if init_from is not None:
            raise ConfigError("--resume continues with the run's weights: leave out --init-from, or start a new run")
        given = None if env == TrainConfig.env_id else env
        return go_on(
            resume,
            settings,
            env=given,
            scenario=scenario,
            preset=preset,
            accept_changed=accept_changed,
            progress=tell,
        )


@checked
def sweep(
    env: str | Path | Env | Scenario = TrainConfig.env_id,
    *,
    params: Mapping[str, Any],
    trials: int = 20,
    objective: str = "return",
    name: str = "",
    scenario: str | Path | Scenario | None = None,
    preset: str = "",
    decisions: int = 0,
    config: str | Path | None = None,
    command: str = "",
    progress: Progress | bool = True,
    **settings: Unpack[SweepSettings],
) -> SweepResult:
    """Search hyper-parameters of training with Optuna (extra ``sweep``), in a new folder, or resume a search.

    Args:
        env: an environment: built in, registered with Gymnasium, or a scenario.
        params: setting -> ``"a..b"`` (``"a..b:log"``, ``"a..b:lin"``), ``"a,b,c"``, or a list of values.
        trials: number of trials, those that are done included.
        objective: what is maximised, ``"return"`` or ``"time-in-range"`` of the last evaluation, median over seeds.
        name: name of the sweep's folder; one that holds the same sweep is resumed.
        scenario: the dosing task, in place of ``env``.
        preset: a set of defaults, as in `train`.
        decisions: decisions per course in a dosing scenario; 0: the scenario's default.
        config: a run's ``config.toml`` or a sweep's ``best.toml``: its settings, in place of the defaults.
        command: the command line recorded in the run folders.
        progress: True, False or a callback, see `utils.progress`.
        **settings: what all trials share, see `training.config`; ``sweep --help`` explains each.

    Raises:
        RlDrugDosageError: a setting is not allowed, or a file cannot be written; a one-line message says why.
    """
    from rl_drug_dosage.training.sweep.space import read_space

    if unfit := sorted(set(settings) & NOT_SWEPT):
        raise ConfigError(
            f"a sweep takes no --{unfit[0].replace('_', '-')}: its trials are named by number; leave it out"
        )
    space = read_space(params)
    if both := sorted({p.name for p in space} & set(settings)):
        raise ConfigError(f"{both[0]} is given twice: vary it with --param {both[0]}, or fix it, not both")
    from rl_drug_dosage.training.config_file import read_config
    from rl_drug_dosage.training.start import settled
    from rl_drug_dosage.training.sweep import SweepOptions
    from rl_drug_dosage.training.sweep import sweep as run

    options = SweepOptions(trials=trials, objective=objective, name=name)
    with shown(progress) as tell:
        file = None if config is None else read_config(Path(config))
        asked = settled(env, settings, scenario=scenario, preset=preset, decisions=decisions, file=file, progress=tell)
        return run(asked, space, options, command=command, progress=tell)


@checked
def compare(
    runs: Sequence[str | Path],
    *,
    scenario: str | Path | Scenario | None = None,
    patients: int = 1000,
    seed: int = 1,
    accept_changed: bool = False,
    output_dir: str | Path | None = None,
    command: str = "",
    device: str = "cpu",
    progress: Progress | bool = True,
) -> Comparison:
    """Compare training runs: learning curves over seeds, final results, a paired trial, and what differed.

    Args:
        runs: run folders, at least two.
        scenario: the dosing task, for runs that trained on your own scenario.
        patients: number of virtual patients in the paired trial; 0: no trial.
        seed: selects the trial's cohort, disjoint from training patients, and the bootstrap samples.
        accept_changed: try models although the scenario file has changed since training.
        output_dir: folder for the page, the record and the table.
        command: the command line quoted in the page.
        device: ``"cpu"`` or ``"cuda"``.
        progress: True, False or a callback, see `utils.progress`.

    Raises:
        RlDrugDosageError: fewer than two runs can be compared, or a file not written; a one-line message says why.
    """
    from rl_drug_dosage.training.compare import CompareOptions
    from rl_drug_dosage.training.compare import compare as run

    options = CompareOptions(
        runs=runs,
        scenario=scenario,
        patients=patients,
        seed=seed,
        accept_changed=accept_changed,
        output_dir=_folder(output_dir),
    )
    configure(device)
    with shown(progress) as tell, swept(options.output_dir):
        return run(options, command=command, progress=tell)


@checked
def evaluate(
    model_path: str | Path,
    *,
    num_episodes: int = 1,
    seed: int = 1,
    deterministic: bool = True,
    scenario: str | Path | Scenario | None = None,
    env_id: str | Path | Env | Scenario | None = None,
    env_kwargs: str | Mapping[str, object] | None = None,
    simulator: str | Path | DrugModel | None = None,
    controller: str | Path | DrugModel | None = None,
    accept_changed: bool = False,
    eval_max_steps: int = 0,
    output_dir: str | Path | None = None,
    save_data: bool = False,
    track: bool = False,
    wandb_project: str = "rl-drug-dosage",
    wandb_entity: str | None = None,
    wandb_run_id: str | None = None,
    wandb_tags: str | None = None,
    device: str = "cpu",
    progress: Progress | bool = True,
) -> Evaluation:
    """Evaluate a trained policy on held-out patients.

    Args:
        model_path: a model file, or the folder of a run.
        num_episodes: number of patients, one episode each.
        seed: selects the cohort; disjoint from training patients.
        deterministic: use the mean action instead of a sample.
        scenario: the task, for a model trained on your own scenario.
        env_id: the environment, for a model trained on your own Gymnasium environment: ``module:Id-v0``.
        env_kwargs: its options, as in training, where some are text: a text in a model file may name a file, and is not
            followed unless you repeat it.
        simulator: drug model that simulates the patients; None: the one used in training.
        controller: drug model of the policy's Bayesian estimate, if the scenario does not list it.
        accept_changed: evaluate although the scenario file has changed since training.
        eval_max_steps: cut an episode of your own Gymnasium environment after so many steps; 0: after 2,000 where it
            declares no time limit.
        output_dir: folder for figures, data and report.
        save_data: also save every step as CSV.
        track: track with Weights & Biases; files are then written next to the model unless ``output_dir`` is given.
        wandb_project: name of the W&B project.
        wandb_entity: W&B team or user.
        wandb_run_id: W&B run to resume.
        wandb_tags: comma-separated tags.
        device: ``"cpu"`` or ``"cuda"``.
        progress: True, False or a callback, see `utils.progress`.

    Raises:
        RlDrugDosageError: the model cannot be read, or does not fit the task; a one-line message says why.
    """
    configure(device)
    from rl_drug_dosage.training.config import json_options
    from rl_drug_dosage.training.evaluate import EvaluationOptions
    from rl_drug_dosage.training.evaluate import evaluate as run
    from rl_drug_dosage.utils.wandb import WandbOptions

    tags = tuple(t for t in (t.strip() for t in (wandb_tags or "").split(",")) if t)
    wandb = WandbOptions(
        project=wandb_project, entity=wandb_entity, tags=tags, run_id=wandb_run_id, job_type="evaluate"
    )
    options = EvaluationOptions(
        model_path=Path(model_path),
        output_dir=_folder(output_dir),
        num_episodes=num_episodes,
        seed=seed,
        deterministic=deterministic,
        save_data=save_data,
        wandb=wandb if track else None,
        scenario=scenario,
        env_id=env_id,
        simulator=simulator,
        controller=controller,
        accept_changed=accept_changed,
        eval_max_steps=eval_max_steps,
        env_options=json_options(env_kwargs),
    )
    with shown(progress) as tell, swept(options.output_dir):
        return run(options, progress=tell)


@checked
def benchmark(
    scenario: str | Path | Scenario | None = None,
    *,
    published: str | Path | PublishedTrial | None = None,
    policies: Sequence[object] | Mapping[str, object] = (),
    patients: int | None = None,
    seed: int = 1,
    simulator: str | Path | DrugModel | None = None,
    controller: str | Path | DrugModel | None = None,
    mismatch: bool = False,
    stress: Sequence[str] = (),
    shield: bool = False,
    decisions: int = 0,
    accept_changed: bool = False,
    shard: str | None = None,
    ray: str | None = None,
    output_dir: str | Path | None = None,
    file_format: str = "csv",
    command: str = "",
    device: str = "cpu",
    progress: Progress | bool = True,
) -> Benchmark:
    """Compare dosing policies on the same virtual patients.

    Args:
        scenario: the dosing task; None: that of the published trial.
        published: a published trial. Its scenario, drug models, policies and cohort are the defaults, and the record
            holds its numbers beside ours, see `trials.published_trial`.
        policies: references, with options after commas (``"mipd,prior=widened"``), ``"NAME=REFERENCE"`` to name one; or
            a dict of names and references. Empty: every clinical policy that fits, or those of the published trial.
        patients: number of virtual patients, the same for every policy; None: 1,000, or those of the published trial.
        seed: selects the cohort; disjoint from training and tuning patients.
        simulator: drug model that simulates the patients, the scenario's, one of its test-only ones or your own; None:
            the scenario's first.
        controller: drug model that model-based policies assume and are tuned on; same choices and default, but no
            test-only one.
        mismatch: also run every simulator, test-only ones too, against every controller.
        stress: also run these stress settings; ``["all"]``: all of the scenario's.
        shield: also run every policy behind the safety shield.
        decisions: decisions per course; 0: the scenario's default.
        accept_changed: also include models whose scenario file has changed since training.
        shard: ``"3/16"``: treat the third of sixteen parts of the patients, and write it to ``output_dir`` for `merge`
            in place of the report.
        ray: divide the patients among the workers of a Ray cluster (extra ``ray``): its address, or ``"auto"`` for the
            cluster of this machine, or else workers of its own. Same bits; a killed worker costs the time of its part.
        output_dir: folder for report, JSON and tables.
        file_format: of the patients' table, ``"csv"`` or ``"parquet"`` (needs pyarrow).
        command: the command line quoted in the report.
        device: ``"cpu"`` or ``"cuda"``.
        progress: True, False or a callback, see `utils.progress`.

    Raises:
        RlDrugDosageError: a name is unknown, or a policy does not fit the scenario; a one-line message says why.
    """
    if ray is not None and device != "cpu":
        raise ConfigError(f"Ray's workers compute on CPUs, not on {device}: leave device or ray out")
    configure(device)
    from rl_drug_dosage.trials.benchmark import BenchmarkOptions
    from rl_drug_dosage.trials.benchmark import benchmark as run
    from rl_drug_dosage.trials.shards import Shard

    options = BenchmarkOptions(
        scenario=scenario,
        published=published,
        policies=policies,
        patients=patients,
        seed=seed,
        simulator=simulator,
        controller=controller,
        mismatch=mismatch,
        stress=stress,
        shield=shield,
        decisions=decisions,
        accept_changed=accept_changed,
        shard=None if shard is None else Shard.parsed(shard),
        output_dir=_folder(output_dir),
        file_format=file_format,
    )
    with shown(progress) as tell, swept(options.output_dir):
        if ray is not None:
            from rl_drug_dosage.trials.on_ray import benchmark_on_ray

            return benchmark_on_ray(options, ray, command=command, progress=tell)
        return run(options, command=command, progress=tell)


@checked
def merge(
    parts: Sequence[str | Path],
    *,
    scenario: str | Path | Scenario | None = None,
    published: str | Path | PublishedTrial | None = None,
    policies: Sequence[object] | Mapping[str, object] = (),
    simulator: str | Path | DrugModel | None = None,
    controller: str | Path | DrugModel | None = None,
    output_dir: str | Path | None = None,
    file_format: str = "csv",
    command: str = "",
    device: str = "cpu",
    progress: Progress | bool = True,
) -> Benchmark:
    """The benchmark whose patients were treated in parts, on one machine or many. No patient is treated again.

    What a part was run with is compared by content: a policy file that has changed meanwhile is refused. Policies that
    are tuned are tuned again, for the record. The result equals that of one run, on a CPU to the bit.

    Args:
        parts: a list of files that `benchmark` has written with ``shard``, or of folders with them: all parts of one
            benchmark.
        scenario: as for the parts. It and the next four are given where they were files or objects, since a file does
            not say where code comes from; None or empty: those that the parts name.
        published: as for the parts.
        policies: as for the parts, all of them.
        simulator: as for the parts.
        controller: as for the parts.
        output_dir: folder for report, JSON and tables.
        file_format: of the patients' table, ``"csv"`` or ``"parquet"`` (needs pyarrow).
        command: the command line quoted in the report.
        device: ``"cpu"`` or ``"cuda"``.
        progress: True, False or a callback, see `utils.progress`.

    Raises:
        RlDrugDosageError: a part is missing, damaged, there twice, or of another benchmark.
    """
    configure(device)
    from rl_drug_dosage.trials.benchmark import BenchmarkOptions
    from rl_drug_dosage.trials.benchmark import benchmark as run
    from rl_drug_dosage.trials.shards import asked_again, joined, read_parts

    read = read_parts(parts)
    given = {
        "scenario": scenario,
        "published": published,
        "policies": policies,
        "simulator": simulator,
        "controller": controller,
    }
    options = BenchmarkOptions(
        **asked_again(read[0], given), merged=joined(read), output_dir=_folder(output_dir), file_format=file_format
    )
    with shown(progress) as tell, swept(options.output_dir):
        return run(options, command=command, progress=tell)


@checked
def explain(
    model_path: str | Path,
    *,
    patients: int = 1000,
    seed: int = 1,
    scenario: str | Path | Scenario | None = None,
    simulator: str | Path | DrugModel | None = None,
    controller: str | Path | DrugModel | None = None,
    accept_changed: bool = False,
    output_dir: str | Path | None = None,
    device: str = "cpu",
    progress: Progress | bool = True,
) -> Explanation:
    """Show how a trained policy doses: curves, and a dosing table, beside the Bayesian and the label dose.

    Args:
        model_path: a model file of a dosing scenario, or the folder of a run.
        patients: number of virtual patients; as many again are used to assess the table.
        seed: selects the cohort; disjoint from training patients.
        scenario: the task, for a model trained on your own scenario.
        simulator: drug model that simulates the patients; None: the one used in training.
        controller: drug model assumed by Bayesian dosing; None: the scenario's first.
        accept_changed: explain although the scenario file has changed since training.
        output_dir: folder for text, table and figures.
        device: ``"cpu"`` or ``"cuda"``.
        progress: True, False or a callback, see `utils.progress`.

    Raises:
        RlDrugDosageError: the model cannot be read or explained; a one-line message says why.
    """
    configure(device)
    from rl_drug_dosage.explain.explanation import ExplainOptions
    from rl_drug_dosage.explain.explanation import explain as run

    options = ExplainOptions(
        model_path=Path(model_path),
        patients=patients,
        seed=seed,
        scenario=scenario,
        simulator=simulator,
        controller=controller,
        accept_changed=accept_changed,
        output_dir=_folder(output_dir),
    )
    with shown(progress) as tell, swept(options.output_dir):
        return run(options, progress=tell)


@checked
def recommend(
    history: str | Path | PatientHistory,
    *,
    drug: str | Path | DrugModel | None = None,
    formulas: Mapping[str, Any] | None = None,
    models: Sequence[object] = (),
    scenario: str | Path | Scenario | None = None,
    target: str | None = None,
    prior: str = "published",
    policies: Sequence[str | Path] = ("label",),
    next_dose_h: float | None = None,
    horizon_h: float | None = None,
    amounts_mg: Sequence[float] = (),
    intervals_h: Sequence[float] = (),
    route: str | None = None,
    draws: int = 512,
    seed: int = 1,
    save: str | Path | None = None,
    device: str = "cpu",
) -> Recommendation:
    """Recommend a dose for one patient, whatever was given and measured, whenever.

    Args:
        history: a file of one patient, or a `bedside.PatientHistory`; `recommend_all` reads files of several.
        drug: of a table, which names none, and of a bundle of several; None: what the file says.
        formulas: covariate -> formula, for what the file does not say, as in `bedside.files.read_histories`.
        models: drug models to weigh by how well they predict the levels; empty: those of the drug's scenario, or else
            all of the drug.
        scenario: gives target, harms, limits and the label's rule; None: the built-in one of the drug.
        target: window to aim at, as in `dose`; None: the scenario's goal, or else the model's target.
        prior: ``"published"``, or ``"widened"``: patients as varied as in training.
        policies: set beside Bayesian dosing: ``"label"``, model files, names of policies.
        next_dose_h: when the next dose is due, as the history counts hours; None: an interval after the last one.
        horizon_h: how far ahead the interval that counts ends; None: two days, and at least two intervals.
        amounts_mg: to try; empty: the label's.
        intervals_h: to try, of those on the label; empty: all of them.
        route: of the next doses; None: that of the last dose.
        draws: from the posterior of each model.
        seed: of the draws.
        save: an ``.html``, ``.json`` or ``.txt`` file to write.
        device: ``"cpu"`` or ``"cuda"``.

    Raises:
        RlDrugDosageError: the history cannot be, or nothing can be recommended; a one-line message says why.
    """
    from rl_drug_dosage.bedside import PatientHistory, read_history

    own = history if isinstance(history, PatientHistory) else read_history(Path(history), _drug(drug), formulas)
    found = recommend_all(
        (own,),
        device=device,
        models=models,
        scenario=scenario,
        target=target,
        prior=prior,
        policies=policies,
        next_dose_h=next_dose_h,
        horizon_h=horizon_h,
        amounts_mg=amounts_mg,
        intervals_h=intervals_h,
        route=route,
        draws=draws,
        seed=seed,
    )[0]
    if save is not None:
        found.save(save)
    return found


@checked
def recommend_all(
    histories: str | Path | Sequence[PatientHistory],
    *,
    drug: str | Path | DrugModel | None = None,
    formulas: Mapping[str, Any] | None = None,
    device: str = "cpu",
    **options: Any,
) -> tuple[Recommendation, ...]:
    """Recommend a dose for each patient of a file, in its order.

    Args:
        histories: a file of one or many patients, or their histories.
        drug: as in `recommend`.
        formulas: as in `recommend`.
        device: ``"cpu"`` or ``"cuda"``.
        options: further arguments of `recommend`, but for ``save``; they hold for every patient.

    Raises:
        RlDrugDosageError: as `recommend`; of several patients, the message names the one.
    """
    configure(device)
    from rl_drug_dosage.bedside import Asked, read_histories, recommended_each

    unknown = sorted(set(options) - {f.name for f in dataclasses.fields(Asked)})
    if unknown:
        known = ", ".join(f.name for f in dataclasses.fields(Asked))
        raise ConfigError(f"recommend_all has no option {unknown[0]!r}; allowed: {known}; leave it out")
    asked = Asked(**options)
    if isinstance(histories, str | Path):
        histories = read_histories(Path(histories), _drug(drug), formulas)
    return recommended_each(histories, asked)


def _drug(drug: str | Path | DrugModel | None) -> object:
    """A drug that the caller names: a file or a module becomes its model; a name stays one, it may be generic."""
    from rl_drug_dosage.registry import DRUG, find, names

    if not isinstance(drug, str | Path):
        return drug
    stems = {name.partition("-")[0] for name in names(DRUG)}
    return drug if str(drug) in {*names(DRUG), *stems} else find(DRUG, drug).value


@checked
def own_model(
    name: str,
    *,
    structure: str,
    thetas: Mapping[str, Any],
    omegas: Mapping[object, Any] | None = None,
    error: Mapping[str, Any] | None = None,
    covariates: Mapping[str, Any] | None = None,
    parameters: Callable[..., Any] | None = None,
    concentration: str = "mg/L",
    infusion_h: float = 0.0,
    doses_mg: Sequence[float] = (),
    intervals_h: Sequence[float] = (),
    usual_dose_mg: float | None = None,
    targets: Mapping[str, Any] | None = None,
    source: str = "own",
) -> DrugModel:
    """Make a drug model of your own in a few lines. A drug file says more: sources, other structures, several outputs.

    Args:
        name: small letters, digits and hyphens; before the first hyphen the drug's name.
        structure: ``"1cmt iv"`` to ``"3cmt oral"``; ``iv``, ``oral`` or both, and ``effect`` for an effect compartment.
        thetas: typical values as (number, unit) or (number, unit, source). ``cl``, ``v1``, ``q2``, ``v2``, ``q3``,
            ``v3``, ``ka``, ``ke0``, ``f_depot``, ``lag_depot`` are converted to L, h; others go to ``parameters``.
        omegas: between-subject variability of parameters, log-normal: a number alone is a variance, ``(30, "%")`` a
            CV, ``(0.3, "sd")`` a standard deviation; of a pair of names a covariance, or ``(0.5, "corr")``.
        error: residual error: ``additive`` in the unit of the concentration, ``proportional`` or ``lognormal`` as a
            fraction or ``(15, "%")``, each a standard deviation; both of the first two add as variances
            (``kind="combined1"``: as standard deviations). None: levels cannot be fitted.
        covariates: (typical, low, high), and a distribution unless all virtual patients have the typical value, by a
            name that ends in the unit: ``wt_kg``, ``crcl_ml_per_min``; without one for a factor of 0 and 1.
        parameters: (thetas, covariates) -> those parameters that differ from the thetas, in L and h; `jax.numpy`, and
            no ``if`` on values.
        concentration: unit of levels.
        infusion_h: length of intravenous doses, 0 for a bolus.
        doses_mg: amounts that may be chosen, ascending.
        intervals_h: dosing intervals that may be chosen, the usual one first.
        usual_dose_mg: the usual amount; None: the middle one.
        targets: ``{"trough": (10, 15)}``; None for an open edge.
        source: of numbers that have none of their own.

    Raises:
        DrugModelError, CovariateError: parts that do not fit together, by name; a one-line message says why.
    """
    configure("cpu")
    from rl_drug_dosage.pkpd.own_model import OwnModel

    return OwnModel(
        name=name,
        structure=structure,
        thetas=thetas,
        omegas=omegas or {},
        error=error,
        covariates=covariates or {},
        parameters=parameters,
        concentration=concentration,
        infusion_h=infusion_h,
        doses_mg=tuple(doses_mg),
        intervals_h=tuple(intervals_h),
        usual_dose_mg=usual_dose_mg,
        targets=targets or {},
        source=source,
    ).model()


@checked
def import_model(file: str | Path, out: str | Path | None = None) -> ImportedModel:
    """Read a model that somebody else wrote (rxode2, nlmixr2, NONMEM, PKPDsim, SBML); write it as a drug file.

    Nothing in the file is run. What it does not say is read from NAME.toml beside it.

    Args:
        file: the model file.
        out: the Python file to write; None: nothing is written.

    Raises:
        RlDrugDosageError: the file cannot be read, or the drug file not written; a one-line message says why.
    """
    configure("cpu")
    from rl_drug_dosage.pharmacometrics.readers.importing import import_model as run

    return run(Path(file), _folder(out))


def _folder(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)


def _with_settings(function: Callable[..., Any], left_out: frozenset[str], result: str) -> inspect.Signature:
    """The signature with every setting of training by name, for help and editors."""
    own = [p for p in inspect.signature(function).parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    settings: list[Any] = [
        inspect.Parameter(o.name, inspect.Parameter.KEYWORD_ONLY, default=o.default, annotation=o.kind)
        for o in (*options_of(TrainConfig), *options_of(RunOptions))
        if o.name not in left_out
    ]
    return inspect.Signature([*own, *settings], return_annotation=result)


train.__signature__ = _with_settings(train, frozenset({"env_id"}), "RunResult")  # type: ignore[attr-defined]
sweep.__signature__ = _with_settings(sweep, frozenset({"env_id"}) | NOT_SWEPT, "SweepResult")  # type: ignore[attr-defined]

"""The front door: every command as a function. The command line is a thin shell over these, with the same defaults.

A reference to a drug, scenario, policy or environment is a built-in name, a file, an entry point,
``package.module:NAME`` or the object itself, see `registry`. Nothing is written unless ``output_dir`` says where, but
for training, which always has its run folder. ``progress`` is True (a bar on a terminal, a line in a notebook), False,
or a callback, see `utils.progress`.

This module loads nothing heavy: its functions do, when they are called.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.training.config import RunOptions, TrainConfig, options_of
from rl_drug_dosage.utils.files import swept
from rl_drug_dosage.utils.progress import shown
from rl_drug_dosage.utils.runtime import configure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from rl_drug_dosage.clinic.scenario import Scenario
    from rl_drug_dosage.explain.explanation import Explanation
    from rl_drug_dosage.pharmacometrics.estimation import Estimation, PosteriorKind
    from rl_drug_dosage.pharmacometrics.simulation import Simulation
    from rl_drug_dosage.pkpd.model import DrugModel
    from rl_drug_dosage.pkpd.nonmem_data import Interpolation
    from rl_drug_dosage.training.evaluate import Evaluation
    from rl_drug_dosage.training.run_result import RunResult
    from rl_drug_dosage.training.settings import TrainSettings
    from rl_drug_dosage.trials.benchmark import Benchmark
    from rl_drug_dosage.utils.progress import Progress

__all__ = ["benchmark", "estimate", "evaluate", "explain", "simulate", "train"]


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
        patients: how many.
        dose_mg: amount of each dose; 0 for no drug, None for the drug's usual one.
        interval_h: from dose to dose; None: the drug's usual one.
        duration_h: of each infusion, 0 for a bolus; None: the route's.
        days: length of the course; None: 7 days, but 3 to 1,000 intervals.
        route: its name or a part of it; None: the drug's usual one.
        seed: names the cohort, which is never one of training.
        output_dir: folder of data, record and figure.
        file_format: of the data, ``"csv"`` or ``"parquet"``.
        sample_every_h: between rows of the data; None: up to 200 a patient.
        covariates: values that every patient has.
        variability: False: typical patients, without random effects and residual error.
        device: ``"cpu"`` or ``"cuda"``.
        progress: see the module.

    Raises:
        RlDrugDosageError: what cannot be simulated or written, in one line.
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


def estimate(
    drug: str | Path | DrugModel,
    data: str | Path,
    *,
    occasions: bool = False,
    interpolation: Interpolation = "nocb",
    posterior: PosteriorKind = "laplace",
    seed: int = 1,
    output_dir: str | Path | None = None,
    progress: Progress | bool = True,
) -> Estimation:
    """Estimate each patient's parameters from measured levels (maximum a posteriori).

    Args:
        drug: the drug model.
        data: NONMEM-style CSV file of doses and levels.
        occasions: estimate inter-occasion variability by column OCC.
        interpolation: how covariates hold between records, ``"nocb"`` (backward) or ``"locf"`` (forward).
        posterior: where intervals come from, ``"laplace"`` or ``"resample"`` (importance resampling).
        seed: of the resampling.
        output_dir: folder of tables and figures.
        progress: see the module.

    Raises:
        RlDrugDosageError: what cannot be read, fitted or written, in one line.
    """
    configure("cpu")
    from rl_drug_dosage.pharmacometrics.estimation import EstimationOptions
    from rl_drug_dosage.pharmacometrics.estimation import estimate as run

    options = EstimationOptions(
        drug=drug,
        data=Path(data),
        occasions=occasions,
        interpolation=interpolation,
        posterior=posterior,
        seed=seed,
        output_dir=_folder(output_dir),
    )
    with shown(progress) as tell, swept(options.output_dir):
        return run(options, progress=tell)


def train(
    env: object = TrainConfig.env_id,
    *,
    scenario: str | Path | Scenario | None = None,
    preset: str = "",
    decisions: int = 0,
    resume: str | Path | None = None,
    accept_changed: bool = False,
    command: str = "",
    progress: Progress | bool = True,
    **settings: Unpack[TrainSettings],
) -> RunResult:
    """Train a dosing policy with PPO into a new run folder, or go on with a run.

    Args:
        env: an environment: one of ours, any that Gymnasium knows, or a scenario.
        scenario: the dosing task, in place of ``env``.
        decisions: of a course in a dosing scenario; 0: the scenario's own.
        preset: other defaults: ``"blog"``, ``"fast"``, or ``"scenario"``, those of a dosing scenario.
        resume: the folder of a run to go on with, bit for bit. Its task is given again where it is not built in.
        accept_changed: go on although the scenario's file has changed since.
        command: the command line that is recorded in the run's folder.
        progress: see the module.
        **settings: see `training.config`; ``train --help`` explains each.

    Raises:
        RlDrugDosageError: a setting that is not allowed, or a place that cannot be written, in one line.
    """
    from rl_drug_dosage.training.start import go_on, start

    with shown(progress) as tell:
        if resume is None:
            return start(
                env, settings, scenario=scenario, preset=preset, decisions=decisions, command=command, progress=tell
            )
        if decisions:
            raise ConfigError("--resume goes on as the run was configured: leave out --decisions, or start a new run")
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


def evaluate(
    model_path: str | Path,
    *,
    num_episodes: int = 1,
    seed: int = 1,
    deterministic: bool = True,
    scenario: str | Path | Scenario | None = None,
    env_id: object = None,
    simulator: str | Path | DrugModel | None = None,
    controller: str | Path | DrugModel | None = None,
    accept_changed: bool = False,
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
        num_episodes: how many patients.
        seed: names the cohort, which is never one of training.
        deterministic: give the mean action instead of a sample.
        scenario: the task of a model that was trained on a scenario of your own.
        env_id: the environment of a model that was trained on one of your own, ``module:Id-v0`` for Gymnasium's.
        simulator: drug model that patients follow; None: the one of the training.
        controller: drug model that the policy forms its belief under, where the scenario does not have it.
        accept_changed: evaluate although the scenario's file has changed since the training.
        output_dir: folder of figures, data and report.
        save_data: save every step as CSV, too.
        track: track with Weights & Biases; files then go beside the model unless ``output_dir`` says otherwise.
        wandb_project: name of the W&B project.
        wandb_entity: W&B team or user.
        wandb_run_id: W&B run to go on with.
        wandb_tags: separated by commas.
        device: ``"cpu"`` or ``"cuda"``.
        progress: see the module.

    Raises:
        RlDrugDosageError: a model that cannot be read, or used here, in one line.
    """
    configure(device)
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
    )
    with shown(progress) as tell, swept(options.output_dir):
        return run(options, progress=tell)


def benchmark(
    scenario: str | Path | Scenario,
    *,
    policies: Sequence[object] | Mapping[str, object] = (),
    patients: int = 1000,
    seed: int = 1,
    simulator: str | Path | DrugModel | None = None,
    controller: str | Path | DrugModel | None = None,
    mismatch: bool = False,
    stress: Sequence[str] = (),
    shield: bool = False,
    decisions: int = 0,
    accept_changed: bool = False,
    output_dir: str | Path | None = None,
    command: str = "",
    device: str = "cpu",
    progress: Progress | bool = True,
) -> Benchmark:
    """Compare dosing policies on the same virtual patients.

    Args:
        scenario: the dosing task.
        policies: references, ``"NAME=REFERENCE"`` to name one; or a dict of names and references. Empty: every
            clinical policy that fits.
        patients: how many, the same for every policy.
        seed: names the cohort, which is never one of training or tuning.
        simulator: drug model that patients follow, of the scenario or your own; None: the scenario's first.
        controller: drug model that policies believe, likewise.
        mismatch: every simulator against every controller, too.
        stress: names of stress settings, too; ``["all"]``: all that the scenario has.
        shield: every policy behind the safety shield, too.
        decisions: of a course; 0: the scenario's own.
        accept_changed: a model whose scenario's file has changed since takes part all the same.
        output_dir: folder of report, JSON and CSV.
        command: the command line that the report quotes.
        device: ``"cpu"`` or ``"cuda"``.
        progress: see the module.

    Raises:
        RlDrugDosageError: a name that nothing carries, or a policy that does not fit, in one line.
    """
    configure(device)
    from rl_drug_dosage.trials.benchmark import BenchmarkOptions
    from rl_drug_dosage.trials.benchmark import benchmark as run

    options = BenchmarkOptions(
        scenario=scenario,
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
        output_dir=_folder(output_dir),
    )
    with shown(progress) as tell, swept(options.output_dir):
        return run(options, command=command, progress=tell)


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
        patients: to explain it on; as many again judge the table.
        seed: names the cohort, which is never one of training.
        scenario: the task of a model that was trained on a scenario of your own.
        simulator: drug model that patients follow; None: the one of the training.
        controller: drug model that the Bayesian dose believes; None: the scenario's first.
        accept_changed: explain although the scenario's file has changed since the training.
        output_dir: folder of text, table and figures.
        device: ``"cpu"`` or ``"cuda"``.
        progress: see the module.

    Raises:
        RlDrugDosageError: a model that cannot be read, or explained, in one line.
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


def _folder(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)


def _signature_of_train() -> inspect.Signature:
    """With every setting by name, for help and editors."""
    own = [p for p in inspect.signature(train).parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    settings: list[Any] = [
        inspect.Parameter(o.name, inspect.Parameter.KEYWORD_ONLY, default=o.default, annotation=o.kind)
        for o in (*options_of(TrainConfig), *options_of(RunOptions))
        if o.name != "env_id"
    ]
    return inspect.Signature([*own, *settings], return_annotation="RunResult")


train.__signature__ = _signature_of_train()  # type: ignore[attr-defined]

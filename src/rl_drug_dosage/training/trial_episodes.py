"""A trained policy's trial in a dosing scenario, and its courses as episodes: one cohort for figures and report."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rl_drug_dosage.clinic.observation import observer_of
from rl_drug_dosage.clinic.patient import admit
from rl_drug_dosage.clinic.policy import PolicyDefinition, Setting
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.envs.scenario_env import ScenarioEnv
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.policies.adapters.learnt import dosing_policy
from rl_drug_dosage.ppo.model_file import Model
from rl_drug_dosage.training.episodes import Episodes, Scores
from rl_drug_dosage.trials.benchmark import Benchmark, BenchmarkOptions, benchmark
from rl_drug_dosage.trials.statistics import endpoints
from rl_drug_dosage.trials.trial import Trial
from rl_drug_dosage.utils.device_shape import device_shape
from rl_drug_dosage.utils.progress import Progress, quiet
from rl_drug_dosage.utils.seeding import Stream, key_for

__all__ = ["episodes_of", "trial_of"]


def trial_of(
    model: Model,
    path: Path,
    setting: Setting,
    *,
    patients: int,
    seed: int,
    deterministic: bool,
    progress: Progress = quiet,
) -> tuple[Benchmark, Trial]:
    """The benchmark of one model file, and its trial.

    Args:
        model: the file's contents.
        path: of the file, or of the folder of its run: names the policy.
        setting: from `trials.setting.setting_of`.
        patients: how many.
        seed: of the cohort.
        deterministic: give the mean action instead of a sample.
        progress: reports what is being done.
    """
    title = f"PPO, {path.name}" + ("" if deterministic else ", doses drawn from the policy")
    definition = PolicyDefinition(
        title=title,
        build=lambda own: dosing_policy(model, own, path, samples=not deterministic),
        chance=not deterministic,
        card=model.record,
    )
    name = path.resolve().name if path.is_dir() else path.stem
    options = BenchmarkOptions(
        scenario=setting.task,
        policies={name: definition},
        patients=patients,
        seed=seed,
        simulator=setting.simulator.name,
        controller=setting.controller.name,
        accept_changed=setting.accept_changed,
    )
    found = benchmark(options, progress=progress)
    return found, found.trials[name]


def episodes_of(trial: Trial, setting: Setting, seed: int) -> Episodes:
    """The trial's patients as episodes; one who has left shows no further steps, and counts as out of range."""
    scenario, simulator = setting.scenario, setting.simulator
    start = _start(scenario, simulator, seed, trial.first, trial.patients)
    ends, faces = endpoints(scenario, trial), ScenarioEnv(scenario, simulator, observer_of(scenario))
    return Episodes(
        concentration=np.column_stack([start, trial.values[:, :, -1]]),
        dose=trial.dose,
        reward=trial.reward,
        in_range=trial.alive & (trial.inside > 0.5),
        valid=trial.alive,
        axes=dict(faces.axes),
        windows=faces.windows,
        metrics=np.moveaxis(trial.metrics, 2, 0),
        scores=Scores(
            ends["return"].astype(np.float64),
            ends["attainment_pct"].astype(np.float64),
            trial.inside,
            scenario.judged(),
        ),
    )


def _start(scenario: Scenario, model: DrugModel, seed: int, first: int, count: int) -> Float[np.ndarray, " patient"]:
    """The monitored output of each patient before the first dose."""
    at = model.output_index(scenario.monitoring.output)

    @jax.jit
    def run(stream: Any, numbers: Array) -> Array:
        keys = jax.vmap(lambda i: jax.random.fold_in(stream, i))(numbers)
        return jax.vmap(lambda key: admit(scenario, model, key).start[at])(keys)

    stream = key_for(seed, Stream.EVALUATE)
    size = device_shape().call_size(count)
    parts = [np.asarray(run(stream, begin + jnp.arange(size))) for begin in range(first, first + count, size)]
    return np.concatenate(parts)[:count]

"""A benchmark's courses as a Minari dataset, for offline reinforcement learning.

The doses of a policy are replayed in the scenario's environment on the same patients, so observations, rewards and
episode ends are those that a learner would have seen.
"""

import importlib.util
import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rl_drug_dosage.clinic.policy import Setting
from rl_drug_dosage.envs.functional import FunctionalEnv
from rl_drug_dosage.envs.scenario_env import env_of
from rl_drug_dosage.errors import DependencyError, OutputError, UnknownNameError
from rl_drug_dosage.trials.benchmark import Benchmark
from rl_drug_dosage.trials.entrants import candidates
from rl_drug_dosage.utils.seeding import Stream, key_for

__all__ = ["check", "check_policy", "export", "replay"]


def check() -> None:
    """Raise ``DependencyError`` if the ``minari`` extra is not installed. Imports nothing."""
    if importlib.util.find_spec("minari") is None or importlib.util.find_spec("h5py") is None:
        raise DependencyError.of("a dataset", "Minari", "minari", "leave --minari out")


def check_policy(policy: str, setting: Setting, policies: Sequence[object], *, shield: bool) -> None:
    """Check before a benchmark that a policy will take part; nothing is built or run.

    Args:
        policy: name of the policy whose courses are exported.
        setting: the setting of the benchmark.
        policies: the policies of the benchmark, as given.
        shield: every policy also runs behind the shield, as ``NAME+shield``.

    Raises:
        UnknownNameError: it will not take part.
        ConfigError, BadPluginError, ModelFileError: see `trials.entrants.candidates`.
    """
    names = [one.name for one in candidates(setting, policies)]
    _require(policy, [*names, *(f"{name}+shield" for name in names if shield)])


def _require(policy: str, names: Iterable[str]) -> None:
    if policy not in (known := list(names)):
        raise UnknownNameError("policy of this benchmark", policy, known)


def replay(
    env: FunctionalEnv, seed: int, first: int, dose: Float[np.ndarray, "patient decision"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Observations ``[patient, decision + 1, obs]``, rewards, terminations and truncations of given doses."""

    @jax.jit
    def run(stream: Array, numbers: Array, doses: Array) -> tuple[Array, ...]:
        def one(number: Array, own: Array) -> tuple[Array, ...]:
            state, obs = env.reset(jax.random.key_data(jax.random.fold_in(stream, number)))

            def step(state: Any, amount: Array) -> tuple[Array, Any]:
                out = env.step(state, amount[None], jnp.zeros(2, jnp.uint32))
                return out.state, (out.obs, out.reward, out.terminated, out.truncated)

            _, (rest, reward, terminated, truncated) = jax.lax.scan(step, state, own)
            return jnp.concatenate([obs[None], rest]), reward, terminated, truncated

        return jax.vmap(one)(numbers, doses)

    stream = key_for(seed, Stream.EVALUATE)
    found = run(stream, first + jnp.arange(len(dose)), jnp.asarray(dose, jnp.float32))
    return tuple(np.asarray(a) for a in found)  # type: ignore[return-value]


def export(result: Benchmark, policy: str, folder: Path) -> str:
    """Write ``rl-drug-dosage/<scenario>/<policy>-v0`` and return its path.

    It is written to Minari's folder (``MINARI_DATASETS_PATH``) if that is set, otherwise to ``minari/`` in the folder.

    Raises:
        DependencyError: Minari is not installed.
        UnknownNameError: the policy did not take part.
        OutputError: the dataset cannot be written.
    """
    check()
    _require(policy, result.trials)
    place = Path(os.environ.get("MINARI_DATASETS_PATH") or (folder / "minari").resolve())
    os.environ["MINARI_DATASETS_PATH"] = str(place)

    import gymnasium
    import minari
    from minari.data_collector import EpisodeBuffer

    settings, named = result.record["settings"], result.scenario
    env = env_of(named.value).make(simulator=settings["simulator"])
    trial = result.trials[policy]
    obs, reward, terminated, truncated = replay(env, settings["seed"], trial.first, trial.dose)
    episodes: list[Any] = []
    for i in np.flatnonzero(~trial.failed):
        end = int(np.argmax(terminated[i] | truncated[i])) + 1
        episodes.append(
            EpisodeBuffer(
                id=len(episodes),
                observations=list(obs[i, : end + 1]),
                actions=list(trial.dose[i, :end, None].astype(np.float32)),
                rewards=reward[i, :end].tolist(),
                terminations=terminated[i, :end].tolist(),
                truncations=truncated[i, :end].tolist(),
            )
        )
    name = f"rl-drug-dosage/{named.name}/{policy.replace('+', '-')}-v0"
    try:
        if name in minari.list_local_datasets():
            minari.delete_dataset(name)
        with warnings.catch_warnings():
            # Minari asks for links and contact addresses, which a local dataset does not have.
            warnings.simplefilter("ignore", UserWarning)
            minari.create_dataset_from_buffers(
                name,
                buffer=episodes,
                env=gymnasium.make(named.env_id, simulator=settings["simulator"]),
                algorithm_name=policy,
                author="rl_drug_dosage",
                description=(
                    f"{named.value.title}; doses of {policy} on {len(episodes)} virtual patients of "
                    f"{settings['simulator']}, seed {settings['seed']}. Research and education only."
                ),
                requirements=["rl-drug-dosage"],
                data_format="hdf5",
            )
    except OSError as error:
        raise OutputError(f"cannot write dataset {name} to {place}: {error.strerror or error}") from None
    return f"{place / name}: {len(episodes)} episodes"

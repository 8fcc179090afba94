"""All settings of a training run: one frozen record, documented field by field, checked in one place.

The options of ``rl-drug-dosage train``, their help, the run's ``config.toml`` and the record in the model file are all
derived from this class. Heavy imports are not allowed here, because ``--help`` loads it.
"""

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import UnionType
from typing import Any, Self, get_args, get_type_hints

from rl_drug_dosage.errors import ConfigError, UnknownNameError
from rl_drug_dosage.utils.seeding import HIGHEST_SEED

__all__ = ["EVAL_MAX_STEPS", "NOT_SWEPT", "PRESETS", "RunOptions", "TrainConfig", "json_options", "options_of"]

POLICIES = ("tanh-gaussian", "gaussian", "gaussian-raw")
NORM_UPDATES = ("rollout", "step")
MEMORIES = ("none", "gru")
VECTORIZATIONS = ("sync", "async", "vector_entry_point")

EVAL_MAX_STEPS = 2000
"""Where an environment declares no time limit: the longest that Gymnasium's own environments declare."""


def _option(
    default: Any,
    help: str,  # noqa: A002 - what it is
    *,
    panel: str = "PPO",
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    meta = {"help": help, "panel": panel, "low": low, "high": high, "above": above, "choices": choices}
    return field(default=default, metadata=meta)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The settings that determine the result of a training run (output settings are in ``RunOptions``).

    Raises:
        ConfigError: a value that is not allowed; the message gives its name and range.
    """

    env_id: str = _option("DrugDose-v0", "environment: one of ours, or any registered with Gymnasium", panel="Task")
    env_kwargs: str = _option("{}", "options of the environment, as a JSON object", panel="Task")
    vectorization: str = _option(
        "sync", "how other people's environments are batched", panel="Task", choices=VECTORIZATIONS
    )
    frame_stack: int = _option(
        1, "observe the last N observations and actions (compiled environments)", panel="Task", low=1, high=64
    )
    seed: int = _option(1, "random seed", panel="Task", low=0, high=HIGHEST_SEED)
    seeds: int = _option(
        1, "train N seeds (seed, seed + 1, ...) in parallel in one program", panel="Task", low=1, high=1024
    )
    total_timesteps: int = _option(200_000, "total environment steps", low=1, high=10**12)
    learning_rate: float = _option(3e-4, "Adam optimizer learning rate", above=0.0, high=1.0)
    num_envs: int = _option(1, "parallel environments", low=1, high=1_000_000)
    num_steps: int = _option(2048, "steps per environment and rollout", low=1, high=10_000_000)
    num_minibatches: int = _option(32, "minibatches per update", low=1, high=1_000_000)
    update_epochs: int = _option(10, "PPO epochs per update", low=1, high=1000)
    gamma: float = _option(0.99, "discount factor", low=0.0, high=1.0)
    gae_lambda: float = _option(0.95, "GAE lambda", low=0.0, high=1.0)
    clip_coef: float = _option(0.2, "PPO clip coefficient", above=0.0, high=10.0)
    ent_coef: float = _option(0.0, "entropy coefficient", low=0.0, high=100.0)
    vf_coef: float = _option(0.5, "value function coefficient", low=0.0, high=100.0)
    max_grad_norm: float = _option(0.5, "gradient clipping (global norm)", above=0.0, high=1e9)
    anneal_lr: bool = _option(True, "anneal the learning rate linearly to 0")
    norm_adv: bool = _option(True, "normalise advantages per minibatch")
    clip_vloss: bool = _option(False, "clip the value loss (detail 9: studies find no gain)")
    target_kl: float = _option(0.0, "stop the epochs of an update above this KL (0: never)", low=0.0, high=100.0)
    desired_kl: float = _option(0.0, "adapt the learning rate towards this KL (0: off)", low=0.0, high=100.0)
    policy: str = _option(
        "tanh-gaussian", "how a Gaussian sample becomes a dose (gaussian-raw is CleanRL's)", choices=POLICIES
    )
    init_logstd: float = _option(
        0.0, "log of the policy's initial standard deviation, for actions from -1 to 1", low=-10.0, high=2.0
    )
    hidden_size: int = _option(64, "units in each of the two hidden layers", low=1, high=8192)
    memory: str = _option("none", "recurrent memory of the networks (compiled environments)", choices=MEMORIES)
    memory_size: int = _option(64, "units of each network's recurrent layer", low=1, high=8192)
    privileged_critic: bool = _option(
        False, "give the critic the patient's true state (compiled environments that have one)"
    )
    harm_limit: float = _option(
        0.0,
        "accepted harmful events per step: a penalty per event is raised until the rate is met (Lagrangian; "
        "0: no constraint; compiled environments)",
        low=0.0,
        high=1e6,
    )
    harm_lr: float = _option(
        0.05, "step size of that penalty, per update and fraction of the limit", above=0.0, high=1e3
    )
    norm_obs: bool = _option(True, "normalise observations by their running mean and standard deviation")
    clip_obs: float = _option(10.0, "clip normalised observations to +- this", above=0.0, high=1e9)
    norm_reward: bool = _option(True, "divide rewards by the running standard deviation of the discounted return")
    clip_reward: float = _option(
        0.0, "clip scaled rewards to +- this (0: off; clipping hides the worst events)", low=0.0, high=1e9
    )
    norm_update: str = _option(
        "rollout", "update the normalisers once per rollout, or every step as CleanRL does", choices=NORM_UPDATES
    )
    bootstrap_truncation: bool = _option(True, "bootstrap from the final observation of an episode cut by a time limit")
    eval_freq: int = _option(10, "evaluate every N updates (0 to disable)", panel="Evaluation", low=0, high=10**9)
    eval_episodes: int = _option(5, "episodes per evaluation", panel="Evaluation", low=1, high=1_000_000)
    eval_max_steps: int = _option(
        0,
        "cut an evaluation episode of other people's environments after N steps, and say so "
        f"(0: after {EVAL_MAX_STEPS:,} where the environment declares no time limit)",
        panel="Evaluation",
        low=0,
        high=10**9,
    )

    def __post_init__(self) -> None:
        types = get_type_hints(type(self))
        for f in fields(self):
            _check(f, types[f.name], getattr(self, f.name))
        self.env_options()
        if self.seed + self.seeds - 1 > HIGHEST_SEED:
            raise ConfigError(
                f"--seed {self.seed} with --seeds {self.seeds} exceeds {HIGHEST_SEED:,}: lower one of them"
            )
        if self.target_kl and self.desired_kl:
            raise ConfigError("target_kl and desired_kl exclude each other: give one of them")

    def env_options(self) -> dict[str, Any]:
        """``env_kwargs`` as a dictionary.

        Raises:
            ConfigError: it is not a JSON object, or it contains a NaN.
        """
        options = json_options(self.env_kwargs)
        assert options is not None
        return options

    def to_record(self) -> dict[str, Any]:
        """Plain values, for TOML, JSON and the hyper-parameter table."""
        return dataclasses.asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """The inverse of ``to_record``.

        Raises:
            UnknownNameError: a field that this version does not know.
            ConfigError: a value that is not allowed.
        """
        known = {f.name for f in fields(cls)}
        for name in record:
            if name not in known:
                raise UnknownNameError("setting", name, known)
        return cls(**record)


def json_options(given: str | Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Options of an environment, as a JSON object or a mapping; None: none were given.

    Raises:
        ConfigError: it is not a JSON object, or it contains a NaN.
    """
    if given is None or isinstance(given, Mapping):
        return None if given is None else dict(given)
    try:
        options = json.loads(given, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"env_kwargs must be a JSON object such as '{{\"k\": 0.1}}': {error}") from None
    if not isinstance(options, dict):
        raise ConfigError(f"env_kwargs must be a JSON object such as '{{\"k\": 0.1}}', not {given!r}")
    return options


PRESETS: Mapping[str, Mapping[str, Any]] = {
    # Exactly CleanRL's ppo_continuous_action.py: one environment, a Gaussian in dose units, clipped value loss, no
    # bootstrap at the time limit, normalisers updated every step, scaled rewards clipped.
    "blog": {
        "policy": "gaussian-raw",
        "clip_vloss": True,
        "bootstrap_truncation": False,
        "norm_update": "step",
        "clip_reward": 10.0,
    },
    # Our own: reaches the target in the shortest wall-clock time on two cores.
    "fast": {
        "total_timesteps": 51_200,
        "num_envs": 32,
        "num_steps": 64,
        "num_minibatches": 8,
        "update_epochs": 4,
        "learning_rate": 3e-3,
        "gamma": 0.9,
    },
}


@dataclass(frozen=True)
class Option:
    """One field as a command-line option."""

    name: str
    kind: type
    default: Any
    help: str
    panel: str


def options_of(config: type = TrainConfig) -> tuple[Option, ...]:
    """The fields of a configuration in order, to make options or tables from."""
    types = get_type_hints(config)
    return tuple(
        Option(f.name, types[f.name], f.default, _help(f.metadata), f.metadata["panel"]) for f in fields(config)
    )


def _help(meta: Mapping[str, Any]) -> str:
    return f"{meta['help']}: {', '.join(meta['choices'])}" if meta["choices"] else meta["help"]


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


def _check(f: dataclasses.Field[Any], kind: Any, value: Any) -> None:
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    allowed = (*kinds, int) if float in kinds else kinds
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in kinds):
        raise ConfigError(f"{f.name} must be of type {kinds[0].__name__}, not {value!r}")
    if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
        raise ConfigError(f"{f.name} must be text in the encoding of this machine, not {value!r}")
    meta = f.metadata
    if meta["choices"] and value not in meta["choices"]:
        raise UnknownNameError(f.name.replace("_", "-"), value, meta["choices"])
    low, high, above = meta["low"], meta["high"], meta["above"]
    if low is None and above is None and high is None:
        return
    inside = (low is None or value >= low) and (high is None or value <= high) and (above is None or value > above)
    if not inside or not math.isfinite(value):
        bounds = f"above {above:,} and at most {high:,}" if above is not None else f"from {low:,} to {high:,}"
        raise ConfigError(f"--{f.name.replace('_', '-')} must be {bounds}, not {value!r}")


_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]*")


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Output and tracking of a run; nothing here changes the result.

    Raises:
        ConfigError: a run name that points outside the output folder, or another value that is not allowed.
    """

    run_name: str = _option("", "name of the run's folder (by default made from task, seed and time)", panel="Run")
    runs_dir: str = _option("runs", "folder that holds the runs", panel="Run")
    device: str = _option("cpu", "device (cpu/cuda)", panel="Run", choices=("cpu", "cuda"))
    checkpoint_freq: int = _option(
        10, "write a checkpoint every N updates (and at the end)", panel="Run", low=1, high=10**9
    )
    track: bool = _option(False, "track with Weights & Biases", panel="Run")
    wandb_project: str = _option("rl-drug-dosage", "W&B project name", panel="Run")
    wandb_entity: str = _option("", "W&B entity (team/user)", panel="Run")
    wandb_tags: str = _option("", "comma-separated W&B tags", panel="Run")

    def __post_init__(self) -> None:
        types = get_type_hints(type(self))
        for f in fields(self):
            _check(f, types[f.name], getattr(self, f.name))
        if self.run_name and not _RUN_NAME.fullmatch(self.run_name):
            raise ConfigError(
                f"run name {self.run_name!r} is not allowed: use letters, digits and . _ - = +, starting with a letter "
                "or digit, so that it stays inside the output folder"
            )


NOT_SWEPT = frozenset({"run_name", "track", "wandb_project", "wandb_entity", "wandb_tags"})
"""Settings of a run that a sweep has not: it names its trials itself, and sends nothing."""

"""The settings of a run as keyword arguments, for type checkers and editors: the fields of the configuration."""

from collections.abc import Mapping
from typing import TypedDict

__all__ = ["SweepSettings", "TrainSettings"]


class SweepSettings(TypedDict, total=False):
    """What `sweep` takes by name for all of its trials: as `TrainSettings`, without what names or tracks one run."""

    env_kwargs: str | Mapping[str, object]
    vectorization: str
    frame_stack: int
    seed: int
    seeds: int
    total_timesteps: int
    learning_rate: float
    num_envs: int
    num_steps: int
    num_minibatches: int
    update_epochs: int
    gamma: float
    gae_lambda: float
    clip_coef: float
    ent_coef: float
    vf_coef: float
    max_grad_norm: float
    anneal_lr: bool
    norm_adv: bool
    clip_vloss: bool
    target_kl: float
    desired_kl: float
    policy: str
    init_logstd: float
    hidden_size: int
    memory: str
    memory_size: int
    privileged_critic: bool
    harm_limit: float
    harm_lr: float
    norm_obs: bool
    clip_obs: float
    norm_reward: bool
    clip_reward: float
    norm_update: str
    bootstrap_truncation: bool
    eval_freq: int
    eval_episodes: int
    eval_max_steps: int
    runs_dir: str
    device: str
    checkpoint_freq: int


class TrainSettings(SweepSettings, total=False):
    """What `train` takes by name: the fields of `TrainConfig` without ``env_id``, and of `RunOptions`.

    Their meaning stands there and in ``rl-drug-dosage train --help``. ``env_kwargs`` may also be a mapping, whose drug
    models may be files or values.
    """

    run_name: str
    track: bool
    wandb_project: str
    wandb_entity: str
    wandb_tags: str

"""Train Stable-Baselines3's PPO on a dosing scenario through Gymnasium, and compare it with doing nothing clever.

    python examples/train_with_sb3.py --steps 100000

It needs PyTorch and Stable-Baselines3 (`make install-torch`), which this package itself never imports. The patients are
virtual; research and education only.
"""

import argparse

import gymnasium
import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

import rl_drug_dosage  # noqa: F401 - registers the environments

SCENARIO = "Vancomycin-v2"


def rescaled(env: gymnasium.Env) -> gymnasium.Env:
    """Doses from -1 (none) to 1 (the highest): what a Gaussian policy can start from."""
    return gymnasium.wrappers.RescaleAction(env, np.float32(-1.0), np.float32(1.0))


def in_range_pct(model: PPO, env: VecEnv, patients: int) -> float:
    """Share of decisions that end in the goal's windows, deterministic policy."""
    seen, obs, inside = 0, env.reset(), []
    while seen < patients:
        action, _ = model.predict(obs, deterministic=True)
        obs, _, done, info = env.step(action)
        inside += [i["in_range"] for i in info]
        seen += int(done.sum())
    return 100.0 * float(np.mean(inside))


def main() -> None:
    """Train, and print the share before and after."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--envs", type=int, default=16)
    parser.add_argument("--patients", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    def batch(seed: int, *, training: bool) -> VecNormalize:
        envs = make_vec_env(SCENARIO, n_envs=options.envs, seed=seed, wrapper_class=rescaled)
        return VecNormalize(envs, training=training, norm_reward=training)

    train, test = batch(options.seed, training=True), batch(options.seed + 10_000, training=False)
    test.obs_rms = train.obs_rms
    model = PPO(
        "MlpPolicy", train, n_steps=14 * 8, batch_size=14 * 16, learning_rate=1e-3, gamma=0.97, seed=options.seed
    )
    before = in_range_pct(model, test, options.patients)
    model.learn(options.steps)
    after = in_range_pct(model, test, options.patients)
    print(f"in target: {before:.1f} % before, {after:.1f} % after {options.steps:,} steps")


if __name__ == "__main__":
    main()

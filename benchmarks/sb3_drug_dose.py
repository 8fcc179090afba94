"""Stable-Baselines3's PPO on DrugDose-v0, as a process that ``bench.py`` asks for one timed run after another.

Run by the interpreter that has torch. Each line on standard input is ``THREADS STEPS``; each is answered by one JSON
line on standard output, the first of which comes unasked when everything is warm. Nothing of this package is used:
the environment is plain NumPy scalars, so that no JAX slows the other side down.
"""

import json
import sys
import time
from typing import Any

import gymnasium
import numpy as np
import stable_baselines3
import torch
from stable_baselines3 import PPO

__all__ = ["DrugDose", "main", "make_ppo"]

_HORIZON = 100
_STEPS_PER_UPDATE = 2048


class DrugDose(gymnasium.Env[np.ndarray, np.ndarray]):
    """DrugDose-v0 with its training options: noise 0.01, elimination from U(0.03, 0.08), horizon 100."""

    def __init__(self) -> None:
        self.observation_space = gymnasium.spaces.Box(0.0, 106.0, (1,), np.float32)
        self.action_space = gymnasium.spaces.Box(0.0, 1.0, (1,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Nothing in the body yet, and a new patient."""
        super().reset(seed=seed, options=options)
        self._c, self._t = 0.0, 0
        self._k = self.np_random.uniform(0.03, 0.08)
        return np.zeros(1, np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """``C <- max(0, C (1 - k) + dose + noise)``; 1 inside [2, 3], minus the distance outside."""
        c = max(0.0, self._c * (1.0 - self._k) + float(action[0]) + 0.01 * self.np_random.standard_normal())
        self._c = c
        self._t += 1
        reward = 2.0 - c if c < 2.0 else c - 3.0 if c > 3.0 else -1.0
        return np.array([c], np.float32), -reward, False, self._t >= _HORIZON, {}


def make_ppo(seed: int) -> PPO:
    """PPO at the default settings of rl_drug_dosage, in the terms of Stable-Baselines3.

    Its value loss is ``vf_coef * mse`` where ours has ``vf_coef * mse / 2``: the coefficient is halved. It normalises
    neither observations nor rewards here, which is work that only our side does.
    """
    return PPO(
        "MlpPolicy",
        DrugDose(),
        learning_rate=lambda left: 3e-4 * left,
        n_steps=_STEPS_PER_UPDATE,
        batch_size=_STEPS_PER_UPDATE // 32,
        n_epochs=10,
        gamma=0.99,
        gae_lambda=0.95,
        clip_range=0.2,
        ent_coef=0.0,
        vf_coef=0.25,
        max_grad_norm=0.5,
        policy_kwargs={
            "net_arch": {"pi": [64, 64], "vf": [64, 64]},
            "activation_fn": torch.nn.Tanh,
            "optimizer_kwargs": {"eps": 1e-5},
        },
        seed=seed,
        device="cpu",
    )


def main() -> None:
    """Warm up, then answer until standard input ends."""
    model = make_ppo(seed=1)
    model.learn(_STEPS_PER_UPDATE, log_interval=None)
    versions = {"sb3": stable_baselines3.__version__, "torch": torch.__version__}
    print(json.dumps(versions), flush=True)
    for line in sys.stdin:
        threads, steps = map(int, line.split())
        torch.set_num_threads(threads)
        start = time.perf_counter()
        model.learn(steps, log_interval=None)
        seconds = time.perf_counter() - start
        print(json.dumps({"steps": model.num_timesteps, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()

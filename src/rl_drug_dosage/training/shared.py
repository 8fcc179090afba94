"""Programs that several trainings of one process share: those of equal shape compile once.

The numbers of a configuration are arguments of the compiled program (`program.make_rates`); the rest is its shape.
"""

from collections.abc import Hashable

import jax

from rl_drug_dosage.training.config import TrainConfig
from rl_drug_dosage.training.plan import Plan
from rl_drug_dosage.training.run import Program
from rl_drug_dosage.training.task import Task, make_program

__all__ = ["NUMBERS", "SharedPrograms", "shape_of"]

_SWITCHES = ("ent_coef", "target_kl", "desired_kl", "clip_reward", "harm_limit")
"""At 0 their part of the program is left out; above, they are numbers."""

NUMBERS = frozenset(
    {
        "learning_rate",
        "gamma",
        "gae_lambda",
        "clip_coef",
        "vf_coef",
        "max_grad_norm",
        "clip_obs",
        "harm_lr",
        *_SWITCHES,
        # Values of the first parameters, which are made on the host.
        "init_logstd",
        "seed",
        # The program has the number of updates as an argument.
        "total_timesteps",
        "eval_freq",
        "eval_episodes",
        "eval_max_steps",
    }
)
"""Settings that change no shape: another value needs no compilation."""

_MOST = 16
"""Programs that are held. Each has memory maps, of which Linux allows a process 65,530."""


def shape_of(config: TrainConfig) -> Hashable:
    """What the compiled program of a configuration depends on.

    Args:
        config: of a plan, whose rollout is as long as it is in the program.
    """
    record = config.to_record()
    rest = tuple((name, value) for name, value in record.items() if name not in NUMBERS)
    return rest, tuple(record[name] > 0 for name in _SWITCHES)


class SharedPrograms:
    """Makes programs of one task, those of equal shape with the compiled functions of the first."""

    def __init__(self) -> None:
        self._first: dict[Hashable, Program] = {}

    def __call__(self, plan: Plan, task: Task) -> Program:
        """The program of a plan, see `task.make_program`.

        Raises:
            RlDrugDosageError: see `task.make_program`.
        """
        shape = shape_of(plan.config)
        first = self._first.pop(shape, None)
        if first is None:
            found = make_program(plan, task)
            self._first[shape] = found
            if len(self._first) > _MOST:
                self._first.pop(next(iter(self._first)))
                jax.clear_caches()
            return found
        self._first[shape] = first  # the one that was used last is dropped last
        return first.with_numbers(plan.config, plan.num_updates)

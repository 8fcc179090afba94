"""Which of the two collectors trains on an environment."""

from typing import TYPE_CHECKING

import gymnasium

from rl_drug_dosage.envs import catalog
from rl_drug_dosage.errors import UnknownNameError
from rl_drug_dosage.training.plan import Plan

if TYPE_CHECKING:
    from rl_drug_dosage.training.trainer import Program

__all__ = ["make_program"]


def make_program(plan: Plan) -> "Program":
    """The program that trains: compiled where the environment is ours, on Gymnasium's environments elsewhere.

    Raises:
        UnknownNameError: nobody knows the environment.
        ConfigError: an option of the environment that is not allowed.
    """
    config = plan.config
    env, given = catalog.prepared(config.env_id, config.env_options())
    if env is not None:
        from rl_drug_dosage.training.program import CompiledProgram

        options = env.training(given)
        trained, evaluated = (catalog.make(env, o, config.frame_stack) for o in (options, env.evaluation(options)))
        return CompiledProgram(trained, config, plan.num_updates, options, evaluated)
    if ":" not in config.env_id and config.env_id not in gymnasium.registry:
        raise UnknownNameError("environment", config.env_id, gymnasium.registry)
    from rl_drug_dosage.training.gym_program import GymProgram

    return GymProgram(config, plan.num_updates)

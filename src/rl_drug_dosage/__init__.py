"""Dosing policies trained with PPO on virtual patients, and compared with current clinical practice.

For research and education only; nothing here is meant to treat a patient.

Importing the package registers its environments with Gymnasium; JAX is loaded by the part that needs it.
"""

from typing import Any

import gymnasium

from rl_drug_dosage import registry

__all__ = ["__version__", "load_policy"]


def _register() -> None:
    """Every environment under its id, and ``DosingScenario-v0`` for scenarios that are not built in."""
    rooms = (registry.ENVIRONMENT.room, registry.SCENARIO.room)
    ids = {name: {"env": name} for room in rooms for name in map(registry.env_id_of, registry.modules(room))}
    for name, kwargs in {**ids, "DosingScenario-v0": {}}.items():
        if name not in gymnasium.registry:
            gymnasium.register(
                id=name,
                entry_point="rl_drug_dosage.envs.faces:make_env",
                vector_entry_point="rl_drug_dosage.envs.faces:make_vector_env",
                kwargs=kwargs,
            )


_register()


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("rl-drug-dosage")
    if name == "load_policy":
        from rl_drug_dosage.trials.bedside import load_policy

        return load_policy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

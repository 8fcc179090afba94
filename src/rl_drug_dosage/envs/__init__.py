"""Environments for learners: pure functions, and their Gymnasium faces. ``<name>_v<n>.py`` defines ``ENV``."""

from typing import Any

__all__ = ["DrugDoseEnv"]


def __getattr__(name: str) -> Any:
    # Listing the environments imports this package: what needs JAX and Gymnasium waits until it is asked for.
    if name == "DrugDoseEnv":
        from rl_drug_dosage.envs.faces import DrugDoseEnv

        return DrugDoseEnv
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Dosing policies trained with PPO on virtual patients, and tested against what a clinic does today.

For research and education only; nothing here is meant to treat a patient.

Importing the package is cheap: JAX, NumPy and Gymnasium are loaded by the part that needs them. The environments
are registered with Gymnasium as soon as both packages are imported, in whichever order.
"""

from typing import Any

from rl_drug_dosage import _gymnasium_registration

__all__ = ["__version__", "load_policy"]

_gymnasium_registration.install()


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("rl-drug-dosage")
    if name == "load_policy":
        from rl_drug_dosage.evaluation.bedside import load_policy

        return load_policy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

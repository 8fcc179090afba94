"""Dosing policies trained with PPO on virtual patients, and compared with current clinical practice.

For research and education only; nothing here is meant to treat a patient.

    import rl_drug_dosage as rldd

    result = rldd.benchmark("vancomycin", policies=["mipd", "label"], patients=200)
    result.plot()

Every command of ``rl-drug-dosage`` is a function here, with the same defaults. Importing the package registers its
environments with Gymnasium; JAX is loaded by the part that needs it.
"""

import importlib
from typing import TYPE_CHECKING, Any

import gymnasium

from rl_drug_dosage import registry

# Some subpackages share a name with a public function. Importing them first keeps the name for the function.
importlib.import_module("rl_drug_dosage.explain")

from rl_drug_dosage.api import (  # noqa: E402 - see above
    benchmark,
    compare,
    dose,
    estimate,
    evaluate,
    explain,
    import_model,
    merge,
    own_model,
    recommend,
    recommend_all,
    simulate,
    sweep,
    train,
    validate_model,
)
from rl_drug_dosage.registry import load_drug, load_scenario  # noqa: E402 - see above

if TYPE_CHECKING:
    from rl_drug_dosage.checks import check_drug, check_policy, check_scenario
    from rl_drug_dosage.trials.bedside import load_policy
    from rl_drug_dosage.trials.export import export_onnx

    __version__: str

__all__ = [
    "__version__",
    "benchmark",
    "check_drug",
    "check_policy",
    "check_scenario",
    "compare",
    "dose",
    "estimate",
    "evaluate",
    "explain",
    "export_onnx",
    "import_model",
    "load_drug",
    "load_policy",
    "load_scenario",
    "merge",
    "own_model",
    "recommend",
    "recommend_all",
    "simulate",
    "sweep",
    "train",
    "validate_model",
]

_LATER = {
    "check_drug": "rl_drug_dosage.checks",
    "check_policy": "rl_drug_dosage.checks",
    "check_scenario": "rl_drug_dosage.checks",
    "export_onnx": "rl_drug_dosage.trials.export",
    "load_policy": "rl_drug_dosage.trials.bedside",
}
"""Names whose modules load JAX: imported on first access."""


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
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

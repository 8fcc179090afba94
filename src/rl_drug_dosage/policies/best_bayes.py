"""The strongest Bayesian dosing of a task, as chosen on validation patients: the reference of benchmarks.

`mipd` doses as programs at the bedside do. Its variants (`clinic.assumptions`) and ensembles of support patients may be
stronger; which of them is the strongest differs between tasks. ``scripts/choose_bayes.py`` compares them on validation
patients of the controller's model, as published and as varied as in training. It never looks at another model, and no
trial has these patients. ``best_bayes.json`` holds its choices and all that was tried, by scenario and controller.

Elsewhere (a scenario of the user's, other decisions, another controller) nothing was chosen: the default is
``mipd-ensemble,prior=widened,error=assay``, or ``mipd-ensemble`` where the scenario gives no assay error of its own.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rl_drug_dosage.clinic.assumptions import no_assay_error
from rl_drug_dosage.clinic.policy import Chosen, Policy, PolicyDefinition, Setting
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.errors import BadPluginError
from rl_drug_dosage.pkpd import Residual
from rl_drug_dosage.registry import POLICY as POLICIES
from rl_drug_dosage.registry import Found, find, find_scenario, modules, public_name

__all__ = [
    "POLICY",
    "TABLE",
    "Variant",
    "choices",
    "default_variant",
    "strongest_ensemble",
    "strongest_estimate",
    "task_in_table",
    "variant_in",
]

TABLE = Path(__file__).with_name("best_bayes.json")
"""What was chosen, and on what."""
_ENSEMBLE, _ESTIMATE, _ASSAY = "mipd-ensemble", "mipd", ",error=assay"
_WORTH_PCT = 0.5
"""By how much the laboratory's error alone must be better before a policy learns on it: as far as trials call a
difference none."""
_REFERENCE = re.compile(r"(?P<name>[a-z][a-z-]*)(,\w+=[\w.+-]+)*")


@dataclass(frozen=True)
class Variant:
    """The Bayesian dosing of a setting.

    Args:
        reference: as `registry.find` reads it.
        entry: what ``best_bayes.json`` says of it; empty: the default, nothing was chosen for this setting.
    """

    reference: str
    entry: Mapping[str, Any]


@cache
def choices() -> Mapping[str, Mapping[str, Any]]:
    """Environment id -> controller -> entry of ``best_bayes.json``.

    Raises:
        BadPluginError: an entry that names anything but a built-in policy with options. The file is data: what it says
            imports no code.
    """
    found: Mapping[str, Mapping[str, Any]] = json.loads(TABLE.read_text())["scenarios"]
    built_in = {public_name(module) for module in modules(POLICIES.room)}
    for env_id, entries in found.items():
        for controller, entry in entries.items():
            match = _REFERENCE.fullmatch(entry["chosen"])
            if match is None or match["name"] not in built_in:
                raise BadPluginError(
                    f"{TABLE.name}: {entry['chosen']!r} is chosen for {env_id} with {controller}; allowed: a built-in "
                    "policy with options; run scripts/choose_bayes.py again"
                )
    return found


def task_in_table(task: Found[Scenario]) -> str:
    """The environment id of the built-in scenario that a task is; empty: it is another, or a changed one.

    Drug models that a trial adds do not change the task. The scenario is compared by value, so that one that was loaded
    in Python is recognised, and one with other decisions is not.
    """
    ids = [env_id for env_id in choices() if task.is_foreign or env_id == task.env_id]
    return next((env_id for env_id in ids if _same(task.value, find_scenario(env_id).value)), "")


def _same(scenario: Scenario, known: Scenario) -> bool:
    if scenario is known:
        return True
    if scenario.title != known.title or not set(known.models) <= set(scenario.models):
        return False
    # How a policy is trained changes nothing for Bayesian dosing.
    return dataclasses.replace(scenario, models=known.models, drugs=known.drugs, training=known.training) == known


def variant_in(setting: Setting) -> Variant:
    """The Bayesian dosing that is the reference of a setting."""
    env_id = task_in_table(setting.task)
    entry = choices().get(env_id, {}).get(setting.controller.name)
    return Variant(default_variant(setting), {}) if entry is None else Variant(entry["chosen"], entry)


def default_variant(setting: Setting) -> str:
    """The variant where none was chosen."""
    scenario, model = setting.scenario, setting.controller
    own, assay = model.outputs[model.output_index(scenario.monitoring.output)].residual, scenario.monitoring.error
    if no_assay_error(scenario) or own is None or assay is None or _numbers(own) == _numbers(assay):
        return _ENSEMBLE
    return f"{_ENSEMBLE},prior=widened,error=assay"


def strongest_ensemble(setting: Setting) -> dict[str, str]:
    """``prior`` and ``error`` of the strongest `mipd-ensemble` of a setting, of those that were tried, or by default.

    Learnt policies observe its belief, also where another Bayesian dosing is the reference. The published error is what
    a model leaves unexplained, the laboratory's error alone takes the model for the truth. Validation patients do
    follow the model and cannot show what that costs in others: the laboratory's error is assumed only where it gains
    more than `_WORTH_PCT`.
    """
    entry = choices().get(task_in_table(setting.task), {}).get(setting.controller.name, {"tried": ()})
    scores = {each["policy"]: each["score_pct"] for each in entry["tried"] if each["policy"].startswith(_ENSEMBLE)}
    tried = {name: score - _WORTH_PCT * name.endswith(_ASSAY) for name, score in scores.items()}
    reference = max(tried, key=lambda name: tried[name]) if tried else default_variant(setting)
    words = dict(text.split("=") for text in reference.split(",")[1:])
    return {"prior": "published", "error": "published", **words}


def strongest_estimate(setting: Setting) -> str:
    """The variant of `mipd` that is the reference of a setting; empty: another Bayesian dosing is."""
    reference = variant_in(setting).reference
    return reference if reference.split(",")[0] == _ESTIMATE else ""


def _numbers(residual: Residual) -> tuple[object, ...]:
    return residual.kind, residual.a, residual.b, residual.c, residual.low, residual.high


def build(setting: Setting) -> Policy:
    """Build the variant of the setting."""
    definition: PolicyDefinition = find(POLICIES, variant_in(setting).reference).value
    return definition.build(dataclasses.replace(setting, options={}))


def chosen_in(setting: Setting) -> Chosen:
    """Title and values of the variant of the setting."""
    variant = variant_in(setting)
    if not variant.entry:
        return Chosen(
            f"Bayesian dosing by default, {variant.reference}: none was chosen for {setting.task.name} and "
            f"{setting.controller.name} (scripts/choose_bayes.py compares the variants)",
            {"variant": variant.reference},
        )
    tried = {each["policy"]: each for each in variant.entry["tried"]}
    return Chosen(
        f"the strongest Bayesian dosing on validation patients: {variant.reference}",
        {
            "variant": variant.reference,
            "candidates": len(tried),
            "attainment_pct": tried[variant.reference]["score_pct"],
        },
    )


POLICY = PolicyDefinition(
    title="the strongest Bayesian dosing on validation patients", build=build, chosen_in=chosen_in
)

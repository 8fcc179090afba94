"""How few steps integrate the intervals of a model without a closed form, for support patients.

A trial's simulator needs steps that are right for every patient. Support patients stand for what is not known: an
error far below that of the assay changes nothing. How many steps are enough is found by a search
(`clinic.ensemble.mesh_search`), which compiles for seconds. What it found for the scenarios of the package stands in
``meshes.json`` (``scripts/find_meshes.py`` writes it), so that it is made for other ones only, once in a process.
"""

import dataclasses
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from rl_drug_dosage.clinic.ensemble.mesh_search import Steps, found, graded, plain
from rl_drug_dosage.clinic.ensemble.steps import Mesh, mesh_from, phases_of, steps_apply
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.utils.fingerprint import NoFingerprintError, value_digest
from rl_drug_dosage.utils.held_programs import Held

__all__ = ["CARRIED", "FORESEEN", "TABLE", "key_of", "mesh_of"]

CARRIED, FORESEEN = 0.005, 0.01
"""Largest relative error of an output in 95 % of patients, for support patients that are carried along and for plans.
Assays err by 1-20 %, and errors of steps do not add up to a bias: every support patient has its own."""
TABLE = Path(__file__).with_name("meshes.json")
"""What was found: `key_of` -> ``steps`` ((count, grade) of every phase, or null), and what it is about."""


def mesh_of(model: DrugModel, scenario: Scenario, tolerance: float) -> tuple[Mesh, ...] | None:
    """The mesh of every phase of an interval; None where only `clinic.interval.play` will do.

    Args:
        model: that the support patients follow.
        scenario: the task.
        tolerance: `CARRIED` or `FORESEEN`.
    """
    if not steps_apply(model, scenario):
        return None
    key = (model, plain(scenario), tolerance)
    # Threads that prepare policies side by side ask for the same one.
    return _MESHES.get(key, lambda: _mesh(model, scenario, _known(model, scenario, tolerance)))


_MESHES: Held[tuple[Mesh, ...] | None] = Held(128)


def _mesh(model: DrugModel, scenario: Scenario, steps: Steps | None) -> tuple[Mesh, ...] | None:
    if steps is None:
        return None
    ends = [graded(phase.end_h - phase.start_h, *each) for phase, each in zip(phases_of(scenario), steps, strict=True)]
    return tuple(mesh_from(scenario, phase, each) for phase, each in zip(phases_of(scenario), ends, strict=True))


def _known(model: DrugModel, scenario: Scenario, tolerance: float) -> Steps | None:
    """From the table, or by a search."""
    try:
        entry = _table().get(key_of(model, scenario, tolerance))
    except NoFingerprintError:
        entry = None
    if entry is None:
        return found(model, scenario, tolerance)
    return None if entry["steps"] is None else tuple((count, grade) for count, grade in entry["steps"])


@cache
def _table() -> Mapping[str, Any]:
    entries: Mapping[str, Any] = json.loads(TABLE.read_text())
    return entries


_COURSE_OF_MODEL = (
    *("structure", "thetas", "parameters", "etas", "covariates", "correlations", "occasion_etas"),
    *("occasion_correlations", "finish"),
)
_NO_COURSE = (
    *("title", "models", "reward", "reward_text", "label", "label_text", "strata", "look_ahead", "estimated_at"),
    *("estimated", "shield", "training", "test_only", "drugs", "monitoring"),
)
"""Fields of a drug model that a patient's course depends on, and fields of a scenario that it does not depend on."""


def key_of(model: DrugModel, scenario: Scenario, tolerance: float) -> str:
    """What a search depends on, as a key of the table.

    Raises:
        NoFingerprintError: functions from outside the package.
    """
    own = [getattr(model, name) for name in _COURSE_OF_MODEL]
    task = {f.name: getattr(scenario, f.name) for f in dataclasses.fields(scenario) if f.name not in _NO_COURSE}
    outputs = [(output.name, output.value) for output in model.outputs]
    return value_digest(own, outputs, task, scenario.monitoring.output, tolerance)

"""The contract of a dosing scenario."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from rl_drug_dosage.checks.declared import covariates_of
from rl_drug_dosage.checks.report import (
    Check,
    Finding,
    Level,
    Report,
    Tell,
    check,
    require_level,
    run_checks,
    sourced,
    wrong,
)
from rl_drug_dosage.checks.scenario_fit import FIT
from rl_drug_dosage.checks.scenario_ladder import THOROUGH
from rl_drug_dosage.checks.scenario_laws import QUICK
from rl_drug_dosage.checks.scenario_parts import PARTS
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.stress import STRESSES
from rl_drug_dosage.registry import Found, find_scenario
from rl_drug_dosage.utils.arguments import checked

__all__ = ["check_scenario"]


@checked
def check_scenario(
    scenario: str | Path | Scenario | Found[Scenario], *, level: Level = "quick", tell: Tell | None = None
) -> Report:
    """Check a scenario against the contract of the built-in ones.

    Args:
        scenario: a name, a file, the object, or the result of `registry.find`.
        level: extent of the checks, see `Level`.
        tell: receives the name of each check before it runs.

    Returns:
        The findings; `Report.raise_if_any` raises them as an error.

    Raises:
        UnknownNameError, BadPluginError: an unknown scenario, or a file that defines none.
    """
    require_level(level)
    found = scenario if isinstance(scenario, Found) else find_scenario(scenario)
    stages: list[tuple[Check[Found[Scenario]], ...]] = [(_words, *(_of_value(c) for c in PARTS))]
    stages.append(tuple(_of_value(c) for c in FIT))
    if level != "declared":
        stages.append(tuple(_of_value(c) for c in QUICK))
    if level == "thorough":
        stages.append(THOROUGH)
    return run_checks("scenario", found.name, found, stages, tell)


def _of_value(own: Check[Scenario]) -> Check[Found[Scenario]]:
    return Check(own.name, own.field, lambda found: own.find(found.value))


@check("covariates")
def _words(found: Found[Scenario]) -> Iterable[Finding]:
    """Titles, texts and sources; at least one stress applies."""
    scenario = found.value
    for field in ("title", "label_text", "reward_text"):
        text, least = getattr(scenario, field), 1 if field == "title" else 21
        if field != "title":
            yield from sourced(field, text, least)
        elif not text:
            yield wrong(field, "empty", "one line for tables", "write it")
    parts: tuple[tuple[str, Any], ...] = (
        ("dosage", scenario.dosage),
        ("monitoring", scenario.monitoring),
        *((f"goal.targets[{i}]", t) for i, t in enumerate(scenario.goal.targets)),
        *((f"goal.harms[{i}]", h) for i, h in enumerate(scenario.goal.harms)),
        *((f"drifts[{i}]", d) for i, d in enumerate(scenario.drifts)),
    )
    for at, part in parts:
        yield from sourced(f"{at}.source", part.source, 11)
    yield from covariates_of(scenario.covariates, source=11)
    if not any(stress.change(scenario) is not None for stress in STRESSES.values()):
        yield wrong("monitoring", "no stress setting applies", "one of " + ", ".join(STRESSES), "see `clinic.stress`")
    if not scenario.judged().any():
        yield wrong("goal.judged", str(scenario.goal.judged), "at least one decision", "name one")
    if not np.isfinite(scenario.edges()[2]).all():
        yield wrong("goal.targets", "an aim that is not finite", "finite", "correct the edges")

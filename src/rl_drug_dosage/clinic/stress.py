"""Stress settings: problems of real clinics, as changes to a scenario. Policies see of them what `told` has."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Rule, Scenario
from rl_drug_dosage.errors import ConfigError, UnknownNameError
from rl_drug_dosage.pkpd import Covariate, Uniform, Values

__all__ = ["STRESSES", "Stress", "stressed", "told"]


@dataclass(frozen=True)
class Stress:
    """One setting: its title, and a function that changes a scenario (None if it does not apply)."""

    title: str
    rule: Callable[[Scenario], Scenario | None]

    def change(self, scenario: Scenario) -> Scenario | None:
        """The scenario under it; None if it does not apply, or if the scenario is like that already."""
        changed = self.rule(scenario)
        return None if changed == scenario else changed


def _monitoring(scenario: Scenario, **changes: Any) -> Scenario:
    return dataclasses.replace(scenario, monitoring=dataclasses.replace(scenario.monitoring, **changes))


def _double_error(scenario: Scenario) -> Scenario:
    return _monitoring(scenario, error_scale=2.0 * scenario.monitoring.error_scale)


def _missed_samples(scenario: Scenario) -> Scenario:
    return _monitoring(scenario, missed=max(0.3, scenario.monitoring.missed))


def _missed_doses(scenario: Scenario) -> Scenario | None:
    # ReiL's adherence model: mean 0.80 and SD 0.21 of the doses are taken. Bedside infusions are not missed.
    if scenario.dosage.duration_h > 0:
        return None
    adherence = dataclasses.replace(scenario.adherence, missed_mean=0.20, missed_sd=0.21)
    return dataclasses.replace(scenario, adherence=adherence)


def _delayed(scenario: Scenario) -> Scenario:
    extra = 2.0 * scenario.schedule.interval_h
    return _monitoring(scenario, turnaround_h=scenario.monitoring.turnaround_h + extra)


def _shift(scenario: Scenario, ranges: dict[str, tuple[float, float]]) -> Scenario | None:
    """Draw the first of these covariates that the scenario has uniformly over part of its range."""

    def moved(c: Covariate) -> Covariate:
        low, high = ranges[c.name]
        low, high = max(low, c.low), min(high, c.high)
        return dataclasses.replace(c, distribution=Uniform(low, high)) if low < high else c

    names = [c.name for c in scenario.covariates if c.name in ranges]
    if not names:
        return None
    covariates = tuple(moved(c) if c.name == names[0] else c for c in scenario.covariates)
    return dataclasses.replace(scenario, covariates=covariates)


def _elderly(scenario: Scenario) -> Scenario | None:
    return _shift(scenario, {"age_y": (75.0, 95.0)})


def _obese(scenario: Scenario) -> Scenario | None:
    return _shift(scenario, {"wt_kg": (110.0, 180.0), "bsa_m2": (2.3, 2.8)})


def _renal(scenario: Scenario) -> Scenario | None:
    # KDIGO stages G3b to G5 begin at 45 mL/min.
    return _shift(scenario, {"crcl_ml_per_min": (10.0, 45.0), "scr_umol_per_l": (250.0, 600.0)})


def _labelled(factor: float, scenario: Scenario) -> Scenario:
    rule = partial(_scaled, scenario.label, factor, scenario.dosage.amounts[-1])
    return dataclasses.replace(scenario, label=rule)


def _scaled(rule: Rule, factor: float, most: float, facts: Values, record: Record) -> Array:
    return jnp.minimum(factor * rule(facts, record), most)


STRESSES = {
    "double-error": Stress("assay error doubled", _double_error),
    "missed-samples": Stress("3 of 10 samples missed", _missed_samples),
    "missed-doses": Stress("1 of 5 doses missed, unreported", _missed_doses),
    "delayed-levels": Stress("results two decisions later", _delayed),
    "label-halved": Stress("the label's doses are half of what they should be", partial(_labelled, 0.5)),
    "label-doubled": Stress("the label's doses are twice what they should be", partial(_labelled, 2.0)),
    "elderly": Stress("all patients aged 75 or older", _elderly),
    "obese": Stress("all patients weigh 110 kg or more", _obese),
    "renal-impairment": Stress("renal impairment in all patients (creatinine clearance below 45 mL/min)", _renal),
}


@lru_cache
def stressed(scenario: Scenario, name: str) -> Scenario:
    """The scenario under a stress.

    Raises:
        UnknownNameError: there is no such stress.
        ConfigError: it does not apply to this scenario.
    """
    if name not in STRESSES:
        raise UnknownNameError("stress", name, STRESSES)
    changed = STRESSES[name].change(scenario)
    if changed is None:
        fitting = [n for n, s in STRESSES.items() if s.change(scenario) is not None]
        raise ConfigError(f"stress {name!r} does not apply to {scenario.title!r}: there are {', '.join(fitting)}")
    return changed


def told(scenario: Scenario, name: str) -> Scenario:
    """The scenario as those see it who dose under a stress: its label, and how late results are. The rest is hidden.

    Args:
        scenario: without the stress.
        name: of the stress; empty: none.

    Raises:
        UnknownNameError, ConfigError: see `stressed`.
    """
    if not name:
        return scenario
    changed = stressed(scenario, name)
    monitoring = dataclasses.replace(scenario.monitoring, turnaround_h=changed.monitoring.turnaround_h)
    return dataclasses.replace(scenario, label=changed.label, monitoring=monitoring)

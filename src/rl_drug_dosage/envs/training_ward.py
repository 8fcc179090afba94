"""The patients of training: more varied than those of a trial, with wrong charts, under a stress."""

import dataclasses
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.simulators import randomised, simulator_of
from rl_drug_dosage.clinic.stress import stressed
from rl_drug_dosage.envs.functional import require
from rl_drug_dosage.errors import ConfigError, UnknownNameError
from rl_drug_dosage.pkpd import DrugModel

__all__ = ["PART", "TrainingWard", "misread", "training_ward"]

PART = ("simulator", "randomise", "stress", "spread", "misread")
"""Options in which the components of a mixture may differ."""
_OWN_CHANCE = 2**30
"""Apart from the numbers of decisions, which patients draw with."""


class TrainingWard(NamedTuple):
    """Where patients of training are treated.

    Args:
        scenario: the task with its cohort and monitoring.
        model: that patients follow.
        misread: covariate, and the standard deviation of ln of what a chart says over what is true.
    """

    scenario: Scenario
    model: DrugModel
    misread: tuple[tuple[str, float], ...]


def training_ward(
    scenario: Scenario,
    simulator: str,
    randomise: Any = 0.0,
    stress: Any = "",
    spread: Any = None,
    misread: Any = None,
) -> TrainingWard:
    """The ward for options of an environment.

    Args:
        scenario: the task.
        simulator: drug model that patients follow.
        randomise: amount of domain randomisation, see `simulators.randomised`, 0 to 3.
        stress: a name of `clinic.stress`; empty: none.
        spread: parameter -> standard deviation of ln, in place of what the scenario gives (`Scenario.spread`).
        misread: covariate -> standard deviation of ln of what the chart says over the truth.

    Raises:
        ConfigError, UnknownNameError: a value that is not allowed.
    """
    number = isinstance(randomise, int | float) and not isinstance(randomise, bool)
    require(number and 0.0 <= randomise <= 3.0, "randomise", randomise, "a number from 0 to 3")
    require(isinstance(stress, str), "stress", stress, "the name of a stress")
    wrong = _sizes("misread", misread, "a covariate", _measured(scenario))
    ward = stressed(scenario, stress) if stress else scenario
    plain = simulator_of(ward, simulator)
    covariates = {c.name: jnp.asarray(c.typical, dtype=float) for c in plain.covariates}
    # An environment may be made while a program is traced.
    with jax.ensure_compile_time_eval():
        parameters = tuple(plain.parameters(plain.theta_values(), covariates))
    own = _sizes("spread", spread, "a parameter", parameters)
    if randomise == 0:
        if own:
            raise ConfigError(
                f"environment option spread is {dict(own)} where randomise is 0: give randomise, such as 1"
            )
        return TrainingWard(ward, plain, wrong)
    if own:
        ward = dataclasses.replace(ward, spread={**ward.spread, **dict(own)})
    ward = _many_wards(ward, float(randomise))
    return TrainingWard(ward, randomised(ward, simulator, float(randomise)), wrong)


def misread(errors: tuple[tuple[str, float], ...], record: Record, key: PRNGKeyArray) -> Record:
    """A chart with wrong covariates, the same throughout a course: x exp(sd e), e ~ N(0, 1), by the patient's key."""
    covariates = dict(record.covariates)
    for i, (name, sd) in enumerate(errors):
        factor = jnp.exp(sd * jax.random.normal(jax.random.fold_in(key, _OWN_CHANCE + i)))
        covariates[name] = covariates[name] * factor
    found: Record = eqx.tree_at(lambda r: r.covariates, record, covariates)
    return found


def _measured(scenario: Scenario) -> tuple[str, ...]:
    """Covariates that are amounts, and not categories."""
    return tuple(c.name for c in scenario.covariates if not c.codes)


def _sizes(option: str, given: Any, what: str, known: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
    """Standard deviations by name."""
    given = {} if given is None else given
    require(isinstance(given, Mapping), option, given, f"an object of {what}'s name and a standard deviation of ln")
    for name, size in given.items():
        if name not in known:
            raise UnknownNameError(f"{what.rsplit(maxsplit=1)[-1]} in environment option {option}", str(name), known)
        fits = isinstance(size, int | float) and not isinstance(size, bool) and 0.0 <= size <= 2.0
        require(fits, f"{option}.{name}", size, "a number from 0 to 2")
    return tuple((str(name), float(size)) for name, size in given.items())


@lru_cache
def _many_wards(scenario: Scenario, amount: float) -> Scenario:
    """The scenario with more varied assays and covariates, for randomised patients.

    Each patient's assay error is multiplied by a log-normal factor (SD of the logarithm: 0.3 for an amount of 1).
    Covariates listed in ``Scenario.elsewhere`` follow the distributions given there.
    """
    monitoring = dataclasses.replace(scenario.monitoring, error_spread=0.3 * amount)
    covariates = tuple(
        dataclasses.replace(c, distribution=scenario.elsewhere.get(c.name, c.distribution)) for c in scenario.covariates
    )
    return dataclasses.replace(scenario, monitoring=monitoring, covariates=covariates)

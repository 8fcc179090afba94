"""The drug models of a scenario, as simulator of the patients and as model of a controller."""

import dataclasses
from functools import lru_cache

import jax.numpy as jnp

from rl_drug_dosage.clinic.fit import refuse_test_only
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import DrugModel, Eta, FixedStep, OdeSystem, Param
from rl_drug_dosage.pkpd.population import omega_squared

__all__ = ["estimable", "model_of", "randomised", "simulator_of"]


@lru_cache
def model_of(scenario: Scenario, name: str) -> DrugModel:
    """A drug model as used by a controller of this scenario: fixed substeps, and the scenario's etas if it has none.

    Raises:
        UnknownNameError: the name is not one of the scenario's models.
        ConfigError: the model is test-only, or has no random effects on the parameters that the scenario lets a
            controller estimate.
    """
    refuse_test_only(scenario, name)
    return estimable(scenario, _whole(scenario, name))


def estimable(scenario: Scenario, model: DrugModel) -> DrugModel:
    """The model without the random effects that the scenario does not let a controller estimate.

    Raises:
        ConfigError: it has none on the parameters that may be estimated.
    """
    if scenario.estimated is None:
        return model
    etas = tuple(eta for eta in model.etas if eta.parameter in scenario.estimated)
    if not etas:
        raise ConfigError(f"{scenario.title}: {model.name} has no random effects on {scenario.estimated}")
    kept = {eta.parameter for eta in etas}
    correlations = tuple(c for c in model.correlations if c.first in kept and c.second in kept)
    return dataclasses.replace(model, etas=etas, correlations=correlations)


def _whole(scenario: Scenario, name: str) -> DrugModel:
    model = scenario.drug(name)
    structure = model.structure
    if isinstance(structure, OdeSystem):
        structure = structure.with_method(FixedStep(scenario.schedule.step_h))
    if structure is model.structure and model.etas:
        return model
    return dataclasses.replace(model, structure=structure, etas=model.etas or scenario.etas)


@lru_cache
def simulator_of(scenario: Scenario, name: str) -> DrugModel:
    """A drug model as the simulator of this scenario, with the scenario's day-to-day variability added.

    Raises:
        UnknownNameError: the name is not one of the scenario's models, nor of its test-only ones.
    """
    model = _whole(scenario, name)
    taken = {eta.parameter for eta in model.occasion_etas}
    extra: tuple[Eta, ...] = tuple(eta for eta in scenario.daily_etas if eta.parameter not in taken)
    return dataclasses.replace(model, occasion_etas=(*model.occasion_etas, *extra))


@lru_cache
def randomised(scenario: Scenario, name: str, amount: float) -> DrugModel:
    """A simulator for domain randomisation: patients vary more than in the published model.

    Every variance of a log-normal random effect increases by (amount s)^2, and every parameter of ``Scenario.spread``
    without a random effect gets one. s is the scenario's spread of that parameter (0.3 if not given). This variability
    is not published; it makes a policy robust.

    Raises:
        ConfigError: the model is test-only.
    """
    refuse_test_only(scenario, name)
    model = simulator_of(scenario, name)
    why = "variability for training, this project's choice"

    def extra(parameter: str) -> float:
        return (amount * scenario.spread.get(parameter, 0.3)) ** 2

    wider = tuple(
        dataclasses.replace(
            eta, size=Param(omega_squared(eta) + extra(eta.parameter), "1", why, eta.size.meaning), kind="var"
        )
        if eta.form == "lognormal"
        else eta
        for eta in model.etas
    )
    covariates = {c.name: jnp.asarray(c.typical, dtype=float) for c in model.covariates}
    returned = set(model.parameters(model.theta_values(), covariates))
    have = {eta.parameter for eta in model.etas}
    new = tuple(
        Eta(parameter, Param(extra(parameter), "1", why, f"variance of ln {parameter}"), kind="var")
        for parameter in scenario.spread
        if parameter in returned - have
    )
    return dataclasses.replace(model, etas=(*wider, *new))

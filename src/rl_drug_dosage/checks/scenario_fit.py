"""Checks that drug models fit a scenario: covariates, outputs, compartment, random effects; and its label doses."""

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from rl_drug_dosage.checks.report import Finding, check, doubt, wrong
from rl_drug_dosage.clinic.record import empty_record
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.scenario_faults import beyond
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.envs.scenario_env import env_of
from rl_drug_dosage.errors import RlDrugDosageError
from rl_drug_dosage.pkpd import DrugModel

__all__ = ["FIT", "OFTEN", "asks_beyond"]

OFTEN = 0.1
"""Fraction of label doses that may lie beyond the grid: its ends limit the doses of rare patients."""
_DRAWN = 50


def _drugs(scenario: Scenario) -> list[DrugModel]:
    """The drug models that are not test-only; `Scenario` itself checks that all exist and fit, see `clinic.fit`."""
    return [scenario.drug(name) for name in scenario.models]


@check("clocks")
def _clocks_are_read(scenario: Scenario) -> Iterable[Finding]:
    read = {c.name for drug in _drugs(scenario) for c in drug.covariates}
    for i, clock in enumerate(scenario.clocks):
        if clock.name not in read:
            came = f"{clock.name!r}, which no model reads"
            yield wrong(f"clocks[{i}].name", came, "a model's covariate", "rename it")


@check("models")
def _models_have_the_named_parameters(scenario: Scenario) -> Iterable[Finding]:
    returned = {
        drug.name: set(drug.parameters(drug.theta_values(), {c.name: jnp.asarray(c.typical) for c in drug.covariates}))
        for drug in _drugs(scenario)
    }
    for group in ("etas", "daily_etas"):
        for i, eta in enumerate(getattr(scenario, group)):
            for name, parameters in returned.items():
                if eta.parameter not in parameters:
                    came = f"{eta.parameter!r}, which {name} does not return"
                    yield wrong(f"{group}[{i}].parameter", came, ", ".join(sorted(parameters)), "correct the name")
    anywhere = set().union(*returned.values()) if returned else set()
    for name in scenario.spread:
        if name not in anywhere:
            yield wrong(f"spread.{name}", "no parameter of any model", ", ".join(sorted(anywhere)), "correct the name")
    effects = {e.parameter for drug in _drugs(scenario) for e in drug.etas or scenario.etas}
    for i, name in enumerate(scenario.estimated or ()):
        if name not in effects:
            came = f"{name!r}, on which no model has a random effect"
            yield wrong(f"estimated[{i}]", came, ", ".join(sorted(effects)), "correct the name")


@check("models")
def _simulator_and_controller_can_be_made(scenario: Scenario) -> Iterable[Finding]:
    """Of every model, and the environment with the options of training; a test-only model simulates."""
    for i, name in enumerate(scenario.test_only):
        try:
            simulator_of(scenario, name)
        except RlDrugDosageError as error:
            yield wrong(f"test_only[{i}]", str(error), "a model that fits", "correct it")
    for i, name in enumerate(scenario.models):
        try:
            if simulator_of(scenario, name).name != name:
                came = f"{simulator_of(scenario, name).name!r} found for {name!r}"
                yield wrong(f"models[{i}]", came, "a model of that name", "give its own name")
            model_of(scenario, name)
        except RlDrugDosageError as error:
            yield wrong(f"models[{i}]", str(error), "a model that fits", "correct it")
    try:
        env_of(scenario).make(**scenario.training.env)
    except RlDrugDosageError as error:
        yield wrong("training.env", str(error), "options that fit", "correct them")


def asks_beyond(scenario: Scenario, asked: np.ndarray, who: str, most: float) -> Iterable[Finding]:
    """The label doses can be given: they are finite, and at most half a step beyond the ends of the grid.

    Otherwise the nearest amount is given. If this is rare, it is a warning.

    Args:
        scenario: the task.
        asked: label doses before rounding to the grid.
        who: the patients, for the message.
        most: fraction of doses that may be off the grid.
    """
    grid, unit, asked = scenario.dosage.amounts, scenario.dosage.unit, np.atleast_1d(asked)
    allowed = f"{grid[0]:g} to {grid[-1]:g} {unit}"
    if not np.isfinite(asked).all():
        yield wrong("label", f"gives {asked[~np.isfinite(asked)][0]} for {who}", allowed, "correct the rule")
        return
    off = beyond(scenario, asked)
    if off.any():
        worst = asked.max() if beyond(scenario, asked.max()) else asked.min()
        came = f"gives {worst:.4g} {unit} for {who}, off the grid ({100 * off.mean():.3g} % of its doses are)"
        make = wrong if off.mean() > most else doubt
        yield make("label", came, allowed, "extend dosage.amounts or limit the rule: the nearest amount is given")


@check("label")
def _label_doses_are_on_the_grid(scenario: Scenario) -> Iterable[Finding]:
    """Label doses at admission for 50 drawn patients; `Scenario` itself checks that of the typical one."""

    def ask(values: dict[str, Array]) -> Array:
        table = {name: jnp.full(scenario.records, value) for name, value in values.items()}
        record = empty_record(scenario, table, jnp.zeros(()))
        return jnp.asarray(scenario.label(record.facts(), record), dtype=float)

    def draw(key: Array) -> dict[str, Array]:
        drawn: dict[str, Array] = {}
        for c, own in zip(scenario.covariates, jax.random.split(key, max(len(scenario.covariates), 1)), strict=False):
            drawn[c.name] = c.distribution.sample(own, drawn, c.low, c.high)
        return drawn

    drawn = jax.vmap(draw)(jax.random.split(jax.random.key(1), _DRAWN)) if scenario.covariates else {}
    for i, c in enumerate(scenario.covariates):
        values = np.asarray(drawn[c.name])
        if not (
            values.min() >= c.low - 1e-4 * abs(c.low) - 1e-6 and values.max() <= c.high + 1e-4 * abs(c.high) + 1e-6
        ):
            came = f"draws {c.name} from {values.min():g} to {values.max():g}"
            yield wrong(f"covariates[{i}].distribution", came, f"{c.low:g} to {c.high:g}", "correct one of them")
    if drawn:
        yield from asks_beyond(scenario, np.asarray(jax.vmap(ask)(drawn)), f"one of {_DRAWN} drawn patients", OFTEN)


FIT = (
    _clocks_are_read,
    _models_have_the_named_parameters,
    _simulator_and_controller_can_be_made,
    _label_doses_are_on_the_grid,
)

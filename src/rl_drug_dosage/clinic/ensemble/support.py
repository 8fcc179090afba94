"""Support patients of one patient under treatment, drawn from what a controller assumes about its patients.

Arrays have the support patients last, so that a number of all of them lies together in memory.
"""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from rl_drug_dosage.clinic.areas import no_area
from rl_drug_dosage.clinic.interval import interval_parameters, outputs_at_times
from rl_drug_dosage.clinic.record import Record, facts_at
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.pkpd.population import occasion_omega, omega, square_root

__all__ = [
    "Assumed",
    "Cloud",
    "Draws",
    "Ensemble",
    "admitted",
    "draws_of",
    "exponential",
    "parameters_of",
    "window_of",
]

_TABLES = 16
"""Tables of normal draws that take turns."""


_NOTHING = -40.0
"""Logarithm of a weight that counts as none. Squares of smaller ones are no normal numbers, with which processors are
slow."""


def exponential(log_weight: Float[Array, "..."]) -> Float[Array, "..."]:
    """Weights, 0 where nothing counts."""
    return jnp.where(log_weight > _NOTHING, jnp.exp(jnp.maximum(log_weight, _NOTHING)), 0.0)


@dataclass(frozen=True)
class Assumed:
    """What a controller assumes about its patients, and how it lets go of it.

    Args:
        models: drug models that patients may follow, equally likely before any level.
        offset_sd: sd of the logarithm of the ratio of levels to the model's predictions, an autoregressive process over
            the look-ahead; 0: no such ratio.
        forget: share of the information from levels that is kept over an interval; 1: all.
        select: plan with the most probable model only, in place of all by their probability.
        members: support patients of each model.
        compared: how many of them doses are compared on.
        steady: price of changing the dose by the usual dose, in intervals outside a target; 0: none.
        harm: price of a harmful event, likewise; 0: none.
    """

    models: tuple[DrugModel, ...]
    offset_sd: float = 0.0
    forget: float = 1.0
    select: bool = False
    members: int = 512
    compared: int = 64
    steady: float = 0.0
    harm: float = 0.0


class Draws(eqx.Module):
    """Of one model, the same for all patients: draws and factors of the prior."""

    first: Float[Array, "latent member"]
    """Standard normal and evenly spread, of the prior."""
    root: Float[Array, "latent latent"]
    """L, with L L' the covariance of the prior."""
    missing: Float[Array, " member"]
    """Share of doses that a support patient misses."""
    jitter: Float[Array, "table latent member"]
    """Standard normal, of the moves."""
    walk: Float[Array, "table noise member"]
    """Standard normal, of what is new in every interval: kappas, intake, ratio."""
    chance: Float[Array, "table member"]
    """Uniform: whether a dose is taken."""
    kappa_root: Float[Array, "kappa kappa"]


class Cloud(eqx.Module):
    """Support patients of one drug model."""

    latent: Float[Array, "latent member"]
    """Etas; then ln of the multiplier of the scenario's disturbance, and ln of the ratio, where there are such."""
    log_weight: Float[Array, " member"]
    """Normalised."""
    contents: Float[Array, "n member"]
    areas: Float[Array, "*kept member"]
    """See `clinic.areas`."""
    pending: Float[Array, "window sample member"]
    """Predicted levels at the sampling times of the last intervals, the latest last."""
    missing: Float[Array, " member"]
    log_mass: Float[Array, ""]
    """Logarithm of the probability of the model, up to a constant common to all models."""

    @property
    def weight(self) -> Float[Array, " member"]:
        """Weights that sum to 1."""
        return exponential(self.log_weight)

    @property
    def effective(self) -> Float[Array, ""]:
        """Effective number of support patients, 1 / sum w^2."""
        return 1.0 / jnp.sum(self.weight**2)


class Ensemble(eqx.Module):
    """The belief about one patient."""

    clouds: tuple[Cloud, ...]
    counted: Bool[Array, "window sample"]
    """Results of the last intervals that have been used."""
    converged: Bool[Array, ""]
    """Whether the last results are possible under some support patient; if not, doses are chosen with caution
    (`clinic.doubt.cautious`)."""

    @property
    def probability(self) -> Float[Array, " model"]:
        """Of each model."""
        return jax.nn.softmax(jnp.stack([cloud.log_mass for cloud in self.clouds]))


def window_of(scenario: Scenario) -> int:
    """How many intervals back a result can lie that arrives as planned."""
    delays = np.asarray(scenario.monitoring.at_h) + scenario.monitoring.turnaround_h
    return int(np.ceil((delays.max(initial=0.0) - 1e-4) / scenario.schedule.interval_h)) or 1


def draws_of(assumed: Assumed, model: DrugModel, scenario: Scenario, seed: int = 0) -> Draws:
    """An evenly spread sequence for the prior, pseudo-random draws for the rest."""
    rng, members = np.random.default_rng(seed), assumed.members
    between = omega(model)
    sizes = [] if scenario.disturbance is None else [scenario.disturbance.sd]
    sizes += [assumed.offset_sd] if assumed.offset_sd > 0 else []
    latent, etas = between.shape[0] + len(sizes), between.shape[0]
    root = np.zeros((latent, latent))
    root[:etas, :etas] = square_root(between)
    root[range(etas, latent), range(etas, latent)] = sizes
    points = _evenly_spread(latent + 1, members)
    missing = np.zeros(members)
    if (mean := scenario.adherence.missed_mean) > 0:
        size = mean * (1.0 - mean) / scenario.adherence.missed_sd**2 - 1.0
        missing = np.sort(rng.beta(mean * size, (1.0 - mean) * size, members))[np.argsort(np.argsort(points[-1]))]
    within = square_root(occasion_omega(model))
    noise = within.shape[0] + (scenario.intake is not None) + (assumed.offset_sd > 0)
    found = (
        jax.scipy.special.ndtri(jnp.asarray(points[:latent], dtype=float)),
        root,
        missing,
        rng.standard_normal((_TABLES, latent, members)),
        rng.standard_normal((_TABLES, noise, members)),
        rng.uniform(size=(_TABLES, members)),
        within,
    )
    return Draws(*(jnp.asarray(each, dtype=float) for each in found))


def _evenly_spread(dimensions: int, count: int) -> Float[np.ndarray, "dimension count"]:
    """Points of the unit cube: multiples of powers of 1 / g, modulo 1, with g the root of g^(d + 1) = g + 1.

    For d = 1 that is the golden ratio; Roberts M. The unreasonable effectiveness of quasirandom sequences, 2018.
    """
    g = 2.0
    for _ in range(60):
        g = (1.0 + g) ** (1.0 / (dimensions + 1))
    steps = (1.0 / g) ** np.arange(1, dimensions + 1)
    return np.clip((0.5 + steps[:, None] * np.arange(1, count + 1)) % 1.0, 1e-6, 1.0 - 1e-6)


def parameters_of(
    model: DrugModel,
    scenario: Scenario,
    record: Record,
    latent: Float[Array, "latent member"],
    kappa: Float[Array, "kappa member"] | None,
    j: Int[Array, ""],
) -> dict[str, Float[Array, "segment member"]]:
    """Individual parameters of all support patients in interval ``j``."""
    facts, t_h = facts_at(record.covariates, j), j * jnp.asarray(scenario.schedule.interval_h, dtype=float)
    etas = latent[: len(model.etas)]

    def one(eta: Array, own: Array | None) -> dict[str, Array]:
        return interval_parameters(model, scenario, facts, eta, own, t_h)

    own = kappa if model.occasion_etas else None
    found: dict[str, Array] = jax.vmap(one, in_axes=-1, out_axes=-1)(etas, own)
    return found


def admitted(
    model: DrugModel, scenario: Scenario, draws: Draws, record: Record
) -> tuple[Cloud, Float[Array, " member"]]:
    """The prior, and the predicted level before the first dose."""
    latent = draws.root @ draws.first
    members = latent.shape[1]
    at = model.output_index(scenario.monitoring.output)
    grid = len(scenario.schedule.output_times_h)
    p = parameters_of(model, scenario, record, latent, None, jnp.zeros((), jnp.int32))

    def one(p: dict[str, Array]) -> tuple[Array, Array]:
        x = model.structure.initial({name: value[0] for name, value in p.items()})
        return x, outputs_at_times(model, scenario, p, jnp.broadcast_to(x, (grid, x.size)))[0, at]

    contents, baseline = jax.vmap(one, in_axes=-1, out_axes=-1)(p)
    area = no_area(scenario)
    cloud = Cloud(
        latent=latent,
        log_weight=jnp.full(members, -jnp.log(members)),
        contents=contents,
        areas=jnp.broadcast_to(area[..., None], (*area.shape, members)),
        pending=jnp.ones((window_of(scenario), len(scenario.monitoring.at_h), members)),
        missing=draws.missing,
        log_mass=jnp.zeros(()),
    )
    return cloud, baseline

"""A patient's record, made by hand, and support patients who are carried along it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.clinic.belief import Player
from rl_drug_dosage.clinic.ensemble.carry import begun, carried, disturbance_of, walked
from rl_drug_dosage.clinic.ensemble.support import Assumed, Cloud, Draws, draws_of
from rl_drug_dosage.clinic.patient import admit
from rl_drug_dosage.clinic.record import Record, empty_record
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.simulators import simulator_of
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.registry import load_scenario


@dataclass(frozen=True, eq=False)
class Course:
    """A scenario with one of its models, what a controller assumes, and a record without levels."""

    scenario: Scenario
    model: DrugModel
    assumed: Assumed
    draws: Draws
    record: Record

    def at(self, k: Any, record: Record | None = None) -> Record:
        """The record at decision ``k``."""
        found: Record = eqx.tree_at(lambda r: r.k, record or self.record, jnp.asarray(k, jnp.int32))
        return found

    def first(self, record: Record) -> Cloud:
        """The support patients at admission."""
        return begun(self.assumed, (self.draws,), self.scenario, self.at(0, record)).clouds[0]

    def through(self, record: Record, steps: int, cloud: Cloud | None = None) -> Cloud:
        """The support patients after the first intervals, at decision ``steps``, with what they were before."""

        def step(cloud: Cloud, k: jax.Array) -> tuple[Cloud, None]:
            return carried(self.assumed, self.model, self.scenario, self.draws, cloud, self.at(k, record)), None

        start = self.first(record) if cloud is None else cloud
        return jax.lax.scan(step, start, jnp.arange(1, steps + 1))[0]

    def chance(self, cloud: Cloud) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Of every interval: kappas ``[decision, kappa, member]``, intake multipliers, doses taken."""
        tables = jnp.arange(1, self.scenario.schedule.decisions + 1)
        kappa, eaten, _ = jax.vmap(lambda k: walked(self.scenario, self.draws, k))(tables)
        taken = self.draws.chance[tables % self.draws.chance.shape[0]] >= cloud.missing
        return kappa, eaten, taken.astype(float)

    def player(self, record: Record, latent: jax.Array, kappa: jax.Array, taken: jax.Array, *, area: bool) -> Player:
        """The simulation of one support patient, an interval after the other, that Bayesian dosing by MAP uses."""
        has = self.scenario.disturbance is not None
        return Player(
            self.model,
            self.scenario,
            record.covariates,
            latent[: len(self.model.etas)],
            kappa if kappa.shape[-1] else None,
            area=area,
            disturbance=disturbance_of(self.model, self.scenario, latent) if has else None,
            taken=taken if self.scenario.adherence.missed_mean > 0 else None,
        )


@pytest.fixture(scope="session")
def course() -> Callable[..., Course]:
    """Make a course of random doses from the grid."""

    def make(name: str | Scenario, *, which: int = 0, members: int = 16, seed: int = 0, **assumed: Any) -> Course:
        scenario = load_scenario(name) if isinstance(name, str) else name
        model = simulator_of(scenario, scenario.models[which])
        beliefs = Assumed((model,), members=members, **assumed)
        patient = admit(scenario, model, jax.random.key(seed))
        record = empty_record(scenario, patient.truth.covariates, jnp.zeros(()))
        rng, amounts = np.random.default_rng(seed), np.asarray(scenario.dosage.amounts)
        # More insulin than that lets the glucose equations fall below 0.
        most = scenario.dosage.usual if scenario.intake is not None else amounts[-1]
        doses = rng.choice(amounts[(amounts > 0) & (amounts <= most)], scenario.schedule.decisions)
        choices = rng.integers(0, max(len(scenario.dosage.intervals_h), 1), record.choice.shape)
        record = eqx.tree_at(
            lambda r: (r.dose, r.choice, r.intake_mg),
            record,
            (jnp.asarray(doses, dtype=float), jnp.asarray(choices, jnp.int32), patient.record.intake_mg),
        )
        return Course(scenario, model, beliefs, draws_of(beliefs, model, scenario), record)

    return make

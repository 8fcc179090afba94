"""The intervals of support patients against those of the virtual patient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.clinic.ensemble.linear import interval_of, is_linear, rows_of, share_of
from rl_drug_dosage.clinic.interval import administered, interval_parameters, play
from rl_drug_dosage.clinic.simulators import simulator_of
from rl_drug_dosage.clinic.timetable import timetable
from rl_drug_dosage.registry import load_scenario


@pytest.mark.parametrize("name", ["vancomycin", "aminoglycoside", "infliximab", "propofol", "tacrolimus"])
def test_contents_and_area_are_those_of_the_patient(name: str) -> None:
    scenario = load_scenario(name)
    model = simulator_of(scenario, scenario.models[0])
    assert is_linear(model, scenario)
    facts = {c.name: jnp.asarray(c.typical, dtype=float) for c in (*model.covariates, *scenario.covariates)}
    rng = np.random.default_rng(4)
    k, ats = jnp.asarray(1), len(timetable(scenario.schedule, scenario.dosage).at_h)

    @jax.jit
    def both(eta: jax.Array, x: jax.Array, amount: jax.Array) -> tuple[jax.Array, ...]:
        p = interval_parameters(model, scenario, facts, eta, None, jnp.zeros(()))
        mg = administered(scenario, amount, facts, k)
        out = play(model, scenario, p, x, mg, jnp.zeros(()))
        each = jnp.broadcast_to(mg, (ats,))
        own = interval_of(model, scenario, {name: value[0] for name, value in p.items()})
        rows, area = own(x, each[:, None] * share_of(scenario, each))
        return rows, out.at_times[jnp.asarray(rows_of(scenario))], area, out.area

    for amount in np.asarray(scenario.dosage.amounts)[:: max(1, len(scenario.dosage.amounts) // 7)]:
        eta = jnp.asarray(0.5 * rng.normal(size=len(model.etas)), dtype=float)
        x = jnp.asarray(rng.uniform(1.0, 5.0, len(model.structure.compartments)), dtype=float)
        rows, exact, area, exact_area = both(eta, x, jnp.asarray(amount, dtype=float))
        scale = np.abs(exact).max(axis=0) + 1e-12
        # A rate limit makes responses bend with the dose; they are kept at a few durations.
        limited = scenario.dosage.highest_rate_per_h is not None
        np.testing.assert_allclose(rows / scale, exact / scale, atol=1e-2 if limited else 3e-4)
        np.testing.assert_allclose(area, exact_area, rtol=1e-3)

"""The intervals of support patients against those of the virtual patient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.clinic.ensemble.knots import share_of
from rl_drug_dosage.clinic.ensemble.linear import interval_of, is_linear, through
from rl_drug_dosage.clinic.ensemble.pieces import rows_of
from rl_drug_dosage.clinic.interval import administered, interval_parameters, play
from rl_drug_dosage.clinic.simulators import simulator_of
from rl_drug_dosage.clinic.timetable import timetable
from rl_drug_dosage.registry import load_scenario


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "which"),
    [
        ("vancomycin", 0),
        ("aminoglycoside", 0),
        ("infliximab", 0),
        ("busulfan", 0),  # two compartments; clearance changes within the interval
        ("busulfan", 1),  # one compartment
        ("propofol", 0),
        ("tacrolimus", 0),
    ],
)
def test_contents_and_area_are_those_of_the_patient(name: str, which: int) -> None:
    """Played once, as when carried along, and by the operator that plans share."""
    scenario = load_scenario(name)
    model = simulator_of(scenario, scenario.models[which])
    assert is_linear(model, scenario)
    facts = {c.name: jnp.asarray(c.typical, dtype=float) for c in (*model.covariates, *scenario.covariates)}
    rng = np.random.default_rng(4)
    k, ats = jnp.asarray(1), len(timetable(scenario.schedule, scenario.dosage).at_h)
    # Infusions that a dose makes longer are followed exactly where levels are shown; plans need their end only.
    limited = scenario.dosage.highest_rate_per_h is not None
    every = rows_of(scenario, goal=True) if limited else tuple(range(len(scenario.schedule.output_times_h)))

    @jax.jit
    def both(eta: jax.Array, x: jax.Array, amount: jax.Array) -> tuple[jax.Array, ...]:
        t_h = jnp.asarray(scenario.schedule.interval_h)
        p = interval_parameters(model, scenario, facts, eta, None, t_h)
        mg = administered(scenario, amount, facts, k)
        out = play(model, scenario, p, x, mg, t_h)
        each = jnp.broadcast_to(mg, (ats,))
        alone = {name: value[:, None] for name, value in p.items()}
        own = interval_of(model, scenario, every, alone)
        given = (each[:, None] * share_of(scenario, every, each))[..., None]
        shared = own(x[:, None], given)
        once = through(model, scenario, rows_of(scenario, goal=False), alone, x[:, None], each, None)
        return jax.tree.map(lambda v: v[..., 0], (shared, once)), (out.at_times, out.area)

    for amount in np.asarray(scenario.dosage.amounts)[:: max(1, len(scenario.dosage.amounts) // 7)]:
        eta = jnp.asarray(0.5 * rng.normal(size=len(model.etas)), dtype=float)
        x = jnp.asarray(rng.uniform(1.0, 5.0, len(model.structure.compartments)), dtype=float)
        found, (exact, exact_area) = both(eta, x, jnp.asarray(amount, dtype=float))
        (shared, shared_area), (once, once_area) = found
        scale = np.abs(exact).max(axis=0) + 1e-12
        np.testing.assert_allclose(shared / scale, np.asarray(exact)[list(every)] / scale, atol=3e-4)
        np.testing.assert_allclose(shared_area, exact_area, rtol=1e-3)
        kept = np.asarray(exact)[list(rows_of(scenario, goal=False))]
        np.testing.assert_allclose(once / scale, kept / scale, atol=3e-4)
        np.testing.assert_allclose(once_area, exact_area, rtol=2e-4)

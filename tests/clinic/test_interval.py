"""One decision interval agrees with the engine's event-by-event solution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.clinic.events import Clock
from rl_drug_dosage.clinic.interval import interval_parameters, outputs_at_times, play
from rl_drug_dosage.clinic.propagators import play_with, propagators
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.errors import ConfigError, UnknownNameError
from rl_drug_dosage.pkpd import Dose, make_covariates, make_regimen, predict

FACTS = {"crcl_ml_per_min": jnp.asarray(80.0), "wt_kg": jnp.asarray(75.0), "dialysis": jnp.asarray(0.0)}
THOMSON, GOTI = "vancomycin-thomson2009", "vancomycin-goti2018"


def run(scenario, model, amounts, *, late=None):
    """Outputs at every grid time of successive intervals, and the area of all of them."""
    eta = jnp.asarray([0.2, -0.1, 0.1, 0.3][: len(model.etas)])
    p = interval_parameters(model, scenario, FACTS, eta, None, jnp.zeros(()))
    x = model.structure.initial({k: v[0] for k, v in p.items()})
    values, area = [], 0.0

    @jax.jit
    def one(x, amount, t):
        out = play(model, scenario, p, x, amount, t, late_h=late)
        return out, outputs_at_times(model, scenario, p, out.at_times)

    for k, amount in enumerate(amounts):
        out, seen = one(x, jnp.asarray(amount), jnp.asarray(k * scenario.schedule.interval_h))
        values.append(seen)
        x, area = out.contents, area + out.area
    return np.concatenate(values)[:, 0], float(area)


def reference(scenario, model, amounts, *, late=0.0):
    dosage, schedule = scenario.dosage, scenario.schedule
    doses = [
        Dose(k * schedule.interval_h + at + late, a, compartment=dosage.compartment, duration_h=dosage.duration_h)
        for k, a in enumerate(amounts)
        for at in dosage.at_h
        if a > 0
    ]
    times = np.concatenate([k * schedule.interval_h + np.asarray(schedule.output_times_h) for k in range(len(amounts))])
    names = [c.name for c in model.covariates]
    table = make_covariates(model, {n: float(FACTS[n]) for n in names})
    eta = jnp.asarray([0.2, -0.1, 0.1, 0.3][: len(model.etas)])
    return np.asarray(predict(model, make_regimen(doses, model.structure), table, times, eta))[:, 0]


@pytest.mark.long
@pytest.mark.parametrize("name", [THOMSON, GOTI])
@pytest.mark.parametrize(
    "dosage", [{}, {"duration_h": 0.0}, {"at_h": (0.0, 6.0)}, {"at_h": (0.0, 6.0), "duration_h": 2.0}]
)
def test_an_interval_agrees_with_the_event_engine(changed, name, dosage):
    scenario = changed(dosage=dosage)
    model = model_of(scenario, name)
    amounts = (1500.0, 750.0, 0.0, 1000.0)

    got, _ = run(scenario, model, amounts)

    np.testing.assert_allclose(got, reference(scenario, model, amounts), rtol=2e-4, atol=1e-4)


@pytest.mark.long
@pytest.mark.parametrize("late", [0.25, 0.75])
def test_a_late_dose_is_the_dose_at_a_later_time(changed, late):
    scenario = changed(adherence={"late_mean_h": 0.5, "late_max_h": 0.9})
    model = model_of(scenario, THOMSON)

    got, _ = run(scenario, model, (1500.0, 750.0, 500.0), late=jnp.asarray(late))

    np.testing.assert_allclose(got, reference(scenario, model, (1500.0, 750.0, 500.0), late=late), rtol=2e-4, atol=1e-4)


def test_the_area_is_the_dose_over_clearance_in_the_end(ward):
    model = model_of(ward, THOMSON)
    eta = jnp.asarray([0.2, -0.1, 0.1, 0.3])
    cl = float(interval_parameters(model, ward, FACTS, eta, None, jnp.zeros(()))["cl"][0])

    _, area = run(ward, model, (1000.0, *[0.0] * 79))

    assert area == pytest.approx(1000.0 / cl, rel=2e-3)


def test_propagators_superpose(ward):
    model = model_of(ward, GOTI)
    p = interval_parameters(model, ward, FACTS, jnp.zeros(3), None, jnp.zeros(()))
    own, x = propagators(model, ward, p), jnp.asarray([300.0, 100.0])

    both = play_with(own, x, jnp.asarray(750.0))
    parts = play_with(own, x, jnp.zeros(())), play_with(own, jnp.zeros(2), jnp.asarray(750.0))

    np.testing.assert_allclose(both.at_times, parts[0].at_times + parts[1].at_times, rtol=1e-5)
    np.testing.assert_allclose(both.area, parts[0].area + parts[1].area, rtol=1e-5)


def test_segments_and_superposition_agree(ward):
    """A clock sends a linear model down the path of segments: with a constant clock nothing may change."""
    import dataclasses

    still = dataclasses.replace(ward, clocks=(Clock("dialysis", lambda t_h: 0.0 * t_h),))
    model, other = model_of(ward, GOTI), model_of(still, GOTI)

    np.testing.assert_allclose(
        run(ward, model, (1000.0, 500.0, 750.0))[0], run(still, other, (1000.0, 500.0, 750.0))[0], rtol=1e-4, atol=1e-5
    )


def test_a_model_of_another_drug_is_refused(ward):
    with pytest.raises(UnknownNameError, match="vancomycin-goti2018"):
        model_of(ward, "warfarin-hamberg2010")


def test_doses_later_than_the_grid_allows_are_refused(changed):
    import dataclasses

    scenario = changed(adherence={"late_mean_h": 0.5, "late_max_h": 3.0})
    scenario = dataclasses.replace(scenario, clocks=(Clock("dialysis", lambda t_h: 0.0 * t_h),))
    model = simulator_of(scenario, GOTI)

    with pytest.raises(ConfigError, match=r"3\.0 h late"):
        run(scenario, model, (1000.0,), late=jnp.asarray(0.5))


def test_outcomes_are_differentiable_in_the_dose(ward):
    model = model_of(ward, THOMSON)
    p = interval_parameters(model, ward, FACTS, jnp.zeros(4), None, jnp.zeros(()))

    def area(dose):
        return play(model, ward, p, jnp.zeros(2), dose, jnp.zeros(())).area

    slope = jax.grad(area)(jnp.asarray(500.0))

    assert float(slope) == pytest.approx(float(area(jnp.asarray(1.0))), rel=1e-4)

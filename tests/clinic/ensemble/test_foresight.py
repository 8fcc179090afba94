"""What plans lead to, against the simulation that Bayesian dosing by MAP plans on."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.clinic.belief import Past
from rl_drug_dosage.clinic.ensemble.choice import members_of
from rl_drug_dosage.clinic.ensemble.foresight import foreseen, with_forecast
from rl_drug_dosage.clinic.ensemble.linear import is_linear
from rl_drug_dosage.clinic.planner import MOVES, outlook, steps_ahead
from rl_drug_dosage.clinic.timetable import Prescription
from rl_drug_dosage.scenarios.vancomycin_v2 import SCENARIO

_FEW = 3
_CHOSEN = dataclasses.replace(SCENARIO, dosage=dataclasses.replace(SCENARIO.dosage, intervals_h=(12.0, 24.0)))


def _answer(scenario, amount, ahead, choice):
    if not scenario.dosage.intervals_h:
        return amount
    every_h = scenario.dosage.intervals_h[choice]
    due = ahead % max(round(every_h / scenario.schedule.interval_h), 1) == 0
    return Prescription(jnp.where(due, amount, 0.0), jnp.asarray(choice, jnp.int32))


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "which", "choice", "linear", "tolerance"),
    [
        ("vancomycin", 0, None, True, 1e-3),
        ("infliximab", 0, None, True, 1e-3),
        ("tacrolimus", 0, None, True, 1e-3),
        ("propofol", 0, None, True, 1e-3),
        ("aminoglycoside", 0, None, True, 1e-3),
        ("vancomycin, interval chosen", 0, 1, True, 1e-3),
        # Within `meshes.FORESEEN`.
        ("warfarin", 0, None, False, 3e-3),
    ],
)
def test_plans_lead_where_the_simulation_leads(course, name, which, choice, linear, tolerance) -> None:
    """Levels of every interval ahead, and deviations from the goal: areas and windows as well."""
    own = course(_CHOSEN if "chosen" in name else name, which=which, members=16)
    scenario, model = own.scenario, own.model
    assert is_linear(model, scenario) == linear
    ahead, steps = steps_ahead(scenario), scenario.schedule.decisions
    before = min(2, steps - 1)
    at = model.output_index(scenario.monitoring.output)

    @jax.jit
    def both(record, k, plan):
        cloud = own.through(record, before)
        record = with_forecast(scenario, own.at(k, record))
        members = members_of(scenario, own.draws, cloud, record, _FEW)
        chosen = None if choice is None else jnp.asarray(choice, jnp.int32)
        found = foreseen(own.assumed, model, scenario, members, record, chosen, dense=True)(plan)

        def one(latent, contents, areas, missing, kappa, eaten):
            # What holds for intervals ahead, in the rows of a course.
            where = jnp.minimum(k + jnp.arange(ahead), steps - 1)
            kappas = jnp.zeros((steps, kappa.shape[-1])).at[where[::-1]].set(kappa[::-1])
            fed = eqx.tree_at(lambda r: r.intake_mg, record, record.intake_mg.at[where].multiply(eaten))
            player = own.player(fed, latent, kappas, jnp.full(steps, 1.0 - missing), area=True)
            seen = Past(contents, areas, jnp.zeros(record.level.shape), jnp.zeros(()))
            deviations = outlook(player, seen, fed, chosen)(plan)

            def step(x, each):
                h, j = each
                out, values = player.interval(
                    x, _answer(scenario, plan[jnp.minimum(h, MOVES - 1)], h, choice), j, fed.intake_mg[j]
                )
                return out.contents, values[:, at]

            levels = jax.lax.scan(step, contents, (jnp.arange(ahead), where))[1]
            return deviations.reshape(ahead, -1), levels

        of = (members.latent, members.contents, members.areas, members.missing, members.kappa, members.eaten)
        deviations, levels = jax.vmap(one, in_axes=-1, out_axes=-1)(*of)
        return found, deviations, levels

    # Amounts of the grid: between them, a `Player` with a limited rate interpolates.
    rng, grid = np.random.default_rng(3), np.asarray(scenario.dosage.amounts)
    half = len(grid) // 2
    plans = [rng.choice(grid[:half], MOVES), rng.choice(grid[half:], MOVES), np.zeros(MOVES)]
    for plan, k in zip(plans, (before, steps - 2, before), strict=True):
        found, deviations, levels = both(own.record, jnp.asarray(k, jnp.int32), jnp.asarray(plan, dtype=float))
        inside = k + np.arange(ahead) < steps
        assert found.counts.shape == (ahead,)
        assert not np.any(np.asarray(found.counts)[~inside])
        levels, got = np.asarray(levels)[inside], np.asarray(found.values)[inside]
        np.testing.assert_allclose(got / levels.max(), levels / levels.max(), atol=tolerance, err_msg=str(plan))
        np.testing.assert_allclose(found.deviations, deviations, atol=10 * tolerance, rtol=10 * tolerance)


@pytest.mark.long
def test_doses_beyond_the_knots_of_a_limited_rate(course) -> None:
    """Doses above 3,600 mg run for longer than until the first sample, at 6 h: the response has a kink there."""
    own = course("vancomycin", members=16)
    scenario, model = own.scenario, own.model
    rate = scenario.dosage.highest_rate_per_h
    assert scenario.monitoring.at_h[0] * rate == 3600.0

    @jax.jit
    def both(record, amount):
        cloud = own.through(record, 2)
        record = own.at(2, record)
        members = members_of(scenario, own.draws, cloud, record, _FEW)
        found = foreseen(own.assumed, model, scenario, members, record, dense=True)(jnp.full(MOVES, amount))

        def one(latent, contents):
            player = own.player(record, latent, jnp.zeros((14, 0)), jnp.ones(14), area=False)
            _, values = player.interval(contents, amount, jnp.asarray(2), jnp.zeros(()))
            return values[:, 0]

        return found.values[0], jax.vmap(one, in_axes=-1, out_axes=-1)(members.latent, members.contents)

    for amount in (250.0, 600.0, 2500.0, 3500.0, 3750.0, 4000.0, 4500.0, 5000.0):
        got, exact = both(own.record, jnp.asarray(amount))
        np.testing.assert_allclose(got, exact, rtol=1e-2, err_msg=str(amount))


@pytest.mark.long
def test_the_ratio_of_levels_fades_over_the_intervals_ahead(course) -> None:
    """With `offset`, levels ahead are multiplied by a ratio that returns to 1."""
    own = course("vancomycin", members=16, offset_sd=0.3)

    @jax.jit
    def run(record, ratio):
        cloud = own.through(record, 2)
        cloud = dataclasses.replace(cloud, latent=cloud.latent.at[-1].set(jnp.log(ratio)))
        members = members_of(own.scenario, own.draws, cloud, own.at(2, record), _FEW)
        look = foreseen(own.assumed, own.model, own.scenario, members, own.at(2, record))
        return look(jnp.full(MOVES, 1000.0)).values

    plain, lifted = run(own.record, jnp.asarray(1.0)), run(own.record, jnp.asarray(1.4))
    ratios = np.asarray(lifted / plain)
    np.testing.assert_allclose(ratios, ratios[:, :1, :1] * np.ones_like(ratios), rtol=1e-4)
    expected = 1.4 ** np.exp(-np.arange(len(ratios)) / own.scenario.look_ahead)
    np.testing.assert_allclose(ratios[:, 0, 0], expected, rtol=1e-3)


@pytest.mark.long
def test_covariates_drift_on_as_they_are_expected_to(course) -> None:
    own = course("tacrolimus", members=16)
    k = 3
    record = own.at(k)
    ahead = with_forecast(own.scenario, record)
    days = np.arange(own.scenario.records) - k
    for drift in own.scenario.drifts:
        before, after = (np.asarray(r.covariates[drift.name]) for r in (record, ahead))
        np.testing.assert_array_equal(after[: k + 1], before[: k + 1])
        gone = np.exp(-days[k + 1 :] * own.scenario.schedule.interval_h / drift.tau_h)
        np.testing.assert_allclose(after[k + 1 :], drift.end + (before[k] - drift.end) * gone, rtol=1e-4)
    assert own.scenario.drifts
    untouched = set(record.covariates) - {d.name for d in own.scenario.drifts}
    for name in untouched:
        np.testing.assert_array_equal(record.covariates[name], ahead.covariates[name])


def test_a_forecast_of_drifts_is_the_mean_of_the_cohort(course) -> None:
    """Without the walk around it, the drift of a virtual patient is the one that is forecast at admission."""
    scenario = course("tacrolimus").scenario
    calm = dataclasses.replace(scenario, drifts=tuple(dataclasses.replace(d, walk_sd=0.0) for d in scenario.drifts))
    own = course(calm, members=16)
    ahead = with_forecast(calm, own.at(0))
    for drift in calm.drifts:
        np.testing.assert_allclose(ahead.covariates[drift.name], own.record.covariates[drift.name], rtol=1e-3)


@pytest.mark.long
def test_a_drift_without_an_end_stays(course) -> None:
    own = course("aminoglycoside", members=16)
    ahead = with_forecast(own.scenario, own.at(2))
    assert all(d.end is None for d in own.scenario.drifts)
    for name, column in own.record.covariates.items():
        np.testing.assert_array_equal(ahead.covariates[name], column)

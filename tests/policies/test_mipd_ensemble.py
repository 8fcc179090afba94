"""Multiple-model dosing: what its options do, what it costs, and that a patient is treated alike in every company."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.clinic.ensemble.carry import advanced
from rl_drug_dosage.clinic.ensemble.choice import best_dose
from rl_drug_dosage.clinic.ensemble.forecast import surprise
from rl_drug_dosage.clinic.patient import admit, chart, treat
from rl_drug_dosage.clinic.planner import first_plan
from rl_drug_dosage.clinic.record import Record, record_axes
from rl_drug_dosage.clinic.simulators import simulator_of
from rl_drug_dosage.policies.mipd_ensemble import MipdEnsemble, ensemble
from rl_drug_dosage.scenarios.vancomycin_v2 import SCENARIO
from rl_drug_dosage.trials.trial import Cohort, run_trial
from rl_drug_dosage.utils.in_groups import in_groups

_THOMSON, _GOTI = (simulator_of(SCENARIO, name) for name in SCENARIO.models)


def _charts(people: Any, k: jax.Array, factor: jax.Array) -> Record:
    record = jax.vmap(lambda p: chart(SCENARIO, p, k))(people)
    return eqx.tree_at(lambda r: (r.k, r.level), record, (k, record.level * factor))


@eqx.filter_jit
def _followed(policy: MipdEnsemble, simulator: Any, patients: int, factor: jax.Array) -> Any:
    """Beliefs of every decision about patients who get the label's doses, and where the next levels lay in them."""
    keys = jax.vmap(partial(jax.random.fold_in, jax.random.key(11)))(jnp.arange(patients))
    people = jax.vmap(lambda key: admit(SCENARIO, simulator, key))(keys)
    first = _charts(people, jnp.zeros((), jnp.int32), factor)
    axes = record_axes(first)
    beliefs = jax.vmap(lambda r: policy.init(r).belief, in_axes=(axes,))(first)

    @partial(in_groups, size=16)
    def learn(draws: Any, belief: Any, record: Record) -> Any:
        of = (policy.assumed, draws, SCENARIO, belief, record)
        return surprise(*of), advanced(*of)

    def step(carry: Any, k: jax.Array) -> Any:
        people, beliefs = carry
        record = _charts(people, k, factor)
        where, beliefs = jax.vmap(learn, in_axes=(None, 0, axes))(policy.draws, beliefs, record)
        doses = jax.vmap(lambda r: SCENARIO.label(r.facts(), r), in_axes=(axes,))(record)
        people, _ = jax.vmap(lambda p, d: treat(SCENARIO, simulator, p, d, k))(people, doses)
        # The models' random effects differ in number: of the first model only.
        cloud = beliefs.clouds[0]
        latent = jnp.einsum("plm,pm->pl", cloud.latent, cloud.weight)
        sd = jnp.sqrt(jnp.maximum(jnp.einsum("plm,pm->pl", cloud.latent**2, cloud.weight) - latent**2, 0.0))
        return (people, beliefs), (jax.vmap(lambda b: b.probability)(beliefs), latent, sd, where, beliefs.converged)

    return jax.lax.scan(step, (people, beliefs), jnp.arange(SCENARIO.schedule.decisions))[1]


@pytest.fixture(scope="module")
def follow() -> Callable[..., Any]:
    """The same, as arrays ``[decision, patient, ...]``."""

    def run(policy: MipdEnsemble, simulator: Any, patients: int, factor: float = 1.0) -> Any:
        return jax.device_get(_followed(policy, simulator, patients, jnp.asarray(factor)))

    return run


@pytest.mark.slow  # compiles for a minute
def test_the_weight_of_the_true_model_grows_with_levels(follow) -> None:
    """Of two published models, patients of either."""
    policy = ensemble(SCENARIO, (_THOMSON, _GOTI), members=256)
    fresh = np.asarray([1, 3, 7, 11])  # decisions at which results have come back
    for truth, simulator in enumerate((_THOMSON, _GOTI)):
        probability, *_ = follow(policy, simulator, 48)
        np.testing.assert_allclose(probability[0], 0.5, atol=1e-6)
        np.testing.assert_allclose(probability.sum(axis=-1), 1.0, rtol=1e-5)
        share = probability[fresh, :, truth].mean(axis=1)
        assert np.all(np.diff(share) > -0.02), share
        assert share[-1] > 0.6, share
        # Between results, nothing is learnt about the model.
        np.testing.assert_allclose(probability[2], probability[1], atol=1e-6)


@pytest.mark.long
def test_select_plans_with_the_most_probable_model_alone() -> None:
    both = ensemble(SCENARIO, (_THOMSON, _GOTI), members=256)
    one = ensemble(SCENARIO, (_THOMSON, _GOTI), members=256, select=True)
    single = ensemble(SCENARIO, (_GOTI,), members=256)
    key = jax.random.fold_in(jax.random.key(11), 0)
    person = admit(SCENARIO, _THOMSON, key)
    record = chart(SCENARIO, person, jnp.zeros((), jnp.int32))
    # A heavy patient with poor kidneys, on whom the models disagree.
    table = {"crcl_ml_per_min": 25.0, "wt_kg": 130.0}
    covariates = {**record.covariates, **{n: jnp.full_like(record.covariates[n], v) for n, v in table.items()}}
    record = eqx.tree_at(lambda r: r.covariates, record, covariates)

    def doses(policy: MipdEnsemble, lead: float) -> tuple[float, ...]:
        @jax.jit
        def run(record: Record, lead: jax.Array) -> jax.Array:
            belief = policy.init(record).belief
            if len(belief.clouds) == 2:
                belief = eqx.tree_at(lambda b: b.clouds[1].log_mass, belief, lead)
            plan = first_plan(SCENARIO, 1000.0)
            answer, plan = best_dose(policy.assumed, policy.draws, SCENARIO, belief, record, plan)
            return jnp.concatenate([jnp.reshape(answer, 1), plan])

        return tuple(np.asarray(run(record, jnp.asarray(lead))).tolist())

    alone = doses(single, 0.0)
    np.testing.assert_allclose(doses(one, 0.1), alone, rtol=1e-4)
    np.testing.assert_allclose(doses(both, 40.0), alone, rtol=1e-4)
    assert not np.allclose(doses(both, 0.1), alone, rtol=1e-2)
    assert not np.allclose(doses(one, -0.1), alone, rtol=1e-2)


@pytest.mark.long
def test_a_lasting_ratio_of_levels_to_the_model_is_learnt(follow) -> None:
    """Laboratory and patients agree, but for a factor of 1.4 that no parameter has."""
    with_ratio = ensemble(SCENARIO, (_THOMSON,), members=256, offset_sd=0.4)
    _, latent, sd, *_ = follow(with_ratio, _THOMSON, 48, 1.4)
    _, plain, *_ = follow(with_ratio, _THOMSON, 48, 1.0)
    last = 11  # the decision after the last results
    assert latent.shape[-1] == len(_THOMSON.etas) + 1
    learnt, unbiased = (np.median(m[last, :, -1]) for m in (latent, plain))
    # Clearance explains a part of a constant factor, so that less than ln 1.4 = 0.34 is left.
    assert 0.1 < learnt - unbiased < np.log(1.4)
    assert abs(unbiased) < 0.1
    # It fades without levels, and its uncertainty returns.
    assert abs(np.median(latent[13, :, -1])) < abs(learnt)
    assert np.all(np.median(sd[12:, :, -1], axis=1) > np.median(sd[11, :, -1]))
    assert np.max(np.median(sd[..., -1], axis=1)) < 0.4 * 1.1


@pytest.mark.slow  # compiles for a minute
def test_with_forget_uncertainty_grows_between_levels_and_never_beyond_the_prior(follow) -> None:
    policy = ensemble(SCENARIO, (_THOMSON,), members=256, forget=0.9)
    prior = np.linalg.norm(np.asarray(policy.draws[0].root), axis=1)
    _, _, sd, *_ = follow(policy, _THOMSON, 48)
    clearance = [eta.parameter for eta in _THOMSON.etas].index("cl")
    for k in (4, 5, 6, 8, 9, 10, 12, 13):
        # No results have come back at these decisions. A cloud that is wider than the prior by chance, as it can be in
        # the peripheral volume, is narrowed instead.
        # A cloud that chance has made wider than the prior is narrowed towards it.
        assert np.mean(sd[k, :, clearance] > sd[k - 1, :, clearance]) > 0.8
    assert np.mean(sd[10, :, clearance] / sd[7, :, clearance]) > 1.05
    assert np.all(sd[..., clearance] <= prior[clearance] * 1.05)


@pytest.mark.long
def test_levels_lie_where_they_were_predicted(follow) -> None:
    """Patients of the believed model: 90 % intervals of the next level hold 90 % of 800 levels, +- 5 points.

    With 8 levels from each of 100 patients, whose predictions depend on each other, the binomial error of 1.1 points
    may be twice as large: the limits are about two of these.
    """
    policy = ensemble(SCENARIO, (_THOMSON,), members=256)
    *_, where, converged = follow(policy, _THOMSON, 100)
    values = where[np.isfinite(where)]
    assert 700 < values.size <= 800
    covered = np.mean((values > 0.05) & (values < 0.95))
    assert 0.85 < covered < 0.95, covered
    assert 0.4 < values.mean() < 0.6
    assert converged.mean() > 0.97


@pytest.mark.long
def test_a_wrong_model_is_noticed(follow) -> None:
    """Levels three times as high as any patient's are flagged, and the intervals miss them."""
    policy = ensemble(SCENARIO, (_THOMSON,), members=256)
    *_, where, converged = follow(policy, _THOMSON, 100, 3.0)
    values = where[np.isfinite(where)]
    assert np.mean((values > 0.05) & (values < 0.95)) < 0.7
    assert converged.mean() < 0.97


@pytest.mark.long
def test_no_loop_over_past_decisions() -> None:
    """The program of a decision costs the same in a course of 14 and of 60 decisions, early and late."""

    def compiled(decisions: int) -> tuple[float, list[str]]:
        scenario = dataclasses.replace(SCENARIO, schedule=dataclasses.replace(SCENARIO.schedule, decisions=decisions))
        policy = ensemble(scenario, (_THOMSON,), members=64)
        person = admit(scenario, simulator_of(scenario, "vancomycin-thomson2009"), jax.random.key(0))
        record = chart(scenario, person, jnp.zeros((), jnp.int32))

        def one(draws: Any, belief: Any, record: Record) -> Any:
            return advanced(policy.assumed, draws, scenario, belief, record)

        belief = jax.eval_shape(lambda r: policy.init(r).belief, record)
        traced = jax.jit(one).trace(policy.draws, belief, record)
        cost = traced.lower().compile().cost_analysis()
        return float(cost["flops"]), sorted(_primitives(traced.jaxpr.jaxpr))

    short, long = compiled(14), compiled(60)
    assert short[1] == long[1]
    # The only loop whose length is not fixed lets in the likelihood, stage by stage; four others are conditions, of at
    # most one round.
    assert short[1].count("while") <= 5
    assert long[0] == pytest.approx(short[0], rel=0.01)


def _primitives(jaxpr: Any) -> list[str]:
    found = []
    for equation in jaxpr.eqns:
        found.append(equation.primitive.name)
        for value in jax.tree.leaves(equation.params, is_leaf=lambda v: hasattr(v, "jaxpr") or hasattr(v, "eqns")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                found += _primitives(inner)
    return found


@pytest.mark.long
def test_a_patient_is_treated_alike_in_every_company() -> None:
    """Doses of patients 0-39 are those of the same patients among 8-47, whose groups are others."""
    policy = ensemble(SCENARIO, (_THOMSON,), members=128)
    first = run_trial(SCENARIO, _THOMSON, policy, Cohort(3, 40))
    later = run_trial(SCENARIO, _THOMSON, policy, Cohort(3, 40, first=5))
    np.testing.assert_array_equal(first.dose[5:], later.dose[:-5])
    np.testing.assert_array_equal(first.values[5:], later.values[:-5])
    assert len(np.unique(first.dose)) > 5

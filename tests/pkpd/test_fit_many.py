"""Fits of many patients: the number of threads and calls changes no bit, the size of a group only what rounding can."""

import dataclasses
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.pkpd import (
    Dose,
    Mammillary,
    add_residual,
    every,
    make_levels,
    make_regimen,
    no_covariates,
    predict,
)
from rl_drug_dosage.pkpd.bayes import fit_many, map_estimate, map_estimates
from rl_drug_dosage.pkpd.bayes import map as fits
from rl_drug_dosage.utils.device_shape import ONE_CORE_EACH, shape_of, shaped
from rl_drug_dosage.utils.kept_programs import program

PATIENTS = 300
TIMES = (2.0, 11.5, 26.0, 47.5)


@pytest.fixture(scope="module")
def cohort(toy):
    """Two compartments with infusions, two random effects: drug, and (regimens, covariates, levels) of 300 patients."""
    structure = Mammillary(1)
    drug = toy(structure, {"cl": 4.5, "v1": 58.4, "q2": 6.5, "v2": 38.4}, omega_sd={"cl": 0.3, "v1": 0.3})
    regimen = make_regimen(every(Dose(0, 1000.0, duration_h=1.0), 12.0, 4), structure)
    levels = make_levels(drug, TIMES, [1.0] * len(TIMES))
    etas = 0.3 * jax.random.normal(jax.random.key(0), (PATIENTS, len(drug.etas)))
    truth = jax.jit(jax.vmap(lambda e: predict(drug, regimen, no_covariates(), jnp.asarray(TIMES), e)))(etas)
    one = (regimen, no_covariates(), levels)
    many = jax.tree.map(lambda leaf: np.broadcast_to(leaf, (PATIENTS, *np.shape(leaf))), one)
    measured = np.maximum(np.asarray(add_residual(drug, truth, jax.random.key(1))[..., 0]), 0.1)
    return drug, eqx.tree_at(lambda tree: tree[2].value, many, measured)


def leaves(estimate):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(estimate)]


def fitted(cohort, cores, **sizes):
    drug, own = cohort
    with shaped(dataclasses.replace(shape_of("cpu", cores=cores), **sizes)):
        return fit_many(drug, *own)


@pytest.mark.long
def test_the_number_of_threads_and_calls_changes_no_bit(cohort):
    drug, own = cohort
    together = jax.jit(lambda tree: map_estimates(drug, *tree, group=128), compiler_options=ONE_CORE_EACH)(own)
    assert np.asarray(together.converged).all()

    # one call of three groups, and three calls of one; the last group is filled up
    for cores in (1, 3):
        for found, expected in zip(leaves(fitted(cohort, cores)), leaves(together), strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.long
def test_no_loop_of_the_program_is_divided_among_the_cores_that_the_compiler_finds(cohort):
    drug, own = cohort
    some = jax.tree.map(lambda leaf: leaf[:128], own)

    made = program(fits._fitted, drug, 1, 128, *some, options=ONE_CORE_EACH)

    assert re.findall(r"outer_dimension_partitions\":\[[^\]]+", made.run.as_text()) == []


@pytest.mark.long
def test_the_size_of_a_group_changes_what_rounding_can(cohort):
    usual = fitted(cohort, 2)

    for group in (100, 2**17):
        other = fitted(cohort, 2, group=group)
        np.testing.assert_array_equal(other.converged, usual.converged)
        np.testing.assert_array_equal(other.plausible, usual.plausible)
        np.testing.assert_allclose(other.eta, usual.eta, atol=3e-5)
        np.testing.assert_allclose(other.covariance, usual.covariance, rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(other.objective, usual.objective, atol=1e-3)


@pytest.mark.long
def test_each_patient_is_fitted_as_alone_in_both_precisions(cohort, double):
    drug, own = cohort
    some = jax.tree.map(lambda leaf: leaf[:5], own)

    found = fit_many(drug, *some)
    alone = [jax.jit(lambda one: map_estimate(drug, *one))(jax.tree.map(lambda x, i=i: x[i], some)) for i in range(2)]

    assert found.eta.dtype == (np.float64 if double else np.float32)
    assert found.eta.shape == (5, len(drug.etas))
    for i, one in enumerate(alone):
        np.testing.assert_allclose(found.eta[i], one.eta, atol=1e-9 if double else 3e-4)
        assert found.converged[i] == one.converged


def test_threads_fit_in_the_precision_of_the_caller(cohort, x64):
    found = fitted(cohort, 3)

    assert {leaf.dtype for leaf in leaves(found) if leaf.dtype.kind == "f"} == {np.dtype(np.float64)}

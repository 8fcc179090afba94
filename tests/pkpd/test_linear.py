"""Linear models against oracles that share no code with them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from rl_drug_dosage.pkpd import (
    Dose,
    DrugModelError,
    LinearSystem,
    Mammillary,
    make_regimen,
    no_covariates,
    solve,
    stack_regimens,
)
from rl_drug_dosage.pkpd._divided import convolved_exponentials
from rl_drug_dosage.pkpd.ode_models import transit_absorption

PATIENTS = 24
TIMES = np.array([0.4, 1.0, 3.0, 7.7, 12.0, 20.0, 24.5, 36.0])
STRUCTURES = [Mammillary(0, True), Mammillary(1, True, True), Mammillary(2)]


def random_patient(rng, kind):
    """Parameters over four decades; every second one sits on, or next to, a coincidence of rate constants."""
    span = {"cl": (0.1, 20), "v1": (2, 100), "q2": (0.05, 50), "v2": (2, 300), "q3": (0.01, 50), "v3": (5, 500)}
    span |= {"ka": (0.1, 5), "ke0": (0.05, 10)}
    p = {name: float(np.exp(rng.uniform(*np.log(edges)))) for name, edges in span.items()}
    if kind % 8 == 1:
        p["ka"] = p["ke0"] = p["cl"] / p["v1"]
    if kind % 8 == 3:
        p["v3"] = p["v2"] * p["q3"] / p["q2"]
    if kind % 8 == 5:
        p["q2"], p["ke0"] = 1e-6 * p["q2"], p["ka"] * (1 + 1e-7)
    if kind % 8 == 7:
        p["q2"], p["q3"] = 1e-5, 1e-5
        p["v2"] = p["v3"] = 1e-5 * p["v1"] / p["cl"]
    return {name: float(np.float32(value)) for name, value in p.items()}


def random_doses(rng, structure):
    """Boluses and infusions that overlap, into any compartment."""
    starts = np.sort(rng.uniform(0, 30, 6)).astype(np.float32)
    places = rng.choice(structure.dosable, 6)
    durations = np.where(rng.uniform(size=6) < 0.6, rng.uniform(0.5, 15, 6), 0.0).astype(np.float32)
    amounts = rng.uniform(10, 500, 6).astype(np.float32)
    return [
        Dose(float(t), float(a), str(c), duration_h=float(d))
        for t, a, c, d in zip(starts, amounts, places, durations, strict=True)
    ]


@pytest.mark.long
@pytest.mark.parametrize("structure", STRUCTURES, ids=str)
def test_random_regimens_agree_with_superposed_matrix_exponentials(structure, double, rate_matrix, superposed):
    """Overlapping doses into any compartment, coinciding rates included: 1e-6 in float32, 1e-9 in float64."""
    rng = np.random.default_rng(7)
    patients = [random_patient(rng, i) for i in range(PATIENTS)]
    doses = [random_doses(rng, structure) for _ in patients]
    regimens = stack_regimens([make_regimen(d, structure) for d in doses])
    p = {name: jnp.array([[one[name]] for one in patients]) for name in structure.parameters}

    run = jax.jit(jax.vmap(lambda own, regimen: solve(structure, own, regimen, no_covariates(), TIMES).contents))
    got = np.asarray(run(p, regimens))

    times = TIMES if double else TIMES.astype(np.float32).astype(float)
    for i, patient in enumerate(patients):
        rows = [(d.time_h, d.amount_mg, structure.compartments.index(d.compartment), d.duration_h) for d in doses[i]]
        want = superposed(rate_matrix(structure, patient), rows, times)
        # float64: relative at every point, down to a millionth of the largest amount, where scipy has no digits left.
        # float32: relative to the largest amount of the course, the effect compartment to its largest concentration.
        amounts = len(structure.dosable)
        most = np.where(np.arange(want.shape[1]) < amounts, np.abs(want[:, :amounts]).max(), np.abs(want[:, -1]).max())
        bound = 1e-9 * np.maximum(np.abs(want), 1e-6 * most) if double else 1e-6 * most
        assert np.all(np.abs(got[i] - want) <= bound), (i, patient)


@pytest.mark.long
def test_an_infusion_course_agrees_with_a_runge_kutta_integration(x64, rate_matrix):
    """scipy's DOP853 at rtol 1e-12 over a 3-h infusion into two compartments with a depot: areas as well."""
    structure = Mammillary(1, depot=True)
    p = {"cl": 4.5, "v1": 58.4, "q2": 6.5, "v2": 38.4, "ka": 0.7}
    a = np.zeros((4, 4))
    a[:3, :3] = rate_matrix(structure, p)
    a[3, 1] = 1 / p["v1"]
    pieces = [(0.0, 3.0, np.array([200.0, 0, 0, 0])), (3.0, 24.0, np.zeros(4))]
    x = np.array([0.0, 500.0, 0.0, 0.0])
    for start, end, rate in pieces:
        x = solve_ivp(lambda t, y, rate=rate: a @ y + rate, (start, end), x, "DOP853", rtol=1e-12, atol=1e-12).y[:, -1]

    regimen = make_regimen([Dose(0, 600, rate_mg_per_h=200), Dose(0, 500, "central")], structure)
    own = {name: jnp.array([value]) for name, value in p.items()}
    got = solve(structure, own, regimen, no_covariates(), jnp.array([24.0]), auc=True)

    np.testing.assert_allclose(got.contents[0], x[:3], rtol=1e-9)
    np.testing.assert_allclose(got.auc_mg_h_per_l[0], x[3], rtol=1e-9)


@pytest.mark.long
def test_three_compartments_agree_with_the_general_matrix_exponential(x64):
    """The closed form and `LinearSystem` give the same contents and area."""
    closed = Mammillary(2)

    def matrix(p):
        k10, k12, k21 = p["cl"] / p["v1"], p["q2"] / p["v1"], p["q2"] / p["v2"]
        k13, k31 = p["q3"] / p["v1"], p["q3"] / p["v3"]
        return jnp.array([[-(k10 + k12 + k13), k21, k31], [k12, -k21, 0.0], [k13, 0.0, -k31]])

    general = LinearSystem(closed.compartments, matrix, closed.parameters)
    p = {"cl": 1.9, "v1": 4.3, "q2": 1.3, "v2": 18.9, "q3": 0.8, "v3": 238.0}
    own = {name: jnp.array([value]) for name, value in p.items()}
    results = []
    for structure in (closed, general):
        regimen = make_regimen([Dose(0, 140), Dose(1, 60, duration_h=2)], structure)
        results.append(solve(structure, own, regimen, no_covariates(), jnp.array([0.5, 2.0, 30.0]), auc=True))

    np.testing.assert_allclose(results[0].contents, results[1].contents, rtol=1e-10)
    np.testing.assert_allclose(results[0].auc_mg_h_per_l, results[1].auc_mg_h_per_l, rtol=1e-10)


def test_a_transit_chain_is_the_gamma_function_of_its_steps(x64):
    """With n transits, the rate into central is dose ktr (ktr t)^n exp(-ktr t) / n!: here n = 3 without elimination."""
    structure = transit_absorption(3)
    p = {"ktr": jnp.array([1.7]), "cl": jnp.array([0.0]), "v1": jnp.array([10.0])}
    time = np.array([0.5, 2.0, 6.0])
    got = solve(structure, p, make_regimen([Dose(0, 100)], structure), no_covariates(), time).contents[:, -1]
    kt = 1.7 * time
    want = 100 * (1 - np.exp(-kt) * (1 + kt + kt**2 / 2 + kt**3 / 6))
    np.testing.assert_allclose(got, want, rtol=1e-10)


def test_coinciding_rates_give_the_confluent_limit(double):
    """E(l, l, .., l; t) is t^(k-1) exp(-l t) / (k-1)!, and E is continuous there and symmetric."""
    rate, t = 0.31, 4.2
    limit = t**3 * np.exp(-rate * t) / 6
    got = convolved_exponentials([rate] * 4, jnp.asarray(t))
    near = convolved_exponentials([rate * (1 + 1e-6), rate, rate * (1 - 1e-6), rate], jnp.asarray(t))
    a, b = (convolved_exponentials(order, jnp.asarray(t)) for order in ([3.0, 0.0, 0.2], [0.2, 3.0, 0.0]))
    np.testing.assert_allclose([got, near], limit, rtol=1e-10 if double else 1e-6)
    assert a == b


@pytest.mark.long
def test_gradients_stay_finite_and_right_where_rates_coincide(x64):
    """Forward derivatives at ka = k10, against central differences."""
    structure = Mammillary(1, depot=True)
    regimen = make_regimen([Dose(0, 100, duration_h=1), Dose(5, 100)], structure)

    def conc(values):
        p = dict(zip(structure.parameters, values[:, None], strict=True))
        return solve(structure, p, regimen, no_covariates(), jnp.array([9.0])).contents[0, 1]

    at = jnp.array([2.0, 20.0, 1e-3, 30.0, 0.1])  # cl / v1 = ka, and peripheral exchange next to nothing
    got = jax.jit(jax.jacfwd(conc))(at)
    fast = jax.jit(conc)
    want = [(fast(at.at[i].multiply(1 + 1e-5)) - fast(at.at[i].multiply(1 - 1e-5))) / (2e-5 * at[i]) for i in range(5)]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-9)


def test_a_fourth_compartment_is_refused():
    """More than two peripheral compartments need `LinearSystem`."""
    with pytest.raises(DrugModelError, match="3 peripheral compartments"):
        Mammillary(3)

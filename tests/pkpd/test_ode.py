"""Models without a closed form, against scipy's LSODA at rtol 1e-12 and against algebra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from rl_drug_dosage.pkpd import (
    Adaptive,
    Dose,
    DrugModelError,
    FixedStep,
    Mammillary,
    OdeSystem,
    SolverError,
    choose_step,
    make_regimen,
    no_covariates,
    solve,
)
from rl_drug_dosage.pkpd.ode_models import friberg, indirect_response, logistic_growth, michaelis_menten

PK = {"cl": 20.0, "v1": 30.0, "q2": 10.0, "v2": 60.0}
TIMES = np.array([1.0, 3.0, 12.0, 100.0, 240.0])
DOSE, INFUSION_H = 300.0, 3.0


def lsoda(rhs, start, states):
    """States at TIMES behind two compartments; rhs: (time, states, central concentration) -> derivatives."""

    def whole(t, x, rate):
        c, c2 = x[0] / PK["v1"], x[1] / PK["v2"]
        flow = PK["q2"] * (c - c2)
        return [rate - PK["cl"] * c - flow, flow, *rhs(t, x[2:], c)]

    out, x, edges = [], np.array([0.0, 0.0, *start]), [0.0, INFUSION_H, TIMES[-1]]
    for begin, end, rate in zip(edges[:-1], edges[1:], [DOSE / INFUSION_H, 0.0], strict=True):
        wanted = TIMES[(begin < TIMES) & (end >= TIMES)]
        result = solve_ivp(whole, (begin, end), x, "LSODA", wanted, rtol=1e-12, atol=1e-13, args=(rate,))
        out.append(result.y[2:].T)
        x = result.y[:, -1]
    assert out[0].shape[0] + out[1].shape[0] == len(TIMES)
    return np.concatenate(out)


FRIBERG = {"circ0": 5.0, "mtt": 100.0, "gamma": 0.17, "slope": 0.8}
TURNOVER = {"kin": 2.0, "kout": 0.1, "emax": 0.9, "ec50": 0.5}
GROWTH = {"growth": 0.03, "capacity": 100.0, "kill": 0.05, "size0": 20.0}


def friberg_rhs(t, x, c):
    """Written from the paper's equations."""
    ktr = 4 / FRIBERG["mtt"]
    first = ktr * x[0] * ((1 - FRIBERG["slope"] * c) * (FRIBERG["circ0"] / x[4]) ** FRIBERG["gamma"] - 1)
    return [first, *(ktr * (x[i - 1] - x[i]) for i in range(1, 5))]


def turnover_rhs(t, x, c):
    """Inhibition of production."""
    return [TURNOVER["kin"] * (1 - 0.9 * c / (0.5 + c)) - TURNOVER["kout"] * x[0]]


def growth_rhs(t, x, c):
    """Logistic growth and first-order kill."""
    return [0.03 * x[0] * (1 - x[0] / 100.0) - 0.05 * c * x[0]]


CASES = {
    "friberg": (friberg(Mammillary(1)), FRIBERG, friberg_rhs, [5.0] * 5),
    "indirect response": (indirect_response(Mammillary(1)), TURNOVER, turnover_rhs, [20.0]),
    "logistic growth": (logistic_growth(Mammillary(1)), GROWTH, growth_rhs, [20.0]),
}


def run(system, extra, method, **options):
    """Contents at TIMES."""
    p = {name: jnp.array([value], dtype=float) for name, value in {**PK, **extra}.items()}
    regimen = make_regimen([Dose(0, DOSE, duration_h=INFUSION_H)], system)
    solution = jax.jit(lambda: solve(system.with_method(method), p, regimen, no_covariates(), TIMES, **options))()
    return jax.device_get(solution)


@pytest.mark.long
@pytest.mark.parametrize("case", CASES)
def test_error_control_agrees_with_lsoda(case, double):
    """1e-4 in float32, 1e-7 in float64."""
    system, extra, rhs, start = CASES[case]
    got = run(system, extra, Adaptive()).contents[:, 2:]
    np.testing.assert_allclose(got, lsoda(rhs, start, system.states), rtol=1e-7 if double else 1e-4)


@pytest.mark.long
def test_the_stiff_method_agrees_with_lsoda(x64):
    """Kvaerno 5 on the myelosuppression model; its area is the linear part's, exactly."""
    system, extra, rhs, start = CASES["friberg"]
    solution = run(system, extra, Adaptive(stiff=True), auc=True)
    np.testing.assert_allclose(solution.contents[:, 2:], lsoda(rhs, start, system.states), rtol=1e-7)
    eliminated = DOSE - solution.contents[-1, :2].sum()
    np.testing.assert_allclose(solution.auc_mg_h_per_l[-1], eliminated / PK["cl"], rtol=1e-12)


@pytest.mark.long
def test_substeps_are_chosen_by_comparison_and_are_of_fourth_order(x64):
    """The chosen substep keeps its tolerance, twice the substep does not; halving divides the error by about 16."""
    system, extra, _, _ = CASES["friberg"]
    p = {name: jnp.array([value]) for name, value in {**PK, **extra}.items()}
    regimen = make_regimen([Dose(0, DOSE, duration_h=INFUSION_H)], system)
    exact = run(system, extra, Adaptive()).contents
    scale = np.abs(exact).max(axis=0)

    chosen = choose_step(system, p, regimen, no_covariates(), TIMES, tolerance=1e-5).step_h
    errors = [np.max(np.abs(run(system, extra, FixedStep(h)).contents - exact) / scale) for h in (2 * chosen, chosen)]
    assert errors[1] <= 1e-5 < errors[0]
    assert 8 < errors[0] / errors[1] < 40


def test_linear_pharmacokinetics_stay_exact_in_front_of_an_ode(x64):
    """However coarse the substeps of the pharmacodynamics, the amounts are those of the closed form."""
    system, extra, _, _ = CASES["indirect response"]
    got = run(system, extra, FixedStep(12.0)).contents[:, :2]
    p = {name: jnp.array([value]) for name, value in PK.items()}
    front = Mammillary(1)
    want = solve(front, p, make_regimen([Dose(0, DOSE, duration_h=INFUSION_H)], front), no_covariates(), TIMES).contents
    np.testing.assert_allclose(got, want, rtol=1e-13)


@pytest.mark.long
def test_an_effect_compartment_as_an_ode_is_the_closed_form(x64):
    """d Ce/dt = ke0 (C - Ce), integrated and in closed form."""
    lagging = OdeSystem(
        ("ce",), lambda t, x, p, pk: {"ce": p["ke0"] * (pk["concentration"] - x["ce"])}, ("ke0",), pk=Mammillary(1)
    )
    closed = Mammillary(1, effect=True)
    p = {name: jnp.array([value]) for name, value in {**PK, "ke0": 0.4}.items()}
    want = solve(
        closed, p, make_regimen([Dose(0, DOSE, duration_h=INFUSION_H)], closed), no_covariates(), TIMES
    ).contents
    np.testing.assert_allclose(run(lagging, {"ke0": 0.4}, Adaptive()).contents, want, rtol=1e-7, atol=1e-9)


def test_michaelis_menten_keeps_its_implicit_law(x64):
    """C0 - C + km ln(C0 / C) = vmax t / v; the area is (v / vmax) (km (C0 - C) + (C0^2 - C^2) / 2)."""
    system = michaelis_menten()
    vmax, km, v = 20.0, 4.0, 40.0
    p = {name: jnp.array([value]) for name, value in {"vmax": vmax, "km": km, "v1": v}.items()}
    time = np.array([5.0, 40.0])
    solution = solve(system, p, make_regimen([Dose(0, 400)], system), no_covariates(), time, auc=True)
    c = np.asarray(solution.contents[:, 0]) / v
    np.testing.assert_allclose(10.0 - c + km * np.log(10.0 / c), vmax * time / v, rtol=1e-8)
    area = v / vmax * (km * (10.0 - c) + 0.5 * (100.0 - c**2))
    np.testing.assert_allclose(solution.auc_mg_h_per_l, area, rtol=1e-8)


@pytest.mark.long
def test_a_course_has_derivatives_in_both_directions(x64):
    """Forward through the default method, backward through the checkpointed one: the same number."""
    system, extra, _, _ = CASES["indirect response"]
    regimen = make_regimen([Dose(0, DOSE)], system)

    def response(kout, method):
        p = {name: jnp.array([value]) for name, value in {**PK, **extra}.items()} | {"kout": kout[None]}
        return solve(system.with_method(method), p, regimen, no_covariates(), jnp.array([12.0])).contents[0, 2]

    at = jnp.asarray(0.1)
    forward = jax.jit(jax.jacfwd(lambda k: response(k, Adaptive())))(at)
    backward = jax.jit(jax.grad(lambda k: response(k, Adaptive(reverse_mode=True))))(at)
    np.testing.assert_allclose(forward, backward, rtol=1e-6)


@pytest.mark.long
def test_a_diverging_solution_is_never_a_silent_number(x64):
    """dx/dt = x^2 explodes at t = 1: NaN from the engine, a named error from the search for substeps."""
    bomb = OdeSystem(("central",), lambda t, x, p, pk: {"central": x["central"] ** 2}, (), doses_into=("central",))
    bomb = bomb.with_method(Adaptive(max_steps=200))
    regimen = make_regimen([Dose(0, 1.0)], bomb)
    p = {"unused": jnp.ones(1)}
    assert np.isnan(solve(bomb, p, regimen, no_covariates(), jnp.array([2.0])).contents).all()
    with pytest.raises(SolverError, match="not finite"):
        choose_step(bomb, p, regimen, no_covariates(), jnp.array([2.0]), tolerance=1e-3)


def test_a_system_without_a_place_to_dose_is_refused():
    """Either linear pharmacokinetics in front, or states that doses enter."""
    with pytest.raises(DrugModelError, match="without a compartment to dose"):
        OdeSystem(("x",), lambda t, x, p, pk: x, ())
    with pytest.raises(DrugModelError, match="names \\['y'\\]"):
        OdeSystem(("x",), lambda t, x, p, pk: x, (), doses_into=("y",))

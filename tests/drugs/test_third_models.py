"""Six models that only simulate test patients, against equations written out a second time and published numbers.

As in `test_further_drugs`: the expected side is literal numbers in the units of the paper, integrated by SciPy; the
other side is the drug file, run by the engine in float64.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from rl_drug_dosage.drugs import warfarin_falkenhagen2023
from rl_drug_dosage.pkpd import (
    Dose,
    FixedStep,
    individual_parameters,
    make_covariates,
    make_regimen,
    occasion_omega,
    omega,
    outputs_of,
    solve,
)
from rl_drug_dosage.registry import load_drug

DAILY_H = tuple(24.0 * day for day in range(1, 20))


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


@partial(jax.jit, static_argnums=0)
def _contents(structure, p, regimen, covariates, times_h):
    return solve(structure, p, regimen, covariates, times_h).contents


def course(model, doses, times_h, eta=None, **covariates):
    """Outputs by name, by the engine."""
    typical = {covariate.name: covariate.typical for covariate in model.covariates}
    table = make_covariates(model, typical | covariates)
    p = individual_parameters(model, table, np.zeros(len(model.etas)) if eta is None else eta)
    contents = _contents(model.structure, p, make_regimen(doses, model.structure), table, jnp.asarray(times_h))
    values = np.asarray(outputs_of(model, p, table, contents, jnp.asarray(times_h)))
    return {output.name: values[:, i] for i, output in enumerate(model.outputs)}


def infusions(slope, start, times, dose_mg, every_h, for_h, into):
    """States at ``times``: infusions of ``for_h`` every ``every_h``; ``for_h`` 0 is a dose at once."""
    y, now, found, rate = np.asarray(start, dtype=float), 0.0, [], 0.0
    if not for_h:
        y[into] += dose_mg
    edges = {k * every_h + e for k in range(40) for e in (0.0, for_h)}
    for stop in sorted({*times, *edges} - {0.0}):
        if stop > max(times):
            break
        rate = dose_mg / for_h if for_h and (now % every_h) < for_h - 1e-9 else 0.0

        def with_input(t, x, rate=rate):
            change = np.asarray(slope(t, x), dtype=float)
            change[into] += rate
            return change

        y = solve_ivp(with_input, (now, stop), y, rtol=1e-11, atol=1e-13, method="LSODA").y[:, -1]
        now = stop
        if stop in times:
            found.append(y.copy())
        if not for_h and stop % every_h == 0:
            y[into] += dose_mg
    return np.asarray(found)


def test_neroutsos_2022_follows_its_abstract():
    """CL, V1, Q, V2 10.7 L/h, 39.5 L, 4.68 L/h, 17.5 L at 70 kg, exponents 0.75 and 1; 28 and 41 %, within 11 %."""
    model = load_drug("busulfan-neroutsos2022")
    wt = 31.0
    cl, q = (x * (wt / 70) ** 0.75 for x in (10.7, 4.68))
    v1, v2 = (x * wt / 70 for x in (39.5, 17.5))
    times = (2.0, 4.0, 8.0, 24.0, 26.0)

    got = course(model, (Dose(0.0, 90.0, duration_h=3.0, interval_h=24.0, additional=1),), times, wt_kg=wt)
    mg = infusions(
        lambda t, x: (-(cl + q) / v1 * x[0] + q / v2 * x[1], q / v1 * x[0] - q / v2 * x[1]),
        (0, 0),
        times,
        90,
        24,
        3,
        0,
    )

    np.testing.assert_allclose(got["concentration"], mg[:, 0] / v1, rtol=1e-7)
    sd = np.sqrt(np.diag(omega(model)))
    assert [round(100 * float(s)) for s in sd] == [28, 41]
    assert round(100 * float(np.sqrt(occasion_omega(model)[0, 0]))) in {10, 11}
    assert omega(model)[0, 1] == pytest.approx(0.078870, rel=1e-4)  # nlmixr2lib's covariance


def test_hanzel_2021_by_hand():
    """80 kg, albumin 38 g/L, antibodies: 5 mg/kg over 2 h at weeks 0 and 2, in the days of the paper."""
    size = 80 / 70
    cl = 0.355 * size**0.666 * (38 / 44) ** -0.826 * 1.39
    v1, v2, q = 3.10 * size**0.385, 1.93 * size**1.08, 0.598 * size**1.26
    days = (7.0, 14.0, 28.0, 42.0)

    doses = (Dose(0.0, 400.0, duration_h=2.0, interval_h=336.0, additional=1, compartment="central"),)
    model = load_drug("infliximab-hanzel2021")
    got = course(model, doses, [24 * d for d in days], wt_kg=80.0, alb_g_per_l=38.0, antibodies=1.0)
    slope = lambda t, x: (-(cl + q) / v1 * x[0] + q / v2 * x[1], q / v1 * x[0] - q / v2 * x[1])  # noqa: E731
    first = infusions(slope, (0, 0), days, 400, 1000, 2 / 24, 0)
    second = infusions(slope, (0, 0), tuple(d - 14 for d in days if d > 14), 400, 1000, 2 / 24, 0)
    expected = (first + np.concatenate([np.zeros((2, 2)), second]))[:, 0] / v1

    np.testing.assert_allclose(got["concentration"], expected, rtol=1e-7)
    # nlmixr2lib's variances and covariances.
    expected = np.asarray(
        [
            [0.073928, -0.000576, 0.001611, -0.005749],
            [-0.000576, 0.026541, 2.76e-6, 0.000225],
            [0.001611, 2.76e-6, 0.044778, -0.006711],
            [-0.005749, 0.000225, -0.006711, 0.211253],
        ]
    )
    np.testing.assert_allclose(omega(model), expected, rtol=2e-3, atol=1e-6)


def test_woillard_2011_by_hand():
    """3 mg of Prograf every 12 h against the chain written out; its area at steady state is dose over CL/F."""
    ktr, cl, v1 = 3.34 * 1.53, 21.2 * (30 / 35) ** -1.14 * 2.0, 486 * 0.29

    def slope(t, x):
        out, back = (cl / v1 + 79 / v1) * x[3], 79 / 271 * x[4]
        return (-ktr * x[0], ktr * (x[0] - x[1]), ktr * (x[1] - x[2]), ktr * x[2] - out + back, 79 / v1 * x[3] - back)

    model, times = load_drug("tacrolimus-woillard2011"), (1.0, 3.0, 12.0, 13.0, 24.0)
    doses = (Dose(0.0, 3.0, interval_h=12.0, additional=20),)
    got = course(model, doses, times, hct_percent=30.0, cyp3a5_expresser=1.0)
    expected = infusions(slope, np.zeros(5), times, 3, 12, 0, 0)[:, 3]
    np.testing.assert_allclose(got["concentration"], 1000 * expected / v1, rtol=1e-6)

    # nlmixr2lib's article: 86.1 ug h/L for 2 mg at a haematocrit of 32.3 %.
    assert 2000.0 / model.typical(hct_percent=32.3)["cl"] == pytest.approx(86.1, abs=0.05)
    np.testing.assert_allclose(np.diag(omega(model)), [0.06, 0.08, 0.10, 0.26, 0.31], atol=0.01)
    np.testing.assert_allclose(np.sqrt(np.exp(np.diag(occasion_omega(model))) - 1), [0.33, 0.31, 0.75], rtol=1e-9)


def test_duong_2022_by_hand():
    """One compartment: 400 mg over 30 min at 60 mL/min, whose CL is 3.44 (1 - 0.00925 x 32) = 2.42 L/h."""
    cl, v = 3.44 * (1 - 0.00925 * 32), 22.4
    times = np.asarray([1.0, 8.0, 24.0])
    got = course(load_drug("gentamicin-duong2022"), (Dose(0.0, 400.0, duration_h=0.5),), times, crcl_ml_per_min=60.0)
    k = cl / v
    expected = 800 / cl * (1 - np.exp(-k * 0.5)) * np.exp(-k * (times - 0.5))

    np.testing.assert_allclose(got["concentration"], expected, rtol=1e-9)


@pytest.mark.long
def test_vanluchene_2004_is_marsh_with_another_curve():
    """Same effect-site levels as propofol-marsh1991; BIS 95.9 - 87.5 / 2 at 4.92 mg/L, and never outside 0-100."""
    model, marsh = load_drug("propofol-vanluchene2004"), load_drug("propofol-marsh1991")
    minutes = np.asarray([1.0, 2.0, 5.0, 10.0, 30.0])
    doses = (Dose(0.0, 140.0, duration_h=1 / 60), Dose(1 / 60, 600.0, duration_h=1.0))
    got, other = (course(m, doses, minutes / 60.0, wt_kg=70.0) for m in (model, marsh))
    ce = other["effect_site"]

    np.testing.assert_allclose(got["effect_site"], ce, rtol=1e-12)
    np.testing.assert_allclose(got["bis"], 95.9 - 87.5 * ce**2.69 / (4.92**2.69 + ce**2.69), rtol=1e-9)
    state = {"effect": jnp.asarray([0.0, 4.92, 500.0])}
    index = model.output_index("bis")
    p = {name: jnp.asarray(value) for name, value in model.typical().items()}
    np.testing.assert_allclose(model.outputs[index].value(state, p), [95.9, 52.15, 8.4], atol=1e-3)
    wild = {**p, "bis_baseline": jnp.asarray(104.0), "bis_fall": jnp.asarray(110.0)}
    np.testing.assert_allclose(model.outputs[index].value(state, wild)[jnp.asarray([0, 2])], [100.0, 0.0])


def falkenhagen(dose_mg, cl, ec50, k_vk=0.0228, vkh2=0.1):
    """The paper's system with its own units and drug-free values: INR before every daily dose."""

    def slope(t, x):
        a, c, v, ii, vii, x10 = x
        inhibited = c / (ec50 + c)
        made = v / vkh2
        return (
            -a,
            a / 10 - 0.02 * (cl / 0.2) * c,
            k_vk * 1.0 * (1 - inhibited) - k_vk * 1.0 / vkh2 * v,
            0.010 * (1394.4 * made - ii),
            0.12 * (10.0 * made - vii),
            0.018 * (174.3 * made - x10),
        )

    x = infusions(slope, (0, 0, vkh2, 1394.4, 10.0, 174.3), DAILY_H, dose_mg, 24.0, 0.0, 0)
    return (x[:, 3] / 1394.4 * x[:, 4] / 10.0 * x[:, 5] / 174.3) ** -0.1975


@pytest.mark.long
@pytest.mark.parametrize(
    ("cyp2c9", "g_alleles", "cl", "ec50"),
    [(11.0, 2.0, 0.2, 0.34), (13.0, 1.0, 0.1243, 0.2496), (33.0, 0.0, 0.0486, 0.1592)],
)
def test_falkenhagen_2023_by_hand(cyp2c9, g_alleles, cl, ec50):
    """In absolute amounts, as the paper writes it: the drug-free values cancel. A baseline INR multiplies it."""
    doses = (Dose(0.0, 5.0, interval_h=24.0, additional=18),)
    model = load_drug("warfarin-falkenhagen2023")
    got = course(model, doses, DAILY_H, cyp2c9=cyp2c9, vkorc1_g_alleles=g_alleles, inr_base=1.1)

    np.testing.assert_allclose(got["inr"], 1.1 * falkenhagen(5.0, cl, ec50), rtol=1e-6)


@pytest.mark.long
def test_falkenhagen_2023_steady_state():
    """All three factors fall to 1 - E, so that INR = (1 - E)^(-3 x 0.1975): 2.5 at 1.26 mg/L, 6 mg a day."""
    kept = 2.5 ** (-1 / (3 * 0.1975))
    level = 0.34 * (1 - kept) / kept
    assert 24 * 0.2 * level == pytest.approx(6.04, abs=0.05)
    doses = (Dose(0.0, 24 * 0.2 * level / 24, interval_h=1.0, additional=1999),)
    got = course(load_drug("warfarin-falkenhagen2023"), doses, [2000.0])
    assert got["inr"][0] == pytest.approx(2.5, abs=0.02)


@pytest.mark.long
def test_falkenhagen_2023_limit_on_fast_turnover(monkeypatch):
    """A patient of 3 standard deviations: no daily INR moves by more than 1 %, by limit or steps.

    Without the limit those steps would be beyond the stability of Runge-Kutta, 2.785 / 1.5 h = 1.86 1/h.
    """
    model = load_drug("warfarin-falkenhagen2023")
    names = [eta.parameter for eta in model.etas]
    # The largest rate on a sphere of three standard deviations: the three logarithms share it equally.
    eta = np.zeros(len(names))
    for name, sign in (("k_vitamin_k", 1.0), ("vitamin_k", 1.0), ("hydroquinone", -1.0)):
        eta[names.index(name)] = sign * 3.0 * 0.4 / np.sqrt(3.0)
    doses = (Dose(0.0, 5.0, interval_h=24.0, additional=18),)
    limited = course(model, doses, DAILY_H, eta)["inr"]
    stepped = dataclasses.replace(model, structure=model.structure.with_method(FixedStep(1.5)))
    np.testing.assert_allclose(course(stepped, doses, DAILY_H, eta)["inr"], limited, rtol=0.01)
    monkeypatch.setattr(warfarin_falkenhagen2023, "_FASTEST_PER_H", 100.0)
    free = course(model, doses, DAILY_H, eta)["inr"]
    assert 0.0 < np.abs(free / limited - 1.0).max() < 0.01

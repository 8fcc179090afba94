"""What happens when: event semantics against NONMEM, and input that is refused."""

import csv
import math
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.pkpd import (
    Covariates,
    Dose,
    Mammillary,
    RegimenError,
    check_delivery,
    every,
    make_regimen,
    no_covariates,
    solve,
)
from rl_drug_dosage.pkpd.ode_models import michaelis_menten
from rl_drug_dosage.pkpd.timeline import build_timeline

REFERENCE = Path(__file__).parents[1] / "reference" / "pkpd"
PLACES = {"central": "central", "periph1": "peripheral1", "periph2": "peripheral2", "depot": "depot"}
NAMES = {"CL": "cl", "V1": "v1", "Q2": "q2", "V2": "v2", "Q3": "q3", "V3": "v3", "KA": "ka", "F_central": "f_central"}
ONE = Mammillary(0)
ORAL = Mammillary(1, depot=True)


def constant(**p):
    """Parameters that never change."""
    return {name: jnp.array([value], dtype=float) for name, value in p.items()}


def amounts(structure, p, doses, times, **options):
    """Contents at times, under fixed parameters."""
    regimen = make_regimen(doses, structure)
    return np.asarray(
        solve(structure, p, regimen, no_covariates(), jnp.asarray(times, dtype=float), **options).contents
    )


def nonmem_case(case):
    """Structure, regimen and parameters of one of NONMEM's cases."""
    structure = Mammillary(int(case["model"][0]) - 1, case["model"].endswith("oral"))
    given = case["dose"]
    p = {mine: case[theirs] for theirs, mine in NAMES.items() if theirs in case}
    if "lag" in given:
        p[f"lag_{PLACES[given['into']]}"] = given["lag"]
    dose = Dose(
        given["t"], given["amt"], PLACES[given["into"]], rate_mg_per_h=given.get("rate", 0),
        interval_h=given.get("ii", 0), steady_state=given.get("ss", 0),
    )  # fmt: skip
    return structure, make_regimen([dose], structure), constant(**p)


def test_nonmem_predictions(x64, reference):
    """Ten cases to NONMEM's printed digits; the two with a lag of an interval or more are refused."""
    refused = 0
    for case in reference("nonmem_pred_anchors.json")["cases"]:
        structure, regimen, p = nonmem_case(case)
        if case["dose"].get("lag", 0) >= case["dose"].get("ii", math.inf):
            with pytest.raises(RegimenError, match="lag must be shorter"):
                check_delivery(structure, regimen, no_covariates(), p)
            refused += 1
            continue
        check_delivery(structure, regimen, no_covariates(), p)
        times, want = np.array(case["pred"]).T
        # NONMEM's row at the time of a dose comes after it.
        solution = solve(structure, p, regimen, no_covariates(), times, jnp.ones(times.shape, dtype=bool))
        got = solution.contents[:, structure.compartments.index("central")] / case["V1"]
        printed = 3e-5 if "flatwt" in case["id"] else 2e-5 if "advan11" in case["id"] else 1e-10
        np.testing.assert_allclose(got, want, rtol=printed, err_msg=case["id"])
    assert refused == 2


@pytest.mark.parametrize("name", ["renal", "iov", "loading"])
def test_closed_loop_dosing_of_mrgsolve(x64, name):
    """A controller over two weeks: clearance of the record that ends an interval, 1-h infusions."""
    rows = list(csv.DictReader((REFERENCE / f"adaptive_vanco_{name}.csv").read_text().splitlines()[1:]))
    time = np.array([float(row["time_h"]) for row in rows])
    if name == "renal":
        cl = 4.0 * np.array([float(row["crcl"]) for row in rows]) / 100.0
    else:
        cl = np.array([float(row.get("CL", 4.0)) for row in rows])
    infusion_h = 0.0 if name == "loading" else 1.0
    first = [Dose(0, 1500)] if name == "loading" else []
    doses = [*first, *(Dose(t, 1.0, duration_h=infusion_h) for t in time)]
    regimen = make_regimen(doses, ONE)
    p = {"cl": jnp.asarray(cl), "v1": jnp.full(cl.shape, 80.0)}
    table = Covariates(jnp.asarray(time), {}, jnp.zeros(time.shape, dtype=int))
    trough = jax.jit(lambda amount: solve(
        ONE, p, eqx.tree_at(lambda r: r.amount_mg, regimen, amount), table, time).contents[:, 0] / 80.0)  # fmt: skip

    given = np.array([1500.0] * len(first) + [0.0] * len(time))
    dose = 750.0 if name == "loading" else 500.0
    for i, row in enumerate(rows):
        level = float(trough(given)[i])
        dose = min(1.25 * dose, 4000.0) if level < 10 else max(0.75 * dose, 250.0) if level > 15 else dose
        given[len(first) + i] = dose
        assert abs(level - float(row["trough"])) < 1e-5
        assert abs(dose - float(row["dose_mg"])) < 10.0 ** -len(row["dose_mg"].partition(".")[2])


@pytest.mark.long
def test_a_level_at_the_time_of_a_dose_is_taken_before_it():
    """Trough by default, peak when asked; the order in which times are asked for does not matter."""
    p = constant(cl=1.0, v1=10.0)
    got = amounts(ONE, p, [Dose(0, 100), Dose(12, 100)], [12, 0, 12], after_dose=jnp.array([True, False, False]))[:, 0]
    left = 100 * math.exp(-1.2)
    np.testing.assert_allclose(got, [left + 100, 0.0, left], rtol=1e-6)


def test_bioavailability_scales_amount_duration_or_rate(x64):
    """F = 0.5: half a bolus; half as long at a given rate; half the rate over a given duration."""
    p = constant(cl=1.0, v1=10.0)
    half = {**p, "f_central": jnp.array([0.5])}
    times = [1.0, 3.0, 7.0]
    for with_f, without in [
        (Dose(0, 100), Dose(0, 50)),
        (Dose(0, 100, rate_mg_per_h=25), Dose(0, 50, rate_mg_per_h=25)),
        (Dose(0, 100, duration_h=4), Dose(0, 50, duration_h=4)),
    ]:
        np.testing.assert_allclose(amounts(ONE, half, [with_f], times), amounts(ONE, p, [without], times), rtol=1e-12)


def test_a_lag_shifts_a_dose_and_a_modelled_duration_infuses_it(x64):
    """A lag of 1.5 h is a dose 1.5 h later; duration_depot makes each dose a zero-order input."""
    p = constant(cl=2.0, v1=10.0, q2=1.0, v2=20.0, ka=0.8)
    later = {**p, "lag_depot": jnp.array([1.5])}
    times = [1.0, 2.0, 9.0]
    shifted = amounts(ORAL, p, [Dose(1.5, 100), Dose(7.5, 50)], times)
    np.testing.assert_allclose(amounts(ORAL, later, [Dose(0, 100), Dose(6, 50)], times), shifted, atol=1e-12)

    infused = {**p, "duration_depot": jnp.array([2.5])}
    want = amounts(ORAL, p, [Dose(0, 100, duration_h=2.5)], times)
    np.testing.assert_allclose(amounts(ORAL, infused, [Dose(0, 100)], times), want, rtol=1e-12)


def test_additional_doses_are_the_same_doses_written_out(x64):
    """ADDL = 3, II = 6 is four doses 6 h apart."""
    p = constant(cl=1.0, v1=10.0)
    short = amounts(ONE, p, [Dose(2, 100, duration_h=1, interval_h=6, additional=3)], [5, 11, 40])
    np.testing.assert_allclose(short, amounts(ONE, p, every(Dose(2, 100, duration_h=1), 6, 4), [5, 11, 40]), rtol=1e-12)


@pytest.mark.long
@pytest.mark.parametrize(
    ("dose", "lag"),
    [
        (Dose(0, 100, "depot", interval_h=8, steady_state=1), 0.0),
        (Dose(0, 100, "depot", interval_h=8, steady_state=1), 3.0),
        (Dose(0, 100, "central", duration_h=2, interval_h=8, steady_state=1), 7.0),
        (Dose(0, 100, "central", rate_mg_per_h=5, interval_h=8, steady_state=1), 0.0),
        (Dose(0, 100, "central", rate_mg_per_h=5, interval_h=8, steady_state=1), 2.5),
    ],
    ids=["oral", "oral with lag", "infusion across the record", "infusion of 2.5 intervals", "the same with lag"],
)
def test_steady_state_is_what_two_hundred_doses_lead_to(x64, dose, lag):
    """Closed form against a long run-in, before and long after the record, with what still runs from earlier cycles."""
    p = constant(cl=2.0, v1=10.0, q2=1.0, v2=20.0, ka=0.8)
    p |= {f"lag_{dose.compartment}": jnp.array([lag])}
    times = np.array([0.1, 0.7, 2.6, 5.0, 7.9, 12.0, 19.0, 33.0])
    run_in = [Dose(-8.0 * i, 100, dose.compartment, dose.rate_mg_per_h, dose.duration_h) for i in range(200, -1, -1)]
    want = amounts(ORAL, p, run_in, times)
    np.testing.assert_allclose(amounts(ORAL, p, [dose], times), want, rtol=1e-9, atol=1e-12)


@pytest.mark.long
def test_a_slow_drug_reaches_its_steady_state_in_float32():
    """k II = 0.024: the inverse of I - Phi would lose two digits, the product form does not."""
    p = constant(cl=0.1, v1=50.0)
    got = amounts(ONE, p, [Dose(0, 100, interval_h=12, steady_state=1)], [0.0], after_dose=jnp.array([True]))[0, 0]
    assert abs(got / (100 / -math.expm1(-0.024)) - 1) < 1e-6


@pytest.mark.long
def test_steady_states_add_up_with_ss_2_and_replace_with_ss_1(x64):
    """SS = 2 adds the second regimen's steady state; SS = 1 cancels running infusions and pending doses."""
    p = constant(cl=1.0, v1=10.0)
    one, other = Dose(0, 100, interval_h=24, steady_state=1), Dose(0, 40, interval_h=24, steady_state=2)
    alone = amounts(ONE, p, [one], [5]) + amounts(ONE, p, [Dose(0, 40, interval_h=24, steady_state=1)], [5])
    np.testing.assert_allclose(amounts(ONE, p, [one, other], [5]), alone, rtol=1e-12)

    before = [Dose(-30, 500, duration_h=60), Dose(-20, 70, interval_h=24, additional=4)]
    np.testing.assert_allclose(amounts(ONE, p, [*before, one], [5, 30]), amounts(ONE, p, [one], [5, 30]), rtol=1e-12)


@pytest.mark.long
def test_a_reset_empties_stops_and_cancels(x64):
    """EVID 3 clears contents, a running infusion, a lagged dose on its way and pending doses; EVID 4 doses."""
    p = constant(cl=1.0, v1=10.0, lag_central=2.0)
    before = [Dose(0, 500, duration_h=60), Dose(1, 70, interval_h=24, additional=4), Dose(9, 300)]
    assert np.all(amounts(ONE, p, [*before, Dose(10, reset=True)], [10.1, 26.0, 80.0]) == 0)
    got = amounts(ONE, p, [*before, Dose(10, 100, reset=True)], [10.0, 13.0])
    assert got[0] > 0
    np.testing.assert_allclose(got[1], 100 * math.exp(-0.1), rtol=1e-12)


def test_covariate_records_hold_backward_or_forward(x64):
    """Clearance 1 at 0 h, 3 at 10 h, 2 at 20 h: NOCB uses a record up to its time, LOCF from its time on."""
    p = {"cl": jnp.array([1.0, 3.0, 2.0]), "v1": jnp.full(3, 10.0)}
    regimen = make_regimen([Dose(0, 100)], ONE)
    times = jnp.array([4.0, 10.0, 26.0])
    logs = {}
    for carry in ("nocb", "locf"):
        table = Covariates(jnp.array([0.0, 10.0, 20.0]), {}, jnp.zeros(3, dtype=int), carry)
        logs[carry] = -np.log(np.asarray(solve(ONE, p, regimen, table, times).contents[:, 0]) / 100)
    np.testing.assert_allclose(logs["nocb"], [1.2, 3.0, 3.0 + 2.0 + 1.2], rtol=1e-12)
    np.testing.assert_allclose(logs["locf"], [0.4, 1.0, 1.0 + 3.0 + 1.2], rtol=1e-12)


@pytest.mark.parametrize(
    ("doses", "message"),
    [
        ([Dose(0, -5)], "amount_mg is -5"),
        ([Dose(0, math.nan)], "amount_mg is nan"),
        ([Dose(math.inf, 5)], "time_h is inf"),
        ([Dose(0, 0)], "amount_mg is 0"),
        ([Dose(0, 5, rate_mg_per_h=-2)], "rate_mg_per_h is -2"),
        ([Dose(0, 5, rate_mg_per_h=1, duration_h=2)], "both a rate and a duration"),
        ([Dose(0, 5, "liver")], "'liver'; doses may enter"),
        ([Dose(5, 5), Dose(0, 5)], "sort the records"),
        ([Dose(0, 5, additional=2)], "without an interval"),
        ([Dose(0, 5, steady_state=1)], "without interval or amount"),
        ([Dose(0, 5, interval_h=12, steady_state=3)], "allowed are 0, 1 and 2"),
    ],
)
def test_a_record_that_means_nothing_is_refused(doses, message):
    """Each names record, value and remedy."""
    with pytest.raises(RegimenError, match=message):
        make_regimen(doses, ONE)


def test_what_only_the_parameters_reveal_is_refused(x64):
    """A negative lag, a steady state added to a non-linear model, an infusion that F stretches over more cycles."""
    regimen = make_regimen([Dose(0, 100, rate_mg_per_h=20, interval_h=4, steady_state=1)], ONE)
    with pytest.raises(RegimenError, match="lag_central is -1"):
        check_delivery(ONE, regimen, no_covariates(), constant(cl=1.0, v1=10.0, lag_central=-1.0))
    with pytest.raises(RegimenError, match="infused over 15 h"):
        check_delivery(ONE, regimen, no_covariates(), constant(cl=1.0, v1=10.0, f_central=3.0))
    with pytest.raises(RegimenError, match="non-linear"):
        make_regimen([Dose(0, 100, interval_h=4, steady_state=2)], michaelis_menten())


def test_an_impossible_steady_state_is_never_a_silent_number(x64):
    """Inside compiled code, where nothing can be raised, it is NaN."""
    p = constant(cl=1.0, v1=10.0, lag_central=15.0)
    assert np.isnan(amounts(ONE, p, [Dose(0, 100, interval_h=12, steady_state=1)], [3.0])).all()


@pytest.mark.long
def test_nothing_is_solved_beyond_the_last_observation(x64):
    """A table that is padded with records ages ahead, as that of a bedside is, costs an equation solver nothing."""
    structure = Mammillary(1)
    regimen = make_regimen([Dose(0.0, 100.0), Dose(12.0, 50.0), Dose(400.0, 50.0)], structure, rows=8)
    p = {name: jnp.full(3, value) for name, value in {"cl": 5.0, "v1": 30.0, "q2": 2.0, "v2": 40.0}.items()}
    table = Covariates(np.asarray([0.0, 6.0, 1e6]), {}, np.zeros(3, dtype=int), "locf")
    times = np.asarray([3.0, 30.0, 20.0])

    timeline = build_timeline(structure, regimen, table, p, times, np.zeros(3, dtype=bool))
    found = solve(structure, p, regimen, table, times, timeline=timeline)

    assert float(timeline.dt_h.sum()) == 30.0
    early = make_regimen([Dose(0.0, 100.0), Dose(12.0, 50.0)], structure)
    alone = solve(structure, {n: v[:1] for n, v in p.items()}, early, no_covariates(), times)
    np.testing.assert_allclose(found.contents, alone.contents, rtol=1e-12)

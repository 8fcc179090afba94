"""A grid of regimens over posterior draws: closed forms of one compartment, for both ways of looking ahead."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.pharmacometrics.dose_aims import Aim
from rl_drug_dosage.pharmacometrics.dose_occasions import next_occasion, with_next_kappa
from rl_drug_dosage.pharmacometrics.dose_times import falls_below_h, last_crossing_h
from rl_drug_dosage.pkpd import (
    Dose,
    Mammillary,
    RegimenError,
    Route,
    Target,
    make_covariates,
    make_regimen,
    no_covariates,
    occasion_omega,
    predict,
)
from rl_drug_dosage.pkpd.bayes import (
    Candidate,
    Draws,
    Way,
    prepare_search,
)
from rl_drug_dosage.registry import load_drug

K, V = 0.08, 50.0
BOLUS = Route("bolus", "central")
LIMITED = Route("infusion", "central", 1.0, 600.0)
HISTORY = (Dose(0.0, 900.0), Dose(12.0, 300.0))
START = 20.0


def target(metric, low=None, high=None):
    return Target("concentration", metric, low, high, "mg/L", "invented")


@pytest.fixture(scope="module")
def drug(toy):
    return toy(Mammillary(0), {"cl": K * V, "v1": V}, omega_sd={"cl": 0.3})


@pytest.fixture(scope="module")
def draws():
    """The point estimate, then forty draws; with the elimination rate of each."""
    eta = np.concatenate([[0.1], 0.3 * np.random.default_rng(1).normal(size=40)])
    return eta, K * np.exp(eta)


def packed(eta):
    return Draws(jnp.asarray(eta)[:, None], jnp.zeros((len(eta), 0, 0)))


@pytest.mark.long
@pytest.mark.parametrize("doses", [1, 3])
@pytest.mark.parametrize("metric", ["trough", "peak", "auc24", "average"])
def test_metrics_after_some_doses_are_superposed_exponentials(x64, drug, draws, metric, doses):
    """Two boluses so far, and one, or three, of each amount every 8 or 12 h from 20 h on."""
    eta, k = draws
    ways, amounts = (Way(BOLUS, 8.0), Way(BOLUS, 12.0)), (100.0, 700.0)
    search = prepare_search(drug, [Candidate(HISTORY, no_covariates(), START, ways)], doses=doses)
    found = search.metrics(0, packed(eta), target(metric, 1.0), amounts)

    assert found.shape == (2, 2, len(eta))
    for w, way in enumerate(ways):
        end = START + doses * way.interval_h
        begin = end - way.interval_h
        window = end - min(24.0, doses * way.interval_h) if metric == "auc24" else begin
        for a, amount in enumerate(amounts):
            given = [(d.time_h, d.amount_mg) for d in HISTORY]
            given += [(START + i * way.interval_h, amount) for i in range(doses)]

            def level(t, before, k=k, given=given):
                return sum(x / V * np.exp(-k * (t - s)) for s, x in given if (s < t if before else s <= t))

            def area(t, k=k, given=given):
                return sum(x / V * (1 - np.exp(-k * (t - s))) / k for s, x in given if s < t)

            whole = area(end) - area(window)
            want = {
                "trough": level(end, before=True),
                "peak": level(begin, before=False),
                "auc24": whole * 24.0 / (end - window),
                "average": whole / way.interval_h,
            }[metric]
            np.testing.assert_allclose(found[w, a], want, rtol=1e-9)


@pytest.mark.long
def test_at_steady_state_metrics_are_geometric_series_and_the_past_does_not_matter(x64, drug, draws):
    eta, k = draws
    ways, amounts = (Way(BOLUS, 8.0), Way(BOLUS, 24.0)), (500.0,)
    for history in (HISTORY, ()):
        search = prepare_search(drug, [Candidate(history, no_covariates(), START, ways)], doses=None)
        trough = search.metrics(0, packed(eta), target("trough", 1.0), amounts)
        auc = search.metrics(0, packed(eta), target("auc24", 1.0), amounts)
        for w, way in enumerate(ways):
            gone = np.exp(-k * way.interval_h)
            np.testing.assert_allclose(trough[w, 0], 500.0 / V * gone / (1 - gone), rtol=1e-9)
            np.testing.assert_allclose(auc[w, 0], 500.0 / V / k * 24.0 / way.interval_h, rtol=1e-9)


@pytest.mark.long
@pytest.mark.parametrize("doses", [None, 2])
def test_a_limited_rate_lengthens_the_infusion_and_one_beyond_the_interval_is_impossible(x64, drug, doses):
    """Average level at steady state is dose / CL / interval however long the infusion; the peak falls with it."""
    eta, amounts = np.zeros(2), (600.0, 3600.0, 4000.0)
    way = Way(LIMITED, 6.0)
    assert way.most_mg == 3600.0
    search = prepare_search(drug, [Candidate((), no_covariates(), 0.0, (way,))], doses=doses)
    peak = search.metrics(0, packed(eta), target("peak", 1.0), amounts)[0, :, 0]

    assert np.isnan(peak[2])
    if doses is None:
        gone = np.exp(-K * 6.0)
        want = [600.0 / 1.0 / (K * V) * (1 - np.exp(-K)) / (1 - gone), 600.0 / (K * V)]
        np.testing.assert_allclose(peak[:2], want, rtol=1e-6)
        average = search.metrics(0, packed(eta), target("average", 1.0), amounts)[0, :2, 0]
        np.testing.assert_allclose(average, np.array(amounts[:2]) / (K * V * 6.0), rtol=1e-9)


@pytest.mark.long
@pytest.mark.parametrize("percentile", [5.0, 50.0, 95.0])
def test_the_exact_dose_attains_its_percentile(x64, drug, draws, percentile):
    """The trough is affine in the dose for every draw: the dose at which the percentile of all of them is the limit."""
    eta, k = draws
    search = prepare_search(drug, [Candidate(HISTORY, no_covariates(), START, (Way(BOLUS, 12.0),))], doses=1)
    (dose,) = search.attaining_mg(0, packed(eta[1:]), target("trough", high=9.0), 9.0, percentile, (0.0, 5000.0))
    left = sum(d.amount_mg / V * np.exp(-k[1:] * (START + 12.0 - d.time_h)) for d in HISTORY)
    assert np.percentile(left + dose / V * np.exp(-k[1:] * 12.0), percentile) == pytest.approx(9.0, rel=1e-9)

    (none,) = search.attaining_mg(0, packed(eta), target("trough", high=1e6), 1e6, percentile, (0.0, 5000.0))
    assert np.isnan(none)


def test_patients_of_different_histories_share_programs_and_keep_their_own_numbers(x64, drug, draws):
    """Padding changes nothing: searched together or alone."""
    eta, _ = draws
    ways = (Way(BOLUS, 12.0),)
    patients = [Candidate(HISTORY, no_covariates(), START, ways), Candidate((), no_covariates(), 5.0, ways)]
    together = prepare_search(drug, patients, doses=2)
    for i, patient in enumerate(patients):
        alone = prepare_search(drug, [patient], doses=2).metrics(0, packed(eta), target("trough", 1.0), (400.0,))
        both = together.metrics(i, packed(eta), target("trough", 1.0), (400.0,))
        np.testing.assert_allclose(both, alone, rtol=1e-12)


@pytest.mark.long
def test_courses_and_intervals_of_the_chosen_regimen(x64, drug, draws):
    """The course is the engine's own prediction; the metric of interval k is that of a search for the k-th dose."""
    eta, _ = draws
    ways = (Way(BOLUS, 12.0),)
    candidate = Candidate(HISTORY, no_covariates(), START, ways)
    search = prepare_search(drug, [candidate], doses=3)
    times = np.array([1.0, 15.0, 25.0, 50.0])
    course = search.course(0, packed(eta), 400.0, times)
    doses = [*HISTORY, *(Dose(START + 12.0 * i, 400.0) for i in range(3))]
    regimen = make_regimen(doses, drug.structure)
    want = [predict(drug, regimen, no_covariates(), times, jnp.asarray([e])) for e in eta]
    np.testing.assert_allclose(course, want, rtol=1e-12)

    by = search.by_interval(0, packed(eta), target("auc24", 1.0), 400.0)
    for count in (1, 2, 3):
        one = prepare_search(drug, [candidate], doses=count).metrics(0, packed(eta), target("auc24", 1.0), (400.0,))
        np.testing.assert_allclose(by[count - 1], one[0, 0], rtol=1e-12)


def test_histories_that_reach_into_the_search_and_infusions_beyond_the_interval_are_refused(drug):
    late = Candidate((Dose(0.0, 1.0, interval_h=12.0, additional=2),), no_covariates(), 24.0, (Way(BOLUS, 12.0),))
    with pytest.raises(RegimenError, match="a dose at 24 h is not before the start of the search at 24 h"):
        prepare_search(drug, [late], doses=1)
    long = Way(Route("day", "central", 24.0), 12.0)
    with pytest.raises(RegimenError, match="day takes 24 h, longer than an interval of 12 h"):
        prepare_search(drug, [Candidate((), no_covariates(), 0.0, (long,))], doses=1)


@pytest.mark.long
def test_the_wait_until_a_level_is_that_of_an_exponential(x64, drug, draws):
    """t = ln(C / level) / k after the last bolus; never where the course stays above."""
    eta, k = draws
    regimen = make_regimen([Dose(0.0, 1000.0)], drug.structure)
    times = 720.0 * np.linspace(0.0, 1.0, 700) ** 2
    times[0] = 1e-9
    found = falls_below_h(
        drug, regimen, no_covariates(), packed(eta).eta, packed(eta).kappa, 5.0, output=0, time_h=times
    )
    np.testing.assert_allclose(found, np.log(1000.0 / V / 5.0) / k, rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "when"),
    [
        ([8.0, 4.0, 2.0, 1.0], 1.0 + np.log(4 / 3) / np.log(2)),
        ([1.0, 6.0, 2.0, 1.0], 1.0 + np.log(6 / 3) / np.log(3)),
        ([2.0, 1.0, 1.0, 1.0], 0.0),
        ([8.0, 8.0, 8.0, 4.0], np.inf),
        ([6.0, 0.0, 0.0, 0.0], 0.5),
        ([3.0, 3.0, 2.0, 1.0], 1.0),
    ],
)
def test_a_course_falls_below_a_level_when_it_does_so_for_good(x64, values, when):
    """A rise before the fall counts as above; straight lines to 0, exponentials otherwise."""
    found = last_crossing_h(jnp.arange(4.0), jnp.asarray(values), 3.0)
    np.testing.assert_allclose(found, when, rtol=1e-12)


def test_a_future_occasion_has_kappas_of_its_own(x64):
    """The next record begins just before the start; its kappas have the occasions' variance, and 0 for the estimate."""
    model = load_drug("busulfan-shukla2020")
    values = {c.name: [c.typical, c.typical] for c in model.covariates}
    for carry in ("nocb", "locf"):
        table = make_covariates(model, values, (0.0, 24.0), (0, 1), carry)
        ahead = next_occasion(table, 48.0)
        occasions = ahead.occasion[np.asarray(ahead.index_at(np.array([20.0, 47.0, 48.0, 100.0])))]
        np.testing.assert_array_equal(occasions, [1 if carry == "nocb" else 0, 1, 2, 2])

    kappa = jnp.ones((4001, 2, len(model.occasion_etas)))
    more = np.asarray(with_next_kappa(model, kappa, 2, jax.random.key(0)))
    assert more.shape == (4001, 3, len(model.occasion_etas))
    np.testing.assert_array_equal(more[:, :2], 1.0)
    np.testing.assert_array_equal(more[0, 2], 0.0)
    np.testing.assert_allclose(np.cov(more[1:, 2].T), occasion_omega(model), atol=0.1 * occasion_omega(model).max())


def test_what_an_aim_calls_inside_and_how_far_is_far():
    """Limits are inside; ratios unless a limit is 0; a share of the interval for time above; no number is outside."""
    aim = Aim(target("trough", 10.0, 20.0))
    np.testing.assert_array_equal(aim.inside(np.array([9.9, 10.0, 20.0, 20.1, np.nan])), [0, 1, 1, 0, 0])
    assert aim.point == pytest.approx(np.sqrt(200.0))
    np.testing.assert_allclose(aim.distance(np.array([20.0])), np.log(20 / np.sqrt(200)))
    plain = Aim(dataclasses.replace(target("trough", 0.0, 20.0)))
    assert (plain.point, plain.ratios) == (10.0, False)
    np.testing.assert_allclose(plain.distance(np.array([4.0])), 6.0)
    share = Aim(target("time_above", 4.0), 0.6)
    np.testing.assert_array_equal(share.inside(np.array([0.59, 0.6, 1.0])), [0, 1, 1])
    assert Aim(dataclasses.replace(target("trough", 10.0, 20.0), aim=12.0)).point == 12.0

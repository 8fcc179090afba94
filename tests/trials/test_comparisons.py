"""Comparisons over seeds and patients hold what they promise, and Holm's step-down gives R's numbers."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.trials.comparisons import against, drawn_over_seeds, holm, over_seeds

P_VALUES = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12)
R_RAW = [
    0.838541367553,
    0.642193923795,
    0.680845947633,
    0.967833824309,
    0.71626938238,
    0.177096952723,
    5.23656777208e-05,
    0.0202732688798,
    0.00028140506198,
    0.0149877310796,
]
R_HOLM = {6: 5.23656777208e-04, 8: 2.53264555782e-03, 9: 0.1199018486368, 7: 0.1419128821586}
"""`mt.rawp2adjp` of R's multtest, method Holm, as in the tests of statsmodels; the others are 1."""


def named(values):
    return {str(i): value for i, value in enumerate(values)}


def made_up(rng, seeds, patients, between=1.0, among=10.0, rest=5.0, mean=0.0):
    """Differences with known variances; those among patients are skewed as an exponential is."""
    patient = among * (rng.exponential(1.0, (1, patients)) - 1.0)
    return mean + between * rng.normal(size=(seeds, 1)) + patient + rest * rng.normal(size=(seeds, patients))


def test_holm_agrees_with_r():
    found = holm(named(R_RAW))
    assert list(found) == [str(i) for i in range(10)]
    for i in range(10):
        assert found[str(i)] == pytest.approx(R_HOLM.get(i, 1.0), rel=1e-11)
    # The second case of the same tests: ties at the end take the largest before them.
    six = holm(named([0.002, 0.004, 0.006, 0.008, 0.01, 0.012]))
    assert list(six.values()) == pytest.approx([0.012, 0.02, 0.024, 0.024, 0.024, 0.024])


@given(P_VALUES)
def test_holm_lies_between_the_p_value_and_bonferronis(values):
    found = list(holm(named(values)).values())
    order = np.argsort(values, kind="stable")
    assert (np.diff(np.asarray(found)[order]) >= 0.0).all()
    for raw, adjusted in zip(values, found, strict=True):
        assert raw <= adjusted <= min(1.0, len(values) * raw) + 1e-15
    assert min(found) == pytest.approx(min(1.0, len(values) * min(values)))


@given(P_VALUES, st.randoms())
def test_holm_does_not_depend_on_the_order(values, random):
    before = named(values)
    shuffled = list(before.items())
    random.shuffle(shuffled)
    assert holm(dict(shuffled)) == pytest.approx(holm(before))


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_what_is_no_p_value_is_refused(value):
    with pytest.raises(ConfigError, match=r"the p-value of 'b' is .*from 0 to 1"):
        holm({"a": 0.1, "b": value})


def test_the_variance_is_that_of_every_possible_draw():
    """2 of 3 seeds and 4 of 4 patients, all 9 x 256 draws one by one."""
    d = made_up(np.random.default_rng(1), 3, 4)
    draws = [
        d[np.ix_(s, c)].mean()
        for s in itertools.product(range(3), repeat=2)
        for c in itertools.product(range(4), repeat=4)
    ]
    found = over_seeds(d)
    assert found.se**2 == pytest.approx(np.var(draws), rel=1e-12)
    assert found.mean == pytest.approx(np.mean(draws))


@pytest.mark.long
def test_the_variance_of_a_two_level_mean_is_known():
    """Its expectation is that of the truth plus 2 var(e) / (R C), Owen's excess; 2,000 repeats, error about 2 %."""
    rng, seeds, patients = np.random.default_rng(2), 5, 40
    d = np.stack([made_up(rng, seeds, patients, 1.0, 3.0, 6.0) for _ in range(2000)])
    truth = 1.0 / seeds + 9.0 / patients + 36.0 / (seeds * patients)
    assert d.mean((1, 2)).var() == pytest.approx(truth, rel=0.08)
    found = np.mean([over_seeds(one).se ** 2 for one in d[:600]])
    assert found == pytest.approx(truth + 2.0 * 36.0 / (seeds * patients), rel=0.08)


def test_with_like_patients_it_is_the_t_test_of_the_seeds():
    seeds = np.asarray([1.0, 2.5, -0.5, 3.0, 0.7])
    found, outside = over_seeds(np.repeat(seeds[:, None], 30, axis=1)), stats.ttest_1samp(seeds, 0.0)
    assert found.p == pytest.approx(outside.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx(tuple(outside.confidence_interval(0.95)), rel=1e-6)
    assert found.df == pytest.approx(4.0)


def test_with_like_seeds_it_is_the_paired_t_test_of_the_patients():
    """But for the factor (C - 1) / C of the variance, which resampling patients leaves out."""
    patients = np.random.default_rng(3).normal(0.4, 2.0, 200)
    found, outside = over_seeds(np.repeat(patients[None], 5, axis=0)), stats.ttest_1samp(patients, 0.0)
    assert found.mean / found.se == pytest.approx(outside.statistic * (200 / 199) ** 0.5, rel=1e-9)
    assert found.df == pytest.approx(199.0)


def test_drawing_a_mean_finds_the_formula():
    d = made_up(np.random.default_rng(4), 5, 80)
    drawn = drawn_over_seeds(lambda s, c: d[np.ix_(s, c)].mean(), 5, 80, np.random.default_rng(5), 4000)
    exact = over_seeds(d)
    assert drawn.mean == pytest.approx(exact.mean)
    assert drawn.se == pytest.approx(exact.se, rel=0.05)
    assert drawn.high - drawn.low == pytest.approx(exact.high - exact.low, rel=0.08)


@given(st.integers(2, 6), st.integers(2, 30), st.floats(-3.0, 3.0), st.integers(0, 10**6))
def test_the_p_value_says_what_the_interval_says(seeds, patients, mean, seed):
    found = over_seeds(made_up(np.random.default_rng(seed), seeds, patients, mean=mean))
    assert found.low <= found.mean <= found.high
    excludes = found.low > 0.0 or found.high < 0.0
    assert excludes == (found.p < 0.05) or found.p == pytest.approx(0.05, abs=1e-6)
    assert min(seeds, patients) - 1 - 1e-9 <= found.df


def test_equal_policies_differ_by_nothing():
    found = over_seeds(np.zeros((5, 10)))
    assert (found.mean, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)
    assert over_seeds(np.ones((5, 10))).p == 0.0


@pytest.mark.parametrize(
    ("differences", "said"),
    [
        (np.zeros((1, 10)), "at least 2 seeds by 2 patients"),
        (np.zeros(10), "at least 2 seeds by 2 patients"),
        (np.asarray([[0.0, np.nan], [0.0, 0.0]]), "1 of 4 differences are not finite"),
    ],
)
def test_what_has_no_two_levels_is_refused(differences, said):
    with pytest.raises(ConfigError, match=said):
        over_seeds(differences)


def ends(share, **more):
    rest = {"change_last_third_pct": np.full(len(share), 20.0), "dropped_out": np.zeros(len(share))}
    return {"attainment_pct": np.asarray(share, float), **rest, "harm:INR > 4": np.zeros(len(share)), **more}


def test_every_endpoint_is_compared():
    """40 patients: the worst 5 % are two."""
    reference = ends(np.linspace(20.0, 98.0, 40), **{"harm:INR > 4": np.repeat([2.0, 0.0], [10, 30])})
    better = ends(reference["attainment_pct"] + np.repeat([-4.0, 0.0, 2.0], [10, 10, 20]))
    other = ends(reference["attainment_pct"] + 1.0, dropped_out=np.repeat([1.0, 0.0], [4, 36]))

    found = against([better, other], reference, np.random.default_rng(1))

    assert found["by_seed_pct"] == [59.0, 60.0]
    assert found["attainment_pct"]["reference"] == 59.0
    assert found["attainment_pct"]["difference"]["mean"] == 0.5
    assert found["better_pct"] == pytest.approx(100.0 * (20 + 40) / 80)
    assert found["worse_pct"] == pytest.approx(100.0 * 10 / 80)
    # The reference's two worst have 20 and 22; the seeds' have 16 and 18, 21 and 23.
    assert found["worst_5_pct"]["reference"] == 21.0
    assert found["worst_5_pct"]["learnt"] == pytest.approx((17.0 + 22.0) / 2)
    assert found["worst_5_pct"]["difference"]["mean"] == pytest.approx(-1.5)
    assert found["harms_pct"]["INR > 4"]["difference"]["mean"] == -25.0
    assert found["left_pct"]["learnt"] == 5.0
    assert found["change_last_third_pct"]["difference"]["p"] == 1.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("between", "among", "rest"),
    [(1.0, 0.0, 0.01), (0.0, 10.0, 0.01), (0.0, 10.0, 10.0), (1.0, 10.0, 10.0), (1.0, 3.0, 3.0)],
    ids=["seeds", "patients", "no seeds", "all", "mostly seeds"],
)
def test_intervals_of_five_seeds_cover_the_truth(between, among, rest):
    """Nominally 95 %, of 800 repeats (standard error 0.8); up to 98 % where Owen's excess is largest."""
    rng, hits = np.random.default_rng(6), 0
    for _ in range(800):
        found = over_seeds(made_up(rng, 5, 300, between, among, rest, mean=3.0))
        hits += found.low <= 3.0 <= found.high
    assert 0.93 <= hits / 800 <= 0.99


@pytest.mark.slow
def test_a_family_without_any_effect_has_a_false_lead_in_one_of_twenty():
    """12 scenarios of 5 seeds and 100 patients, 400 times; without the step-down it would be almost one of two."""
    rng, false = np.random.default_rng(7), 0
    for _ in range(400):
        p = {str(i): over_seeds(made_up(rng, 5, 100)).p for i in range(12)}
        false += min(holm(p).values()) < 0.05
    assert false / 400 <= 0.07

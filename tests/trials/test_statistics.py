"""Intervals that hold what they promise, and endpoints that say what they say."""

import numpy as np
import pytest

from rl_drug_dosage.trials.outcome import gathered
from rl_drug_dosage.trials.statistics import bootstrap, endpoints, paired, strata_of, subgroups, summary
from rl_drug_dosage.trials.trial import Trial


def test_with_equal_policies_the_interval_contains_no_difference():
    """Nominally 95 %; the bar is 93 % of 500 repeats, one standard error of which is 1 point."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(500):
        # the same skewed, bounded distribution for both, correlated as courses of one patient are
        patient = rng.beta(4.0, 1.5, 200)
        a, b = (np.clip(patient + rng.normal(0.0, 0.1, 200), 0.0, 1.0) for _ in range(2))
        (interval,) = bootstrap((a - b)[:, None], rng, resamples=1000)
        hits += interval.low <= 0.0 <= interval.high

    assert hits >= 0.93 * 500


def test_pairing_is_what_makes_intervals_narrow():
    rng = np.random.default_rng(2)
    patient = rng.normal(70.0, 20.0, 400)
    a, b = patient + rng.normal(0, 2, 400), patient + 1.0 + rng.normal(0, 2, 400)

    (row,) = paired(["a", "b"], np.stack([a, b], axis=1), rng)
    alone = bootstrap(np.stack([a, b], axis=1), rng)

    assert row["high"] < 0.0
    assert row["high"] - row["low"] < 0.3 * (alone[0].high - alone[0].low)
    assert row["better_pct"] + row["worse_pct"] == pytest.approx(100.0)


def test_the_interval_of_a_mean_has_its_textbook_width():
    rng = np.random.default_rng(3)
    column = rng.normal(5.0, 2.0, 1000)

    (interval,) = bootstrap(column[:, None], rng)

    assert interval.mean == pytest.approx(column.mean())
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * column.std() / 1000**0.5, rel=0.08)


def made_up(ward) -> Trial:
    """Three patients: all in, none in and over, failed."""
    inside = np.array([[1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]], float)
    dose = np.array([[1000, 1000, 1000, 1000], [1000, 2000, 2000, 500], [0, 0, 0, 0]], float)
    zeros, ones = np.zeros((3, 4)), np.ones((3, 4))
    return Trial(
        first=10,
        covariates={"crcl_ml_per_min": np.array([50.0, 70.0, 95.0]), "wt_kg": np.array([60.0, 80.0, 120.0])},
        values=np.ones((3, 4, 6)),
        measured=np.ones((3, 4, 2)),
        baseline=np.full(3, np.nan),
        metrics=np.full((3, 4, 1), 500.0),
        dose=dose,
        proposal=dose,
        every_h=np.full(dose.shape, 12.0),
        reason=np.array([[0, 0, 0, 0], [1, 2, 2, 0], [0, 0, 0, 0]]),
        doubtful=np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]], bool),
        abstained=np.array([[0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]], bool),
        inside=inside,
        under=zeros,
        over=1.0 - inside,
        harms=(1.0 - inside)[..., None],
        reward=-zeros,
        alive=ones.astype(bool),
        failed=np.array([False, False, True]),
    )


def test_endpoints_of_known_courses(ward):
    ends = endpoints(ward, made_up(ward))

    # a failed patient has attained nothing
    assert ends["attainment_pct"].tolist() == [100.0, 0.0, 0.0]
    assert ends["over_pct"].tolist() == [0.0, 100.0, 0.0]
    assert ends["total_dose"].tolist() == [4000.0, 5500.0, 0.0]
    assert ends["dose_changes"].tolist() == [0.0, 2.0, 0.0]
    assert ends["harm:AUC24 > 600"].tolist() == [0.0, 4.0, 0.0]


def test_the_summary_names_what_happened(ward):
    trial = made_up(ward)
    outcome = gathered(ward, [trial], trial.patients)
    (interval,) = bootstrap(outcome.ends["attainment_pct"][:, None], np.random.default_rng(1))

    row = summary(ward, outcome, interval)

    assert row["failed_patients"] == [12]
    assert row["interventions"]["not a number"] == 1
    assert row["interventions"]["off the grid"] == 2
    assert row["doubtful_decisions"] == 2
    assert row["abstained_decisions"] == 1
    assert row["harms"]["AUC24 > 600"]["patients_pct"] == pytest.approx(100.0 / 3.0)
    assert row["worst_5_pct"] == 0.0


def test_strata_cover_everybody_once(ward):
    table = {"crcl_ml_per_min": np.array([20.0, 60.0, 89.9, 90.0, 140.0]), "wt_kg": np.array([50.0, 70, 99, 100, 150])}

    found = strata_of(ward, table)

    for title in ("renal function", "weight"):
        who = np.stack([w for t, _, w in found if t == title])
        assert (who.sum(0) == 1).all()
    assert [label for t, label, _ in found if t == "weight"] == ["< 70 kg", "70 to 100 kg", ">= 100 kg"]


def test_subgroup_differences_are_against_the_reference(ward):
    rng = np.random.default_rng(1)
    table = {"crcl_ml_per_min": rng.uniform(30, 140, 300), "wt_kg": rng.uniform(50, 140, 300)}
    base = rng.uniform(0, 100, 300)

    rows = subgroups(ward, table, ["a", "b"], np.stack([base, base + 5.0], axis=1), "a", rng)

    assert {r["difference"]["mean"] for r in rows if r["policy"] == "a"} == {0.0}
    assert {round(r["difference"]["mean"], 9) for r in rows if r["policy"] == "b"} == {5.0}

"""Regimens in words: what is given when, and what is refused in one line that says what fits."""

import numpy as np
import pytest

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.registry import POLICY, find, is_file_reference


@pytest.mark.parametrize(
    ("text", "scenario", "amounts"),
    [
        ("1000 mg q12h", "vancomycin", [1000, 1000, 1000]),
        ("1 g every 12 hours", "vancomycin", [1000, 1000, 1000]),
        ("1000000 ug twice daily", "vancomycin", [1000, 1000, 1000]),
        ("1000mg Q12H", "vancomycin", [1000, 1000, 1000]),
        ("2000 mg then 1000 mg q12h", "vancomycin", [2000, 1000, 1000]),
        ("2000 mg then 1500 mg then 1000 mg q24h", "vancomycin", [2000, 0, 1500, 0, 1000, 0, 1000]),
        ("2000 mg q24h then 1000 mg q12h", "vancomycin", [2000, 0, 1000, 1000]),
        ("1000 mg daily", "vancomycin", [1000, 0, 1000, 0]),
        ("5 mg daily", "warfarin", [5, 5, 5]),
        ("5 mg every 2 days", "warfarin", [5, 0, 5, 0]),
        ("10 mg/min", "propofol", [10, 10, 10]),
        ("600 mg/h", "propofol", [10, 10, 10]),
        ("30 mg/min then 10 mg/min", "propofol", [30, 10, 10]),
        ("5 mg q12h", "tacrolimus", [5, 5, 5]),
        ("0.2 units every 30 min", "t1d", [0.2, 0.2]),
        ("5 mg/kg q8w", "infliximab", [5, 5]),
        ("3.2 mg/kg daily", "busulfan", [3.2, 3.2]),
        ("1 x 320 mg every 3 weeks", "paclitaxel", [1, 1]),
        ("0.5 1/d every 2 days", "chemotherapy", [0.5, 0.5]),
        ("fixed:500", "vancomycin", [500, 500, 500]),
    ],
)
def test_a_regimen_gives_what_it_says(build, text, scenario, amounts):
    """Amounts at the first decisions, in the unit of the scenario's dosage."""
    policy = build(text, scenario)
    np.testing.assert_allclose(policy.amounts[: len(amounts)], amounts, rtol=1e-6)
    assert not policy.sizes


@pytest.mark.long
def test_it_is_what_the_patients_are_given(treat):
    """In a trial, after a loading dose of 2,000 mg, every second decision."""
    trial = treat("2000 mg then 1000 mg q24h")
    np.testing.assert_array_equal(trial.dose, np.tile([2000.0, 0.0, 1000.0, 0.0], (8, 1)))
    assert (trial.reason == 0).all()


@pytest.mark.long
def test_an_amount_per_kg_is_for_each_patient_and_rounded_to_the_grid(treat):
    """25 mg/kg, then 15 mg/kg, to the nearest 250 mg: worked out here from each weight."""
    trial = treat("25 mg/kg then 15 mg/kg q12h")
    weight_kg = trial.covariates["wt_kg"][:, None]
    wanted = weight_kg * np.asarray([25.0, 15.0, 15.0, 15.0])
    np.testing.assert_array_equal(trial.dose, 250.0 * np.round(wanted / 250.0))
    assert len(np.unique(trial.dose[:, 1])) > 2


@pytest.mark.parametrize(
    ("text", "scenario", "message"),
    [
        ("1000 mg q8h", "vancomycin", r"every 8h does not fit.*every 12h: write q12h, q24h, q36h"),
        ("1000 mg q18h", "vancomycin", "every 18h does not fit"),
        ("1000 mg", "vancomycin", "how often is 1000 mg given"),
        ("1100 mg q12h", "vancomycin", "nearest amounts are 1000 and 1250 mg"),
        ("6000 mg q12h", "vancomycin", "nearest amount is 5000 mg"),
        ("-5 mg daily", "warfarin", "nearest amount is 0 mg"),
        ("10 U q12h", "vancomycin", "'U' does not fit, an amount here is in mg"),
        ("10 mg/min", "vancomycin", "'mg/min' does not fit"),
        ("10 mmol q12h", "vancomycin", "'mmol' does not fit"),
        ("10 mg daily", "chemotherapy", "'mg' does not fit, an amount here is in 1/d"),
        ("10 mg/min q1h", "propofol", "leave the interval out"),
        ("5 mg daily", "tacrolimus", "2 times between two decisions: write q12h"),
        ("1 mg/kg daily", "warfarin", "needs the covariate wt_kg"),
        ("60 mg/kg q12h", "vancomycin", "2400 to 9600 mg for wt_kg from 40 to 160"),
        ("0.1 mg/kg q12h", "vancomycin", "4 to 16 mg"),
        ("fixed:abc", "vancomycin", "'abc' is not a finite number: write an amount in mg"),
        ("fixed:nan", "vancomycin", "'nan' is not a finite number: write an amount in mg"),
        ("fixed:inf", "vancomycin", "'inf' is not a finite number: write an amount in mg"),
        ("1000 mg bid", "vancomycin", "'bid' is not read as how often: .*such as '1000 mg q12h', '15 mg/kg every"),
        ("15 mg/kg tid", "vancomycin", "'tid' is not read as how often"),
        ("1,000 mg q12h", "vancomycin", "'1,000' is no number: write it without a comma, such as '1000 mg q12h'"),
        ("1,5mg daily", "warfarin", "'1,5' is no number: write it without a comma"),
        ("fixed:501", "vancomycin", "nearest amounts are 500 and 750 mg"),
        ("1000 mg every now and then", "vancomycin", "has no interval"),
        ("1000 mg q0h", "vancomycin", "has no interval"),
        ("1000 q12h", "vancomycin", "is not a dose"),
        ("1000 mg then", "vancomycin", "is not a dose"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_does(build, text, scenario, message):
    """Never guessed, never rounded."""
    with pytest.raises(ConfigError, match=message) as refused:
        build(text, scenario)
    assert repr(text) in str(refused.value)


def test_words_come_before_files_and_files_before_words(tmp_path, monkeypatch):
    """A regimen may have a slash; a file may begin with a number."""
    assert find(POLICY, "15 mg/kg q12h").name == "15 mg/kg q12h"
    assert is_file_reference(POLICY, "15 mg/kg q12h")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "5 mg.py").write_text("POLICY = lambda observation: observation[:, 0]\n")
    assert find(POLICY, "5 mg.py").where == "5 mg.py"

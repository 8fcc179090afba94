"""A title is offered for a covariate only where it names the same quantity."""

import pytest

from rl_drug_dosage.pkpd import Covariate, Fixed
from rl_drug_dosage.pkpd.same_quantity import likely_covariate, likely_title


def covariate(name: str, column: str) -> Covariate:
    return Covariate(name, "u", 0.0, 1.0, 0.5, "made", "made", Fixed(0.5), column)


KNOWN = {
    c.column: c
    for c in (
        covariate("wt_kg", "WT"),
        covariate("height_cm", "HT"),
        covariate("age_y", "AGE"),
        covariate("crcl_ml_per_min", "CRCL"),
        covariate("scr_mg_per_dl", "SCR"),
        covariate("albumin_g_per_dl", "ALB"),
        covariate("cyp2c9", "CYP2C9"),
        covariate("alps_made", "ALPS"),
    )
}


@pytest.mark.parametrize(
    ("column", "title"),
    [
        ("CRCL", "CLCR"),
        ("CRCL", "CRCLL"),
        ("CRCL", "CRLC"),
        ("CRCL", "crcl (mL per min)"),
        ("WT", "weight"),
        ("WT", "WTT"),
        ("WT", "WT_KG"),
        ("SCR", "Creatinine"),
        ("CYP2C9", "CYP-2C9"),
    ],
)
def test_the_same_quantity_is_offered(column: str, title: str) -> None:
    """Another spelling, a synonym, one slip."""
    assert likely_title(KNOWN[column], ["DV", title]) == title
    assert likely_covariate(title, KNOWN.values()) == KNOWN[column].name


@pytest.mark.parametrize(
    ("column", "title"),
    [
        ("CRCL", "SCR"),
        ("CRCL", "CREAT"),
        ("CRCL", "DCRCL"),
        ("CRCL", "CR"),
        ("SCR", "CRCL"),
        ("SCR", "UCR"),
        ("WT", "HT"),
        ("HT", "WT"),
        ("AGE", "WAGE"),
        ("ALB", "ALP"),
        ("ALB", "ALT"),
        ("ALPS", "ALP"),
        ("CYP2C9", "CYP2C8"),
        ("CYP2C9", "CYP2C19"),
        ("SCR", "SCR_UMOL_PER_L"),
        ("WT", "WT_LB"),
    ],
)
def test_another_quantity_or_unit_is_not(column: str, title: str) -> None:
    """Likeness of letters is no reason: an obeyed hint from SCR to CRCL made a clearance 30 times too high."""
    assert likely_title(KNOWN[column], [title]) is None

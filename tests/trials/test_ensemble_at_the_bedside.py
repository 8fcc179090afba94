"""Support patients at the bedside: an impossible first level."""

import pytest

from rl_drug_dosage import load_policy


@pytest.mark.long
def test_an_impossible_level_before_the_first_dose_is_flagged():
    bedside = load_policy("mipd-ensemble", "paclitaxel")
    for neutrophils, flagged in ((5.0, False), (90.0, True)):
        course = bedside.start({})
        course.observe(0.0, neutrophils)
        course.recommend()
        assert any("did not converge" in said for said in course.warnings) == flagged

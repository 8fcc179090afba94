"""Support patients at the bedside: an impossible first level, and levels within an infusion."""

import numpy as np

from rl_drug_dosage import load_policy


def test_an_impossible_level_before_the_first_dose_is_flagged():
    bedside = load_policy("mipd-ensemble", "paclitaxel")
    for neutrophils, flagged in ((5.0, False), (90.0, True)):
        course = bedside.start({})
        course.observe(0.0, neutrophils)
        course.recommend()
        assert any("did not converge" in said for said in course.warnings) == flagged


def test_while_infusions_run_at_the_highest_rate_their_length_does_not_matter():
    """After an hour at 10 mg/min, 600 mg are in, whatever the dose."""
    course = load_policy("mipd-ensemble", "vancomycin").start({"crcl_ml_per_min": 80.0, "wt_kg": 75.0})
    found = course.forecast([600.0, 750.0, 1000.0, 1500.0, 3000.0])
    assert found.times_h[0] == 1.0
    np.testing.assert_allclose(found.levels[1:, 0], found.levels[[0], 0].repeat(4, axis=0), rtol=0.01)

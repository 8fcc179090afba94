"""The burden of a course, counted by hand, and in a trial from the courses to the files."""

import csv
import dataclasses
import json
import re

import numpy as np
import pytest

from rl_drug_dosage.api import benchmark
from rl_drug_dosage.clinic.scenario import Goal
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.registry import SCENARIO, find_scenario, names
from rl_drug_dosage.trials.burden import BURDEN, course_burden, prescribed
from rl_drug_dosage.trials.statistics import endpoints


def of(*doses, given=None, every_h=None):
    """(change in the last third, changes, zigzags, holds) of one course."""
    dose = np.asarray([doses], float)
    own = np.ones(dose.shape, bool) if given is None else np.asarray([given], bool)
    found = course_burden(dose, own, None if every_h is None else np.asarray([every_h], float), same=1e-6)
    return tuple(float(found[name][0]) for name in BURDEN)


COURSES = {
    "constant": ((5, 5, 5, 5, 5, 5), (0, 0, 0, 0)),
    "nothing at all": ((0, 0, 0), (0, 0, 0, 0)),
    # The last 2 of 4 decisions: 8 and 8 mg of change, 6 mg on average.
    "up and down": ((10, 2, 10, 2), (100 * 8 / 6, 3, 2, 0)),
    # A pause of two decisions; the last 2 of 6 decisions are constant.
    "a hold": ((4, 0, 0, 4, 4, 4), (0, 2, 1, 2)),
    # The first of the last 2 decisions changes from 4 to 0, and both are 0: 0 by definition.
    "stopped": ((4, 4, 4, 4, 0, 0), (0, 1, 0, 2)),
    "begun late": ((0, 0, 3, 3, 3, 3), (0, 1, 0, 0)),
    # 1 mg at each of the last 2 of 5 decisions, of 4.5 mg; never back.
    "a ramp": ((1, 2, 3, 4, 5), (100 * 1 / 4.5, 4, 0, 0)),
    # A constant stretch between two changes does not hide the change of direction.
    "a long zigzag": ((5, 6, 6, 6, 6, 5), (100 * 0.5 / 5.5, 2, 1, 0)),
    "rounding": ((5, 5 + 1e-7, 5, 5), (0, 0, 0, 0)),
    "one decision": ((5,), (0, 0, 0, 0)),
}


@pytest.mark.parametrize("name", COURSES)
def test_courses_counted_by_hand(name):
    doses, expected = COURSES[name]
    assert of(*doses) == pytest.approx(expected)


def test_a_patient_who_leaves_is_judged_by_the_decisions_before():
    """Four decisions, then none: the zeros of the table are neither changes nor holds."""
    stays = [1, 1, 1, 1, 0, 0, 0, 0]
    assert of(10, 2, 10, 2, 0, 0, 0, 0, given=stays) == pytest.approx(of(10, 2, 10, 2))
    assert of(10, 2, 10, 2, 0, 0, 0, 0)[3] == 4


def test_every_patient_counts_alone():
    dose = np.asarray([COURSES[n][0] for n in ("constant", "a hold", "stopped", "begun late")], float)
    found = course_burden(dose, np.ones(dose.shape, bool))
    alone = [COURSES[n][1] for n in ("constant", "a hold", "stopped", "begun late")]
    assert np.stack([found[n] for n in BURDEN], axis=1) == pytest.approx(np.asarray(alone, float))


def test_a_change_of_interval_is_a_change_and_its_empty_decisions_are_none(ward):
    """Every 12 h, then every 24 h: 500 mg at decisions 0, 1, 2 and 4; nothing is due at 3 and 5."""
    dosage = dataclasses.replace(ward.dosage, intervals_h=(12.0, 24.0))
    ward = dataclasses.replace(ward, dosage=dosage)
    every_h = np.asarray([[12.0, 12.0, 24.0, 24.0, 24.0, 24.0]])
    given = prescribed(ward, np.ones(every_h.shape, bool), every_h)
    assert given.tolist() == [[True, True, True, False, True, False]]
    assert of(500, 500, 500, 0, 500, 0, given=given[0], every_h=every_h[0]) == (0, 1, 0, 0)


@pytest.mark.long
def test_a_trial_says_it_in_every_file(ward, tmp_path):
    """Random doses in the JSON, the tables and the report are those counted from the trial's own courses."""
    done = benchmark(ward, policies=["label", "random"], patients=12, output_dir=tmp_path)
    record = json.loads((tmp_path / "benchmark.json").read_text())
    rows = {row["policy"]: row for row in csv.DictReader((tmp_path / "benchmark.csv").read_text().splitlines())}
    patients = list(csv.DictReader((tmp_path / "patients.csv").read_text().splitlines()))
    page = (tmp_path / "report.html").read_text()
    assert record["scenario"]["steady"] is True
    for row in record["policies"]:
        ends = endpoints(ward, done.trials[row["policy"]])
        dose = done.trials[row["policy"]].dose
        assert ends["dose_changes"].tolist() == (np.diff(dose, axis=1) != 0).sum(axis=1).tolist()
        for name in BURDEN:
            own = row["burden"][name]
            assert own["mean"] == pytest.approx(ends[name].mean())
            assert own["median"] == pytest.approx(np.median(ends[name]))
            assert float(rows[row["policy"]][f"burden.{name}.mean"]) == pytest.approx(own["mean"])
            told = [float(p[name]) for p in patients if p["policy"] == row["policy"]]
            assert told == pytest.approx(ends[name], rel=1e-5)
    section = page[page.index('<section id="burden"') :]
    section = section[: section.index("</section>")]
    assert f"{record['policies'][-1]['burden']['zigzags']['mean']:.1f}" in re.findall(r"<td>([\d.]+)</td>", section)
    worst = max(record["policies"], key=lambda r: r["burden"]["change_last_third_pct"]["mean"])
    assert worst["policy"] == "random"


@pytest.mark.parametrize("name", names(SCENARIO))
def test_every_built_in_scenario_says_whether_its_best_dose_is_constant(name):
    goal = find_scenario(name).value.goal
    assert goal.steady is not None
    assert len(goal.steady_text) > 40


def test_the_scenarios_with_a_constant_best_dose():
    steady = {name for name in names(SCENARIO) if find_scenario(name).value.goal.steady}
    assert steady == {"warfarin", "warfarin-90d", "vancomycin", "infliximab"}


def test_a_reason_is_needed_and_stands_with_its_answer(ward):
    with pytest.raises(ConfigError, match=r"steady is True and steady_text is ''.*give steady_text"):
        dataclasses.replace(ward.goal, steady=True, steady_text="")
    with pytest.raises(ConfigError, match=r"steady is None.*give steady, True or False"):
        dataclasses.replace(ward.goal, steady=None, steady_text="it is")
    with pytest.raises(ConfigError, match="steady"):
        dataclasses.replace(ward.goal, steady="yes", steady_text="it is")
    silent = Goal(ward.goal.title, ward.goal.targets)
    assert (silent.steady, silent.steady_text) == (None, "")

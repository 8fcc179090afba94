"""Every file in `trials/published` keeps its contract: sources, places, units, a run that is possible."""

import dataclasses
import inspect
import math

import numpy as np
import pytest

from rl_drug_dosage.checks import check_scenario
from rl_drug_dosage.checks.report import Report
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.registry import PUBLISHED, find, find_scenario, names
from rl_drug_dosage.trials.published_trial import PROTOCOL, PublishedMetric, PublishedNumber, PublishedTrial
from rl_drug_dosage.trials.setting import setting_for
from rl_drug_dosage.trials.trial import Trial

EVERY = names(PUBLISHED)


def trial_of(name) -> PublishedTrial:
    return find(PUBLISHED, name).value


def test_the_agreed_ones_are_there():
    assert set(EVERY) >= {"augustin2023", "anzabizadeh2023", "maier2021", "luo2024", "schamberg2022"}


@pytest.mark.parametrize("name", EVERY)
def test_sources_and_places_are_said(name):
    """The year of the name is the paper's; a number has a unit and a place; a trial without numbers says so."""
    trial = trial_of(name)
    assert name[-4:] in trial.citation
    assert tuple(trial.protocol) == PROTOCOL
    assert all(text.strip() for text in trial.protocol.values())
    units = {m.name: m.unit for m in trial.metrics}
    for number in trial.numbers:
        assert units[number.metric] in {"%", "1"}
        assert any(word in number.place for word in ("abstract", "Table", "page", "/")), number.place
    if not trial.numbers:
        assert "every number" in trial.unread[0]


def task(name, run):
    found = find_scenario(run.scenario)
    return dataclasses.replace(found, value=run.change(found.value))


RUNS = [(name, run) for name in EVERY for run in trial_of(name).runs]


@pytest.mark.long
@pytest.mark.parametrize(("name", "run"), RUNS, ids=[f"{name}-{run.scenario}" for name, run in RUNS])
def test_ours_can_be_run(name, run):
    """The scenario keeps its contract with what is replaced, and the drug models fit it."""
    found = task(name, run)
    setting = setting_for(found, run.simulator, run.controller)
    assert setting.simulator.name not in found.value.test_only
    report: Report = check_scenario(found.value, level="declared")
    assert {f.field for f in report.findings} <= {"label"}, str(report)


def made_up(scenario: Scenario, patients=3) -> Trial:
    """Courses at the middle of everything; nobody leaves."""
    decisions = scenario.schedule.decisions
    shape = (patients, decisions)
    fields = {f.name: np.zeros(shape) for f in dataclasses.fields(Trial) if f.name not in {"first", "covariates"}}
    fields |= {
        "values": np.full((*shape, len(scenario.schedule.output_times_h)), 2.5),
        "measured": np.full((*shape, len(scenario.monitoring.at_h)), 2.5),
        "metrics": np.full((*shape, len(scenario.goal.targets)), 2.5),
        "baseline": np.full(patients, 1.0),
        "every_h": np.full(shape, 24.0),
        "alive": np.ones(shape, bool),
        "failed": np.zeros(patients, bool),
        "dose": np.ones(shape),
    }
    covariates = {c.name: np.full(patients, c.typical) for c in scenario.covariates}
    return Trial(first=0, covariates=covariates, **fields)


@pytest.mark.parametrize(("name", "run"), RUNS, ids=[f"{name}-{run.scenario}" for name, run in RUNS])
def test_every_metric_gives_a_number_per_patient(name, run):
    scenario = task(name, run).value
    for metric in trial_of(name).metrics:
        column = metric.column(scenario, made_up(scenario))
        assert column.shape == (3,), metric.name
        assert np.isfinite(column[~np.isnan(column)]).all()
        if metric.unit == "%" and metric.name not in {"MDPE", "MDAPE"}:
            assert ((column >= 0) | np.isnan(column)).all()


def test_the_groups_of_anzabizadeh_are_those_of_the_code():
    """*1/*1 GG is normal, *1/*1 AA sensitive, *3/*3 AA highly sensitive; each patient is in one group."""
    _, *groups = trial_of("anzabizadeh2023").metrics
    scenario = find_scenario("warfarin-90d").value
    trial = dataclasses.replace(
        made_up(scenario),
        covariates={"cyp2c9": np.asarray([11.0, 11.0, 33.0]), "vkorc1_g_alleles": np.asarray([2.0, 0.0, 0.0])},
    )
    counted = np.asarray([~np.isnan(g.column(scenario, trial)) for g in groups])
    np.testing.assert_array_equal(counted, np.eye(3, dtype=bool))


def build(**changes) -> PublishedTrial:
    own = trial_of("schamberg2022")
    return dataclasses.replace(own, **changes)


COLUMN = trial_of("schamberg2022").metrics[0].column
BROKEN = [
    (lambda: build(citation=" "), "citation of a published trial is empty"),
    (lambda: build(protocol={"patients": "some"}), "protocol has patients: give patients, simulated with"),
    (lambda: build(metrics=()), "metrics of .* is empty"),
    (lambda: build(numbers=(), unread=()), "neither numbers nor unread"),
    (
        lambda: build(numbers=(PublishedNumber("PID", "MDAP", 1.0, "Table 1"),)),
        "'MDAP' of 'PID' is none of the metrics",
    ),
    (
        lambda: build(numbers=(PublishedNumber("PID", "MDPE", 1.0, "Table 1", scenario="t1d"),)),
        "none of the runs propofol",
    ),
    (lambda: PublishedNumber("PID", "MDPE", math.nan, "Table 1"), "value of 'PID', 'MDPE' is nan"),
    (lambda: PublishedNumber("PID", "MDPE", 1.0, ""), "place of a number is empty"),
    (lambda: PublishedMetric("MDPE", "", "the error", COLUMN), "unit of a metric is empty"),
    (lambda: build().run_on("t1d"), "is not run on 't1d': give --scenario propofol"),
]


@pytest.mark.parametrize(("make", "said"), BROKEN, ids=lambda v: v if isinstance(v, str) else "")
def test_a_file_that_breaks_the_contract_is_refused(make, said):
    with pytest.raises(ConfigError, match=said):
        make()


def test_what_is_replaced_is_a_field_of_the_scenario():
    run = dataclasses.replace(build().runs[0], replaced={"droput": None}, replaced_text="nobody leaves")
    with pytest.raises(ConfigError, match="a scenario has no droput"):
        run.change(find_scenario("propofol").value)
    with pytest.raises(ConfigError, match="replaced_text"):
        dataclasses.replace(build().runs[0], replaced={"dropout": None})


def test_a_file_of_ones_own_takes_part(tmp_path):
    """A user's file defines PUBLISHED; a metric is a function."""
    path = tmp_path / "mine2025.py"
    path.write_text(
        inspect.cleandoc(
            """
            import dataclasses
            from rl_drug_dosage.trials.published.schamberg2022 import PUBLISHED as OTHER
            PUBLISHED = dataclasses.replace(OTHER, title="mine")
            """
        )
    )
    assert find(PUBLISHED, path).value.title == "mine"

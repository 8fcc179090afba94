"""Ours beside a published trial: what is listed, run, printed, written and refused."""

import json

import pytest

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.registry import PUBLISHED, find, names
from rl_drug_dosage.trials.benchmark import BenchmarkOptions
from rl_drug_dosage.trials.published_run import plan_of, planned

TINY = ["benchmark", "--published", "augustin2023", "--patients", "8", "--policy", "label", "--output-dir", "a"]


def test_info_lists_and_shows_them(run):
    listed = run("info", "--published-trials")
    assert listed.code == 0, listed.err
    for name in names(PUBLISHED):
        assert name in listed.out
        shown = run("info", "--published-trial", name)
        assert shown.code == 0, shown.err
        trial = find(PUBLISHED, name).value
        words = " ".join(shown.out.split())
        for text in (trial.citation, *trial.protocol.values(), *trial.unread, *(n.place for n in trial.numbers)):
            assert " ".join(text.split()) in words
    assert "--published-trials" in run("info").out


@pytest.fixture
def wide(monkeypatch):
    """A terminal in which a table is one table."""
    monkeypatch.setenv("COLUMNS", "400")


@pytest.mark.long
@pytest.mark.usefixtures("wide")
def test_both_trials_stand_side_by_side(run, tmp_path):
    """The usual files; in the record their numbers as in the file and ours as the metrics give them."""
    done = run(*TINY)
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "a" / "benchmark.json").read_text())
    assert record["settings"] | {"command": ""} == record["settings"] | {
        "patients": 8,
        "simulator": "warfarin-hamberg2007",
        "controller": "warfarin-hamberg2010",
        "command": "",
    }
    both, trial = record["published"], find(PUBLISHED, "augustin2023").value
    assert [(n["arm"], n["metric"], n["value"]) for n in both["theirs"]] == [
        (n.arm, n.metric, n.value) for n in trial.numbers
    ]
    assert both["changed"] == []
    (own,) = both["ours"]
    assert own["policy"] == "label"
    values = own["values"]
    # The last of 19 measured INRs of eight patients; the label never lets an INR stay above 5.
    assert values["in range at the end"]["mean"] % 12.5 == 0
    assert values["dropouts"]["mean"] == 0
    assert 0 < values["median TTR"]["mean"] < 100
    assert values["median TTR"]["patients"] == 8
    row = next(line for line in done.out.splitlines() if "theirs: deep RL" in line)
    assert "65.8" in row
    assert "68.4" in row
    row = next(line for line in done.out.splitlines() if "ours: label" in line)
    assert f"{values['median TTR']['mean']:.1f}" in row
    for difference in trial.differences:
        assert f"differs, {difference.what}" in done.out
    report = (tmp_path / "a" / "report.html").read_text()
    for text in ("Beside a published trial", "theirs: deep RL", "ours: label", "Front Pharmacol 2023"):
        assert text in report
    assert {p.name for p in (tmp_path / "a").iterdir()} == {
        "benchmark.json",
        "benchmark.csv",
        "patients.csv",
        "report.html",
    }


REFUSED = [
    (["--published", "augustin2032"], ["'augustin2032'", "did you mean 'augustin2023'"]),
    ([], ["--scenario", "--published"]),
    (["--published", "luo2024", "--scenario", "vancomycin"], ["'vancomycin'", "chemotherapy-clean, chemotherapy"]),
    (["--published", "augustin2023", "--scenario", "vancomicin"], ["did you mean 'vancomycin'"]),
    (["--published", "augustin2023", "--minari", "label"], ["--minari", "--published"]),
    (["--published", "augustin2023", "--patients", "0"], ["--patients", "from 1"]),
    (["--published", "augustin2023", "--controller", "warfarin-falkenhagen2023"], ["warfarin-falkenhagen2023"]),
]


@pytest.mark.parametrize(("args", "named"), REFUSED, ids=lambda a: " ".join(a)[:60])
def test_unusable_arguments_are_refused_in_one_line(run, args, named):
    outcome = run("benchmark", *args)
    assert outcome.code == 2, outcome
    assert outcome.err.count("\n") == 1, outcome.err
    for text in named:
        assert text in outcome.err


def test_what_the_user_changes_is_said():
    """The run's values are the defaults; others take their place and are noted."""
    options = BenchmarkOptions(published="augustin2023", simulator="warfarin-hamberg2010", decisions=10)
    plan = plan_of(options)
    assert plan is not None
    assert plan.changed == {"simulator": ("warfarin-hamberg2007", "warfarin-hamberg2010"), "decisions": (0, 10)}
    found = planned(options, plan)
    assert found.patients == 1000
    assert tuple(found.policies) == ("label", "mipd", "best-bayes")
    assert (found.simulator, found.controller) == ("warfarin-hamberg2010", "warfarin-hamberg2010")
    assert found.scenario.name == "warfarin"
    assert found.scenario.value.dropout is None
    other = BenchmarkOptions(
        published="augustin2023", patients=7, policies=("label",), simulator="warfarin-hamberg2007"
    )
    assert not plan_of(other).changed
    kept = planned(other, plan_of(other))
    assert (kept.patients, kept.policies) == (7, ("label",))


def test_a_run_is_chosen_by_its_scenario():
    """The first one unless a scenario is named; their numbers of the first setting do not stand beside another one."""
    first = plan_of(BenchmarkOptions(published="luo2024"))
    other = plan_of(BenchmarkOptions(published="luo2024", scenario="chemotherapy-missing"))
    assert (first.run.scenario, other.run.scenario) == ("chemotherapy-clean", "chemotherapy-missing")
    trial = first.trial.value
    assert len(trial.numbers_for(first.run)) == 2
    assert trial.numbers_for(other.run) == ()
    assert plan_of(BenchmarkOptions(scenario="warfarin")) is None
    with pytest.raises(ConfigError, match="no task is given"):
        plan_of(BenchmarkOptions())

"""Options of a policy on the command line: in tables, in `info`, and refused in one line."""

import json
from pathlib import Path

import pytest


@pytest.fixture
def own(run, steady_text) -> Path:
    Path("steady.py").write_text(steady_text)
    return Path("steady.py")


@pytest.mark.long
def test_options_stand_in_the_tables_of_a_benchmark(own, run):
    done = run(
        *("benchmark", "--scenario", "vancomycin", "--patients", "5", "--output-dir", "out"),
        *("--policy=./steady.py,amount=700", "--policy=mine=./steady.py,size=double", "--policy=./steady.py"),
    )
    assert done.code == 0, done.err
    rows = {row["policy"]: row["title"] for row in json.loads(Path("out/benchmark.json").read_text())["policies"]}
    assert rows == {
        "steady,amount=700": "steady (amount 700)",
        "mine": "steady (size double)",
        "steady": "steady",
    }
    refused = run("benchmark", "--scenario", "warfarin", "--patients", "5", "--policy=./steady.py,size=double")
    assert refused.code == 2
    assert "no double dose" in refused.err


def test_info_shows_options_with_meaning_values_and_default(own, run):
    shown = run("info", "--policy", "mipd,prior=widened").out
    for part in ("prior: patients as varied", "published | widened; default published, here widened", "default 1\n"):
        assert part in shown
    assert "a number from 0 to 2000; default 500" in run("info", "--policy", "./steady.py").out
    everyone = run("info", "--policies").out
    assert "mipd-average: Bayesian dosing averaged" in everyone
    assert "NAME,option=value" in everyone


def test_the_command_line_refuses_what_a_scenario_cannot_offer(run):
    done = run("benchmark", "--scenario", "vancomycin", "--patients", "5", "--policy=mipd,error=assay")
    assert done.code == 2
    assert "policy 'mipd,error=assay' cannot be used in 'vancomycin': the assay error is not given" in done.err

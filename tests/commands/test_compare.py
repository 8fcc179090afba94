"""``rl-drug-dosage compare``: a table, a page, and broken folders by name."""

import shutil
from pathlib import Path


def test_runs_are_compared_and_a_broken_one_is_named(run, tiny_run):
    shutil.copytree(tiny_run, "runs/twin")
    shutil.copytree(tiny_run, "runs/broken")
    Path("runs/broken/agent.pt").write_bytes(b"nothing")

    done = run("compare", "runs/tiny", "runs/broken", "runs/twin", "--output-dir", "out")

    assert done.code == 0, done.err
    assert "left out: runs/broken: its model cannot be read" in done.out
    assert "no paired trial: DrugDose-v0 is no dosing scenario" in done.out
    assert "differing settings: none" in done.out
    assert {str(Path("out") / f"comparison.{e}") for e in ("html", "json", "csv")} <= set(done.out.splitlines())
    assert sorted(p.name for p in Path("out").iterdir()) == ["comparison.csv", "comparison.html", "comparison.json"]


def test_a_mistake_is_one_line(run, tiny_run):
    for words, said in (
        (["runs/tiny"], "compare takes 2 to 64 run folders, not 1"),
        ([], "Missing argument 'runs'"),
        (["runs/tiny", "runs/nope"], "1 of 2 folders can be compared, but two are needed: runs/nope: there is no such"),
        (["runs/tiny", "runs/tiny/"], "is named twice"),
        (["runs/tiny", "runs/nope", "--patients", "-1"], "--patients must be from 0 (no trial) to 1,000,000, not -1"),
    ):
        done = run("compare", *words, "--output-dir", "out")
        assert done.code == 2
        assert said in done.err, done.err
        assert done.err.count("\n") == 1
    assert not Path("out").exists()

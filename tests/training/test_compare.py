"""Runs side by side: interquartile means by hand, curves of each seed, broken folders, and the page."""

import html
import json
import re
import shutil
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import trim_mean

import rl_drug_dosage as rldd
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.reports.svg import WIDTH
from rl_drug_dosage.training.compare import curves
from rl_drug_dosage.training.compare.aggregates import interquartile_mean, stratified_interval
from rl_drug_dosage.training.compare.events import EventsError, read_scalars
from rl_drug_dosage.training.compare.page import comparison_html
from rl_drug_dosage.training.compare.runs import read_runs
from rl_drug_dosage.training.run_folder import RunFolder
from rl_drug_dosage.utils.loggers import TensorBoardLogger

TINY = {
    "num_envs": 4, "num_steps": 16, "num_minibatches": 4, "update_epochs": 2, "hidden_size": 8, "eval_freq": 1,
    "eval_episodes": 2, "progress": False,
}  # fmt: skip


def test_the_interquartile_mean_by_hand():
    """Of eight scores two fall away at each end, of five one, of three none."""
    assert interquartile_mean(np.array([900.0, 1, 2, 3, 4, 5, -800, 0])) == (1 + 2 + 3 + 4) / 4
    assert interquartile_mean(np.array([5.0, 1, 100, 2, 3])) == (2 + 3 + 5) / 3
    assert interquartile_mean(np.array([1.0, 2, 9])) == 4.0
    assert interquartile_mean(np.array([7.0])) == 7.0


@pytest.mark.parametrize("n", [1, 2, 4, 5, 7, 11, 40])
def test_the_interquartile_mean_is_that_of_scipy_and_rliable(n):
    scores = np.random.default_rng(n).normal(size=(3, n))

    np.testing.assert_allclose(interquartile_mean(scores), trim_mean(scores, 0.25, axis=-1), rtol=1e-12)


def test_the_stratified_bootstrap_by_hand():
    """Two tasks with two seeds each, scores 0 and 4, and 10 and 20.

    Of the four scores of a resample the lowest and the highest fall away, so that the mean of the higher of the first
    task and the lower of the second is left: 5 in 3 of 16 resamples, 7 in 9, 10 in 1 and 12 in 3. The 2.5th percentile
    is 5 and the 97.5th 12.
    """
    strata = [np.array([0.0, 4.0]), np.array([10.0, 20.0])]
    exact: dict[float, Fraction] = {}
    for a, b in product(product(strata[0], repeat=2), product(strata[1], repeat=2)):
        mean = float(interquartile_mean(np.array([*a, *b])))
        exact[mean] = exact.get(mean, Fraction(0)) + Fraction(1, 16)
    assert exact == {5.0: Fraction(3, 16), 7.0: Fraction(9, 16), 10.0: Fraction(1, 16), 12.0: Fraction(3, 16)}

    low, high = stratified_interval(strata, np.random.default_rng(1))

    assert (low, high) == (5.0, 12.0)


def test_seeds_are_never_drawn_across_tasks():
    """Two tasks without any spread have an interval without any; drawn across, it would reach from 0 to 1."""
    low, high = stratified_interval([np.zeros(3), np.ones(3)], np.random.default_rng(1))

    assert (low, high) == (0.5, 0.5)


def test_a_seed_is_drawn_as_a_whole():
    """A curve that is another one plus 1 has the same interval plus 1, point by point."""
    one = np.random.default_rng(2).normal(size=5)
    low, high = stratified_interval([np.stack([one, one + 1.0])], np.random.default_rng(1))

    np.testing.assert_allclose((low[1], high[1]), (low[0] + 1.0, high[0] + 1.0))
    assert low[0] < interquartile_mean(one) < high[0]


def test_an_interval_covers_the_middle_of_what_seeds_are_drawn_from():
    """Of 300 sets of ten normal seeds, 95 % intervals hold the true 0 in 85 % or more: ten seeds are few."""
    rng = np.random.default_rng(3)
    ends = [stratified_interval([rng.normal(size=10)], rng, 500) for _ in range(300)]

    assert 0.85 <= np.mean([low <= 0.0 <= high for low, high in ends]) <= 0.99


def test_scalars_of_an_event_file_and_of_a_run_that_went_on(tmp_path):
    """What came after the checkpoint counts no more, and a record that was cut off is left out."""
    first = TensorBoardLogger(tmp_path)
    for step in (10, 20, 30):
        first.scalars(step, {"a": step / 10.0, "b": -1.0})
    first.close()
    second = TensorBoardLogger(tmp_path, resume_step=10)
    second.scalars(20, {"a": 7.5})
    second.scalars(40, {"a": 8.5})
    second.close()
    assert read_scalars(tmp_path) == {"a": {10: 1.0, 20: 7.5, 40: 8.5}, "b": {10: -1.0}}

    last = max(tmp_path.iterdir())
    last.write_bytes(last.read_bytes()[:-5])
    assert read_scalars(tmp_path)["a"] == {10: 1.0, 20: 7.5}
    last.write_bytes(bytes([255] * 80))
    with pytest.raises(EventsError, match="damaged"):
        read_scalars(tmp_path)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of three seeds and one of one, on the default task."""
    folder = tmp_path_factory.mktemp("runs")
    for name, own in (
        ("fast", {"seeds": 3, "learning_rate": 3e-3}),
        ("slow", {"seeds": 3, "learning_rate": 1e-4, "env_kwargs": '{"noise_std": 0.1}'}),
        ("single", {"total_timesteps": 192}),
    ):
        rldd.train(**{**TINY, "total_timesteps": 320, "runs_dir": str(folder), "run_name": name, **own})
    return folder


@pytest.fixture
def copies(runs, tmp_path):
    """Copies of them, to be broken."""
    return Path(shutil.copytree(runs, tmp_path / "runs"))


@pytest.mark.long
def test_curves_are_those_of_each_seed(runs):
    """Their mean over seeds is what the run itself logs, to the float32 of TensorBoard's files."""
    found, refused = read_runs([runs / "fast", runs / "single"])
    assert not refused
    fast, single = found
    rows = [json.loads(line) for line in (runs / "fast/metrics.jsonl").read_text().splitlines()]

    for metric in ("eval/mean_reward", "eval/in_range_pct"):
        curve = fast.curves[metric]
        assert curve.values.shape == (5, 3)
        assert curve.steps.tolist() == [row["step"] for row in rows]
        np.testing.assert_allclose(curve.values.mean(1), [row[metric] for row in rows], rtol=1e-5)
    assert fast.curves["eval/mean_reward"].values.std(1).min() > 0.0
    assert single.curves["eval/mean_reward"].values.shape == (3, 1)
    assert (fast.complete, fast.step, fast.total) == (True, 320, 320)


@pytest.mark.long
def test_a_comparison_has_results_differences_and_files(runs, tmp_path):
    found = rldd.compare([runs / "fast", runs / "slow", runs / "single"], output_dir=tmp_path / "out", progress=False)

    assert [p.name for p in found.files] == ["comparison.html", "comparison.json", "comparison.csv"]
    record = json.loads((tmp_path / "out/comparison.json").read_text())
    final = record["runs"][0]["final"]["eval/mean_reward"]
    assert final["iqm"] == pytest.approx(np.mean(final["values"]))
    assert final["lowest"] <= final["iqm_low"] <= final["iqm"] <= final["iqm_high"] <= final["highest"]
    assert record["runs"][2]["final"]["eval/mean_reward"]["iqm_low"] is None
    assert {row["field"]: row["values"] for row in record["differences"]} == {
        "seeds": [3, 3, 1],
        "total_timesteps": [320, 320, 192],
        "learning_rate": [3e-3, 1e-4, 3e-4],
        "env_kwargs.noise_std": [None, 0.1, None],
    }
    assert record["trial"] is None
    assert record["no_trial"].startswith("DrugDose-v0 is no dosing scenario")
    table = found.to_frame()
    assert list(table["name"]) == ["fast", "slow", "single"]
    assert table["eval_mean_reward_iqm"][0] == final["iqm"]
    assert found.plot().axes[0].get_legend() is not None
    again = rldd.compare([runs / "fast", runs / "slow", runs / "single"], progress=False)
    assert again.record == {**record, "command": ""}


def test_the_page_stands_alone_and_says_what_differs(runs):
    record = rldd.compare([runs / "fast", runs / "slow", runs / "single"], progress=False).record
    page = comparison_html(json.loads(json.dumps(record)))
    text = html.unescape(re.sub(r"<[^>]+>", " ", page))

    assert "<script" not in page
    assert "default-src 'none'" in html.unescape(page)
    assert not re.search(r'(?:src|href)="(?!#|data:)', page)
    assert page.count('role="img"') == 5  # two a metric, and the final results; no episode ended
    for said in ("env_kwargs.noise_std", "There is no paired trial: DrugDose-v0", "fewer than five seeds",
                 "have different options of the environment", "not for treating patients"):  # fmt: skip
        assert said in text, said
    assert "update_epochs" not in text


def test_single_seeds_have_one_figure_a_metric_and_no_interquartile_mean_in_the_sentence(runs, tmp_path):
    shutil.copytree(runs / "single", tmp_path / "again")
    record = rldd.compare([runs / "single", tmp_path / "again"], progress=False).record
    page = comparison_html(record)
    text = html.unescape(re.sub(r"<[^>]+>", "", page))

    metrics = {metric for run in record["runs"] for metric in run["curves"]}
    assert page.count('role="img"') == len(metrics)
    assert "with its one seed." in text
    assert "an interquartile mean of" not in text


def test_what_stands_at_the_last_step_is_drawn_whole(runs):
    """A single evaluation is a dot, which the edge of the figure would halve."""
    record = rldd.compare([runs / "fast", runs / "slow"], progress=False).record
    for run in record["runs"]:
        for curve in run["curves"].values():
            curve |= {name: None if values is None else values[-1:] for name, values in curve.items()}
    shapes = re.findall(r'<circle cx="([\d.]+)" cy="[\d.]+" r="4" class="dot">', comparison_html(record))

    assert shapes
    assert max(map(float, shapes)) + 4.0 < WIDTH - curves._LEFT - curves._RIGHT  # from the left edge of the plot


@pytest.mark.parametrize(
    ("slow", "complete", "first", "said"),
    [
        ((1.0, 0.0, 5.5), True, "fast", "7.00 over 3 seeds. The interval of slow overlaps with its own"),
        ((1.0, 0.0, 4.5), True, "fast", "7.00 over 3 seeds. No other interval overlaps with its own."),
        ((9.0, 8.5, 9.5), True, "slow", "9.00 over 3 seeds. No other interval overlaps with its own."),
        ((9.0, 8.5, 9.5), False, "fast", "7.00 over 3 seeds."),
    ],
)
def test_the_sentence_follows_the_intervals(runs, slow, complete, first, said):
    """A run of one seed has none, and a run that has not finished does not win."""
    record = rldd.compare([runs / "fast", runs / "slow", runs / "single"], progress=False).record
    for run, (iqm, low, high) in zip(record["runs"][:2], ((7.0, 5.0, 8.0), slow), strict=True):
        run["final"]["eval/mean_reward"] |= {"iqm": iqm, "iqm_low": low, "iqm_high": high}
    record["runs"][1] |= {"complete": complete, "state": "complete" if complete else "stopped at 1 of 2 steps"}
    text = html.unescape(re.sub(r"<[^>]+>", "", comparison_html(record)))

    assert f"{first} ends with the highest return in evaluation: an interquartile mean of {said}" in text


def test_a_name_is_never_markup(runs, tmp_path):
    hostile = tmp_path / "<b>x & y</b>".replace("/", "_")
    shutil.copytree(runs / "fast", hostile)
    page = comparison_html(rldd.compare([hostile, runs / "slow"], progress=False).record)

    assert "<b>" not in page
    assert "&lt;b&gt;x &amp; y" in page


def _cut(path, keep):
    path.write_bytes(path.read_bytes()[:keep])


BREAK = {
    "it is a file": lambda run: (shutil.rmtree(run), run.touch()),
    "there is no such folder": shutil.rmtree,
    "it has no config.toml": lambda run: RunFolder(run).config.unlink(),
    "its config.toml cannot be used": lambda run: RunFolder(run).config.write_text("[train]\ngamma = 7.0\n"),
    "its metrics.jsonl cannot be read": lambda run: RunFolder(run).metrics.unlink(),
    "it has not finished an update": lambda run: _cut(RunFolder(run).metrics, 20),
    "line 1 of its metrics.jsonl is damaged": lambda run: RunFolder(run).metrics.write_text("{\n"),
    "its model cannot be read": lambda run: _cut(RunFolder(run).model, 100),
    "the curves of seed-2 are missing": lambda run: shutil.rmtree(run / "seed-2"),
    "the curves of seed-2 are damaged": lambda run: next((run / "seed-2").glob("events*")).write_bytes(
        bytes([255] * 99)
    ),
    "it is a sweep: name its trials": lambda run: (run / "sweep.json").touch(),
}


@pytest.mark.parametrize("said", BREAK)
def test_a_broken_run_is_named_and_left_out(copies, said):
    BREAK[said](copies / "slow")
    told = []
    given = [copies / name for name in ("fast", "slow", "single")]

    found = rldd.compare(given, progress=lambda text, done: told.append(text) if done is None else None)

    assert [run.name for run in found.runs] == ["fast", "single"]
    ((path, reason),) = found.refused
    assert path == str(copies / "slow")
    assert said in reason
    assert told == [f"left out: {path}: {reason}"]
    assert html.escape(said, quote=False) in comparison_html(found.record)
    with pytest.raises(ConfigError, match="1 of 2 folders can be compared, but two are needed") as caught:
        rldd.compare(given[:2], progress=False)
    assert said in str(caught.value)


def test_an_unfinished_run_is_flagged(copies):
    """Killed in a line of its metrics, after its first update and before its first model."""
    folder = RunFolder(copies / "fast")
    rows = folder.metrics.read_text().splitlines(keepends=True)
    folder.metrics.write_text("".join(rows[:2]) + rows[2][:30])
    folder.model.unlink()

    found = rldd.compare([copies / "fast", copies / "slow"], progress=False)

    assert found.runs[0].state == "stopped at 128 of 320 steps"
    assert found.runs[0].without_model == "it has no model yet"
    assert found.record["runs"][0]["curves"]["eval/mean_reward"]["step"] == [64.0, 128.0]
    assert "not finished, and shown as far as it goes: fast (stopped at 128 of 320 steps)" in comparison_html(
        found.record
    )


@pytest.mark.long
def test_seeds_that_were_never_evaluated_have_curves_but_no_model(runs, tmp_path, monkeypatch):
    """Without evaluations none of several seeds is the median, so that there is no model to try."""
    monkeypatch.chdir(tmp_path)
    rldd.train(total_timesteps=128, seeds=2, run_name="blind", **{**TINY, "eval_freq": 0})

    found = rldd.compare(["runs/blind", runs / "slow"], progress=False)

    assert "never evaluated (--eval-freq 0)" in found.runs[0].without_model
    assert found.runs[0].step == 128


def test_what_is_wrong_with_a_comparison_is_said_in_one_line(runs, tmp_path):
    for given, options, said in (
        ([runs / "fast"], {}, "compare takes 2 to 64 run folders, not 1"),
        ([runs / "fast", runs / "." / "fast"], {}, "is named twice"),
        ([runs / "fast", runs / "slow"], {"patients": -1}, "patients must be from 0"),
        ([tmp_path / "a", tmp_path / "b"], {}, "0 of 2 folders can be compared"),
    ):
        with pytest.raises(ConfigError, match=re.escape(said)):
            rldd.compare(given, output_dir=tmp_path / "out", progress=False, **options)
    assert not (tmp_path / "out").exists()


def test_runs_on_different_tasks_get_no_trial(runs, tmp_path):
    """They are compared within their task, and the reason stands in the record and on the page."""
    copy = Path(shutil.copytree(runs / "fast", tmp_path / "other"))
    config = RunFolder(copy).config
    config.write_text(config.read_text().replace('"DrugDose-v0"', '"Pendulum-v1"').replace("seeds = 3", "seeds = 1"))
    found = rldd.compare([runs / "fast", copy], progress=False)

    assert found.record["no_trial"].startswith("the runs trained on different tasks (DrugDose-v0, Pendulum-v1)")
    page = comparison_html(found.record)
    assert "returns are compared within a task only" in page
    assert "<h3>Pendulum-v1</h3>" in page
    without = rldd.compare([runs / "fast", runs / "slow"], patients=0, progress=False)
    assert without.record["no_trial"] == "no patients were asked for (--patients 0)"


@pytest.mark.slow
def test_policies_of_one_scenario_are_tried_on_the_same_patients(tmp_path):
    """As `benchmark` does, under the names and in the colours of the runs."""
    own = {**TINY, "num_steps": 14, "total_timesteps": 112, "runs_dir": str(tmp_path)}
    for name, rate in (("a", 1e-3), ("b", 1e-2)):
        rldd.train("Vancomycin-v2", **own, run_name=name, learning_rate=rate)

    found = rldd.compare([tmp_path / "a", tmp_path / "b"], patients=50, progress=False)
    direct = rldd.benchmark("vancomycin", policies={n: tmp_path / n for n in "ab"}, patients=50, progress=False)

    assert found.record["trial"]["policies"] == direct.record["policies"]
    assert found.record["trial"]["paired"] == direct.record["paired"]
    page = comparison_html(json.loads(json.dumps(found.record)))
    assert "Paired differences" in page
    first = found.record["trial"]["policies"][0]["policy"]
    assert re.search(rf'class="who k-contestant c0"><span class="name">{first}<', page)

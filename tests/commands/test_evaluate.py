"""``rl-drug-dosage evaluate``: figures, data, determinism, held-out patients."""

import csv
from pathlib import Path

import numpy as np
import pytest

PLOTS = ("rollout_concentration.png", "rollout_dose.png", "concentration_vs_dose.png")


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_the_three_plots_lie_beside_the_model(run, tiny_run):
    """The default output folder is the model's."""
    done = run("evaluate", "--model-path", tiny_run / "agent.pt")
    assert done.code == 0, done.err
    for name in PLOTS:
        assert (tiny_run / name).read_bytes().startswith(b"\x89PNG")


def test_the_data_file_holds_every_step_of_every_episode_with_units(run, tiny_run):
    """And adds up to the summary that is printed."""
    done = run("evaluate", "--model-path", tiny_run / "agent.pt", "--num-episodes", "3", "--save-data")
    rows = _rows(tiny_run / "rollout_data.csv")
    assert list(rows[0]) == [
        "episode", "time_steps", "concentration_au", "dose_au", "next_concentration_au", "reward", "in_range",
    ]  # fmt: skip
    assert len(rows) == 300
    returns = [sum(float(r["reward"]) for r in rows if r["episode"] == str(e)) for e in (1, 2, 3)]
    assert f"{np.mean(returns):.2f} +- {np.std(returns):.2f}" in done.out
    # the environment's own equation, from the file: next = c (1 - k) + dose + noise, with one k per episode
    first = [r for r in rows if r["episode"] == "1"]
    c, dose, nxt = (
        np.array([float(r[n]) for r in first]) for n in ("concentration_au", "dose_au", "next_concentration_au")
    )
    eliminated = (c + dose - nxt)[c > 1.0] / c[c > 1.0]
    assert 0.02 < np.median(eliminated) < 0.09
    np.testing.assert_array_equal(c[1:], nxt[:-1])


@pytest.mark.long
def test_evaluation_is_deterministic_unless_asked_otherwise(run, tiny_run):
    """The same seed twice gives the same file; another seed, or sampling, another one."""

    def data(*args: str) -> bytes:
        model = tiny_run / "agent.pt"
        assert run("evaluate", "--model-path", model, "--output-dir", "out", "--save-data", *args).code == 0
        return Path("out/rollout_data.csv").read_bytes()

    first = data()
    assert data() == first
    assert data("--seed", "2") != first
    assert data("--no-deterministic") != first


def test_no_evaluation_meets_a_training_patient():
    """Streams of one seed are disjoint, whatever the seeds: the keys of 50 seeds x 5 streams are all different."""
    import jax

    from rl_drug_dosage.utils.seeding import Stream, key_for

    keys = {tuple(jax.random.key_data(key_for(seed, s)).tolist()) for seed in range(50) for s in Stream}
    assert len(keys) == 50 * len(Stream)


def test_the_policy_acts_with_the_normaliser_of_its_file(run, tiny_run):
    """Fault 1 of other engines: fresh statistics at evaluation."""
    from rl_drug_dosage.ppo.model_file import load_model

    policy = load_model(tiny_run / "agent.pt").policy
    assert policy.obs_norm.count > 200
    obs = np.array([2.5], np.float32)
    expected = (obs - policy.obs_norm.mean) / np.sqrt(policy.obs_norm.var + 1e-8)
    np.testing.assert_allclose(policy.normalize(obs), expected, rtol=1e-6)


@pytest.mark.long
def test_tracking_an_evaluation_offline(run, tiny_run, monkeypatch):
    """Metrics, plots and table go to the real client, without an account."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    done = run("evaluate", "--model-path", tiny_run / "agent.pt", "--track", "--wandb-tags", "eval,production")
    assert done.code == 0, done.err
    assert "wandb sync" in done.out + done.err


def test_info_prints_the_record_of_a_model_and_the_environments(run, tiny_run):
    """What a model file says of itself, without evaluating it."""
    assert '"intended_use"' in run("info", "--model-path", tiny_run / "agent.pt").out
    shown = run("info").out
    assert "DrugDose-v0" in shown
    assert "noise_std" in shown


@pytest.mark.long
@pytest.mark.parametrize("count", [1, 9, 10, 200])
def test_plots_of_any_number_of_episodes_are_drawn(run, tiny_run, count):
    """One line each for few episodes, a percentile band for many."""
    done = run("evaluate", "--model-path", tiny_run / "agent.pt", "--num-episodes", str(count), "--output-dir", "o")
    assert done.code == 0, done.err
    assert all((Path("o") / name).stat().st_size > 5_000 for name in PLOTS)

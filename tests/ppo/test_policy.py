"""A policy and its file: what is saved acts as before, and whatever was not written so is refused in one line."""

import dataclasses
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest

from rl_drug_dosage.envs.drug_dose_v0 import make_drug_dose
from rl_drug_dosage.errors import ModelFileError
from rl_drug_dosage.ppo.distribution import POLICIES
from rl_drug_dosage.ppo.model_file import RECORD_VERSION, Model, load_model, save_model
from rl_drug_dosage.ppo.normalizer import initial_moments
from rl_drug_dosage.ppo.policy import PpoPolicy
from rl_drug_dosage.training.episodes import run_compiled
from rl_drug_dosage.utils.seeding import Stream
from rl_drug_dosage.utils.tensor_archive import read_archive, write_archive

MakePolicy = Callable[..., PpoPolicy]
OBS = np.float32([[0.0], [1.5], [2.5], [40.0]])


def save(path: Path, policy: PpoPolicy) -> Path:
    env = {"id": "DrugDose-v0", "options": {"noise_std": 0.01, "k_range": (0.03, 0.08)}, "frame_stack": 1}
    save_model(path, policy, env=env, training={"seed": 3, "gamma": 0.99}, progress={"seed": 3, "update": 7})
    return path


@pytest.fixture
def model_path(tmp_path: Path, make_policy: MakePolicy) -> Path:
    """A sound model file."""
    return save(tmp_path / "agent.pt", make_policy())


def refused(path: Path) -> str:
    """The message with which a file is refused: one line that names it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ModelFileError) as caught:
            load_model(path)
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message
    return message


# --- acting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", POLICIES)
def test_the_deterministic_dose_is_the_transform_of_the_mean(make_policy: MakePolicy, kind: str) -> None:
    """No sampling without a key; with one, the mean plus a Gaussian of the policy's deviation, inside the bounds."""
    policy = make_policy(kind)
    dose, memory = policy.act(policy.start(), OBS, None)
    np.testing.assert_array_equal(dose, policy.to_action(policy.mean(OBS)[0]))
    np.testing.assert_array_equal(dose, policy.act(memory, OBS, None)[0])
    many = np.repeat(OBS, 5000, axis=0)
    sampled = np.asarray(policy.act(memory, many, jax.random.key(0))[0])
    assert ((sampled >= 0.0) & (sampled <= 1.0)).all()
    expected = np.asarray(policy.mean(many)[0]) + np.exp(-0.5) * np.asarray(
        jax.random.normal(jax.random.key(0), many.shape)
    )
    np.testing.assert_allclose(sampled, policy.to_action(expected), atol=1e-6)
    assert sampled.std() > 0.05
    assert (np.asarray(policy.act(memory, many, jax.random.key(1))[0]) != sampled).any()


def test_the_networks_see_normalised_observations(make_policy: MakePolicy) -> None:
    """``(x - mean) / sqrt(var)`` cut at the clip, or the observation itself where normalisation is off."""
    policy = make_policy()
    expected = np.clip((OBS - policy.obs_norm.mean) / np.sqrt(policy.obs_norm.var + 1e-8), -10, 10)
    np.testing.assert_allclose(policy.normalize(OBS), expected, rtol=1e-6)
    np.testing.assert_allclose(policy.mean(OBS)[0], policy.networks.actor_mean(policy.normalize(OBS)))
    raw = dataclasses.replace(policy, norm_obs=False)
    np.testing.assert_array_equal(raw.normalize(OBS), OBS)


# --- the file --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", POLICIES)
@pytest.mark.parametrize("sizes", [(1, 1), (5, 3)])
def test_a_loaded_policy_acts_bit_for_bit_as_the_saved_one(
    tmp_path: Path, make_policy: MakePolicy, kind: str, sizes: tuple[int, int]
) -> None:
    """Weights, normaliser, bounds and kind all come back, and so does the environment it was trained for."""
    policy = make_policy(kind, obs_size=sizes[0], action_size=sizes[1])
    model = load_model(save(tmp_path / "agent.pt", policy))
    obs = np.random.default_rng(0).normal(size=(50, sizes[0])).astype(np.float32)
    np.testing.assert_array_equal(model.policy.act(None, obs, None)[0], policy.act(None, obs, None)[0])
    np.testing.assert_array_equal(model.policy.networks.value(obs), policy.networks.value(obs))
    assert jax.tree.all(jax.tree.map(np.array_equal, model.policy, policy))
    assert (model.env_id, model.frame_stack) == ("DrugDose-v0", 1)
    assert model.env_options == {"noise_std": 0.01, "k_range": [0.03, 0.08]}
    assert model.training == {"seed": 3, "gamma": 0.99}
    assert model.record["progress"]["update"] == 7
    assert "not for treating patients" in model.record["intended_use"]


def test_an_evaluation_uses_the_statistics_of_the_file(tmp_path: Path, make_policy: MakePolicy) -> None:
    """Doses over whole episodes equal those before saving; a fresh normaliser would give others."""
    policy = make_policy()
    loaded = load_model(save(tmp_path / "agent.pt", policy)).policy
    fresh = eqx.tree_at(lambda p: p.obs_norm, policy, initial_moments((1,)))
    env = make_drug_dose(noise_std=0.01, horizon=10)
    before, after, without = (
        run_compiled(env, p, seed=1, stream=Stream.EVALUATE, episodes=4).dose for p in (policy, loaded, fresh)
    )
    np.testing.assert_array_equal(before, after)
    assert np.abs(before - without).max() > 0.01


def test_the_tensors_have_cleanrls_names_and_torchs_orientation(model_path: Path, make_policy: MakePolicy) -> None:
    """The first 13 in the order of CleanRL's network, weights [out, in]."""
    tensors = read_archive(model_path, kind="agent").tensors
    expected = [
        f"{net}.{i}.{part}" for net in ("critic", "actor_mean") for i in (0, 2, 4) for part in ("weight", "bias")
    ]
    assert list(tensors)[:13] == [*expected, "actor_logstd"]
    assert set(list(tensors)[13:]) == {
        *("obs_norm.mean", "obs_norm.var", "obs_norm.count", "obs_norm.clip", "action.low", "action.high")
    }
    assert tensors["critic.0.weight"].shape == (8, 1)
    np.testing.assert_array_equal(tensors["actor_mean.2.weight"], make_policy().networks.actor_mean.weights[1].T)
    assert tensors["actor_logstd"].shape == (1, 1)
    assert tensors["obs_norm.count"].shape == ()
    assert {t.dtype for t in tensors.values()} == {np.dtype(np.float32)}


def test_a_policy_without_bounds_can_be_saved(tmp_path: Path, make_policy: MakePolicy) -> None:
    """A raw Gaussian on an action space without bounds is what the refusal of the others recommends."""
    policy = make_policy("gaussian-raw")
    policy = eqx.tree_at(lambda p: (p.low, p.high), policy, (np.float32([-np.inf]), np.float32([np.inf])))
    loaded = load_model(save(tmp_path / "agent.pt", policy)).policy
    assert (loaded.low, loaded.high) == (-np.inf, np.inf)
    np.testing.assert_array_equal(loaded.act(None, OBS, None)[0], policy.mean(OBS)[0])


# --- damage ----------------------------------------------------------------------------------------------------------


def mutations(data: bytes, count: int) -> list[tuple[str, bytes]]:
    """Random damage of the kinds that disks, networks and editors do."""
    rng = np.random.default_rng(0)
    damaged = []
    for number in range(count):
        at = int(rng.integers(len(data)))
        size = int(rng.integers(1, 200))
        kinds = {
            "bit": data[:at] + bytes([data[at] ^ (1 << int(rng.integers(8)))]) + data[at + 1 :],
            "cut": data[:at],
            "head": data[at + 1 :],
            "hole": data[:at] + data[at + size :],
            "more": data[:at] + rng.bytes(size) + data[at:],
            "noise": data[:at] + rng.bytes(size) + data[at + size :],
            "zeros": data[:at] + bytes(size) + data[at + size :],
            "twice": data + data[:at],
            "lines": data.replace(b"\n", b"\r\n") if b"\n" in data else data + b"\n",
        }
        kind = list(kinds)[number % len(kinds)]
        if kinds[kind] != data:
            damaged.append((f"{kind} at {at}", kinds[kind]))
    return damaged


def test_no_damaged_file_loads_and_none_crashes(model_path: Path) -> None:
    """More than 200 random mutations of every kind, each refused in one line."""
    cases = mutations(model_path.read_bytes(), 270)
    assert len(cases) > 200
    for what, data in cases:
        model_path.write_bytes(data)
        try:
            refused(model_path)
        except BaseException as error:
            raise AssertionError(what) from error


def test_every_bit_near_the_end_counts(model_path: Path) -> None:
    """The seal and the zip's directory, bit by bit."""
    data = model_path.read_bytes()
    for at in range(len(data) - 120, len(data)):
        flipped = bytearray(data)
        flipped[at] ^= 1 << (at % 8)
        model_path.write_bytes(bytes(flipped))
        refused(model_path)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    """Nothing, a folder, an empty file, text, a checkpoint of ours."""
    refused(tmp_path / "missing.pt")
    refused(tmp_path)
    for name, data in (("empty.pt", b""), ("text.pt", b"weights\n" * 100), ("zip.pt", b"PK\x05\x06" + bytes(18))):
        (tmp_path / name).write_bytes(data)
        refused(tmp_path / name)
    write_archive(tmp_path / "other.pt", {}, {}, kind="checkpoint")
    refused(tmp_path / "other.pt")


# --- whole files that make no sense ----------------------------------------------------------------------------------


def rewrite(path: Path, change: Callable[[dict[str, np.ndarray], dict[str, Any]], None]) -> Path:
    """A sound archive of other contents, as a program of somebody else's might write it."""
    archive = read_archive(path, kind="agent")
    record = json.loads(json.dumps(archive.record))
    change(archive.tensors, record)
    write_archive(path, archive.tensors, record, kind="agent")
    return path


def test_a_newer_record_says_what_to_do(model_path: Path) -> None:
    """Both versions and the remedy."""
    message = refused(rewrite(model_path, lambda _, r: r.update(record_version=RECORD_VERSION + 1)))
    assert f"record version {RECORD_VERSION + 1}" in message
    assert "upgrade rl-drug-dosage" in message


@pytest.mark.parametrize("version", [None, 0, -1, "1", 1.0])
def test_a_record_without_a_version_is_no_record(model_path: Path, version: Any) -> None:
    """Anything but a whole number from 1 on."""
    refused(rewrite(model_path, lambda _, r: r.update(record_version=version)))


RECORDS = {
    "no env": lambda r: r.pop("env"),
    "env is a text": lambda r: r.update(env="DrugDose-v0"),
    "env is null": lambda r: r.update(env=None),
    "no id": lambda r: r["env"].pop("id"),
    "id is a number": lambda r: r["env"].update(id=3),
    "no options": lambda r: r["env"].pop("options"),
    "options are a list": lambda r: r["env"].update(options=[1]),
    "no frame_stack": lambda r: r["env"].pop("frame_stack"),
    "frame_stack is a word": lambda r: r["env"].update(frame_stack="two"),
    "frame_stack is negative": lambda r: r["env"].update(frame_stack=-1),
    "frame_stack is null": lambda r: r["env"].update(frame_stack=None),
    "no action": lambda r: r.pop("action"),
    "unknown transform": lambda r: r["action"].update(transform="beta"),
    "transform is a list": lambda r: r["action"].update(transform=[]),
    "no normalizer": lambda r: r.pop("normalizer"),
    "normalizer is a list": lambda r: r.update(normalizer=[]),
    "norm_obs is a word": lambda r: r["normalizer"].update(observations="no"),
    "no training": lambda r: r.pop("training"),
    "training is a text": lambda r: r.update(training="seed 1"),
    "training holds a list": lambda r: r.update(training={"seed": [1]}),
    "id with an escape sequence": lambda r: r["env"].update(id="\x1b[2J"),
    "id of a megabyte": lambda r: r["env"].update(id="A" * 1_000_000),
    "id is empty": lambda r: r["env"].update(id=""),
    "options without end": lambda r: r["env"].update(options={"k": list(range(20_000))}),
    "an option's name that turns the text": lambda r: r["env"].update(options={"\u202e": 1}),
    "a source elsewhere": lambda r: r["env"].update(source={"file": "../task.py", "sha256": "0" * 64}),
    "a source without a hash": lambda r: r["env"].update(source={"file": "task.py", "sha256": ""}),
    "units are a list": lambda r: r["env"].update(units=["mg"]),
    "three window edges": lambda r: r["env"].update(window=[1.0, 2.0, 3.0]),
    "a window of words": lambda r: r["env"].update(window=["low", "high"]),
    "horizon is 0": lambda r: r["env"].update(horizon=0),
    "clip is 0": lambda r: r["normalizer"].update(clip=0.0),
    "another low than the tensor's": lambda r: r["action"].update(low=[-1.0]),
    "another high than the tensor's": lambda r: r["action"].update(high=[1.0, 1.0]),
    "versions are numbers": lambda r: r.update(versions={"jax": 1}),
    "a hash that is none": lambda r: r.update(training_sha256="x"),
    "an unknown field without end": lambda r: r.update(more=["x" * 100_000]),
}


# What load_model lets through, or crashes on with a ValueError.
@pytest.mark.parametrize("name", RECORDS)
def test_incomplete_records_are_refused(model_path: Path, name: str) -> None:
    """A missing or senseless entry is a ModelFileError when the file is read, not a surprise later."""
    refused(rewrite(model_path, lambda _, r: RECORDS[name](r)))


def tensor(name: str, value: Any) -> Callable[[dict[str, np.ndarray]], None]:
    return lambda t: t.update({name: np.asarray(value, np.float32)})


NAMES = ("critic.0.weight", "critic.4.bias", "actor_mean.2.weight", "actor_mean.4.weight", "actor_logstd")
TENSORS = {
    **{f"no {name}": lambda t, name=name: t.pop(name) for name in (*NAMES, "obs_norm.mean", "obs_norm.var")},
    **{f"no {name}": lambda t, name=name: t.pop(name) for name in ("obs_norm.clip", "action.low", "action.high")},
    **{f"{name} is a number": tensor(name, 1.0) for name in NAMES},
    **{f"{name} is not finite": lambda t, name=name: t[name].fill(np.nan) for name in NAMES},
    "a critic of other width": tensor("critic.2.weight", np.zeros((8, 9))),
    "two values": tensor("critic.4.weight", np.zeros((2, 8))),
    "two doses": tensor("action.low", [0.0, 0.0]),
    "bounds are numbers": lambda t: t.update({f"action.{p}": np.ones((), np.float32) for p in ("low", "high")}),
    "mean is a number": lambda t: t.update({f"obs_norm.{p}": np.ones((), np.float32) for p in ("mean", "var")}),
    "mean is a matrix": lambda t: t.update({f"obs_norm.{p}": np.ones((1, 1), np.float32) for p in ("mean", "var")}),
    "mean is not finite": tensor("obs_norm.mean", [np.nan]),
    "variance is not finite": tensor("obs_norm.var", [np.inf]),
    "variance is negative": tensor("obs_norm.var", [-1.0]),
    "count is a vector": tensor("obs_norm.count", [1.0, 2.0]),
    "clip is not a number": tensor("obs_norm.clip", np.nan),
    "clip is a vector": tensor("obs_norm.clip", [10.0]),
    "low is not a number": tensor("action.low", [np.nan]),
    "low is above high": tensor("action.low", [2.0]),
    "no layers": lambda t: [t.pop(name) for name in list(t) if name.startswith("critic")],
    "weights of 64 bits": lambda t: t.update({"actor_logstd": t["actor_logstd"].astype(np.float64)}),
    "whole numbers": lambda t: t.update({"obs_norm.count": np.ones((), np.int64)}),
    "a tensor of no policy": tensor("critic_memory.bias_ih_l0", np.zeros(12)),
    "no action": lambda t: t.update({f"action.{p}": np.ones(0, np.float32) for p in ("low", "high")}),
    "a layer too many": lambda t: t.update({"critic.6.weight": np.ones((1, 1), np.float32)}),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_do_not_fit_are_refused(model_path: Path, name: str) -> None:
    """Missing, of another shape, or not finite: found when the file is read."""
    refused(rewrite(model_path, lambda t, _: TENSORS[name](t)))


def test_a_model_is_a_value(model_path: Path) -> None:
    """Loading twice gives the same; writing twice the same bytes."""
    first, second = (load_model(model_path) for _ in range(2))
    assert isinstance(first, Model)
    assert first.record == second.record
    data = model_path.read_bytes()
    assert save(model_path, first.policy).read_bytes() == data

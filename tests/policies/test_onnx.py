"""ONNX files: ours dose as the model files that they were made from, and anybody's network takes part."""

import dataclasses
import json
import sys
from pathlib import Path

import jax
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from rl_drug_dosage.clinic.features import Feature
from rl_drug_dosage.clinic.observation import observer_of
from rl_drug_dosage.errors import BadPluginError, DependencyError, ModelFileError, OutputError
from rl_drug_dosage.policies.adapters.learnt import far_from
from rl_drug_dosage.policies.adapters.onnx import METADATA
from rl_drug_dosage.policies.adapters.onnx_export import onnx_bytes
from rl_drug_dosage.ppo.distribution import POLICIES
from rl_drug_dosage.ppo.model_file import Model, load_model
from rl_drug_dosage.ppo.networks import init_actor_critic
from rl_drug_dosage.ppo.normalizer import EPSILON
from rl_drug_dosage.registry import POLICY, find, find_scenario
from rl_drug_dosage.trials.export import export_onnx

MODELS = Path(__file__).parents[2] / "models"


@pytest.mark.long
@pytest.mark.parametrize(
    "name",
    [
        "chemotherapy-clean",
        pytest.param("tacrolimus", marks=pytest.mark.slow),
        pytest.param("warfarin", marks=pytest.mark.slow),
        pytest.param("warfarin-90d", marks=pytest.mark.slow),
    ],
)
def test_the_exported_file_gives_the_same_doses_in_a_trial(tmp_path, treat, name):
    """The bar is 1e-5; warfarin has two corrections, and 90 decisions in the longer course; tacrolimus abstains."""
    path = export_onnx(MODELS / f"{name}.pt", tmp_path / f"{name}.onnx")
    ours, exported = (treat(p, name, patients=50) for p in (MODELS / f"{name}.pt", path))
    np.testing.assert_allclose(exported.dose, ours.dose, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(exported.metrics, ours.metrics, rtol=1e-4)
    np.testing.assert_array_equal(exported.abstained, ours.abstained)
    assert ours.abstained.any() or name != "tacrolimus"
    assert len(np.unique(ours.dose)) > 5


@pytest.mark.long
@pytest.mark.parametrize("path", sorted(MODELS.glob("*.pt")), ids=lambda p: p.stem)
def test_every_policy_that_comes_with_the_package_exports(path):
    """Actions within 1e-5 of the range, on observations as training saw them, ten decisions in a row."""
    acts_alike(load_model(path))


@pytest.mark.long
def test_a_memory_stays_outside_of_the_file(make_policy):
    """A policy with a GRU: its memory goes in and comes out."""
    networks = init_actor_critic(
        np.random.default_rng(0), obs_size=5, action_size=1, hidden_sizes=(8, 8), memory_size=6
    )
    networks.actor_mean.weights[-1][:] *= 100.0
    policy = dataclasses.replace(make_policy(obs_size=5), networks=networks)
    assert policy.start() is not None
    acts_alike(model_of_policy(policy))


def acts_alike(model):
    policy = jax.tree.map(jax.numpy.asarray, model.policy)
    session = onnxruntime.InferenceSession(onnx_bytes(model))
    size, rng = policy.obs_size, np.random.default_rng(0)
    moments = model.policy.obs_norm
    memory = None if policy.start() is None else np.zeros((40, policy.start().shape[0]), np.float32)
    gru = policy.networks.actor_memory
    own = {} if gru is None else {"memory": np.zeros((40, gru.units), np.float32)}
    for _ in range(10):
        noise = rng.normal(0.0, 1.5, (40, size))
        seen = (moments.mean[:size] + noise * np.sqrt(moments.var[:size])).astype(np.float32)
        expected, memory = policy.act(memory, seen, None)
        action, *after = session.run(None, {"observation": seen, **own})
        own = {"memory": after[0]} if after else {}
        assert np.abs(action - expected).max() <= 1e-5 * float((policy.high - policy.low).max())


def test_the_file_holds_what_never_varied_in_training():
    """Warfarin's baseline INR was 1.0 in every patient: 1.3 is taken for 1.0, as the policy itself does."""
    model = load_model(MODELS / "warfarin.pt")
    constants = model.policy.constants()
    held = np.flatnonzero(np.isfinite(constants))
    assert held.size
    names = [Feature(f"input{i}", "1") for i in range(model.policy.obs_size)]
    session = onnxruntime.InferenceSession(onnx_bytes(model, names))
    seen = np.tile(model.policy.obs_norm.mean[: model.policy.obs_size].astype(np.float32), (2, 1))
    seen[:, held] = constants[held]
    seen[1, held] += 0.3
    action = session.run(["action"], {"observation": seen})[0]

    np.testing.assert_array_equal(action[0], action[1])


@pytest.mark.long
@pytest.mark.parametrize(("name", "decisions"), [("vancomycin", 14), ("warfarin-90d", 90)])
def test_the_file_says_for_whom_the_policy_abstains(tmp_path, name, decisions):
    """Where one input lies a little nearer than the limit to its mean in training, or a little farther."""
    policy = load_model(MODELS / f"{name}.pt").policy
    assert find_scenario(name).value.schedule.decisions == decisions
    free = np.flatnonzero(np.isnan(policy.constants()))
    mean, sd = (part[: policy.obs_size] for part in (policy.obs_norm.mean, np.sqrt(policy.obs_norm.var + EPSILON)))
    seen = np.tile(mean.astype(np.float32), (2 * len(free), 1))
    for row, at in enumerate(free):
        seen[2 * row : 2 * row + 2, at] += sd[at] * far_from(decisions) * np.asarray([0.99, -1.01])
    session = onnxruntime.InferenceSession(export_onnx(MODELS / f"{name}.pt", tmp_path / "x.onnx").read_bytes())

    found = session.run(["abstains"], {"observation": seen})[0]

    np.testing.assert_array_equal(found[:, 0], [0.0, 1.0] * len(free))


def test_a_policy_from_the_chart_never_abstains(tmp_path):
    path = export_onnx(MODELS / "chemotherapy-clean.pt", tmp_path / "x.onnx")
    assert [output.name for output in onnxruntime.InferenceSession(path.read_bytes()).get_outputs()] == ["action"]


@pytest.mark.parametrize("kind", POLICIES)
@pytest.mark.parametrize("norm_obs", [True, False])
def test_every_action_transform_is_in_the_file(make_policy, kind, norm_obs):
    """Also what is cut: the network's head is large enough to reach both edges."""
    policy = dataclasses.replace(make_policy(kind, obs_size=3), norm_obs=norm_obs)
    policy.networks.actor_mean.weights[-1][:] *= 10.0
    session = onnxruntime.InferenceSession(onnx_bytes(model_of_policy(policy)))
    seen = np.random.default_rng(1).normal(2.0, 20.0, (200, 3)).astype(np.float32)
    action = session.run(["action"], {"observation": seen})[0]
    np.testing.assert_allclose(action, policy.act(None, seen, None)[0], atol=1e-5)
    assert action.min() < 0.1
    assert action.max() > 0.9


def model_of_policy(policy) -> Model:
    record = {"env": {"id": "DrugDose-v0", "options": {}, "frame_stack": 1}}
    return Model(policy, "DrugDose-v0", {}, 1, {}, record)


def test_the_file_says_what_it_was_trained_for_and_what_it_observes(tmp_path):
    """Its metadata is the model's record, with a name and a unit for every number."""
    path = export_onnx(MODELS / "tacrolimus.pt", tmp_path / "x.onnx")
    model = onnx.load(path)
    record = json.loads({p.key: p.value for p in model.metadata_props}[METADATA])
    assert record["env"]["id"] == "Tacrolimus-v1"
    assert record["action"]["transform"] == "tanh-gaussian"
    names = [(f["name"], f["unit"]) for f in record["observations"]]
    assert len(names) == load_model(MODELS / "tacrolimus.pt").policy.obs_size
    assert ("wt_kg", "kg") in names
    assert find(POLICY, path).value.card["env"]["id"] == "Tacrolimus-v1"


def test_an_export_is_refused_elsewhere_than_it_was_trained(tmp_path, build):
    """As the model file is."""
    path = export_onnx(MODELS / "warfarin.pt", tmp_path / "w.onnx")
    with pytest.raises(ModelFileError, match="was trained for Warfarin-v1, not for Vancomycin-v2"):
        build(path, "vancomycin")
    with pytest.raises(OutputError, match=r"ends in \.onnx"):
        export_onnx(MODELS / "warfarin.pt", tmp_path / "w.pt")


def foreign(path: Path, size: int | None, *, inputs=("x",), outputs=("y",), rows="n", dtype=TensorProto.FLOAT) -> Path:
    """A network of somebody's: 15 mg/kg of the weight, which is the fourth number of a vancomycin observation."""
    kind = np.float32 if dtype == TensorProto.FLOAT else np.float64
    weight = np.zeros((size or 1, 1), kind)
    weight[3 % (size or 1)] = 15.0
    nodes = [helper.make_node("MatMul", [inputs[0], "w"], [outputs[0]])]
    nodes += [helper.make_node("Identity", [outputs[0]], [name]) for name in outputs[1:]]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, dtype, [rows, size]) for name in inputs],
        [helper.make_tensor_value_info(name, dtype, [rows, 1]) for name in outputs],
        [numpy_helper.from_array(weight, "w")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(made.SerializeToString())
    return path


@pytest.mark.long
@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"rows": 1},
        {"dtype": TensorProto.DOUBLE},
        {"outputs": ("action", "log_std")},
        {"outputs": ("value", "actions")},
    ],
    ids=["plain", "one patient at a time", "double", "two outputs", "other order"],
)
def test_a_foreign_network_sees_the_default_observation(tmp_path, treat, ward, shape):
    """Whatever its nodes are called, if there is one of each or they have a usual name."""
    size = observer_of(ward).size
    trial = treat(foreign(tmp_path / "net.onnx", size, **shape))
    expected = 250.0 * np.round(trial.covariates["wt_kg"] * 15.0 / 250.0)
    np.testing.assert_array_equal(trial.dose, np.tile(expected[:, None], 4))


@pytest.mark.parametrize(
    ("size", "shape", "message"),
    [
        (5, {}, r"takes 5 observations, .* has \d+"),
        (33, {"outputs": ("a", "b")}, "has the outputs a, b: one must be called action or actions or output"),
        (33, {"inputs": ("observation", "mask")}, "also needs mask"),
        (33, {"inputs": ("observation", "memory")}, "memory without an output memory_after"),
        (33, {"rows": 4}, "takes exactly 4 patients"),
    ],
)
def test_a_network_that_does_not_fit_is_refused(tmp_path, build, ward, size, shape, message):
    path = foreign(tmp_path / "net.onnx", size, **shape)
    with pytest.raises(BadPluginError, match=message):
        build(path, ward)


def test_what_is_no_onnx_file_is_refused(tmp_path):
    path = tmp_path / "x.onnx"
    path.write_bytes(b"nothing")
    with pytest.raises(BadPluginError, match="cannot be read as ONNX"):
        find(POLICY, path)


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_without_the_extra_it_is_named(tmp_path, monkeypatch, make_policy, package):
    """None in ``sys.modules`` is how Python says that a module cannot be imported."""
    path = foreign(tmp_path / "x.onnx", 33)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DependencyError, match=r"pip install 'rl-drug-dosage\[onnx\]'"):
        _ = onnx_bytes(model_of_policy(make_policy())) if package == "onnx" else find(POLICY, path)

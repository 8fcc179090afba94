"""Networks with a memory, and a critic that sees more than the actor."""

import json
import subprocess
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.errors import ModelFileError
from rl_drug_dosage.ppo.learner import Learner, LearnerSettings, Rates, Rollout
from rl_drug_dosage.ppo.loss import Coefficients
from rl_drug_dosage.ppo.model_file import load_model, save_model
from rl_drug_dosage.ppo.networks import ActorCritic, Gru, init_actor_critic
from rl_drug_dosage.ppo.normalizer import RunningMoments
from rl_drug_dosage.ppo.policy import PpoPolicy
from rl_drug_dosage.utils.tensor_archive import read_archive, write_archive

TIME, ENVS, OBS, UNITS = 7, 3, 4, 5


def recurrent(visible: int = OBS, seed: int = 0) -> ActorCritic:
    networks = init_actor_critic(
        np.random.default_rng(seed),
        obs_size=OBS,
        action_size=1,
        hidden_sizes=(6, 6),
        visible=visible,
        memory_size=UNITS,
    )
    networks.actor_mean.weights[-1][:] *= 100.0
    return networks


def segment(seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Observations, beginnings, and a memory that is not empty."""
    rng = np.random.default_rng(seed)
    first = np.zeros((TIME, ENVS), bool)
    first[3, 0] = first[5, 2] = True
    return (
        rng.normal(size=(TIME, ENVS, OBS)).astype(np.float32),
        first,
        rng.normal(size=(ENVS, 2 * UNITS)).astype(np.float32),
    )


def test_a_step_of_the_memory_by_hand() -> None:
    """One unit, numbers that can be followed: r = s(1) = 0.731, z = s(-1) = 0.269, n = tanh(0.5 + r 0.6)."""
    gru = Gru(
        weight_in=np.float32([[1.0, -1.0, 0.5]]),
        weight_hidden=np.float32([[0.0, 0.0, 3.0]]),
        bias_in=np.zeros(3, np.float32),
        bias_hidden=np.zeros(3, np.float32),
    )
    h = gru.step(np.float32([0.2]), gru.inputs(np.float32([1.0])))
    r, z = 1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))
    assert h[0] == pytest.approx((1 - z) * np.tanh(0.5 + r * 0.6) + z * 0.2, rel=1e-6)
    assert isinstance(h, np.ndarray)


def test_a_segment_at_once_is_the_segment_step_by_step() -> None:
    """Means, values and memories of `outputs` are those of `act` and `value`, with the memory emptied at beginnings."""
    networks = recurrent()
    obs, first, memory = segment()
    mean, value, after = networks.outputs(obs, first, memory)
    for t in range(TIME):
        memory = np.where(first[t][:, None], np.float32(0.0), memory)
        np.testing.assert_allclose(value[t], networks.value(obs[t], memory), rtol=1e-5, atol=1e-6)
        one, memory = networks.act(obs[t], memory)
        np.testing.assert_allclose(mean[t], one, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(after[t], memory, rtol=1e-5, atol=1e-6)


@pytest.mark.long
def test_the_memory_reaches_back() -> None:
    """The first observation changes the last mean, and not beyond the beginning of another episode."""
    networks = recurrent()
    obs, first, memory = segment()
    slope = jax.jacobian(lambda x: networks.outputs(x, first, memory)[0][-1, :, 0])(jnp.asarray(obs))[:, 0]
    reaches = np.abs(np.asarray(slope)).max(-1)  # [env of the mean, env of the observation]
    assert reaches[1, 1] > 1e-6
    assert reaches[0, 0] == reaches[2, 2] == 0.0
    assert reaches[0, 1] == reaches[1, 2] == 0.0


@pytest.mark.parametrize("memory_size", [0, UNITS])
def test_the_actor_never_sees_what_only_the_critic_is_shown(memory_size: int) -> None:
    """The truth moves values and no mean, and such a critic has no memory of its own."""
    networks = init_actor_critic(
        np.random.default_rng(0), obs_size=OBS, action_size=1, visible=3, memory_size=memory_size
    )
    obs, first, memory = segment()
    other = obs.copy()
    other[..., 3] += 1.0
    start = memory[:, :UNITS] if memory_size else None
    (mean, value, _), (mean_2, value_2, _) = (networks.outputs(x, first, start) for x in (obs, other))
    np.testing.assert_array_equal(mean, mean_2)
    assert (np.abs(np.asarray(value) - np.asarray(value_2)) > 1e-4).all()
    assert networks.critic_memory is None
    assert networks.visible == 3


def make_policy(networks: ActorCritic) -> PpoPolicy:
    rng = np.random.default_rng(3)
    moments = RunningMoments(rng.normal(size=OBS).astype(np.float32), np.ones(OBS, np.float32), np.float32(100.0))
    bounds = np.zeros(1, np.float32), np.ones(1, np.float32)
    return PpoPolicy(networks, moments, *bounds, np.asarray(10.0, np.float32), "tanh-gaussian", norm_obs=True)


def save(path: Path, policy: PpoPolicy) -> Path:
    env = {"id": "DrugDose-v0", "options": {}, "frame_stack": 1}
    save_model(path, policy, env=env, training={"seed": 1}, progress={"seed": 1, "update": 1})
    return path


@pytest.mark.parametrize("visible", [OBS, 3])
def test_a_policy_with_memory_comes_back_from_its_file(tmp_path: Path, visible: int) -> None:
    """Every tensor, and the same doses over a course, from an observation of what the actor sees only."""
    policy = make_policy(recurrent(visible))
    loaded = load_model(save(tmp_path / "agent.pt", policy)).policy
    assert jax.tree.all(jax.tree.map(np.array_equal, loaded, policy))
    assert loaded.obs_size == visible
    obs = segment()[0][:, :, :visible]
    memories = [p.networks.start((ENVS,)) for p in (policy, loaded)]
    doses = []
    for x in obs:
        for i, p in enumerate((policy, loaded)):
            dose, memories[i] = p.act(memories[i], x, None)
            doses.append(np.asarray(dose))
    np.testing.assert_array_equal(doses[::2], doses[1::2])
    assert np.std([d[0] for d in doses]) > 0.01


@pytest.mark.parametrize("part", ["weight_ih", "weight_hh", "bias_ih", "bias_hh"])
def test_a_memory_that_does_not_fit_is_refused(tmp_path: Path, part: str) -> None:
    """One tensor of another size: one line, nothing executed."""
    path = save(tmp_path / "agent.pt", make_policy(recurrent()))
    archive = read_archive(path, kind="agent")
    tensors = dict(archive.tensors)
    tensors[f"actor_memory.{part}_l0"] = tensors[f"actor_memory.{part}_l0"][:-1]
    write_archive(path, tensors, archive.record, kind="agent")
    with pytest.raises(ModelFileError, match="do not fit together"):
        load_model(path)


# --- learning with a memory ------------------------------------------------------------------------------------------


@pytest.mark.long
def test_the_states_are_rebuilt_from_those_that_a_segment_began_with() -> None:
    """In the first minibatch the policy is still the one that acted: no divergence; with another memory there is."""
    settings = LearnerSettings(
        obs_size=OBS,
        action_size=1,
        num_minibatches=1,
        update_epochs=1,
        policy="gaussian",
        hidden_sizes=(6,),
        memory_size=UNITS,
    )
    learner = Learner(settings)
    state = learner.init(np.random.default_rng(0))
    obs, first, memory = segment()
    done = np.concatenate([first[1:], np.zeros((1, ENVS), bool)])
    rng = np.random.default_rng(2)
    u, reward = rng.normal(size=(TIME, ENVS, 1)).astype(np.float32), rng.normal(size=(TIME, ENVS)).astype(np.float32)
    rollout = Rollout(obs, np.roll(obs, -1, 0), u, reward, done, done, np.ones((TIME, ENVS), np.float32), memory)
    numbers = dict.fromkeys(("gamma", "gae_lambda", "max_grad_norm"), np.float32(0.9))
    rates = Rates(
        learning_rate=np.float32(0.0),
        coefficients=Coefficients(np.float32(0.2), np.float32(0.0), np.float32(0.5)),
        target_kl=np.float32(0.0),
        desired_kl=np.float32(0.0),
        num_updates=np.int32(1),
        **numbers,
    )
    update = jax.jit(lambda *x: learner.update(*x, jax.random.key(0)))
    terms = update(state, rollout, rates)[1].terms
    assert abs(float(terms.approx_kl)) < 1e-6
    assert float(terms.grad_norm) > 1e-3
    # What the loss sees of a segment really is what the memory makes of it: the actor's weights on it have a gradient.
    moved = update(state, rollout, Rates(**{**vars(rates), "learning_rate": np.float32(0.1)}))[0]
    assert np.abs(moved.params - state.params).max() > 0.01


SCRIPT = """
import json, sys
import torch

tensors = torch.load(sys.argv[1], weights_only=True)
prefix = "actor_memory."
weights = {name[len(prefix):]: t for name, t in tensors.items() if name.startswith(prefix)}
gru = torch.nn.GRU(weights["weight_ih_l0"].shape[1], weights["weight_hh_l0"].shape[1])
gru.load_state_dict(weights, strict=True)
x = torch.tensor(json.loads(sys.argv[2]))
h = torch.tensor(json.loads(sys.argv[3]))
with torch.no_grad():
    print(json.dumps(gru(x, h[None])[0].tolist()))
"""


@pytest.mark.torch
def test_the_memory_is_torchs_gru(tmp_path: Path, torch_python: str) -> None:
    """Strictly loaded from the model file, PyTorch's layer remembers the same, to 1e-6."""
    networks = recurrent()
    path = save(tmp_path / "agent.pt", make_policy(networks))
    obs, _, memory = segment()
    command = [torch_python, "-c", SCRIPT, str(path), json.dumps(obs.tolist()), json.dumps(memory[:, :UNITS].tolist())]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    ours = networks.actor_memory.unroll(obs, np.zeros((TIME, ENVS), bool), memory[:, :UNITS])
    np.testing.assert_allclose(ours, np.array(json.loads(done.stdout)), atol=1e-6)

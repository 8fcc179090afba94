"""A model file as somebody with PyTorch and CleanRL's network, and without this package, would use it."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from rl_drug_dosage.ppo.model_file import load_model

MODEL = Path(__file__).parents[2] / "models" / "agent.pt"

SCRIPT = """
import json, sys
import torch
from torch import nn

class PolicyDefinition(nn.Module):
    def __init__(self):
        super().__init__()
        def net(out):
            return nn.Sequential(nn.Linear(1, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, out))
        self.critic = net(1)
        self.actor_mean = net(1)
        self.actor_logstd = nn.Parameter(torch.zeros(1, 1))

tensors = torch.load(sys.argv[1], weights_only=True)
agent = PolicyDefinition()
agent.load_state_dict(dict(list(tensors.items())[:13]), strict=True)
obs = torch.tensor(json.loads(sys.argv[2]))
n = ((obs - tensors["obs_norm.mean"]) / torch.sqrt(tensors["obs_norm.var"] + 1e-8)).clamp(-10, 10)
with torch.no_grad():
    mean, value = agent.actor_mean(n), agent.critic(n)
low, high = tensors["action.low"], tensors["action.high"]
dose = low + (torch.tanh(mean) + 1) / 2 * (high - low)
print(json.dumps([x.flatten().tolist() for x in (mean, dose, value)]))
"""


@pytest.mark.torch
def test_the_first_thirteen_tensors_are_cleanrls_network_and_act_the_same(torch_python):
    """Strictly loaded, the network's mean, the dose and the value agree to 1e-5."""
    policy = load_model(MODEL).policy
    obs = np.linspace(0.0, 6.0, 61, dtype=np.float32)[:, None]
    command = [torch_python, "-c", SCRIPT, str(MODEL), json.dumps(obs.tolist())]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    mean, dose, value = (np.array(x) for x in json.loads(done.stdout))

    np.testing.assert_allclose(policy.mean(obs)[0][:, 0], mean, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(policy.act(None, obs, None)[0][:, 0], dose, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(policy.networks.value(policy.normalize(obs)), value, rtol=1e-5, atol=1e-5)


def test_the_shipped_model_is_made_by_the_command_of_its_card():
    """Its record has the defaults of ``train`` and says what it is for."""
    from rl_drug_dosage.training.config import TrainConfig

    record = load_model(MODEL).record
    assert TrainConfig.from_record(record["training"]) == TrainConfig()
    assert record["progress"]["global_step"] == 200_704
    assert "not for treating patients" in record["intended_use"]

"""Files of Stable-Baselines3 are its own loader's business, and need its extra."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from rl_drug_dosage.errors import BadPluginError, DependencyError
from rl_drug_dosage.registry import POLICY, find

ROOT = Path(__file__).parents[2]
COLUMN = """
import numpy as np
class Column:
    def predict(self, observation):
        return np.full((len(observation), 1), 1500.0)
POLICY = Column()
"""
MAKE = """
import sys, gymnasium, numpy as np, stable_baselines3
import rl_drug_dosage
env = gymnasium.make("Vancomycin-v2")
off = dict(learning_starts=10) if sys.argv[1] == "SAC" else dict(n_steps=16, batch_size=16)
make = getattr(stable_baselines3, sys.argv[1])
agent = make("MlpPolicy", env, device="cpu", seed=1, policy_kwargs={"net_arch": [8]}, **off)
agent.learn(40)
agent.save(sys.argv[2])
seen, doses = [], []
obs, _ = env.reset(seed=7)
for _ in range(14):
    action, _ = agent.predict(obs, deterministic=True)
    seen.append(obs)
    doses.append(float(action[0]))
    obs = env.step(action)[0]
np.savez(sys.argv[3], seen=np.stack(seen), doses=doses)
"""
ASK = """
import sys, numpy as np
from rl_drug_dosage.clinic.policy import Setting
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.registry import POLICY, find, find_scenario
task = find_scenario("vancomycin")
first = task.value.models[0]
setting = Setting(task, model_of(task.value, first), simulator_of(task.value, first))
policy = find(POLICY, sys.argv[1]).value.build(setting)
told = np.load(sys.argv[2])
seen = told["seen"]
given, _ = policy.host(seen, (), np.zeros(len(seen), bool))
policy.check()
np.testing.assert_allclose(given, told["doses"], rtol=1e-5)
assert len(np.unique(given)) >= int(sys.argv[3])
"""


def run(torch_python: str, *args: object) -> subprocess.CompletedProcess:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([torch_python, *map(str, args)], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.torch
@pytest.mark.parametrize(("algorithm", "different"), [("SAC", 2), ("PPO", 1)])
def test_an_agent_acts_in_a_trial_as_it_does_in_its_environment(tmp_path, torch_python, algorithm, different):
    """The actions that Stable-Baselines3 itself gives for the observations of one course."""
    path = tmp_path / "agent.zip"
    run(torch_python, "-c", MAKE, algorithm, path, tmp_path / "told.npz")
    done = run(torch_python, "-c", ASK, path, tmp_path / "told.npz", different)
    assert done.stderr.count("runs code from the file: load only what you trust") == 1


@pytest.mark.torch
def test_an_agent_a_network_a_function_and_words_stand_in_one_table(tmp_path, torch_python):
    """Beside Bayesian dosing, in one benchmark of ten patients."""
    from rl_drug_dosage.trials.export import export_onnx

    agent, network, column = tmp_path / "sac.zip", tmp_path / "network.onnx", tmp_path / "column.py"
    run(torch_python, "-c", MAKE, "SAC", agent, tmp_path / "told.npz")
    export_onnx(ROOT / "models" / "vancomycin.pt", network)
    column.write_text(COLUMN)
    policies = [f"--policy={p}" for p in ("mipd", agent, network, column, "1000 mg q12h")]
    folder = tmp_path / "out"
    common = ["-m", "rl_drug_dosage", "benchmark", "--scenario", "vancomycin", "--patients", 10, "--output-dir", folder]
    run(torch_python, *common, *policies)
    record = json.loads((folder / "benchmark.json").read_text())
    shares = {row["policy"]: row["attainment_pct"]["mean"] for row in record["policies"]}
    assert set(shares) == {"mipd", "sac", "network", "column", "1000 mg q12h"}
    assert shares["mipd"] > shares["1000 mg q12h"]
    assert all(np.isfinite(list(shares.values())))


def archive(path: Path, data: object) -> Path:
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("data", data if isinstance(data, str) else json.dumps(data))
    return path


def test_what_is_no_file_of_stable_baselines3_is_refused(tmp_path):
    """Before anything in it is unpickled."""
    (tmp_path / "text.zip").write_text("nothing")
    for path in (tmp_path / "text.zip", archive(tmp_path / "a.zip", "{"), archive(tmp_path / "b.zip", {"x": 1})):
        with pytest.raises(BadPluginError, match="is not a Stable-Baselines3 file"):
            find(POLICY, path)


@pytest.mark.parametrize(
    ("module", "more", "algorithm", "package"),
    [
        ("stable_baselines3.sac.policies", {}, "SAC", r"rl-drug-dosage\[sb3\]"),
        ("stable_baselines3.td3.policies", {}, "TD3", r"rl-drug-dosage\[sb3\]"),
        ("stable_baselines3.common.policies", {"clip_range": 0.2}, "PPO", r"rl-drug-dosage\[sb3\]"),
        ("stable_baselines3.common.policies", {}, "A2C", r"rl-drug-dosage\[sb3\]"),
        ("sb3_contrib.common.recurrent.policies", {}, "RecurrentPPO", "sb3-contrib"),
    ],
)
def test_the_algorithm_is_known_without_unpickling(tmp_path, build, monkeypatch, module, more, algorithm, package):
    """And without the package, the extra is named."""
    for name in ("stable_baselines3", "sb3_contrib"):
        monkeypatch.setitem(sys.modules, name, None)
    path = archive(tmp_path / "x.zip", {"policy_class": {"__module__": module}, **more})
    assert algorithm in find(POLICY, path).value.title
    with pytest.raises(DependencyError, match=package):
        build(path, "vancomycin")

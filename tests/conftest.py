"""What all tests share: JAX on the CPU with compiled programs kept between runs, and small pieces to test with."""

import dataclasses
import gc
import importlib.util
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.ppo.networks import init_actor_critic
from rl_drug_dosage.ppo.normalizer import RunningMoments
from rl_drug_dosage.ppo.policy import PpoPolicy
from rl_drug_dosage.scenarios.vancomycin_v2 import SCENARIO
from rl_drug_dosage.training.config import TrainConfig
from rl_drug_dosage.utils import kept_programs, runtime
from rl_drug_dosage.utils.held_programs import make_room
from rl_drug_dosage.utils.tensor_archive import read_archive

# Tracing makes hundreds of thousands of objects that stay: to look for garbage among them took 6 % of
# the seconds of four modules.
gc.set_threshold(1_000_000, *gc.get_threshold()[1:])
# Before the first use of JAX: a second run of the suite compiles nothing.
runtime.configure("cpu")
# A test may replace a piece of the package, which no fingerprint of a program sees.
kept_programs.keep_traces(False)

# The first example of a property may compile; how long that takes is no fault of the code.
settings.register_profile("suite", deadline=None, max_examples=40)
settings.load_profile("suite")


_MANY_MAPS = 20_000
"""Each compiled program holds memory maps, of which Linux allows a process 65,530: beyond that the compiler crashes."""


@pytest.fixture(autouse=True, scope="module")
def _few_memory_maps() -> Iterator[None]:
    """Drop compiled programs after a module, where there are many; the persistent cache still has them."""
    yield
    make_room(_MANY_MAPS)


@pytest.fixture
def few_memory_maps() -> Iterator[None]:
    """The same after a test, for modules of tests that compile much."""
    yield
    make_room(_MANY_MAPS)


@pytest.fixture
def pressable() -> Iterator[None]:
    """Ctrl-C as at a terminal: programs that a shell starts in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def load_script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Loads a module of scripts/, which is no part of the package, and forgets it and what it imports there."""
    folder = Path(__file__).parents[1] / "scripts"
    if not folder.exists():
        pytest.skip("a source distribution has no scripts")
    # Scripts import each other by their plain names.
    monkeypatch.syspath_prepend(str(folder))
    own = {path.stem for path in folder.glob("*.py")}
    before = {name: sys.modules.pop(name) for name in own & set(sys.modules)}
    yield importlib.import_module
    for name in own & set(sys.modules):
        del sys.modules[name]
    sys.modules.update(before)


@pytest.fixture(scope="session")
def ward() -> Scenario:
    """Vancomycin, four doses, levels in the first and third interval."""
    return dataclasses.replace(
        SCENARIO,
        schedule=dataclasses.replace(SCENARIO.schedule, decisions=4),
        monitoring=dataclasses.replace(SCENARIO.monitoring, intervals=(0, 2)),
        # Tests change durations and models freely; the limited rate has its own.
        dosage=dataclasses.replace(SCENARIO.dosage, highest_rate_per_h=None),
    )


@pytest.fixture(scope="session")
def changed(ward: Scenario) -> Callable[..., Scenario]:
    """The ward with other doses, schedule, monitoring or adherence."""

    def make(**parts: dict[str, Any]) -> Scenario:
        fields: dict[str, Any] = {n: dataclasses.replace(getattr(ward, n), **c) for n, c in parts.items()}
        return dataclasses.replace(ward, **fields)

    return make


@pytest.fixture(scope="session")
def tiny_config() -> Callable[..., TrainConfig]:
    """Makes a configuration with networks and rollouts as small as can be: 3 environments x 8 steps, 2 minibatches."""

    def make(**changes: Any) -> TrainConfig:
        small = {"num_envs": 3, "num_steps": 8, "num_minibatches": 2, "update_epochs": 2, "hidden_size": 4}
        return TrainConfig(**{"total_timesteps": 48, "eval_freq": 0, **small, **changes})

    return make


@pytest.fixture(scope="session")
def make_policy() -> Callable[..., PpoPolicy]:
    """Makes a policy with random weights and a normaliser that has seen something."""

    def make(kind: str = "tanh-gaussian", *, obs_size: int = 1, action_size: int = 1, seed: int = 0) -> PpoPolicy:
        rng = np.random.default_rng(seed)
        networks = init_actor_critic(rng, obs_size=obs_size, action_size=action_size, hidden_sizes=(8, 8))
        networks.actor_mean.weights[-1][:] *= 100.0  # the head's gain of 0.01 would make every action the same
        networks.actor_logstd[:] = -0.5
        moments = RunningMoments(
            mean=rng.normal(2.0, 1.0, obs_size).astype(np.float32),
            var=rng.uniform(0.5, 2.0, obs_size).astype(np.float32),
            count=np.asarray(1000.0, np.float32),
        )
        low, high = np.zeros(action_size, np.float32), np.ones(action_size, np.float32)
        return PpoPolicy(networks, moments, low, high, np.asarray(10.0, np.float32), kind, norm_obs=True)

    return make


@pytest.fixture(scope="session")
def torch_python() -> str:
    """The interpreter that has PyTorch and Stable-Baselines3."""
    if python := os.environ.get("RLDD_TORCH_PYTHON"):
        return python
    if importlib.util.find_spec("torch") is None:
        pytest.skip("no torch: install the extra, or name a Python that has it in RLDD_TORCH_PYTHON")
    return sys.executable


def _metrics(folder: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in {"time_s", "charts/SPS"}} for row in rows]


def _same_runs(a: Path, b: Path) -> None:
    files = sorted(p.relative_to(a) for p in a.rglob("*.pt"))
    assert files == sorted(p.relative_to(b) for p in b.rglob("*.pt"))
    for name in files:
        first, second = (read_archive(f / name, kind=name.stem).tensors for f in (a, b))
        assert first.keys() == second.keys()
        for key, tensor in first.items():
            np.testing.assert_array_equal(second[key], tensor, err_msg=f"{name} {key}")
    assert _metrics(a) == _metrics(b)


@pytest.fixture(scope="session")
def same_runs() -> Callable[[Path, Path], None]:
    """Asserts that two run folders hold the same tensors in the same files, and the same metrics but for times."""
    return _same_runs


_STEADY = """
import equinox as eqx
import jax.numpy as jnp
from rl_drug_dosage.clinic import Option, Policy, PolicyDefinition, snap

class Steady(Policy):
    scenario: object = eqx.field(static=True)
    amount: jnp.ndarray
    def init(self, record, truth=None):
        return ()
    def act(self, memory, observation, key):
        return snap(self.scenario, self.amount), memory

def build(setting):
    amount = setting.options["amount"] * (2.0 if setting.options["size"] == "double" else 1.0)
    return Steady(setting.scenario, jnp.asarray(amount))

def refuses(scenario, options):
    return f"no double dose in {scenario.title}" if options["size"] == "double" and "warfarin" in scenario.title else ""

POLICY = PolicyDefinition(
    title="steady",
    build=build,
    options={
        "amount": Option("dose", 500.0, low=0.0, high=2000.0),
        "size": Option("of it", "single", words=("single", "double")),
    },
    refuses_options=refuses,
)
"""


@pytest.fixture
def steady_text() -> str:
    """A user's policy file with two options, a number and a word."""
    return _STEADY

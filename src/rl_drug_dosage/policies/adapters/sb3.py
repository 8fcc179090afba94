"""Stable-Baselines3 agents as policies, read by its own loader (extra ``sb3``).

A ``.zip`` of Stable-Baselines3 is unpickled, which runs code from the file: load only files that you trust. The file
does not record the environment's options. If the observations are not the default ones, use a Python file:

    from rl_drug_dosage.policies.adapters.sb3 import load_agent

    POLICY = load_agent("sac.zip", {"history": 8})
"""

import json
import sys
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition, Setting
from rl_drug_dosage.errors import BadPluginError, DependencyError
from rl_drug_dosage.policies.adapters.callables import as_definition
from rl_drug_dosage.utils.foreign import blame, guarded

__all__ = ["load_agent", "read_policy"]

_BY_MODULE = {
    "stable_baselines3.sac": "SAC",
    "stable_baselines3.td3": "TD3",
    "stable_baselines3.dqn": "DQN",
    "sb3_contrib.tqc": "TQC",
    "sb3_contrib.crossq": "CrossQ",
    "sb3_contrib.ars": "ARS",
    "sb3_contrib.common.recurrent": "RecurrentPPO",
}
"""Module of an algorithm's policy class, which can be read from the file without unpickling."""

_warned: set[Path] = set()


class _Named:
    """An agent with its name and observation options."""

    def __init__(self, agent: Any, name: str, observation_options: Mapping[str, Any]) -> None:
        self.name, self.observation_options = name, observation_options
        self.predict = agent.predict
        self.observation_space, self.action_space = agent.observation_space, agent.action_space


def load_agent(path: str | Path, observation_options: Mapping[str, Any] | None = None) -> Any:
    """Load a Stable-Baselines3 agent, for example as the ``POLICY`` of a Python file.

    Args:
        path: the ``.zip`` file.
        observation_options: options of its environment; empty: the defaults.

    Raises:
        DependencyError: Stable-Baselines3 (or its contrib package, if the file needs it) is not installed.
        BadPluginError: a missing file, or not a Stable-Baselines3 file.
    """
    path = Path(path)
    algorithm = _algorithm(path)
    _warn(path)
    with (
        guarded(lambda error: f"{path} cannot be loaded by Stable-Baselines3: {blame(error)}"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        agent = algorithm.load(path, device="cpu")
    return _Named(agent, path.name, observation_options or {})


def read_policy(path: Path) -> tuple[PolicyDefinition, tuple[Path, ...]]:
    """Read the policy of a Stable-Baselines3 file, for the registry. Building the policy unpickles the file.

    Raises:
        BadPluginError: not a Stable-Baselines3 file.
    """
    data = _data(path)

    def build(setting: Setting) -> Policy:
        definition = as_definition(load_agent(path))
        assert definition is not None
        return definition.build(setting)

    return PolicyDefinition(title=f"Stable-Baselines3 {_name_of(data)}, {path.name}", build=build), (path,)


def _data(path: Path) -> dict[str, Any]:
    """The JSON metadata of the file; the pickled objects in it are not loaded."""
    try:
        with zipfile.ZipFile(path) as archive:
            data = json.loads(archive.read("data"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        data = None
    if not isinstance(data, dict) or "policy_class" not in data:
        raise BadPluginError(f"{path} is not a Stable-Baselines3 file: it must be written by an agent's save()")
    return data


def _name_of(data: Mapping[str, Any]) -> str:
    described = data["policy_class"]
    module = str(described.get("__module__", "") if isinstance(described, dict) else "")
    for prefix, name in _BY_MODULE.items():
        if module.startswith(prefix):
            return name
    # PPO and A2C share their policy classes.
    return "PPO" if "clip_range" in data else "A2C"


def _algorithm(path: Path) -> Any:
    data = _data(path)
    name = _name_of(data)
    contrib = name in {n for module, n in _BY_MODULE.items() if module.startswith("sb3_contrib")}
    try:
        if contrib:
            import sb3_contrib as library
        else:
            import stable_baselines3 as library
    except ImportError:
        package = "sb3-contrib" if contrib else "stable-baselines3"
        raise DependencyError(
            f"{path} is a Stable-Baselines3 {name}, which needs {package}: install it with "
            f"`pip install {'sb3-contrib' if contrib else 'rl-drug-dosage[sb3]'}`"
        ) from None
    return getattr(library, name)


def _warn(path: Path) -> None:
    """Print the warning once per file."""
    if path.resolve() not in _warned:
        _warned.add(path.resolve())
        print(  # noqa: T201 - a one-line warning for the user, without a source location
            f"warning: {path} is unpickled, which runs code from the file: load only what you trust",
            file=sys.stderr,
        )

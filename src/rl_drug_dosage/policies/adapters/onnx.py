"""Policies in ONNX files, run by onnxruntime (extra ``onnx``): exports of this package, and files from elsewhere.

The metadata of this package's exports contain the task and the observation, and where they correct a Bayesian dose, a
second output says for which patients they leave it as it is. Any other file has one input of
observations ``[patient, obs]`` and one output of actions ``[patient, 1]`` or ``[patient]``, and receives the
observations of an environment with default options. Several inputs or outputs are distinguished by name:
``observation`` (or ``obs``, ``input``) and ``action`` (or ``actions``, ``output``).
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rl_drug_dosage.clinic.observation_options import SEEN
from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition, Setting
from rl_drug_dosage.errors import BadPluginError, DependencyError, ModelFileError
from rl_drug_dosage.policies.adapters.callables import host_policy
from rl_drug_dosage.policies.adapters.host import Agent, Remembered
from rl_drug_dosage.policies.adapters.learnt import check_trained_for
from rl_drug_dosage.ppo.model_record import check_record
from rl_drug_dosage.utils.foreign import blame, guarded

__all__ = ["ABSTAINS", "METADATA", "read_policy"]

METADATA = "rl_drug_dosage"
"""Metadata key of the record in this package's exports, as JSON."""

ABSTAINS = "abstains"
"""An output of this package's exports: 1 for a patient whose Bayesian dose is left as it is, 0 for the others."""

_OBSERVATION = ("observation", "obs", "input")
_ACTION = ("action", "actions", "output")
_MEMORY, _AFTER = "memory", "memory_after"
_FLOATS = {"tensor(float)": np.float32, "tensor(double)": np.float64}


def read_policy(path: Path) -> tuple[PolicyDefinition, tuple[Path, ...]]:
    """Read the policy of an ONNX file, for the registry.

    Raises:
        DependencyError: onnxruntime is not installed.
        BadPluginError: not an ONNX file, or one without observations and actions.
    """
    session = _session(path)
    record = _record(session, path)
    agent, size = _agent(session, path, ours=record is not None)

    def build(setting: Setting) -> Policy:
        options: Mapping[str, Any] = {}
        if record is not None:
            check_trained_for(record["env"], setting, path)
            options = {name: value for name, value in record["env"]["options"].items() if name in SEEN}
        policy = host_policy(agent, setting, options)
        if size is not None and size != policy.observer.size:
            raise BadPluginError(
                f"{path} takes {size} observations, {setting.task.name} here has {policy.observer.size}: "
                "it was made for other observations"
            )
        return policy

    return PolicyDefinition(title=f"ONNX, {path.name}", build=build, card=record or {}), (path,)


def _session(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise DependencyError.of(str(path), "onnxruntime", "onnx") from None
    options = onnxruntime.SessionOptions()
    # Calls are serialised, and a second thread would not speed up a small network.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    with guarded(lambda error: f"{path} cannot be read as ONNX: {blame(error)}"):
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])


def _record(session: Any, path: Path) -> dict[str, Any] | None:
    """The record in an export of this package; None for any other file."""
    text = session.get_modelmeta().custom_metadata_map.get(METADATA)
    if text is None:
        return None
    try:
        record = json.loads(text)
        check_record(record)
    except (ValueError, KeyError, TypeError, RecursionError, ModelFileError) as error:
        raise BadPluginError(f"{path} has a damaged record of its training ({error}): export it again") from None
    found: dict[str, Any] = record
    return found


def _one(nodes: Sequence[Any], known: Sequence[str], path: Path, what: str) -> Any:
    """The node with one of these names, or the only node."""
    named = [node for name in known for node in nodes if node.name == name]
    if named:
        return named[0]
    if len(nodes) == 1:
        return nodes[0]
    raise BadPluginError(
        f"{path} has the {what}s {', '.join(n.name for n in nodes)}: one must be called {' or '.join(known)}"
    )


def _agent(session: Any, path: Path, *, ours: bool) -> tuple[Agent, int | None]:
    """The network as an agent, and the size of its observation if the file declares it."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    abstains = ours and ABSTAINS in {n.name for n in outputs}
    remembered = [n for n in inputs if n.name == _MEMORY]
    seen = _one([n for n in inputs if n.name != _MEMORY], _OBSERVATION, path, "input")
    acted = _one([n for n in outputs if n.name != _AFTER], _ACTION, path, "output")
    strangers = [n.name for n in inputs if n is not seen and n not in remembered]
    if strangers or (remembered and _AFTER not in {n.name for n in outputs}):
        asked = ", ".join(strangers) or f"{_MEMORY} without an output {_AFTER}"
        raise BadPluginError(f"{path} also needs {asked}: allowed are an observation, and memory in and out")
    if seen.type not in _FLOATS or len(seen.shape) != 2:
        raise BadPluginError(
            f"{path}: input {seen.name} is {seen.type} of shape {seen.shape}, it must be floats of shape [patient, obs]"
        )
    rows, size = seen.shape
    if isinstance(rows, int) and rows != 1:
        raise BadPluginError(
            f"{path}: input {seen.name} takes exactly {rows} patients, it must accept any number, or one"
        )
    memory = tuple((int(n.shape[1]),) for n in remembered)
    wanted = [acted.name, *(_AFTER for _ in memory), *(ABSTAINS for _ in range(abstains))]

    def run(observation: np.ndarray, carried: Remembered) -> list[np.ndarray]:
        given = {seen.name: observation.astype(_FLOATS[seen.type])}
        if memory:
            given[_MEMORY] = carried[0]
        found: list[np.ndarray] = session.run(wanted, given)
        return found

    def act(observation: np.ndarray, carried: Remembered, first: np.ndarray) -> tuple[Any, Remembered]:
        if rows == 1:
            each = [run(observation[i : i + 1], tuple(m[i : i + 1] for m in carried)) for i in range(len(observation))]
            action, *after = (np.concatenate([np.atleast_1d(e[i]) for e in each]) for i in range(len(wanted)))
        else:
            action, *after = run(observation, carried)
        if abstains:
            action = np.concatenate([action, after.pop()], axis=1)
        return action, tuple(after)

    return Agent(path.name, act, memory, abstains), size if isinstance(size, int) else None

"""``agent.pt``: a policy with everything needed to evaluate it, in one file that PyTorch can read."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from rl_drug_dosage.errors import ModelFileError
from rl_drug_dosage.ppo.action_space import ActionSpace
from rl_drug_dosage.ppo.model_record import check_record
from rl_drug_dosage.ppo.policy import PpoPolicy
from rl_drug_dosage.types import Array
from rl_drug_dosage.utils.printable import excerpt
from rl_drug_dosage.utils.tensor_archive import Archive, read_archive, write_archive

__all__ = [
    "RECORD_VERSION",
    "Model",
    "check_bounds",
    "check_described",
    "check_observations",
    "load_model",
    "save_model",
    "source_in",
]

RECORD_VERSION = 1
_KIND = "agent"
_BENCHMARK = "evaluate it with `rl-drug-dosage benchmark --scenario NAME --policy {}`"
_OTHERS = {
    ".py": ("a Python file", f"if it holds a policy, {_BENCHMARK}"),
    ".onnx": ("an ONNX file", _BENCHMARK),
    ".zip": ("a .zip file", f"if it holds an agent of Stable-Baselines3, {_BENCHMARK}"),
    ".toml": ("a TOML file", "if it is a scenario, give it with --scenario beside the model"),
}
"""Files that this package reads, but not as a model: what they are, and what to do."""
_LIBRARIES = ("rl-drug-dosage", "jax", "equinox", "optax", "numpy", "gymnasium")


@dataclass(frozen=True)
class Model:
    """A loaded model file.

    Args:
        policy: the policy, which acts on observations in the environment's units.
        env_id: the environment it was trained on.
        env_options: the options of that environment.
        frame_stack: number of past observations and actions it sees.
        training: the training configuration.
        record: the whole record, for ``info``.
        actions: what the environment's ``step`` takes, where that is somebody else's; None: float32 within the
            policy's bounds.
    """

    policy: PpoPolicy
    env_id: str
    env_options: Mapping[str, Any]
    frame_stack: int
    training: Mapping[str, Any]
    record: Mapping[str, Any]
    actions: ActionSpace | None = None

    @property
    def source(self) -> Mapping[str, str]:
        """``file`` and ``sha256`` of the scenario if it is not built in; otherwise empty."""
        return source_in(self.record["env"])


def source_in(env: Mapping[str, Any]) -> Mapping[str, str]:
    """`Model.source`, from a file's record of its environment, which `check_record` has seen."""
    found: Mapping[str, str] = env.get("source") or {}
    return found


def save_model(
    path: Path,
    policy: PpoPolicy,
    *,
    env: Mapping[str, Any],
    training: Mapping[str, Any],
    progress: Mapping[str, Any],
    actions: ActionSpace | None = None,
) -> None:
    """Write a model file, atomically.

    Args:
        path: the file to write.
        policy: the policy.
        env: ``id``, ``options``, ``frame_stack``, name and unit of each of the ``observations``, and the ``units`` of
            time, concentration and dose.
        training: the configuration, as plain values.
        progress: seed, update and environment steps so far.
        actions: what ``step`` of somebody else's environment takes.

    Raises:
        OutputError: the file cannot be written.
    """
    record = {
        "record_version": RECORD_VERSION,
        "intended_use": "research and education only; not for treating patients",
        "env": dict(env),
        "action": {
            "kind": "continuous" if actions is None else actions.kind,
            "transform": policy.kind,
            "low": _bounds(policy.low),
            "high": _bounds(policy.high),
            **({} if actions is None else {"space": actions.record()}),
        },
        "normalizer": {"observations": policy.norm_obs, "clip": float(policy.clip_obs), "epsilon": 1e-8},
        "training": dict(training),
        "training_sha256": hashlib.sha256(json.dumps(dict(training), sort_keys=True).encode()).hexdigest(),
        "progress": dict(progress),
        "versions": {library: version(library) for library in _LIBRARIES},
    }
    write_archive(path, policy.to_tensors(), record, kind=_KIND)


def _bounds(values: Array) -> list[float | None]:
    """``None`` for an action without a bound, because JSON has no infinity."""
    return [float(v) if np.isfinite(v) else None for v in values]


def check_bounds(model: Model, low: np.ndarray, high: np.ndarray) -> None:
    """Refuse a model whose lowest and highest actions are not those of its environment here.

    Raises:
        ModelFileError: they differ.
    """
    own, here = (model.policy.low, model.policy.high), (np.asarray(low), np.asarray(high))
    same = (a.shape == b.shape and np.allclose(a, b, rtol=1e-6, atol=0.0) for a, b in zip(own, here, strict=True))
    if not all(same):
        raise ModelFileError(
            f"the model's actions go from {own[0].tolist()} to {own[1].tolist()}, but those of {model.env_id} here go "
            f"from {here[0].tolist()} to {here[1].tolist()}: it was trained for another version of that environment"
        )


def check_observations(model: Model, here: Sequence[tuple[str, str]], path: Path) -> None:
    """Refuse a model whose observations are not those of its environment here, in the same order.

    A model file without recorded names, which earlier versions wrote, is not checked.

    Args:
        model: contents of the model file.
        here: name and unit of each observation.
        path: path of the model file, for messages.

    Raises:
        ModelFileError: the name or unit of an observation differs.
    """
    own = [(name, unit) for name, unit in model.record["env"].get("observations") or ()]
    if not own or own == list(here):
        return
    pairs = [(i, a, b) for i, (a, b) in enumerate(zip_longest(own, here), 1) if a != b]
    shown = "; ".join(f"observation {i} was {_feature(a)} and is {_feature(b)} here" for i, a, b in pairs[:3])
    more = f"; and {len(pairs) - 3} more" if len(pairs) > 3 else ""
    raise ModelFileError(
        f"{path} was trained on other observations of {model.env_id} than it has now: {shown}{more}: give the "
        "scenario that it was trained on, or train again"
    )


def check_described(model: Model, here: Mapping[str, Any], path: Path) -> None:
    """Refuse a model whose record contradicts its environment: units, window, what the window is of, or horizon.

    Args:
        model: contents of the model file; fields that an earlier version did not write are not checked.
        here: the same fields of the environment as it is now.
        path: path of the model file, for messages.

    Raises:
        ModelFileError: a field differs.
    """
    own = model.record["env"]
    for name, now in here.items():
        if name in own and own[name] != now:
            raise ModelFileError(
                f"{path} records {name.replace('_', ' ')} {excerpt(json.dumps(own[name]), 80)}, but {model.env_id} has "
                f"{excerpt(json.dumps(now), 80)}: it was trained for another version of that environment, or its "
                "record was changed; train again"
            )


def _feature(feature: tuple[str, str] | None) -> str:
    return "none" if feature is None else f"{feature[0]} ({feature[1]})"


def load_model(path: Path) -> Model:
    """Read a model file. No code in it is executed.

    Raises:
        ModelFileError: the file is missing, damaged, not ours, or of a newer version.
    """
    if path.suffix in _OTHERS and path.is_file():
        what, remedy = _OTHERS[path.suffix]
        raise ModelFileError(f"{path} is {what}, not a model file (.pt) or the folder of a run: {remedy.format(path)}")
    archive = read_archive(path, kind=_KIND)
    try:
        return _model(archive)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None


def _model(archive: Archive) -> Model:
    record = archive.record
    came = record.get("record_version")
    if type(came) is not int or came < 1:
        raise ModelFileError("it holds no record of a model: train the policy again")
    if came > RECORD_VERSION:
        raise ModelFileError(
            f"it has record version {came}, but only {RECORD_VERSION} is known: upgrade rl-drug-dosage"
        )
    check_record(record)
    env, action = record["env"], record["action"]
    policy = PpoPolicy.from_tensors(
        archive.tensors, kind=action["transform"], norm_obs=record["normalizer"]["observations"]
    )
    for name in ("low", "high"):
        if _bounds(getattr(policy, name)) != action[name]:
            raise ModelFileError(
                f"the record's action {name} is not that of the tensor action.{name}: the file was not written by "
                "this program"
            )
    return Model(
        policy=policy,
        env_id=env["id"],
        env_options=env["options"],
        frame_stack=env["frame_stack"],
        training=record["training"],
        record=record,
        actions=_actions(record, policy),
    )


def _actions(record: Mapping[str, Any], policy: PpoPolicy) -> ActionSpace | None:
    """What the environment's ``step`` takes, if the file says so and its policy gives that."""
    space = record["action"].get("space")
    if space is None:
        return None
    actions = ActionSpace.from_record(space) if isinstance(space, dict) else None
    if actions is None or actions.size != policy.low.size:
        raise ModelFileError("the record's action space does not fit its policy: train the policy again")
    return actions

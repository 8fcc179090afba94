"""``agent.pt``: a policy, and everything that evaluating it needs, in one file that PyTorch can read."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rl_drug_dosage.agents.ppo.policy import PpoPolicy
from rl_drug_dosage.errors import ModelFileError
from rl_drug_dosage.utils.tensor_archive import read_archive, write_archive

__all__ = ["RECORD_VERSION", "Model", "load_model", "save_model"]

RECORD_VERSION = 1
_KIND = "agent"
_LIBRARIES = ("rl-drug-dosage", "jax", "equinox", "optax", "numpy", "gymnasium")


@dataclass(frozen=True)
class Model:
    """A loaded model file.

    Args:
        policy: acts on observations in the environment's units.
        env_id: the environment that it was trained for.
        env_options: the options of that environment.
        frame_stack: how many observations and actions it sees.
        training: the training configuration.
        record: the whole record, for ``info``.
    """

    policy: PpoPolicy
    env_id: str
    env_options: Mapping[str, Any]
    frame_stack: int
    training: Mapping[str, Any]
    record: Mapping[str, Any]


def save_model(
    path: Path,
    policy: PpoPolicy,
    *,
    env: Mapping[str, Any],
    training: Mapping[str, Any],
    progress: Mapping[str, Any],
) -> None:
    """Write a model file, atomically.

    Args:
        path: where to.
        policy: the policy.
        env: ``id``, ``options``, ``frame_stack`` and the ``units`` of time, concentration and dose.
        training: the configuration, as plain values.
        progress: seed, update and environment steps so far.

    Raises:
        OutputError: it cannot be written.
    """
    record = {
        "record_version": RECORD_VERSION,
        "intended_use": "research and education only; not for treating patients",
        "env": dict(env),
        "action": {"transform": policy.kind, "low": policy.low.tolist(), "high": policy.high.tolist()},
        "normalizer": {"observations": policy.norm_obs, "clip": float(policy.clip_obs), "epsilon": 1e-8},
        "training": dict(training),
        "training_sha256": hashlib.sha256(json.dumps(dict(training), sort_keys=True).encode()).hexdigest(),
        "progress": dict(progress),
        "versions": {library: version(library) for library in _LIBRARIES},
    }
    write_archive(path, policy.to_tensors(), record, kind=_KIND)


def load_model(path: Path) -> Model:
    """Read a model file. Nothing in it is ever executed.

    Raises:
        ModelFileError: it is missing, damaged, foreign, or of a newer version.
    """
    archive = read_archive(path, kind=_KIND)
    record = archive.record
    came = record.get("record_version")
    if not isinstance(came, int) or came < 1:
        raise ModelFileError(f"{path} holds no record of a model: train it anew")
    if came > RECORD_VERSION:
        raise ModelFileError(
            f"{path} has record version {came}, this program knows up to {RECORD_VERSION}: upgrade rl-drug-dosage"
        )
    try:
        env, kind, norm_obs = record["env"], record["action"]["transform"], record["normalizer"]["observations"]
        policy = PpoPolicy.from_tensors(archive.tensors, kind=kind, norm_obs=bool(norm_obs))
        return Model(policy, env["id"], env["options"], int(env["frame_stack"]), record["training"], record)
    except (KeyError, TypeError) as error:
        raise ModelFileError(f"{path} has an incomplete record ({error}): train it anew") from None
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None

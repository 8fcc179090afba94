"""Trained policies for other runtimes: ONNX files with everything between an observation and an action."""

from os import PathLike
from pathlib import Path

from rl_drug_dosage.clinic.features import Feature
from rl_drug_dosage.envs import catalog
from rl_drug_dosage.errors import ConfigError, OutputError
from rl_drug_dosage.policies.adapters.learnt import model_path
from rl_drug_dosage.policies.adapters.onnx_export import onnx_bytes
from rl_drug_dosage.ppo.model_file import Model, load_model
from rl_drug_dosage.utils.files import atomic_write

__all__ = ["export_onnx"]


def export_onnx(model: Model | str | Path, path: str | Path) -> Path:
    """Write a trained policy as an ONNX file: observation vector (and memory) in, action (and memory) out.

    Normaliser, network, GRU and action transform are in the file, and its metadata says what it was trained for and
    what each number of the observation is. Making the vector of a chart, and a dose of the grid of an action, stay in
    Python: `clinic.observation.Observer` does both.

    Args:
        model: a loaded model, a model file, or the folder of a run.
        path: where to, ``*.onnx``.

    Raises:
        ModelFileError: no model, or a damaged one.
        DependencyError: the package onnx is not installed.
        ConfigError: the model is something else.
        OutputError: the place cannot be written, or has another suffix.
    """
    if not isinstance(model, Model | str | PathLike):
        raise ConfigError(f"model must be a loaded model, a file or a folder, not {model!r}")
    path = Path(path)
    if path.suffix != ".onnx":
        raise OutputError(f"cannot write {str(path)!r}: name a file that ends in .onnx")
    loaded = model if isinstance(model, Model) else load_model(model_path(Path(model)))
    atomic_write(path, onnx_bytes(loaded, _names(loaded)))
    return path


def _names(model: Model) -> tuple[Feature, ...]:
    """Of the observation's numbers; none where it was trained for something that does not come with the package.

    An id in a model file is data: it is only looked up among the names of the package, never imported as a file.
    """
    env = catalog.find_env(model.env_id) if model.env_id in catalog.ids() else None
    if env is None:
        return ()
    names = catalog.make(env, env.evaluation(model.env_options), model.frame_stack).observation_names
    return names if len(names) == model.policy.obs_size else ()

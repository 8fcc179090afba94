"""Exports trained policies to ONNX files, from observation to action."""

from os import PathLike
from pathlib import Path

from rl_drug_dosage.clinic.features import Feature
from rl_drug_dosage.envs import catalog
from rl_drug_dosage.envs.scenario_env import ScenarioEnv
from rl_drug_dosage.errors import ConfigError, OutputError
from rl_drug_dosage.policies.adapters.learnt import far_from, model_path
from rl_drug_dosage.policies.adapters.onnx_export import onnx_bytes
from rl_drug_dosage.ppo.model_file import Model, load_model
from rl_drug_dosage.utils.arguments import checked
from rl_drug_dosage.utils.files import atomic_write

__all__ = ["export_onnx"]


@checked
def export_onnx(model: Model | str | Path, path: str | Path) -> Path:
    """Write a trained policy as an ONNX file: observation vector (and memory) in, action (and memory) out.

    The file contains the normaliser, network, GRU and action transform. Its metadata contain the task and the names of
    the observation components. Where the policy corrects a Bayesian dose, the output ``abstains`` is 1 for the patients
    whose dose it leaves as it is, since what it observes lies far outside of its training. Computing the observation
    from a record, and the dose on the grid from an action, is not part of the file: `clinic.observation.Observer` does
    both.

    Args:
        model: a loaded model, a model file, or the folder of a run.
        path: the file to write, ``*.onnx``.

    Raises:
        ModelFileError: not a model file, or a damaged one.
        DependencyError: the package onnx is not installed.
        ConfigError: ``model`` is neither a model nor a path.
        OutputError: the file cannot be written, or has another suffix.
    """
    if not isinstance(model, Model | str | PathLike):
        raise ConfigError(f"model must be a loaded model, a file or a folder, not {model!r}")
    path = Path(path)
    if path.suffix != ".onnx":
        raise OutputError(f"cannot write {str(path)!r}: name a file that ends in .onnx")
    loaded = model if isinstance(model, Model) else load_model(model_path(Path(model)))
    atomic_write(path, onnx_bytes(loaded, *_seen(loaded)))
    return path


def _seen(model: Model) -> tuple[tuple[Feature, ...], float | None]:
    """Names of the observation components, and beyond how many standard deviations the policy abstains.

    Neither is known of a model that was trained on an environment from elsewhere. An id in a model file is data: it is
    only looked up among the package's names, and never imported as a file.
    """
    env = catalog.find_env(model.env_id) if model.env_id in catalog.ids() else None
    if env is None:
        return (), None
    made = catalog.make(env, env.evaluation(model.env_options), model.frame_stack)
    names = made.observation_names
    if len(names) != model.policy.obs_size:
        return (), None
    if isinstance(made, ScenarioEnv) and made.observer.corrects and model.policy.trained:
        return names, far_from(made.scenario.schedule.decisions)
    return names, None

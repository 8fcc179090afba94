"""Start a run from a model: its weights and the statistics of its observations, if it fits."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float

from rl_drug_dosage.errors import ModelFileError
from rl_drug_dosage.policies.adapters.learnt import check_drugs, check_source, model_path
from rl_drug_dosage.ppo.learner import Learner
from rl_drug_dosage.ppo.model_file import Model, check_observations, load_model
from rl_drug_dosage.ppo.normalizer import RunningMoments
from rl_drug_dosage.ppo.policy import PpoPolicy
from rl_drug_dosage.training.config import TrainConfig
from rl_drug_dosage.training.task import Task

__all__ = ["Initial"]


@dataclass(frozen=True)
class Initial:
    """A model to start from.

    Args:
        path: of its file.
        sha256: of its file.
        model: what is in it.
    """

    path: Path
    sha256: str
    model: Model

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a model file, or the folder of a run.

        Raises:
            ModelFileError: there is none, or it is damaged.
        """
        file = model_path(path)
        model = load_model(file)
        return cls(file, hashlib.sha256(file.read_bytes()).hexdigest(), model)

    def check_files(self, task: Task, *, accept_changed: bool) -> None:
        """Check that the files of the user's are those that the model was trained on; another task is told in a note.

        Args:
            task: what the new run trains on.
            accept_changed: accept changed files.

        Raises:
            ModelFileError: a file differs.
        """
        if task.found is not None and task.env_id == self.model.env_id:
            check_source(self.model.record["env"], task.found, self.path, accept_changed=accept_changed)
        drugs = self.model.record["env"].get("drugs") or {}
        check_drugs(drugs, task.drugs, self.path, ModelFileError, accept_changed=accept_changed)

    def check_observations(self, env: Mapping[str, Any]) -> None:
        """Check that a model of the same environment was trained on the same observations.

        Args:
            env: the new run's record of its environment.

        Raises:
            ModelFileError: the name or unit of an observation differs.
        """
        here = env.get("observations")
        if here and env["id"] == self.model.env_id:
            check_observations(self.model, [(name, unit) for name, unit in here], self.path)

    def record(self) -> dict[str, str]:
        """What the new run says of it."""
        return {"file": self.path.name, "sha256": self.sha256, "env_id": self.model.env_id}

    def applied(
        self,
        state: Any,
        learner: Learner,
        bounds: tuple[np.ndarray, np.ndarray],
        config: TrainConfig,
        say: Callable[[str], None],
    ) -> Any:
        """A new run's state with the model's weights and normaliser.

        Args:
            state: of either collector, before the first update.
            learner: of the run.
            bounds: lowest and highest action of its environment.
            config: of the run.
            say: takes a note.

        Raises:
            ModelFileError: another shape, policy, normalisation or range of actions than the run's.
        """
        policy = self.model.policy
        self._check(policy, learner, bounds, config)
        moments = state.norms.obs
        if policy.obs_norm.mean.shape != moments.mean.shape[-1:]:
            self._refuse("observations", policy.obs_norm.mean.shape[-1], moments.mean.shape[-1])
        kept = RunningMoments(*(_like(a, b) for a, b in zip(_leaves(policy.obs_norm), _leaves(moments), strict=True)))
        params = _like(learner.flat(policy.networks), state.learner.params)
        other = "" if self.model.env_id == config.env_id else f", which was trained on {self.model.env_id}"
        say(
            f"starting from {self.path}{other}: its weights and its observation normaliser; the optimiser, the reward "
            "normaliser and the learning rate's schedule start anew"
        )
        return eqx.tree_at(lambda s: (s.learner.params, s.norms.obs, s.norms.obs_latest), state, (params, kept, kept))

    def _check(
        self, policy: PpoPolicy, learner: Learner, bounds: tuple[np.ndarray, np.ndarray], config: TrainConfig
    ) -> None:
        settings = learner.settings
        own = learner.init_params(np.random.default_rng(0))
        pairs = [
            ("policy", policy.kind, settings.policy),
            ("observations", policy.obs_size, own.visible),
            ("actions", policy.low.size, settings.action_size),
            ("frame stack", self.model.frame_stack, config.frame_stack),
            ("memory", "gru" if policy.networks.actor_memory is not None else "none", config.memory),
            ("lowest action", policy.low.tolist(), bounds[0].tolist()),
            ("highest action", policy.high.tolist(), bounds[1].tolist()),
            ("normalised observations", policy.norm_obs, config.norm_obs),
            ("shapes of the weights", _shapes(policy.networks), _shapes(own)),
        ]
        for what, has, wanted in pairs:
            if has != wanted:
                self._refuse(what, has, wanted)

    def _refuse(self, what: str, has: object, wanted: object) -> None:
        raise ModelFileError(
            f"--init-from {self.path} does not fit this run: {what}: {has} in the model, {wanted} here; start from a "
            "model of the same environment and settings, or leave --init-from out"
        )


def _leaves(moments: RunningMoments) -> tuple[Any, ...]:
    return moments.mean, moments.var, moments.count


def _like(value: Any, template: Any) -> Float[np.ndarray, "..."]:
    """For one seed or for all of them."""
    return np.broadcast_to(np.asarray(value, np.float32), np.shape(template)).astype(np.float32)


def _shapes(tree: Any) -> list[tuple[int, ...]]:
    return [tuple(np.shape(leaf)) for leaf in jax.tree.leaves(tree)]

"""A trained PPO policy: networks, the normaliser they were trained with, and the way from Gaussian to dose."""

import itertools
from collections.abc import Mapping
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from rl_drug_dosage.agents._policy import Policy
from rl_drug_dosage.agents.ppo.distribution import POLICIES, to_action
from rl_drug_dosage.agents.ppo.networks import ActorCritic, Mlp
from rl_drug_dosage.agents.ppo.normalizer import RunningMoments, standardize
from rl_drug_dosage.errors import ModelFileError
from rl_drug_dosage.types import Array

__all__ = ["PpoPolicy"]


class PpoPolicy(Policy):
    """Everything that acting needs, and the critic."""

    networks: ActorCritic
    obs_norm: RunningMoments
    low: Float[Array, " action"]
    high: Float[Array, " action"]
    clip_obs: Float[Array, ""]
    kind: str = eqx.field(static=True)
    norm_obs: bool = eqx.field(static=True)

    def init(self, facts: Any) -> tuple[()]:
        del facts  # the observation is all that this policy goes by
        return ()

    def act(
        self, memory: tuple[()], observation: Float[Array, "*batch obs"], key: PRNGKeyArray | None
    ) -> tuple[Float[Array, "*batch action"], tuple[()]]:
        """The dose for an observation in the environment's units; with a key, a sample of the policy."""
        u = self.mean(observation)
        if key is not None:
            u = u + jnp.exp(self.networks.actor_logstd[0]) * jax.random.normal(key, u.shape)
        return self.to_action(u), memory

    def mean(self, observation: Float[Array, "*batch obs"]) -> Float[Array, "*batch action"]:
        """The mean of the Gaussian, before it becomes a dose (CleanRL's ``actor_mean``)."""
        return self.networks.actor_mean(self.normalize(observation))

    def to_action(self, u: Float[Array, "*batch action"]) -> Float[Array, "*batch action"]:
        """The dose that a value of the Gaussian stands for."""
        return to_action(u, self.low, self.high, self.kind)

    def normalize(self, observation: Float[Array, "*batch obs"]) -> Float[Array, "*batch obs"]:
        """The observation as the networks see it."""
        return standardize(observation, self.obs_norm, self.clip_obs) if self.norm_obs else observation

    def to_tensors(self) -> dict[str, np.ndarray]:
        """Flat, in PyTorch's orientation; the first 13 carry CleanRL's names and load into its network."""
        tensors: dict[str, Any] = {}
        for name in ("critic", "actor_mean"):
            mlp: Mlp = getattr(self.networks, name)
            for layer, (weight, bias) in enumerate(zip(mlp.weights, mlp.biases, strict=True)):
                # torch.nn.Sequential counts the activations between the layers too
                tensors[f"{name}.{2 * layer}.weight"] = np.asarray(weight).T
                tensors[f"{name}.{2 * layer}.bias"] = bias
        tensors["actor_logstd"] = self.networks.actor_logstd
        moments = self.obs_norm
        tensors |= {"obs_norm.mean": moments.mean, "obs_norm.var": moments.var, "obs_norm.count": moments.count}
        tensors |= {"obs_norm.clip": self.clip_obs, "action.low": self.low, "action.high": self.high}
        return {name: np.asarray(tensor, np.float32, order="C") for name, tensor in tensors.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray], *, kind: str, norm_obs: bool) -> Self:
        """The opposite of ``to_tensors``, with NumPy leaves.

        Raises:
            ModelFileError: a tensor is missing, of the wrong shape, or not finite.
        """
        if kind not in POLICIES:
            raise ModelFileError(f"the model's action transform {kind!r} is not one of {', '.join(POLICIES)}")
        try:
            networks = ActorCritic(
                critic=_mlp(tensors, "critic"),
                actor_mean=_mlp(tensors, "actor_mean"),
                actor_logstd=tensors["actor_logstd"],
            )
            moments = RunningMoments(*(tensors[f"obs_norm.{part}"] for part in ("mean", "var", "count")))
            low, high, clip = (tensors[name] for name in ("action.low", "action.high", "obs_norm.clip"))
        except KeyError as error:
            raise ModelFileError(f"the model lacks the tensor {error}: train it anew") from None
        policy = cls(networks, moments, low, high, clip, kind, norm_obs)
        policy._check()
        return policy

    def _check(self) -> None:
        moments, networks = self.obs_norm, self.networks
        obs, action = moments.mean.shape, self.low.shape
        fit = len(obs) == 1 and len(action) == 1 and moments.var.shape == obs and self.high.shape == action
        fit &= moments.count.shape == () and self.clip_obs.shape == () and networks.actor_logstd.shape == (1, *action)
        for mlp, out in ((networks.critic, (1,)), (networks.actor_mean, action)):
            widths = [*obs, *(b.shape[0] for b in mlp.biases)]
            fit = fit and [w.shape for w in mlp.weights] == list(itertools.pairwise(widths)) and (widths[-1],) == out
        if not fit:
            raise ModelFileError("the model's tensors do not fit together: the file was not written by this program")
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((networks, moments, self.clip_obs))):
            raise ModelFileError("the model has weights or moments that are not finite: train it anew")
        if (moments.var < 0).any() or moments.count <= 0 or self.clip_obs <= 0:
            raise ModelFileError(
                "the model's normaliser has a variance, count or clip that is not positive: train it anew"
            )
        bounded = np.isfinite(self.low).all() and np.isfinite(self.high).all()
        if not (self.low <= self.high).all() or not (bounded or self.kind == "gaussian-raw"):
            raise ModelFileError("the model's lowest and highest actions are not a range: train it anew")


def _mlp(tensors: Mapping[str, np.ndarray], name: str) -> Mlp:
    layers = sum(key.startswith(f"{name}.") and key.endswith(".weight") for key in tensors)
    if not layers:
        raise KeyError(f"{name}.0.weight")
    weights = tuple(np.ascontiguousarray(tensors[f"{name}.{2 * i}.weight"].T) for i in range(layers))
    biases = tuple(tensors[f"{name}.{2 * i}.bias"] for i in range(layers))
    if any(w.ndim != 2 for w in weights) or any(b.ndim != 1 for b in biases):
        raise ModelFileError("the model's tensors do not fit together: the file was not written by this program")
    return Mlp(weights, biases)

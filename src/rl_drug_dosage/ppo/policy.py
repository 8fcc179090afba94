"""A trained PPO policy: networks, the normaliser they were trained with, and the action transform."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from rl_drug_dosage.errors import ModelFileError
from rl_drug_dosage.ppo.categorical import CATEGORICAL, choose
from rl_drug_dosage.ppo.distribution import POLICIES, to_action
from rl_drug_dosage.ppo.networks import ActorCritic, Gru, Mlp
from rl_drug_dosage.ppo.normalizer import EPSILON, RunningMoments, standardize
from rl_drug_dosage.types import Array

__all__ = ["PpoPolicy"]

_NEVER_VARIED = 2e-4
"""Twice the count of the initial moments: rounding."""
_NOT_OURS = "the file was not written by this program"
_MEMORIES = ("actor_memory", "critic_memory")


class PpoPolicy(eqx.Module):
    """Everything needed to act, and the critic."""

    networks: ActorCritic
    obs_norm: RunningMoments
    low: Float[Array, " action"]
    high: Float[Array, " action"]
    clip_obs: Float[Array, ""]
    kind: str = eqx.field(static=True)
    norm_obs: bool = eqx.field(static=True)
    choices: tuple[int, ...] = eqx.field(static=True, default=())
    """Values of each component of a discrete action; empty for continuous ones."""

    @property
    def obs_size(self) -> int:
        """Length of the observation that this policy acts on."""
        return self.networks.visible

    def start(self) -> Float[Array, " memory"] | None:
        """The recurrent state at the start of an episode."""
        return self.networks.start(())

    def act(
        self,
        memory: Float[Array, "*batch memory"] | None,
        observation: Float[Array, "*batch obs"],
        key: PRNGKeyArray | None,
    ) -> tuple[Float[Array, "*batch action"], Float[Array, "*batch memory"] | None]:
        """The dose for an observation in the environment's units; with a key, sampled from the policy."""
        u, memory = self.mean(observation, memory)
        if key is not None and self.choices:
            u = u + jax.random.gumbel(key, u.shape)
        elif key is not None:
            u = u + jnp.exp(self.networks.actor_logstd[0]) * jax.random.normal(key, u.shape)
        return self.to_action(u), memory

    def mean(
        self, observation: Float[Array, "*batch obs"], memory: Float[Array, "*batch memory"] | None = None
    ) -> tuple[Float[Array, "*batch action"], Float[Array, "*batch memory"] | None]:
        """The mean of the Gaussian before the action transform (CleanRL's ``actor_mean``), and the recurrent state.

        Of a discrete action: the logits of its components, one after the other.
        """
        return self.networks.act(self.normalize(observation), memory)

    def on_host(self) -> Callable[[Any, Any], tuple[Any, Any]]:
        """`mean` with NumPy leaves, for many calls: a module's attributes are looked up once, not at every step."""
        networks = self.networks
        if networks.actor_memory is not None:
            return self.mean
        layers = [(np.asarray(w), np.asarray(b)) for w, b in zip(*_parts(networks.actor_mean), strict=True)]
        n, moments, normalized = self.obs_size, self.obs_norm, self.norm_obs
        mean, deviation = np.asarray(moments.mean[:n]), np.asarray((moments.var[:n] + EPSILON) ** 0.5)
        clip = np.asarray(self.clip_obs)

        def act(observation: Any, memory: Any) -> tuple[Any, Any]:
            x = ((observation - mean) / deviation).clip(-clip, clip) if normalized else observation
            for weight, bias in layers[:-1]:
                x = np.tanh(x @ weight + bias)
            return x @ layers[-1][0] + layers[-1][1], memory

        return act

    def sampled(
        self, mean: Float[np.ndarray, "*batch action"], rng: np.random.Generator
    ) -> Float[np.ndarray, "*batch action"]:
        """A sample around the mean, on the host; of logits what `to_action` takes for a sample."""
        if self.choices:
            return mean + rng.gumbel(size=mean.shape).astype(np.float32)
        deviation = np.exp(np.asarray(self.networks.actor_logstd[0]))
        return mean + deviation * rng.standard_normal(mean.shape, dtype=np.float32)

    def to_action(self, u: Float[Array, "*batch action"]) -> Float[Array, "*batch action"]:
        """The dose for a value of the Gaussian; of logits the most probable value of each component."""
        if self.choices:
            return self.low + choose(u, self.choices)
        return to_action(u, self.low, self.high, self.kind)

    def normalize(self, observation: Float[Array, "*batch obs"]) -> Float[Array, "*batch obs"]:
        """The observation as input to the networks."""
        if not self.norm_obs:
            return observation
        # The normaliser also covers the entries that only the critic saw in training.
        n = observation.shape[-1]
        seen = RunningMoments(self.obs_norm.mean[:n], self.obs_norm.var[:n], self.obs_norm.count)
        return standardize(observation, seen, self.clip_obs)

    @property
    def trained(self) -> bool:
        """Whether its normaliser has seen anything."""
        return self.norm_obs and float(self.obs_norm.count) > 1.0

    def distance(self, observation: Float[Array, "*batch obs"]) -> Float[Array, "*batch obs"]:
        """How far each input lies from its mean in training, in standard deviations, without a limit."""
        n, moments = self.obs_size, self.obs_norm
        return jnp.abs(observation - moments.mean[:n]) / (moments.var[:n] + EPSILON) ** 0.5

    def constants(self) -> Float[np.ndarray, " obs"]:
        """The value of each input that never varied in training; NaN for the others.

        A policy has learnt nothing of such an input, and the normaliser would turn a small deviation into a large one.
        The variance of a constant is what is left of the initial moments (`initial_moments`), 1e-4 / n (1 + mean^2).
        """
        n, moments = self.obs_size, self.obs_norm
        mean, var = (np.asarray(part, np.float64)[:n] for part in (moments.mean, moments.var))
        constant = var * float(moments.count) <= _NEVER_VARIED * (1.0 + mean**2)
        return np.where(constant & self.trained, mean, np.nan).astype(np.float32)

    def to_tensors(self) -> dict[str, np.ndarray]:
        """A flat dictionary in PyTorch's orientation; the first 13 have CleanRL's names and load into its network.

        A GRU has the names and shapes of a one-layer ``torch.nn.GRU``.
        """
        tensors: dict[str, Any] = {}
        for name in ("critic", "actor_mean"):
            mlp: Mlp = getattr(self.networks, name)
            for layer, (weight, bias) in enumerate(zip(mlp.weights, mlp.biases, strict=True)):
                # torch.nn.Sequential counts the activations between the layers too
                tensors[f"{name}.{2 * layer}.weight"] = np.asarray(weight).T
                tensors[f"{name}.{2 * layer}.bias"] = bias
        tensors["actor_logstd"] = self.networks.actor_logstd
        for name in _MEMORIES:
            gru: Gru | None = getattr(self.networks, name)
            if gru is not None:
                tensors[f"{name}.weight_ih_l0"] = np.asarray(gru.weight_in).T
                tensors[f"{name}.weight_hh_l0"] = np.asarray(gru.weight_hidden).T
                tensors[f"{name}.bias_ih_l0"], tensors[f"{name}.bias_hh_l0"] = gru.bias_in, gru.bias_hidden
        moments = self.obs_norm
        tensors |= {"obs_norm.mean": moments.mean, "obs_norm.var": moments.var, "obs_norm.count": moments.count}
        tensors |= {"obs_norm.clip": self.clip_obs, "action.low": self.low, "action.high": self.high}
        return {name: np.asarray(tensor, np.float32, order="C") for name, tensor in tensors.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray], *, kind: str, norm_obs: bool) -> Self:
        """The inverse of ``to_tensors``, with NumPy leaves.

        Raises:
            ModelFileError: a tensor is missing, of the wrong shape, or not finite.
        """
        for name, tensor in tensors.items():
            if tensor.dtype != np.float32:
                raise ModelFileError(f"the model's tensor {name!r} is of {tensor.dtype}, not of float32: {_NOT_OURS}")
        if kind not in {*POLICIES, CATEGORICAL}:
            known = ", ".join((*POLICIES, CATEGORICAL))
            raise ModelFileError(f"the model's action transform {kind!r} is not one of {known}")
        try:
            networks = ActorCritic(
                critic=_mlp(tensors, "critic"),
                actor_mean=_mlp(tensors, "actor_mean"),
                actor_logstd=tensors["actor_logstd"],
                actor_memory=_gru(tensors, "actor_memory"),
                critic_memory=_gru(tensors, "critic_memory"),
            )
            moments = RunningMoments(*(tensors[f"obs_norm.{part}"] for part in ("mean", "var", "count")))
            low, high, clip = (tensors[name] for name in ("action.low", "action.high", "obs_norm.clip"))
        except KeyError as error:
            raise ModelFileError(f"the model lacks the tensor {error}: train the policy again") from None
        choices = _choices(low, high) if kind == CATEGORICAL else ()
        policy = cls(networks, moments, low, high, clip, kind, norm_obs, choices)
        policy._check()
        if strange := sorted(set(tensors) - set(policy.to_tensors())):
            raise ModelFileError(f"the model has a tensor {strange[0]!r}, which belongs to no policy: {_NOT_OURS}")
        return policy

    def _check(self) -> None:
        moments, networks = self.obs_norm, self.networks
        obs, action = moments.mean.shape, self.low.shape
        fit = len(obs) == 1 and len(action) == 1 and moments.var.shape == obs and self.high.shape == action
        fit = fit and min(*obs, *action) > 0
        fit &= moments.count.shape == () and self.clip_obs.shape == ()
        fit &= networks.actor_logstd.shape == (1, *((0,) if self.choices else action))
        fit = fit and networks.visible <= obs[0]
        head = (sum(self.choices),) if self.choices else action
        parts = ((networks.critic, networks.critic_memory, (1,)), (networks.actor_mean, networks.actor_memory, head))
        for (mlp, gru, out), seen in zip(parts, (obs, (networks.visible,)), strict=True):
            fit = fit and (gru is None or _fits(gru, *seen))
            features = seen[0] + (0 if gru is None else gru.units) if fit else 0
            widths = [features, *(b.shape[0] for b in mlp.biases)]
            fit = fit and [w.shape for w in mlp.weights] == list(itertools.pairwise(widths)) and (widths[-1],) == out
        fit = fit and (networks.critic_memory is None or networks.actor_memory is not None)
        if not fit:
            raise ModelFileError(f"the model's tensors do not fit together: {_NOT_OURS}")
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((networks, moments, self.clip_obs))):
            raise ModelFileError("the model has weights or moments that are not finite: train the policy again")
        if (moments.var < 0).any() or moments.count <= 0 or self.clip_obs <= 0:
            raise ModelFileError(
                "the model's normaliser has a variance, count or clip that is not positive: train the policy again"
            )
        bounded = np.isfinite(self.low).all() and np.isfinite(self.high).all()
        if not (self.low <= self.high).all() or not (bounded or self.kind == "gaussian-raw"):
            raise ModelFileError("the model's lowest and highest actions are not a range: train the policy again")


def _choices(low: np.ndarray, high: np.ndarray) -> tuple[int, ...]:
    """How many whole numbers there are from lowest to highest.

    Raises:
        ModelFileError: they are no whole numbers, or none lie between them.
    """
    same = low.ndim == 1 and low.shape == high.shape and low.size > 0
    if not same or not np.isfinite([low, high]).all() or (np.mod([low, high], 1.0) != 0.0).any() or (low > high).any():
        raise ModelFileError("the model's lowest and highest choices are not whole numbers: train the policy again")
    return tuple(int(n) + 1 for n in (high - low).tolist())


def _parts(mlp: Mlp) -> tuple[Any, Any]:
    return mlp.weights, mlp.biases


def _fits(gru: Gru, features: int) -> bool:
    three = 3 * gru.units
    shapes = [getattr(gru, name).shape for name in ("weight_in", "weight_hidden", "bias_in", "bias_hidden")]
    return shapes == [(features, three), (gru.units, three), (three,), (three,)]


def _gru(tensors: Mapping[str, np.ndarray], name: str) -> Gru | None:
    if f"{name}.weight_hh_l0" not in tensors:
        return None
    weights = [tensors[f"{name}.{part}_l0"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    if [w.ndim for w in weights] != [2, 2, 1, 1]:
        raise ModelFileError(f"the model's tensors do not fit together: {_NOT_OURS}")
    return Gru(np.ascontiguousarray(weights[0].T), np.ascontiguousarray(weights[1].T), *weights[2:])


def _mlp(tensors: Mapping[str, np.ndarray], name: str) -> Mlp:
    layers = sum(key.startswith(f"{name}.") and key.endswith(".weight") for key in tensors)
    if not layers:
        raise KeyError(f"{name}.0.weight")
    weights = tuple(np.ascontiguousarray(tensors[f"{name}.{2 * i}.weight"].T) for i in range(layers))
    biases = tuple(tensors[f"{name}.{2 * i}.bias"] for i in range(layers))
    if any(w.ndim != 2 for w in weights) or any(b.ndim != 1 for b in biases):
        raise ModelFileError(f"the model's tensors do not fit together: {_NOT_OURS}")
    return Mlp(weights, biases)

"""Separate policy and value networks with CleanRL's shapes and initial weights, optionally recurrent."""

import itertools
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from rl_drug_dosage.types import Array

__all__ = ["ActorCritic", "Gru", "Mlp", "init_actor_critic", "orthogonal"]


class Mlp(eqx.Module):
    """Affine layers with tanh between them.

    Weights are stored ``[in, out]``, so a layer is ``x @ weight + bias``; PyTorch stores the transpose. NumPy weights
    with NumPy inputs stay in NumPy, which is faster for one patient than dispatching to a device.
    """

    weights: tuple[Float[Array, "_ _"], ...]
    biases: tuple[Float[Array, " _"], ...]

    def __call__(self, x: Float[Array, "*batch features"]) -> Float[Array, "*batch out"]:
        last = len(self.weights) - 1
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = x @ weight + bias
            if layer < last:
                x = np.tanh(x) if isinstance(x, np.ndarray) else jnp.tanh(x)
        return x


class Gru(eqx.Module):
    """A gated recurrent unit (Cho et al. 2014, arXiv 1406.1078), in PyTorch's variant of ``torch.nn.GRU``.

    ``r, z = sigmoid(W x + b + U h + c)``, ``n = tanh(W_n x + b_n + r (U_n h + c_n))``, ``h' = (1 - z) n + z h``; the
    columns of the weights are r, z, n. The products with ``x`` do not depend on h, so they are computed for a whole
    sequence at once.
    """

    weight_in: Float[Array, "features three_units"]
    weight_hidden: Float[Array, "units three_units"]
    bias_in: Float[Array, " three_units"]
    bias_hidden: Float[Array, " three_units"]

    @property
    def units(self) -> int:
        """Size of the recurrent state."""
        return int(self.weight_hidden.shape[0])

    def start(self, shape: tuple[int, ...]) -> Float[Array, "*batch units"]:
        """The recurrent state at the start of an episode: zeros."""
        return jnp.zeros((*shape, self.units), jnp.float32)

    def inputs(self, x: Float[Array, "*batch features"]) -> Float[Array, "*batch three_units"]:
        """The contribution of ``x`` to a step."""
        return x @ self.weight_in + self.bias_in

    def step(self, h: Float[Array, "*batch units"], inputs: Float[Array, "*batch three_units"]) -> Any:
        """The next recurrent state."""
        xp = np if isinstance(inputs, np.ndarray) and isinstance(h, np.ndarray) else jnp
        hidden = h @ self.weight_hidden + self.bias_hidden
        n = self.units
        # The logistic function written as a hyperbolic tangent does not overflow.
        gates = 0.5 * (1.0 + xp.tanh(0.5 * (inputs[..., : 2 * n] + hidden[..., : 2 * n])))
        r, z = gates[..., :n], gates[..., n:]
        candidate = xp.tanh(inputs[..., 2 * n :] + r * hidden[..., 2 * n :])
        return (1.0 - z) * candidate + z * h

    def unroll(
        self, x: Float[Array, "time env features"], first: Bool[Array, "time env"], h: Float[Array, "env units"]
    ) -> Float[Array, "time env units"]:
        """The recurrent state after every step of a segment; it is reset where an episode begins."""

        def step(h: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
            inputs, begins = now
            h = self.step(jnp.where(begins[:, None], 0.0, h), inputs)
            return h, h

        return jax.lax.scan(step, h, (self.inputs(x), first))[1]


class ActorCritic(eqx.Module):
    """The trainable parameters of PPO: ``V(s)``, the mean of the Gaussian, and its state-independent log-sd.

    The actor sees the first ``visible`` entries of an observation, the critic all of them (asymmetric actor-critic,
    Pinto et al. 2018, arXiv 1710.06542). In a recurrent policy, each head sees the observation and the recurrent state
    after it. Actor and critic have separate recurrent states (detail 13); a rollout carries both, concatenated.
    """

    critic: Mlp
    actor_mean: Mlp
    actor_logstd: Float[Array, "1 action"]
    actor_memory: Gru | None = None
    critic_memory: Gru | None = None

    @property
    def visible(self) -> int:
        """Number of observation entries that the actor sees."""
        first = self.actor_mean.weights[0] if self.actor_memory is None else self.actor_memory.weight_in
        return int(first.shape[0])

    def start(self, shape: tuple[int, ...]) -> Float[Array, "*batch memory"] | None:
        """The recurrent state at the start of an episode; ``None`` for a feed-forward policy."""
        parts = [m.start(shape) for m in (self.actor_memory, self.critic_memory) if m is not None]
        return jnp.concatenate(parts, axis=-1) if parts else None

    def act(self, obs: Float[Array, "*batch obs"], memory: Any = None) -> tuple[Float[Array, "*batch action"], Any]:
        """The mean of the Gaussian for normalised observations, and both recurrent states after them.

        If an observation lacks the entries that only the critic sees, the critic's state is unchanged.
        """
        x = obs[..., : self.visible]
        if self.actor_memory is None:
            # There is no recurrent critic with a feed-forward actor.
            return self.actor_mean(x), memory
        units = self.actor_memory.units
        h = self.actor_memory.step(memory[..., :units], self.actor_memory.inputs(x))
        rest = memory[..., units:]
        if self.critic_memory is not None:
            rest = self.critic_memory.step(rest, self.critic_memory.inputs(obs))
        xp = np if isinstance(h, np.ndarray) and isinstance(x, np.ndarray) else jnp
        return self.actor_mean(xp.concatenate([x, h], axis=-1)), xp.concatenate([h, rest], axis=-1)

    def value(self, obs: Float[Array, "*batch obs"], memory: Any = None) -> Float[Array, "*batch"]:
        """``V(s)`` of normalised observations, with the recurrent state before them."""
        if self.critic_memory is not None:
            h = memory[..., -self.critic_memory.units :]
            obs = jnp.concatenate([obs, self.critic_memory.step(h, self.critic_memory.inputs(obs))], axis=-1)
        return self.critic(obs)[..., 0]

    def outputs(
        self, obs: Float[Array, "*time env obs"], first: Any = None, memory: Any = None
    ) -> tuple[Float[Array, "*time env action"], Float[Array, "*time env"], Any]:
        """Mean and value of observations, and the recurrent state after each; of whole segments if recurrent.

        Args:
            obs: normalised; ``[time, env, obs]`` if recurrent, otherwise any leading shape.
            first: steps at which an episode begins, ``[time, env]``.
            memory: recurrent state before the segment, ``[env, memory]``.
        """
        x = obs[..., : self.visible]
        if self.actor_memory is None:
            return self.actor_mean(x), self.critic(obs)[..., 0], None
        units = self.actor_memory.units
        after = self.actor_memory.unroll(x, first, memory[:, :units])
        mean = self.actor_mean(jnp.concatenate([x, after], axis=-1))
        if self.critic_memory is None:
            return mean, self.critic(obs)[..., 0], after
        own = self.critic_memory.unroll(obs, first, memory[:, units:])
        value = self.critic(jnp.concatenate([obs, own], axis=-1))[..., 0]
        return mean, value, jnp.concatenate([after, own], axis=-1)


def orthogonal(rng: np.random.Generator, shape: tuple[int, int], gain: float) -> Float[np.ndarray, "rows columns"]:
    """A (semi-)orthogonal matrix times ``gain`` (Saxe et al. 2014, arXiv 1312.6120).

    Drawn with NumPy: a QR of a few thousand numbers is not worth compiling.
    """
    rows, columns = shape
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))  # makes the distribution uniform (Haar) over orthogonal matrices
    return (gain * (q if rows >= columns else q.T)).astype(np.float32)


def init_actor_critic(
    rng: np.random.Generator,
    *,
    obs_size: int,
    action_size: int,
    hidden_sizes: Sequence[int] = (64, 64),
    visible: int | None = None,
    memory_size: int = 0,
    logstd: float = 0.0,
    logstd_size: int | None = None,
) -> ActorCritic:
    """Orthogonal weights of gain sqrt(2), zero biases; policy head gain 0.01, value head gain 1; log-sd 0 by default.

    Detail 2 of Huang et al. (2022); the log-sd is on the scale of the [-1, 1] action. Recurrent layers start with
    orthogonal weights of gain 1 and zero biases (LSTM detail 1).

    Args:
        rng: random generator for the weights.
        obs_size: number of entries that the critic sees.
        action_size: components of an action.
        hidden_sizes: hidden layer sizes of both networks.
        visible: number of entries that the actor sees; all of them by default.
        memory_size: units of each network's GRU; 0 for a feed-forward network. A privileged critic needs none: the
            extra entries it sees are the patient's true state.
        logstd: initial log-sd of every component.
        logstd_size: how many log-sds there are; as many as components by default, 0 for logits.
    """
    visible = obs_size if visible is None else visible

    def mlp(features: int, out: int, head_gain: float) -> Mlp:
        sizes = [features, *hidden_sizes, out]
        gains = [*(np.sqrt(2.0) for _ in hidden_sizes), head_gain]
        weights = tuple(orthogonal(rng, s, g) for s, g in zip(itertools.pairwise(sizes), gains, strict=True))
        return Mlp(weights=weights, biases=tuple(np.zeros(n, np.float32) for n in sizes[1:]))

    def gru(features: int) -> Gru:
        def gates(rows: int) -> np.ndarray:
            return np.concatenate([orthogonal(rng, (rows, memory_size), 1.0) for _ in range(3)], axis=1)

        zeros = np.zeros(3 * memory_size, np.float32)
        return Gru(gates(features), gates(memory_size), zeros, zeros)

    recalls = memory_size if visible == obs_size else 0
    critic = mlp(obs_size + recalls, 1, 1.0)
    return ActorCritic(
        critic=critic,
        actor_mean=mlp(visible + memory_size, action_size, 0.01),
        actor_logstd=np.full((1, action_size if logstd_size is None else logstd_size), logstd, np.float32),
        actor_memory=gru(visible) if memory_size else None,
        critic_memory=gru(obs_size) if recalls else None,
    )

"""Two separate tanh networks, policy and value, with CleanRL's shapes and initial weights."""

import itertools
from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rl_drug_dosage.types import Array

__all__ = ["ActorCritic", "Mlp", "init_actor_critic", "orthogonal"]


class Mlp(eqx.Module):
    """Affine layers with tanh between them.

    Weights are stored ``[in, out]``, so that a layer is ``x @ weight + bias``; PyTorch stores the transpose. NumPy
    weights on NumPy inputs stay NumPy: for one patient that is quicker than handing the work to a device.
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


class ActorCritic(eqx.Module):
    """The trainable parameters of PPO: ``V(s)``, the mean of the Gaussian, and its state-independent log-sd."""

    critic: Mlp
    actor_mean: Mlp
    actor_logstd: Float[Array, "1 action"]

    def value(self, obs: Float[Array, "*batch obs"]) -> Float[Array, "*batch"]:
        """``V(s)`` of normalised observations."""
        return self.critic(obs)[..., 0]


def orthogonal(rng: np.random.Generator, shape: tuple[int, int], gain: float) -> Float[np.ndarray, "rows columns"]:
    """A (semi-)orthogonal matrix times ``gain`` (Saxe et al. 2014, arXiv 1312.6120).

    Drawn with NumPy: one QR of a few thousand numbers is not worth a compilation.
    """
    rows, columns = shape
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))  # makes the distribution uniform (Haar) over orthogonal matrices
    return (gain * (q if rows >= columns else q.T)).astype(np.float32)


def init_actor_critic(
    rng: np.random.Generator, *, obs_size: int, action_size: int, hidden_sizes: Sequence[int] = (64, 64)
) -> ActorCritic:
    """Orthogonal weights of gain sqrt(2), zero biases; policy head gain 0.01, value head gain 1; log-sd 0.

    Detail 2 of Huang et al. (2022); the log-sd is on the scale of the [-1, 1] action.
    """

    def mlp(out: int, head_gain: float) -> Mlp:
        sizes = [obs_size, *hidden_sizes, out]
        gains = [*(np.sqrt(2.0) for _ in hidden_sizes), head_gain]
        weights = tuple(orthogonal(rng, s, g) for s, g in zip(itertools.pairwise(sizes), gains, strict=True))
        return Mlp(weights=weights, biases=tuple(np.zeros(n, np.float32) for n in sizes[1:]))

    critic = mlp(1, 1.0)
    return ActorCritic(
        critic=critic, actor_mean=mlp(action_size, 0.01), actor_logstd=np.zeros((1, action_size), np.float32)
    )

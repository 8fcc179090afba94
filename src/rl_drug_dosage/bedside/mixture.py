"""Several models of one patient together, in proportion to how well each predicted the levels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from rl_drug_dosage.bedside.belief import Belief

__all__ = ["Mixture", "mixed"]

_LEAST = 0.01
"""Weight below which a model takes no part in forecasts; its weight is still told."""


@dataclass(frozen=True)
class Mixture:
    """Beliefs and their weights.

    Args:
        beliefs: of every model.
        weights: posterior probabilities of the models, equal before the levels.
        picked: of each belief, the draws that stand for it; their numbers are in proportion to the weights.
    """

    beliefs: tuple[Belief, ...]
    weights: Float[np.ndarray, "model"]
    picked: tuple[Int[np.ndarray, "draw"], ...]

    @property
    def heaviest(self) -> int:
        """The most probable model."""
        return int(np.argmax(self.weights))

    @property
    def main(self) -> Belief:
        """Its belief."""
        return self.beliefs[self.heaviest]

    def over(self, run: Callable[[Belief], Float[np.ndarray, "..."]], axis: int) -> Float[np.ndarray, "..."]:
        """Values of all models together, the point estimate of the most probable one first.

        Args:
            run: the values of one model for its point estimate and its draws.
            axis: that of the draws.
        """
        parts: list[np.ndarray] = []
        for i, (belief, places) in enumerate(zip(self.beliefs, self.picked, strict=True)):
            if not places.size:
                continue
            values = run(belief)
            if i == self.heaviest:
                parts.insert(0, np.take(values, [0], axis=axis))
            parts.append(np.take(values, places, axis=axis))
        return np.concatenate(parts, axis=axis)


def mixed(beliefs: Sequence[Belief]) -> Mixture:
    """Weigh models by their evidence. One whose evidence is not known has weight 0, unless no model's is known."""
    draws = beliefs[0].found.eta.shape[0] - 1
    evidence = np.asarray([belief.log_evidence for belief in beliefs])
    known = np.where(np.isfinite(evidence), evidence, -np.inf)
    if not np.isfinite(known).any():
        known = np.zeros(len(beliefs))
    weights = np.exp(known - known.max())
    weights /= weights.sum()
    share = np.where(weights >= _LEAST, weights, 0.0)
    ends = np.rint(np.cumsum(share / share.sum()) * draws).astype(int)
    counts = np.diff(np.concatenate([[0], ends]))
    # Neighbouring draws may be copies of one proposal: they are spread over all.
    picked = tuple(1 + np.linspace(0, draws - 1, count).round().astype(int) for count in counts)
    return Mixture(tuple(beliefs), weights, picked)

"""Several models of one patient together, in proportion to how well each predicted the levels."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial

import jax
import numpy as np
from jaxtyping import Float, Int

from rl_drug_dosage.bedside.belief import Belief, believe
from rl_drug_dosage.bedside.layout import Laid
from rl_drug_dosage.pkpd import CovariateError, DrugModel
from rl_drug_dosage.utils.device_shape import device_shape

__all__ = ["Mixture", "at_once", "mixed", "weighed"]

_LEAST = 0.01
"""Weight below which a model takes no part in forecasts; its weight is still told."""


def at_once[T](calls: Sequence[Callable[[], T]]) -> list[T]:
    """The results of independent calls in double precision, one thread each: models do not wait for each other."""

    def run(call: Callable[[], T]) -> T:
        with jax.enable_x64(True):  # a thread has a setting of its own
            return call()

    threads = device_shape().threads
    if threads <= 1 or len(calls) <= 1:
        return [run(call) for call in calls]
    # The pool is kept: a recommendation calls a dozen times, and starting threads would cost more than some calls do.
    rest = [_pool(threads).submit(run, call) for call in calls[1:]]
    return [run(calls[0]), *(each.result() for each in rest)]


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="models")


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

    @property
    def of_main(self) -> slice:
        """Where the draws of the most probable model lie in what `over` returns."""
        before = 1 + sum(own.size for own in self.picked[: self.heaviest])
        return slice(before, before + self.picked[self.heaviest].size)

    def over(self, run: Callable[[Belief], Float[np.ndarray, "..."]], axis: int) -> Float[np.ndarray, "..."]:
        """Values of all models together, the point estimate of the most probable one first.

        Args:
            run: the values of one model for its point estimate and its draws.
            axis: that of the draws.
        """
        taking = [i for i, own in enumerate(self.picked) if own.size]
        values = dict(zip(taking, at_once([partial(run, self.beliefs[i]) for i in taking]), strict=True))
        parts = [np.take(values[i], self.picked[i], axis=axis) for i in taking]
        return np.concatenate([np.take(values[self.heaviest], [0], axis=axis), *parts], axis=axis)


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


def weighed(
    models: Sequence[DrugModel], laid: Sequence[Laid], *, draws: int, seed: int, strict: bool
) -> tuple[Mixture, tuple[str, ...]]:
    """What models believe of a patient, weighed, and which of them cannot be for the covariates.

    Args:
        models: the models.
        laid: the history as each reads it.
        draws: see `believe`.
        seed: of the draws.
        strict: leave none out.

    Raises:
        CovariateError: no model can be, or, where none may be left out, one of them.
    """

    def one(model: DrugModel, own: Laid) -> Belief | CovariateError:
        try:
            return believe(model, own, draws=draws, seed=seed)
        except CovariateError as error:
            return error

    found = at_once([partial(one, model, own) for model, own in zip(models, laid, strict=True)])
    beliefs = [each for each in found if isinstance(each, Belief)]
    failed = [each for each in found if isinstance(each, CovariateError)]
    if failed and (strict or not beliefs):
        raise failed[0]
    return mixed(beliefs), tuple(f"left out: {error}" for error in failed)

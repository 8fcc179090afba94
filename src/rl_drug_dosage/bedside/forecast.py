"""Curves: what an output was and will be, under every draw, with the doses so far and a regimen after them."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rl_drug_dosage.bedside.belief import Belief
from rl_drug_dosage.bedside.layout import size_class
from rl_drug_dosage.bedside.windows import Option, followed_by
from rl_drug_dosage.pkpd import Covariates, DrugModel, Regimen, make_regimen, predict
from rl_drug_dosage.utils.kept_programs import Kept

__all__ = ["course", "course_times_h"]

_POINTS = 160
"""Equally spaced points of a curve; doses and ends of infusions come to them."""
_CORNERS = 32
"""Most corners of a curve."""
_MOMENT_H = 1e-6


def course_times_h(
    belief: Belief, option: Option, start_h: float, from_h: float, to_h: float
) -> Float[np.ndarray, "time"]:
    """Times of a curve, always as many: equally spaced, and the corners that doses make.

    Args:
        belief: gives the doses so far.
        option: the regimen that follows.
        start_h: when it begins.
        from_h: where it begins.
        to_h: where it ends.
    """
    following = start_h + option.interval_h * np.arange(max(int(np.ceil((to_h - start_h) / option.interval_h)), 1))
    corners = [t for d in belief.laid.doses for t in (d.time_h, d.time_h + _MOMENT_H, d.time_h + d.duration_h)]
    corners += [t for d in following for t in (d, d + _MOMENT_H, d + option.duration_h)]
    inside = sorted(t for t in corners if from_h <= t <= to_h)
    # Of a long history the latest corners are drawn: the eye cannot tell the others.
    kept = inside[-_CORNERS:] + [to_h] * max(_CORNERS - len(inside), 0)
    return np.sort(np.concatenate([np.linspace(from_h, to_h, _POINTS), kept]))


def course(
    belief: Belief, option: Option, start_h: float, time_h: Float[np.ndarray, "time"]
) -> Float[np.ndarray, "draw time output"]:
    """Every output at every time for every draw, the point estimate first. Inside `jax.enable_x64`."""
    count = max(int(np.ceil((float(time_h[-1]) - start_h) / option.interval_h)), 0)
    after = followed_by(option, start_h, count) if option.amount_mg > 0 else ()
    doses = (*belief.laid.doses, *after)
    regimen = make_regimen(doses, belief.model.structure, rows=size_class(len(doses), 16))
    own = (belief.found.eta, belief.found.kappa)
    return np.asarray(_COURSE(belief.model, regimen, belief.laid.ahead, *own, time_h))


def _course(
    model: DrugModel,
    regimen: Regimen,
    covariates: Covariates,
    eta: Float[Array, "draw eta"],
    kappa: Float[Array, "draw occasion kappa"],
    time_h: Float[Array, "time"],
) -> Float[Array, "draw time output"]:
    return jax.vmap(lambda e, k: predict(model, regimen, covariates, time_h, e, k))(eta, jnp.asarray(kappa))


_COURSE = Kept(_course)

"""How a system without a closed form is integrated."""

from dataclasses import dataclass

from rl_drug_dosage.pkpd._errors import DrugModelError
from rl_drug_dosage.utils.typed_fields import typed_fields

__all__ = ["Adaptive", "FixedStep"]


@typed_fields(DrugModelError)
@dataclass(frozen=True)
class Adaptive:
    """Error-controlled integration: Tsitouras 5(4), or Kvaerno's ESDIRK 5(4) for stiff systems.

    Tolerances of None mean 1e-10 and 1e-13 in float64, 1e-6 and 1e-9 in float32. A solution that needs more than
    ``max_steps`` in one interval becomes NaN.
    """

    stiff: bool = False
    rtol: float | None = None
    atol: float | None = None
    max_steps: int = 10_000
    reverse_mode: bool = False
    """Differentiate by checkpointed backpropagation instead of forward mode, which estimation uses."""


@typed_fields(DrugModelError)
@dataclass(frozen=True)
class FixedStep:
    """Classical Runge-Kutta with substeps no longer than ``step_h``."""

    step_h: float

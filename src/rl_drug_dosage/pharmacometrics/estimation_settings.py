"""The options of an estimation as keyword arguments, for type checkers and editors."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from rl_drug_dosage.pharmacometrics.estimation import PosteriorKind
from rl_drug_dosage.pkpd.nonmem_data import Interpolation, PreDoseLevel
from rl_drug_dosage.utils.progress import Progress

__all__ = ["EstimateSettings"]


class EstimateSettings(TypedDict, total=False):
    """What `estimate` takes by name; the meaning stands there."""

    weight: Mapping[str, float] | None
    occasions: bool
    interpolation: Interpolation
    posterior: PosteriorKind
    seed: int
    prior_weight: float
    pre_dose_level: PreDoseLevel
    output_dir: str | Path | None
    progress: Progress | bool

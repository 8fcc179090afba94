"""Subgroups of levels: the values of a column, or thirds of a column of numbers."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from rl_drug_dosage.errors import ConfigError

__all__ = ["groups_of"]

_FEW = 4
"""Up to so many different numbers are categories, not a quantity."""
_MOST = 12
"""Different texts by which levels are grouped."""


def groups_of(title: str, texts: Sequence[str]) -> list[tuple[str, Bool[np.ndarray, "level"]]]:
    """Groups with a name, and which levels belong to each. Levels without a value belong to none.

    Args:
        title: the column.
        texts: its text at every level.

    Raises:
        ConfigError: a column of many different texts.
    """
    column = np.array(texts)
    values = np.array([_number(text) for text in texts])
    known = column != ""
    different = sorted(set(column[known].tolist()))
    if np.isfinite(values[known]).all() and len(np.unique(values[known])) > _FEW:
        return _thirds(values)
    if len(different) > _MOST:
        raise ConfigError(
            f"--by {title}: {len(different)} different texts ({', '.join(different[:3])}, ...): give a column of "
            f"numbers, or of at most {_MOST} texts"
        )
    return [(f"{title} {text}", column == text) for text in different]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def _thirds(values: np.ndarray) -> list[tuple[str, Bool[np.ndarray, "level"]]]:
    """Lowest, middle and highest third of the levels; fewer groups where many levels share a value."""
    known = values[np.isfinite(values)]
    low, high = np.percentile(known, [100.0 / 3.0, 200.0 / 3.0])
    groups = [
        (f"up to {low:.4g}", values <= low),
        (f"{low:.4g} to {high:.4g}", (values > low) & (values <= high)),
        (f"above {high:.4g}", values > high),
    ]
    return [(name, own) for name, own in groups if own.any()]

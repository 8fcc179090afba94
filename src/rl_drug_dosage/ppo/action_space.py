"""The actions that an environment takes: their kind, type, shape and exact bounds.

The policy computes in float32. A bound of a float64 space is rarely a float32 number: float32(0.1) is above 0.1. So the
policy's own bounds are rounded into the space, and an action is cast to the space's type and clipped there.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from rl_drug_dosage.errors import ModelFileError

__all__ = ["ACTION_KINDS", "ActionSpace"]

ACTION_KINDS = ("continuous", "discrete", "multidiscrete", "multibinary")


@dataclass(frozen=True)
class ActionSpace:
    """What an environment's ``step`` takes.

    Args:
        kind: one of ``ACTION_KINDS``.
        dtype: NumPy's name of the type.
        shape: of one action; ``()`` for a single number.
        low: lowest value of each component, flat, infinite where there is none.
        high: highest value of each component.
    """

    kind: str
    dtype: str
    shape: tuple[int, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @property
    def size(self) -> int:
        """Components of an action."""
        return len(self.low)

    @property
    def choices(self) -> tuple[int, ...]:
        """How many values each component may take; empty for continuous actions."""
        if self.kind == "continuous":
            return ()
        return tuple(int(high - low) + 1 for low, high in zip(self.low, self.high, strict=True))

    @cached_property
    def policy_bounds(self) -> tuple[Float[np.ndarray, " action"], Float[np.ndarray, " action"]]:
        """Lowest and highest action in float32, rounded into the space where they are no float32 numbers."""
        low, high = (np.asarray(b, np.float64) for b in (self.low, self.high))
        with np.errstate(over="ignore"):
            low_f, high_f = low.astype(np.float32), high.astype(np.float32)
        inner_low = np.where(low_f < low, np.nextafter(low_f, np.float32(np.inf)), low_f)
        inner_high = np.where(high_f > high, np.nextafter(high_f, np.float32(-np.inf)), high_f)
        # A component that is fixed, or narrower than float32 can tell, keeps the nearest numbers.
        narrow = inner_low > inner_high
        return np.where(narrow, low_f, inner_low), np.where(narrow, high_f, inner_high)

    def to_env(self, action: Any) -> Any:
        """Actions of the policy as the environment takes them: cast to its type, then clipped in that type.

        Args:
            action: ``[*batch, action]``.
        """
        flat = np.asarray(action)
        cast = flat.astype(self.dtype)
        low, high = self._limits
        shaped = np.clip(cast, low, high).reshape((*flat.shape[:-1], *self.shape))
        return shaped[()] if self.kind == "discrete" else shaped

    @cached_property
    def _limits(self) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(self.low, self.dtype), np.asarray(self.high, self.dtype)

    def record(self) -> dict[str, Any]:
        """Plain values for the model file; ``None`` where there is no bound, because JSON has no infinity."""

        def plain(values: tuple[float, ...]) -> list[float | None]:
            return [v if math.isfinite(v) else None for v in values]

        return {
            "kind": self.kind,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "low": plain(self.low),
            "high": plain(self.high),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """The inverse of `record`.

        Raises:
            ModelFileError: not what `record` writes.
        """
        try:
            shape = tuple(record["shape"])
            bounds = [
                tuple(sign * math.inf if v is None else v for v in record[name])
                for name, sign in (("low", -1.0), ("high", 1.0))
            ]
            numbers = [*shape, *bounds[0], *bounds[1]]
            fits = all(type(n) is int and n >= 0 for n in shape) and all(type(v) in {int, float} for v in numbers)
            fits = fits and len(bounds[0]) == len(bounds[1]) == math.prod(shape)
            fits = fits and record["kind"] in ACTION_KINDS and record["dtype"] in _DTYPES[record["kind"]]
            fits = fits and all(low <= high for low, high in zip(*bounds, strict=True))
        except (KeyError, TypeError, ValueError):
            fits = False
        if not fits:
            raise ModelFileError("the record's action space is not one that train writes: train the policy again")
        return cls(record["kind"], record["dtype"], shape, *bounds)


_FLOATS = ("float16", "float32", "float64")
_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_DTYPES: Mapping[str, tuple[str, ...]] = {kind: _FLOATS if kind == "continuous" else _INTEGERS for kind in ACTION_KINDS}

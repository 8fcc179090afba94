"""A covariate as a drug file describes it, and which values a patient can have."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from rl_drug_dosage.pkpd._errors import CovariateError
from rl_drug_dosage.pkpd._nonmem_columns import RESERVED_TITLES
from rl_drug_dosage.pkpd.distributions import Categorical, Distribution, Fixed
from rl_drug_dosage.pkpd.quantities import fits_quantity, missing_code, possible_range
from rl_drug_dosage.utils.frozen import FrozenMapping
from rl_drug_dosage.utils.typed_fields import typed_fields

__all__ = ["RESERVED_TITLES", "Covariate", "plain_number"]

_CODES = frozenset({"0/1", "code", "count"})
"""Units of categories."""
_ROUNDING = 1e-6
"""Relative: a value drawn at an edge of a range is single precision."""


def plain_number(written: object) -> float:
    """A number, or a text that is one; True and False are none.

    Raises:
        ValueError: anything else.
    """
    if isinstance(written, bool | np.bool_):
        raise ValueError("True and False are no numbers")
    try:
        return float(written)  # type: ignore[arg-type]
    except TypeError as error:
        raise ValueError(str(error)) from None


def _open(low: float, unit: str) -> str:
    """A range without a highest value, in words."""
    if not math.isfinite(low):
        return "any other number"
    return f"at least 0 {unit}" if low == 0 else f"above 0 {unit}"


@typed_fields(CovariateError)
@dataclass(frozen=True)
class Covariate:
    """A patient covariate used by the model.

    Args:
        name: key in the covariates mapping, with its unit: ``"wt_kg"``, ``"crcl_ml_per_min"``.
        unit: unit inside the engine, used in tables and on axes.
        low, high: range of the published population; values outside are flagged, never clipped. Infinite where the
            source states none.
        typical: value of the typical patient, used by checks and figures.
        source: where range and typical value come from.
        meaning: description in words.
        distribution: distribution in a virtual cohort, truncated to [low, high].
        column: the NONMEM-style column name that readers and writers use, e.g. ``"WT"``.
        words: what people write in place of a number, and the number: ``{"*1/*1": 11.0, "*1/*2": 12.0}``.
        aliases: other names that people give it: ``("weight",)``. Name, column and aliases are read in any case.
        possible: lowest and highest value that a patient can have; anything else is refused. Left out: those of the
            quantity, this project's own bounds of plausibility (`pkpd.quantities`).

    Raises:
        CovariateError: a unit that the quantity does not have; a published range, or a fixed value, that is not
            possible.
    """

    name: str
    unit: str
    low: float
    high: float
    typical: float
    source: str
    meaning: str
    distribution: Distribution
    column: str
    words: Mapping[str, float] = field(default_factory=lambda: FrozenMapping({}))
    aliases: tuple[str, ...] = ()
    possible: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", FrozenMapping(self.words))
        possible = self.possible
        if possible is not None and (len(possible) != 2 or not possible[0] < possible[1]):
            raise CovariateError(f"possible of covariate {self.name!r} is {possible}: give the lowest and the highest")
        for written in ("column", "name"):
            title = getattr(self, written)
            if title.strip().upper() in RESERVED_TITLES:
                raise CovariateError(
                    f"{written} of covariate {self.name!r} is {title!r}, a column that data files have for something "
                    f"else; allowed: any but {', '.join(sorted(RESERVED_TITLES))}; rename it"
                )
        if asked := fits_quantity(self.column, self.name, self.unit):
            raise CovariateError(
                f"unit of covariate {self.name!r} (column {self.column}) is {self.unit!r}; allowed: {asked}; correct "
                "it, or rename the covariate and its column"
            )
        if not self.low <= self.high:
            raise CovariateError(
                f"low of covariate {self.name!r} is {self.low:g} {self.unit}, above its high, {self.high:g}; allowed: "
                "a low up to the high; correct one of them"
            )
        low, high = self.bounds
        # A published range that begins at 0 is how people write "positive".
        named = {"low": self.low or low, "high": self.high}
        if isinstance(self.distribution, Fixed) and not self.codes:
            named["the fixed value"] = self.distribution.value
        for what, value in named.items():
            if math.isfinite(value) and not low <= value <= high:
                raise CovariateError(
                    f"{what} of covariate {self.name!r} is {value:g} {self.unit}: possible is {low:g} to {high:g}; "
                    "correct it or the unit, or give `possible`"
                )

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest possible value."""
        if self.possible is not None:
            return self.possible[0], self.possible[1]
        return possible_range(self.column, self.name, self.unit)

    @property
    def codes(self) -> tuple[float, ...]:
        """The only values of a category, ascending; empty for a quantity."""
        drawn = self.distribution.values if isinstance(self.distribution, Categorical) else ()
        if self.words and (drawn or self.unit in _CODES):
            return tuple(sorted(set(self.words.values())))
        if self.unit == "0/1":
            return 0.0, 1.0
        return tuple(sorted(drawn)) if self.unit in _CODES else ()

    def check(self, value: float) -> None:
        """Refuse a value that no patient has.

        Raises:
            CovariateError: not finite, not one of the codes, outside the possible range, or a code for missing.
        """
        said = f"covariate {self.name!r} is {value:g}"
        if not math.isfinite(value):
            raise CovariateError(f"{said}: give a finite number")
        low, high = self.bounds
        inside = self.low <= value <= self.high
        impossible = value not in self.codes if self.codes else not low <= value <= high
        question = "" if inside else missing_code(value, impossible=impossible)
        if not impossible and not question:
            return
        if self.codes:
            words = f" ({', '.join(self.words)})" if self.words else ""
            allowed = f"one of {', '.join(f'{code:g}' for code in self.codes)}{words}"
        else:
            allowed = f"from {low:g} to {high:g} {self.unit}" if math.isfinite(low + high) else _open(low, self.unit)
        raise CovariateError(
            f"{said}: {question}possible is {allowed}; give the patient's value, or leave the patient out"
        )

    def outside(self, value: float, of: str) -> str:
        """What to say of a value outside the published range; empty for one within.

        Args:
            value: a possible value.
            of: whose range it is.
        """
        if self.codes or self.low - _ROUNDING * abs(self.low) <= value <= self.high + _ROUNDING * abs(self.high):
            return ""
        return (
            f"{self.name} = {value:g} {self.unit} is outside the published range [{self.low:g}, {self.high:g}] of "
            f"{of}: predictions extrapolate"
        )

    def is_called(self, name: str) -> bool:
        """Whether people may mean this covariate by a name."""
        return name.strip().casefold() in {n.casefold() for n in (self.name, self.column, *self.aliases)}

    def number(self, written: object) -> float:
        """The number that somebody wrote as a number or as one of ``words``, if a patient can have it.

        Raises:
            CovariateError: see `read` and `check`.
        """
        value = self.read(written)
        self.check(value)
        return value

    def read(self, written: object) -> float:
        """The number that somebody wrote as a number or as one of ``words``, in any case and order of alleles.

        Raises:
            CovariateError: neither, True or False, or not finite.
        """
        text = written.strip() if isinstance(written, str) else repr(written)
        for spelt in (text, "/".join(sorted(text.split("/")))):
            for word, value in self.words.items():
                if word.casefold() == spelt.casefold():
                    return value
        try:
            value = plain_number(written)
        except ValueError:
            words = f" or one of {', '.join(self.words)}" if self.words else ""
            raise CovariateError(f"covariate {self.name!r} is {written!r}: give a number{words}") from None
        if not math.isfinite(value):
            raise CovariateError(f"covariate {self.name!r} is {written!r}: give a finite number")
        return value

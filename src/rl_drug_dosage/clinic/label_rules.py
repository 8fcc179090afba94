"""Label doses that are constant per patient: the usual dose, or a dose per kg (or similar) with limits."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import jax.numpy as jnp
from jaxtyping import Array, Float

from rl_drug_dosage.clinic.units import is_per
from rl_drug_dosage.clinic.ward import Dosage
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import Covariate, Values
from rl_drug_dosage.pkpd.units import same_unit
from rl_drug_dosage.utils.typed_fields import typed_fields

if TYPE_CHECKING:
    from rl_drug_dosage.clinic.record import Record

__all__ = ["LabelRule", "usual_dose"]


@typed_fields(ConfigError)
@dataclass(frozen=True)
class LabelRule:
    """The same dose at every decision, with an optional different first dose.

    Args:
        amount: each dose, in ``unit``.
        unit: of the amounts: the dosage's unit, or that per unit of a covariate (``"mg/kg"``).
        source: of the rule.
        first: the first dose, in ``unit``; None: as the others.
        per: the covariate that the amounts are multiplied by, if ``unit`` is per unit of a covariate.
        lowest, highest: limits of the dose, in the dosage's unit.
    """

    amount: float
    unit: str
    source: str
    first: float | None = None
    per: str | None = None
    lowest: float = 0.0
    highest: float | None = None

    def __post_init__(self) -> None:
        for name in ("amount", "first", "lowest", "highest"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ConfigError(f"{name} of the label is {value!r}: allowed is a number of at least 0")
        if self.highest is not None and self.highest < self.lowest:
            raise ConfigError(f"highest of the label is {self.highest:g}, below its lowest, {self.lowest:g}")

    def __call__(self, facts: Values, record: "Record") -> Float[Array, ""]:
        now = jnp.asarray(self.amount if self.first is None else jnp.where(record.k == 0, self.first, self.amount))
        if self.per is not None:
            now = now * facts[self.per]
        return jnp.clip(jnp.asarray(now, dtype=float), self.lowest, self.highest)

    @property
    def text(self) -> str:
        """The rule in words."""
        start = "" if self.first is None else f"{self.first:g} {self.unit} first, then "
        limits = f", at least {self.lowest:g}" if self.lowest else ""
        limits += f", at most {self.highest:g}" if self.highest is not None else ""
        return f"{start}{self.amount:g} {self.unit} at every decision{limits} ({self.source})"

    def check(self, dosage: Dosage, covariates: tuple[Covariate, ...]) -> None:
        """Check that the rule fits these doses and covariates.

        Raises:
            ConfigError: a unit that is neither the dosage's nor, with ``per``, the dosage's per that covariate.
        """
        if self.per is None:
            if not same_unit(self.unit, dosage.unit):
                raise ConfigError(
                    f"the label is in {self.unit}, doses are in {dosage.unit}: give the same unit, or `per`, the "
                    "covariate that the label is multiplied by"
                )
            return
        covariate = next((c for c in covariates if c.name == self.per), None)
        if covariate is None:
            names = ", ".join(c.name for c in covariates) or "none"
            raise ConfigError(f"the label is per {self.per!r}, and covariates are {names}")
        if not is_per(self.unit, covariate.unit) or not same_unit(f"{self.unit} {covariate.unit}", dosage.unit):
            raise ConfigError(
                f"the label is in {self.unit} times {covariate.name} in {covariate.unit}, doses are in {dosage.unit}: "
                "these units do not fit"
            )


def usual_dose(dosage: Dosage) -> LabelRule:
    """``Dosage.usual`` at every decision."""
    return LabelRule(dosage.usual, dosage.unit, f"the usual dose; {dosage.source}")

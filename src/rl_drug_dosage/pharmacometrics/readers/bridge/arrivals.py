"""Compartments that note the last dose, in a bridged model."""

from collections.abc import Mapping

from rl_drug_dosage.pharmacometrics.readers.written import WrittenModel
from rl_drug_dosage.pkpd import Arrival

__all__ = ["arrivals_of", "hidden_in"]


def arrivals_of(written: WrittenModel, names: Mapping[str, str]) -> tuple[Arrival, ...]:
    """Doses that the equations look at, by the engine's ``names`` of the file's compartments."""
    return tuple(
        Arrival(names[d.inlet], names[d.content], names[d.last_dose], names[d.time_after_dose], d.passes_on)
        for d in written.last_doses
    )


def hidden_in(written: WrittenModel) -> frozenset[str]:
    """Compartments of the file that no dose enters, because another one takes it for them or they only note it."""
    return frozenset(c for d in written.last_doses for c in (d.content, d.last_dose, d.time_after_dose))

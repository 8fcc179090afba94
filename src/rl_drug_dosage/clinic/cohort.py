"""The covariates of a scenario's patients: those of its drug models, with what the cohort has of its own."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rl_drug_dosage.errors import ConfigError, UnknownNameError
from rl_drug_dosage.pkpd import Covariate, DrugModel
from rl_drug_dosage.pkpd.distributions import Distribution
from rl_drug_dosage.registry import load_drug
from rl_drug_dosage.utils.typed_fields import typed_fields

if TYPE_CHECKING:
    from rl_drug_dosage.clinic.scenario import Scenario

__all__ = ["Drawn", "completed", "covariates_of", "drawn"]


@typed_fields(ConfigError)
@dataclass(frozen=True)
class Drawn:
    """What a cohort has of its own in a covariate of a drug model; None: as in the drug's file.

    Args:
        distribution: in the cohort, truncated to the range.
        source: of what is given here.
        low, high: the cohort's range.
        typical: value of the typical patient.
        meaning: in words, where the drug's own would be unclear.
    """

    distribution: Distribution | None = None
    source: str | None = None
    low: float | None = None
    high: float | None = None
    typical: float | None = None
    meaning: str | None = None

    def of(self, covariate: Covariate) -> Covariate:
        """The drug's covariate, as this cohort has it."""
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return dataclasses.replace(covariate, **{name: value for name, value in own.items() if value is not None})


def drawn(
    models: Sequence[str | DrugModel], own: Mapping[str, Distribution | Drawn | Covariate]
) -> tuple[Covariate, ...]:
    """The covariates of a cohort, in the order given.

    Args:
        models: the scenario's drug models; a covariate is that of the first one that has it.
        own: by name: how it is drawn, what else is the cohort's own, or a covariate that no model has.

    Raises:
        UnknownNameError: a name that no model has, without a whole `Covariate`.
    """
    known = covariates_of(models)
    return tuple(_own(name, value, known) for name, value in own.items())


def covariates_of(models: Sequence[str | DrugModel], without: Collection[str] = ()) -> dict[str, Covariate]:
    """The covariates of several drug models by name; of one that several have, that of the first.

    Args:
        models: names or values.
        without: names that are left out: clocks are computed, not asked for.
    """
    found: dict[str, Covariate] = {}
    for model in models:
        for covariate in load_drug(model).covariates:
            if covariate.name not in without:
                found.setdefault(covariate.name, covariate)
    return found


def _own(name: str, value: Distribution | Drawn | Covariate, known: Mapping[str, Covariate]) -> Covariate:
    if isinstance(value, Covariate):
        return value
    if name not in known:
        raise UnknownNameError("covariate of the drug models", name, known, remedy="or give a whole Covariate")
    return (value if isinstance(value, Drawn) else Drawn(value)).of(known[name])


def completed(scenario: "Scenario") -> tuple[Covariate, ...]:
    """The covariates of a scenario, completed from its drug models, see `Scenario.covariates`.

    A covariate that a model also has inherits the model's words and aliases, unless it defines its own.
    """
    models = [scenario.drug(name) for name in scenario.models]
    known = covariates_of(models, without={c.name for c in scenario.clocks})
    given: Any = scenario.covariates
    if isinstance(given, Mapping):
        given = [_own(name, value, known) for name, value in given.items()]
    named = {c.name: _worded(c, known.get(c.name)) for c in given}
    if all(name in named for name in known):
        return tuple(_worded(c, known.get(c.name)) for c in given)
    own = tuple(c for c in named.values() if c.name not in known)
    return (*(named.get(name, covariate) for name, covariate in known.items()), *own)


def _worded(covariate: Covariate, model: Covariate | None) -> Covariate:
    if model is None:
        return covariate
    words, aliases = covariate.words or model.words, covariate.aliases or model.aliases
    if (words, aliases) == (covariate.words, covariate.aliases):
        return covariate
    return dataclasses.replace(covariate, words=words, aliases=aliases)

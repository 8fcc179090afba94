"""What a patient file may say for a drug: covariates, doses, levels and routes, with units and ranges.

A generic name stands for every model of the drug: a covariate is then read for each model that has it, in the unit of
that model.
"""

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property

from rl_drug_dosage.bedside.quantities import Asked
from rl_drug_dosage.bedside.task import built_in_scenario
from rl_drug_dosage.bedside.written import refuse, shown
from rl_drug_dosage.drugs.shared.molar_mass import MOLAR_MASSES
from rl_drug_dosage.pkpd import Covariate, DrugModel, Output, Param
from rl_drug_dosage.pkpd.quantities import POSSIBLE, SYNONYMS, usual_level
from rl_drug_dosage.pkpd.units import same_unit
from rl_drug_dosage.registry import DRUG, find, names

__all__ = ["CREATININE", "FACTS", "SEXES", "DrugWords", "Fact", "allowed", "fact_called", "words_of"]

CREATININE = Param(
    10000.0 / 88.4,
    "g/mol",
    "88.4 µmol/L in 1 mg/dL: National Kidney Foundation, GFR equations; C4H7N3O is 113.12",
    "molar mass of creatinine",
)
_MANY_TIMES = 10.0
"""Times the highest limit of the drug's targets, a level without a unit is not believed: this project's choice."""
_UNUSUAL = 3.0
"""Times the highest dose of the model above which a dose is remarked on: this project's choice."""
_ACTIVITY_UNITS = frozenset({"IU/mg", "U/mg", "mg/IU", "mg/U"})


@dataclass(frozen=True)
class Fact:
    """Something that formulas are computed from, whether or not a model asks for it.

    Args:
        name: as formulas call it.
        column: the covariate column of the same quantity.
        asked: its unit and plausible range.
        also: other names.
    """

    name: str
    column: str
    asked: Asked
    also: tuple[str, ...] = ()


def _fact(name: str, column: str, unit: str, also: tuple[str, ...] = (), mass: Param | None = None) -> Fact:
    low, high = POSSIBLE[column][unit.lower()]
    asked = Asked(name, unit, low, high, "what a patient can have", molar_mass=mass, substance=name)
    return Fact(name, column, asked, also)


FACTS: tuple[Fact, ...] = (
    _fact("age", "AGE", "y"),
    _fact("weight", "WT", "kg"),
    _fact("height", "HT", "cm"),
    _fact("creatinine", "SCR", "mg/dL", mass=CREATININE),
    Fact("female", "FEMALE", Asked("sex", "1"), ("sex", "gender")),
)
"""Age, sizes, creatinine and sex."""
SEXES: Mapping[str, float] = {"female": 1.0, "f": 1.0, "woman": 1.0, "male": 0.0, "m": 0.0, "man": 0.0}


@dataclass(frozen=True)
class DrugWords:
    """The vocabulary of one drug.

    Args:
        drug: what a history calls it: the generic name, with which the names of its models begin, or one model's.
        models: those that it stands for.
    """

    drug: str
    models: tuple[DrugModel, ...]

    @property
    def first(self) -> DrugModel:
        """The model whose doses and levels are the measure: the first one with something that is measured."""
        return next((m for m in self.models if any(o.residual for o in m.outputs)), self.models[0])

    @cached_property
    def covariates(self) -> tuple[Covariate, ...]:
        """Each covariate once: that of the first model that has it, then those of the ward."""
        found: dict[str, Covariate] = {}
        for covariate in (*(c for model in self.models for c in model.covariates), *self.of_the_ward):
            found.setdefault(covariate.name, covariate)
        return tuple(found.values())

    @cached_property
    def of_the_ward(self) -> tuple[Covariate, ...]:
        """What only rules ask for, the label's or a learnt policy's: no model of the drug's scenario, or of these."""
        found = built_in_scenario(self.first.drug)
        if found is None:
            return ()
        models = (*(found.value.drug(name) for name in found.value.models), *self.models)
        used = {c.name for model in models for c in model.covariates}
        return tuple(c for c in found.value.covariates if c.name not in used)

    def called(self, key: str) -> tuple[Covariate, ...]:
        """The covariates that a key means: by name, column, alias or synonym, in all units that models have."""
        fact = fact_called(key)
        columns = {c.column for c in self.covariates if c.is_called(key) or _is_synonym(key, c.column)}
        if fact is not None:
            columns.add(fact.column)
        return tuple(c for c in self.covariates if c.column in columns)

    def fact(self, key: str) -> Fact | None:
        """What formulas are computed from that a key means, also by the name that a model has for it: ``wt_kg``."""
        columns = {c.column for c in self.called(key)}
        return fact_called(key) or next((fact for fact in FACTS if fact.column in columns), None)

    def is_known_elsewhere(self, key: str) -> bool:
        """Whether another model of the drug has a covariate of this name."""
        stem = self.first.drug.casefold().partition(" ")[0]
        others = [name for name in names(DRUG) if name.partition("-")[0] == stem]
        return bool(others) and bool(_named(others[0].partition("-")[0], "drug").called(key))

    @property
    def keys(self) -> tuple[str, ...]:
        """What may be said of a patient, by the shortest names."""
        own = [next((f.name for f in FACTS if f.column == c.column), c.name) for c in self.covariates]
        return tuple(dict.fromkeys([*own, *(f.also[0] if f.also else f.name for f in FACTS)]))

    def range_of(self, covariate: Covariate) -> str:
        """Whose published range a covariate's is, in words."""
        model = next((m for m in self.models if covariate in m.covariates), None)
        return "the range of the drug's scenario" if model is None else f"the published range of {model.name}"

    def asked(self, key: str, covariate: Covariate) -> Asked:
        """A covariate as a quantity; ``key`` is how the writer calls it."""
        mass = CREATININE if covariate.column == "SCR" else None
        mass = MOLAR_MASSES["glucose"] if covariate.column == "GLUC0" else mass
        return Asked(
            key,
            covariate.unit,
            covariate.low,
            covariate.high,
            self.range_of(covariate),
            molar_mass=mass,
            substance=key,
            written_in=("mg/dL", "µmol/L") if covariate.column == "SCR" else (),
        )

    def dose(self) -> Asked:
        """A dose as a quantity."""
        amounts = self.first.dosing.amounts_mg
        low, high = (amounts[0], amounts[-1]) if amounts else (math.nan, math.nan)
        activity = next((p for p in self.first.thetas.values() if p.unit in _ACTIVITY_UNITS), None)
        return Asked(
            "dose", "mg", low, high, f"the doses of {self.first.name}", activity=activity, substance=self.first.drug
        )

    def unusual(self, amount: float, at: str) -> str:
        """The question whether a dose is a slip, if it is far above the highest of the model; else empty."""
        amounts = self.first.dosing.amounts_mg
        if not amounts or amount <= _UNUSUAL * amounts[-1]:
            return ""
        highest = f"the highest dose of {self.first.name}, {shown(amounts[-1])} mg"
        return f"{at}: {shown(amount)} mg is {amount / amounts[-1]:.3g} times {highest}: is it a slip?"

    def output(self, name: object, at: str) -> Output:
        """The output that was measured; None: the first.

        Raises:
            ConfigError: none of the drug, or one that is not measured.
        """
        measured = [o for o in self.first.outputs if o.residual is not None]
        if name is None and measured:
            return measured[0]
        found = next((o for o in measured if o.name == name), None)
        if found is None:
            known = [o.name for o in measured]
            refuse(at, f"{name!r} is not measured{allowed(str(name), known)}")
        return found

    def level(self, output: Output) -> Asked:
        """A level of an output as a quantity; without a unit it is believed up to ten times the drug's targets."""
        mass = MOLAR_MASSES.get(output.name)
        if output.name.startswith("concentration"):
            mass = self.first.molar_mass
        low, high = usual_level(output.name, output.unit)
        if not math.isfinite(high):
            limits = [limit for limit in self._limits(output) if limit is not None]
            low, high = (0.0, _MANY_TIMES * max(limits)) if limits else (math.nan, math.nan)
        what = f"ten times the targets of {self.first.name}" if math.isfinite(high) else ""
        activity = next((p for p in self.first.thetas.values() if p.unit in _ACTIVITY_UNITS), None)
        return Asked("level", output.unit, low, high, what, mass, activity, self.first.drug)

    def _limits(self, output: Output) -> list[float | None]:
        found: list[float | None] = []
        for target in self.first.targets:
            if target.output != output.name:
                continue
            if target.metric in {"trough", "peak", "nadir", "value", "average"} and same_unit(target.unit, output.unit):
                found += [target.low, target.high]
            if target.metric == "auc24":
                found += [None if limit is None else limit / 24.0 for limit in (target.low, target.high)]
        return found

    def route(self, name: object, at: str) -> str | None:
        """A route by its name or compartment; None stays None, the model's first.

        Raises:
            ConfigError: no such route.
        """
        if name is None:
            return None
        known = [r.name for r in self.first.dosing.routes]
        known += [c for c in self.first.structure.dosable if c not in known]
        if name not in known:
            refuse(at, f"{name!r} is no route of {self.first.name}{allowed(str(name), known)}")
        return str(name)

    def duration_needed(self, route: str | None) -> str:
        """Words of the infusion that the first route, or the named one, is; empty for a bolus or by mouth."""
        routes = self.first.dosing.routes
        own = next((r for r in routes if route in {r.name, r.compartment}), None) if route else routes[0]
        return own.name if own is not None and own.duration_h > 0 else ""


def _is_synonym(key: str, column: str) -> bool:
    letters = "".join(c for c in key.upper() if c.isascii() and c.isalnum())
    return letters in SYNONYMS.get(column, ())


def fact_called(key: str) -> Fact | None:
    """The fact that a key means."""
    plain = key.strip().casefold()
    for fact in FACTS:
        if plain in {fact.name, fact.column.casefold(), *fact.also} or _is_synonym(key, fact.column):
            return fact
    return None


def allowed(given: str, known: Iterable[str]) -> str:
    """``"; did you mean 'zone'? allowed: now, zone"``: the end of a message about an unknown word."""
    every = list(known)
    found = difflib.get_close_matches(given[:60], every, 1, 0.6)
    hint = f"did you mean {found[0]!r}? " if found else ""
    return f"; {hint}allowed: {', '.join(every) or 'none'}"


def words_of(drug: object, at: str = "drug") -> DrugWords:
    """The vocabulary of a drug.

    Args:
        drug: a generic name, the name of a built-in or installed model, or a `DrugModel`. A path or a module is
            refused, because a patient file is data: who calls may load a model and give it.
        at: the field, for messages.

    Raises:
        ConfigError: no such drug.
    """
    if isinstance(drug, DrugModel):
        return DrugWords(drug.name, (drug,))
    if not isinstance(drug, str):
        refuse(at, f"{drug!r} is no drug; write its name, such as 'vancomycin'")
    return _named(drug.strip(), at)


@cache
def _named(drug: str, at: str) -> DrugWords:
    known = names(DRUG)
    if drug in known:
        return DrugWords(drug, (find(DRUG, drug).value,))
    plain = drug.casefold()
    stem = plain.partition(" ")[0].partition("-")[0]
    found = tuple(find(DRUG, name).value for name in known if name.partition("-")[0] == stem)
    exact = tuple(model for model in found if model.drug.casefold() == plain)
    if not exact and plain == stem:
        exact = tuple(model for model in found if model.drug == found[0].drug)
    if not exact:
        generic = tuple(dict.fromkeys(name.partition("-")[0] for name in known))
        remedy = (
            "" if "/" not in drug and "\\" not in drug else " (a file of your own is named by whoever reads this one)"
        )
        near = next((name for name in known if difflib.SequenceMatcher(None, drug[:60], name).ratio() > 0.8), "")
        refuse(at, f"unknown drug {drug[:60]!r}{remedy}{allowed(near or drug, [*generic, *([near] if near else [])])}")
    return DrugWords(stem, exact)

"""Covariates that are computed: ``crcl = {formula = "cockcroft-gault", weight = "adjusted"}``.

Which formula is the writer's choice, never this program's. A value is computed at each time at which one of its inputs
is known anew; an input holds from its time on, and before its first time that first value.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rl_drug_dosage.bedside.drug_words import DrugWords, allowed
from rl_drug_dosage.bedside.formulas import FORMULAS, Formula, find_formula
from rl_drug_dosage.bedside.unit_words import plain_factor
from rl_drug_dosage.bedside.written import refuse, shown
from rl_drug_dosage.errors import ConfigError, RlDrugDosageError
from rl_drug_dosage.pkpd import Covariate

__all__ = ["Choice", "Computed", "compute", "formulas_for", "is_choice", "needed_by", "read_choice"]

_WEIGHTS = {"actual": None, "ideal": "devine", "adjusted": "adjusted"}
"""Which weight Cockcroft-Gault takes -> the formula of that weight."""
_COLUMNS = {"CRCL": "crcl", "BSA": "bsa", "FFM": "ffm", "LBM": "lbm", "IBW": "ibw"}
_STANDARD_M2 = 1.73
type Series = Sequence[tuple[float, float]]
"""(time in h, value), sorted."""


@dataclass(frozen=True)
class Choice:
    """A formula that the writer chose.

    Args:
        at: the field, for messages.
        targets: the covariates that it gives.
        formula: how.
        weight: ``actual``, ``ideal`` or ``adjusted``, for Cockcroft-Gault; empty elsewhere.
        bsa: formula of the body surface by which a clearance per 1.73 m2 is turned into one of the patient, or the
            other way round; None: not named.
    """

    at: str
    targets: tuple[Covariate, ...]
    formula: Formula
    weight: str = ""
    bsa: Formula | None = None


@dataclass(frozen=True)
class Computed:
    """Values of one covariate, and a sentence on each."""

    name: str
    values: tuple[tuple[float, float], ...]
    notes: tuple[str, ...]


def is_choice(written: object) -> bool:
    """Whether an entry names a formula."""
    return isinstance(written, Mapping) and "formula" in written


def formulas_for(covariate: Covariate) -> tuple[str, ...]:
    """Names of the formulas that give a covariate."""
    gives = _COLUMNS.get(covariate.column)
    return tuple(f.name for f in FORMULAS if gives is not None and f.gives == gives)


def read_choice(words: DrugWords, key: str, table: Mapping[str, object], at: str) -> Choice:
    """A formula by name.

    Raises:
        ConfigError: an unknown formula or key, a covariate that has no formula, a weight that is none.
    """
    targets = words.called(key)
    gives = next((_COLUMNS[c.column] for c in targets if c.column in _COLUMNS), None)
    if gives is None:
        with_formula = [c.name for c in words.covariates if c.column in _COLUMNS]
        refuse(at, f"no formula gives {key}{allowed(key, with_formula)}")
    for name in table:
        if name not in {"formula", "weight", "bsa"}:
            refuse(f"{at}.{name}", f"unknown key{allowed(str(name), ['formula', 'weight', 'bsa'])}")
    formula = _named(gives, table["formula"], f"{at}.formula")
    weight = ""
    if formula.name == "cockcroft-gault":
        if "weight" not in table:
            refuse(f"{at}.weight", f"missing: which weight does {formula.name} take? allowed: {', '.join(_WEIGHTS)}")
        weight = str(table["weight"])
        if weight not in _WEIGHTS:
            refuse(f"{at}.weight", f"{table['weight']!r} is none{allowed(weight, _WEIGHTS)}")
    elif "weight" in table:
        refuse(f"{at}.weight", f"{formula.name} takes no weight of choice; leave it out")
    bsa = _named("bsa", table["bsa"], f"{at}.bsa") if "bsa" in table else None
    return Choice(at, targets, formula, weight, bsa)


def _named(gives: str, name: object, at: str) -> Formula:
    try:
        return find_formula(gives, name)
    except RlDrugDosageError as error:
        raise ConfigError(f"{at}: {error}") from error


def compute(choice: Choice, facts: Mapping[str, Series], what_time: Mapping[float, str]) -> tuple[Computed, ...]:
    """The covariates that a formula gives.

    Args:
        choice: the formula.
        facts: name -> values: age in y, weight in kg, height in cm, creatinine in mg/dL, female.
        what_time: words for times in notes.

    Raises:
        ConfigError: an input that was not given; a patient for whom the formula was not made; a value that no patient
            has; a unit that needs a body surface.
    """
    size, needed = _size(choice), needed_by(choice)
    missing = sorted(needed - set(facts))
    if missing:
        words = ["sex" if name == "female" else name for name in missing]
        refuse(choice.at, f"{choice.formula.name} needs {' and '.join(words)}; add covariates.{words[0]}")
    results: list[Computed] = []
    for target in choice.targets:
        if _scale(choice, target, None) is None:
            continue
        values, notes = [], []
        for time in sorted({time for name in needed for time, _ in facts[name]}):
            given = {name: _held(facts[name], time) for name in needed}
            value, note = _one(choice, size, target, given)
            values.append((time, value))
            notes.append(f"{target.name} = {note}{what_time.get(time, '')}")
        results.append(Computed(target.name, tuple(values), tuple(dict.fromkeys(notes))))
    if not results:
        target = choice.targets[0]
        refuse(
            choice.at,
            f"{choice.formula.name} gives {choice.formula.unit}, and {target.name} is in {target.unit}: name the body "
            'surface to convert by, bsa = "mosteller" or "du-bois", or choose another formula',
        )
    return tuple(results)


def needed_by(choice: Choice) -> frozenset[str]:
    """Names of the facts that a formula is computed from, or by which it is allowed."""
    formulas = [each for each in (choice.formula, _size(choice), choice.bsa) if each is not None]
    return frozenset(name for each in formulas for name in (*each.inputs, *each.valid))


def _size(choice: Choice) -> Formula | None:
    """The formula of the weight that is taken, unless it is the actual one."""
    name = _WEIGHTS.get(choice.weight)
    return None if name is None else find_formula("ibw" if choice.weight == "ideal" else "abw", name)


def _held(series: Series, time_h: float) -> float:
    before = [value for at, value in series if at <= time_h]
    return before[-1] if before else series[0][1]


def _scale(choice: Choice, target: Covariate, surface_m2: float | None) -> float | None:
    """What turns the formula's unit into the target's; None where only a body surface does, and none is named."""
    factor = plain_factor(choice.formula.unit, target.unit)
    if factor is not None:
        return float(factor)
    if choice.bsa is None:
        return None
    surface = math.nan if surface_m2 is None else surface_m2 / _STANDARD_M2
    per_area = "/1.73m2" in choice.formula.unit
    plain = plain_factor(choice.formula.unit.removesuffix("/1.73m2"), target.unit.removesuffix("/1.73m2"))
    return None if plain is None else float(plain) * (surface if per_area else 1.0 / surface)


def _one(choice: Choice, size: Formula | None, target: Covariate, given: dict[str, float]) -> tuple[float, str]:
    """One value, and how it came about."""
    told = [
        f"{'male' if v < 0.5 else 'female'}" if k == "female" else f"{k} {shown(v)} {_UNITS[k]}"
        for k, v in given.items()
    ]
    try:
        taken = dict(given)
        with_weight = ""
        if size is not None:
            taken["weight"] = size(given)
            with_weight = f" with {size.means} {taken['weight']:.4g} kg ({size.source})"
        elif choice.weight:
            with_weight = " with actual body weight"
        surface = choice.bsa(given) if choice.bsa is not None else None
        result = choice.formula(taken)
    except ConfigError as error:
        raise ConfigError(f"{choice.at}: {error}") from error
    scale = _scale(choice, target, surface)
    value = result * (1.0 if scale is None else scale)
    try:
        target.check(value)
    except ConfigError as error:
        raise ConfigError(f"{choice.at}: {choice.formula.name} gives {value:.4g} {target.unit}: {error}") from error
    by_surface = ""
    if surface is not None and choice.bsa is not None and plain_factor(choice.formula.unit, target.unit) is None:
        by_surface = f", converted by a body surface of {surface:.4g} m2 ({choice.bsa.name})"
    unit = "" if target.unit == "1" else f" {target.unit}"
    note = f"{value:.4g}{unit} by {choice.formula.name} ({choice.formula.source}){with_weight}{by_surface}"
    return value, f"{note}, from {', '.join(sorted(told))}"


_UNITS = {"age": "y", "weight": "kg", "height": "cm", "creatinine": "mg/dL"}

"""One covariate as somebody writes it, in the unit of every model that has it."""

from dataclasses import dataclass
from typing import Any

from rl_drug_dosage.bedside.drug_words import SEXES, DrugWords, allowed
from rl_drug_dosage.bedside.quantities import read_quantity
from rl_drug_dosage.bedside.unit_words import same_words
from rl_drug_dosage.bedside.written import Written, read_written, refuse, refused, shown
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import Covariate

__all__ = ["Told", "read_covariate"]


@dataclass(frozen=True)
class Told:
    """What one entry says.

    Args:
        values: covariate name -> value, for each unit in which models have it.
        fact: (name, value) for formulas, if it is one of those.
        notes: what was converted.
    """

    values: dict[str, float]
    fact: tuple[str, float] | None = None
    notes: tuple[str, ...] = ()


def read_covariate(words: DrugWords, key: str, written: object, at: str) -> Told:
    """A covariate.

    Args:
        words: of the drug.
        key: how it is called: its name, column, or another word for the quantity.
        written: a number with a unit, a word, or true and false.
        at: the field, for messages.

    Raises:
        ConfigError: an unknown name; a value that cannot be read, or that no patient has.
    """
    targets, fact = words.called(key), words.fact(key)
    if not targets and fact is None:
        if words.is_known_elsewhere(key):
            return Told({}, notes=(f"{key} is not used by {words.drug}",))
        refuse(at, f"unknown covariate of {words.drug}{allowed(key, words.keys)}")
    if fact is not None and fact.name == "female":
        value = _sex(key, written, at)
        return Told({c.name: value for c in targets}, ("female", value))
    if any(c.codes or c.words for c in targets):
        return Told({c.name: _category(c, written, at) for c in targets})
    found = read_written(written, at)
    if found.below:
        refuse(at, f"'{found}': a covariate below a limit cannot be used; give a value")
    return _quantity(words, key, found, at)


def _sex(key: str, written: object, at: str) -> float:
    word = str(written).strip().casefold()
    if word in SEXES:
        return SEXES[word]
    if key.strip().casefold() == "female" and word in {"true", "1", "1.0", "yes", "false", "0", "0.0", "no"}:
        return float(word in {"true", "1", "1.0", "yes"})
    raise refused(at, f"{written!r} is no sex; allowed: female, male")


def _category(covariate: Covariate, written: object, at: str) -> float:
    """A code, one of the covariate's words, or true and false for yes and no.

    Raises:
        ConfigError: anything else.
    """
    plain: Any = written
    if covariate.unit == "0/1":
        yes = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
        plain = yes.get(str(written).strip().casefold(), written) if isinstance(written, bool | str) else written
    try:
        return covariate.number(plain)
    except ConfigError as error:
        choices = [*covariate.words, *(f"{code:g}" for code in covariate.codes)]
        choices += ["true", "false"] if covariate.unit == "0/1" and not covariate.words else []
        raise refused(at, f"{written!r} is none of {', '.join(choices)} ({covariate.meaning})") from error


def _quantity(words: DrugWords, key: str, found: Written, at: str) -> Told:
    targets, fact = words.called(key), words.fact(key)
    notes: list[str] = []
    if not found.unit:
        found, read_as = _with_unit(words, key, found, at)
        notes += [read_as] if read_as else []
    values: dict[str, float] = {}
    first_error: ConfigError | None = None
    for covariate in targets:
        asked = words.asked(key, covariate)
        try:
            read = read_quantity(found, asked, at)
        except ConfigError as error:
            first_error = first_error or error
            continue
        _check(covariate, read.value, found, at)
        values[covariate.name] = read.value
        notes += [read.note] if read.note else []
    known: tuple[str, float] | None = None
    if fact is not None:
        read = read_quantity(found, fact.asked, at)
        low, high = fact.asked.low, fact.asked.high
        if not low <= read.value <= high:
            refuse(at, f"{found} is {fact.name} that no patient has; possible is {low:g} to {high:g} {fact.asked.unit}")
        known = fact.name, read.value
        notes += [read.note] if read.note and not values else []
    if not values and known is None and first_error is not None:
        raise first_error
    return Told(values, known, tuple(dict.fromkeys(notes)))


def _with_unit(words: DrugWords, key: str, found: Written, at: str) -> tuple[Written, str]:
    """A bare number with the unit in which it lies in the published range, and a sentence on it unless the key says it.

    Raises:
        ConfigError: in none, or in more than one; a creatinine, which laboratories give in two units.
    """
    targets, fact = words.called(key), words.fact(key)
    named = tuple(c for c in targets if c.name == key)
    if fact is not None and fact.name == "creatinine" and not named:
        value = shown(float(found.parts[0][0]))
        refuse(at, f"creatinine {value} has no unit; did you mean {value} µmol/L or {value} mg/dL? write the unit")
    asked = [words.asked(key, c) for c in named or targets] or ([fact.asked] if fact is not None else [])
    units: list[str] = []
    notes: list[str] = []
    error: ConfigError | None = None
    for each in asked:
        try:
            notes.append(read_quantity(found, each, at).note)
        except ConfigError as failed:
            error = error or failed
        else:
            units.append(each.unit)
    if not units and error is not None:
        raise error
    if len(set(units)) > 1:
        refuse(at, f"{found} has no unit, and may be {' or '.join(dict.fromkeys(units))}; write it")
    return Written(((found.parts[0][0], units[0]),)), "" if named else notes[0]


def _check(covariate: Covariate, value: float, found: Written, at: str) -> None:
    """Refuse a value that no patient has, with what was written.

    Raises:
        ConfigError: see `Covariate.check`.
    """
    try:
        covariate.check(value)
    except ConfigError as error:
        what = str(error).partition(": ")[2] or str(error)
        converted = "" if same_words(found.unit, covariate.unit) else f" is {shown(value)} {covariate.unit}"
        raise refused(at, f"{found}{converted}: {what}") from error

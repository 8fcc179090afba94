"""Patient files in TOML or JSON: the tables of one patient, or of several, become histories.

A file is data: nothing in it is executed or imported, and no path in it is followed. `docs/patient-files.md` describes
the format.
"""

import json
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from rl_drug_dosage.bedside.derived import is_choice
from rl_drug_dosage.bedside.drug_words import DrugWords, allowed, words_of
from rl_drug_dosage.bedside.entries import Entries
from rl_drug_dosage.bedside.history import PatientHistory
from rl_drug_dosage.bedside.written import refuse
from rl_drug_dosage.errors import ConfigError

__all__ = ["FORMAT", "histories_of", "parse_json", "parse_toml", "the_drug"]

FORMAT = 1
"""The version of the format."""
_PATIENT = ("drug", "name", "zone", "now", "covariates", "doses", "levels", "comment")
_DOSE = ("time", "amount", "over", "rate", "route", "every", "times", "missed")
_LEVEL = ("time", "value", "output")
_REPEAT = ("every", "times")
_MOST_PATIENTS = 10_000


def parse_toml(text: str, file: str) -> dict[str, Any]:
    """The tables of a TOML text.

    Raises:
        ConfigError: no TOML.
    """
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{file}: no TOML: {_one_line(error)}; correct that line") from error


def parse_json(text: str, file: str) -> Any:
    """The value of a JSON text.

    Raises:
        ConfigError: no JSON; NaN or infinity; a key that stands twice in one object.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ConfigError(f"{file}: the key {twice!r} stands twice in one object; leave one out")
        return found

    def no_number(word: str) -> NoReturn:
        raise ConfigError(f"{file}: {word} is no number; leave the entry out where nothing was measured")

    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: no JSON: {_one_line(error)}; correct it") from error


def _one_line(error: BaseException) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())


def histories_of(
    tables: object, *, drug: object = None, choices: Mapping[str, object] | None = None
) -> tuple[PatientHistory, ...]:
    """The patients of a file.

    Args:
        tables: its parsed content.
        drug: what the reader of the file asks for; None: what the file says.
        choices: formulas by covariate that the reader adds to those of the file.

    Raises:
        ConfigError: in one line, with the field.
    """
    content = _table(tables, "the file")
    if "format" not in content:
        refuse("format", f"missing; add format = {FORMAT}")
    if content["format"] != FORMAT or isinstance(content["format"], bool):
        refuse("format", f"{content['format']!r} is not read here; allowed: {FORMAT}")
    rest = {key: value for key, value in content.items() if key != "format"}
    if "patients" not in rest:
        return (_patient(rest, "", drug, choices or {}),)
    for key in rest:
        if key not in {"patients", "comment"}:
            refuse(key, "stands beside patients; allowed: format, comment, patients; write it for each of them")
    rows = _rows(rest["patients"], "patients")
    if not 0 < len(rows) <= _MOST_PATIENTS:
        refuse("patients", f"{len(rows)} of them; allowed: 1 to {_MOST_PATIENTS}")
    return tuple(_patient(row, f"patients[{i}].", drug, choices or {}) for i, row in enumerate(rows, 1))


def the_drug(written: object, asked: object, at: str = "drug") -> DrugWords:
    """The vocabulary of the drug of a file; a model that the reader asks for must be one of that drug.

    Raises:
        ConfigError: no drug is named, or two different ones.
    """
    if asked is None:
        if written is None:
            refuse(at, "missing; write the drug's name, such as 'vancomycin', or that of a model")
        return words_of(written, at)
    wanted = words_of(asked, "drug")
    if written is not None and words_of(written, at).first.drug != wanted.first.drug:
        refuse(at, f"{written!r}, and {wanted.first.drug} is asked for; correct one of them")
    return wanted


def _patient(table: Mapping[str, Any], where: str, drug: object, choices: Mapping[str, object]) -> PatientHistory:
    """One patient, with the place of each field in the messages.

    Raises:
        ConfigError: see `histories_of`.
    """
    _check_keys(table, _PATIENT, where)
    try:
        return _read(table, drug, choices)
    except ConfigError as error:
        raise ConfigError(f"{where}{error}") if where else error from error


def _read(table: Mapping[str, Any], drug: object, choices: Mapping[str, object]) -> PatientHistory:
    words = the_drug(table.get("drug"), drug)
    name = table.get("name", "")
    if not isinstance(name, str) or len(name) > 200:
        refuse("name", "is no short text; write at most 200 characters")
    entries = Entries(words, zone=table.get("zone"), name=name)
    for i, row in enumerate(_rows(table.get("doses", []), "doses"), 1):
        _add_dose(entries, row, f"doses[{i}]")
    for i, row in enumerate(_rows(table.get("levels", []), "levels"), 1):
        at = f"levels[{i}]"
        _check_keys(row, _LEVEL, f"{at}.")
        _need(row, ("time", "value"), at)
        entries.level(row["time"], row["value"], output=row.get("output"), at=at)
    covariates = dict(_table(table.get("covariates", {}), "covariates"))
    for key, choice in choices.items():
        covariates.setdefault(key, choice)
    for key, value in covariates.items():
        _add_covariate(entries, key, value, f"covariates.{key}")
    return entries.history(table.get("now"))


def _add_dose(entries: Entries, row: Mapping[str, Any], at: str) -> None:
    _check_keys(row, _DOSE, f"{at}.")
    _need(row, ("time", "amount"), at)
    how = {key: row[key] for key in ("over", "rate", "route") if key in row}
    missed = row.get("missed", False)
    if any(key in row for key in _REPEAT):
        _need(row, _REPEAT, at)
        numbers = missed if isinstance(missed, list) else []
        if missed is True:
            numbers = list(range(1, int(row["times"]) + 1)) if isinstance(row["times"], int) else []
        elif missed is not False and not isinstance(missed, list):
            refuse(f"{at}.missed", f"{missed!r}; allowed: a list of numbers such as [2, 3], or true")
        entries.doses(row["time"], row["amount"], every=row["every"], times=row["times"], missed=numbers, at=at, **how)
        return
    if not isinstance(missed, bool):
        refuse(f"{at}.missed", f"{missed!r}; allowed: true or false")
    entries.dose(row["time"], row["amount"], given=not missed, at=at, **how)


def _add_covariate(entries: Entries, key: str, value: object, at: str) -> None:
    """One value, a formula, or a list of values with times."""
    if isinstance(value, list):
        for i, row in enumerate(_rows(value, at), 1):
            own = f"{at}[{i}]"
            _need(row, ("time", "value"), own)
            _add_covariate(entries, key, row, own)
        return
    if isinstance(value, Mapping) and not is_choice(value):
        _check_keys(value, ("time", "value", "unit"), f"{at}.")
        _need(value, ("value",), at)
        written = value["value"] if "unit" not in value else {"value": value["value"], "unit": value["unit"]}
        entries.covariate(key, written, time=value.get("time"), at=at)
        return
    entries.covariate(key, value, at=at)


def _check_keys(table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    for key in table:
        if key not in known:
            refuse(f"{where}{key}", f"unknown key{allowed(str(key), known)}")


def _need(table: Mapping[str, Any], keys: Iterable[str], at: str) -> None:
    for key in keys:
        if key not in table:
            refuse(f"{at}.{key}", "missing; add it")


def _table(value: object, at: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        refuse(at, f"is no table; write keys and values, not {_short(value)}")
    return value


def _rows(value: object, at: str) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        refuse(at, f"is no list of tables, but {_short(value)}")
    return [_table(row, f"{at}[{i}]") for i, row in enumerate(value, 1)]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."

"""A history written as a patient file: what is saved can be opened again."""

import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rl_drug_dosage.bedside.clock import clock_time
from rl_drug_dosage.bedside.drug_words import DrugWords, words_of
from rl_drug_dosage.bedside.history import Level, PatientHistory
from rl_drug_dosage.bedside.patient_file import FORMAT
from rl_drug_dosage.bedside.unit_words import kind_of
from rl_drug_dosage.errors import ConfigError, OutputError
from rl_drug_dosage.pkpd import Covariate

__all__ = ["as_table", "write_history"]


def write_history(history: PatientHistory, path: str | Path) -> Path:
    """Write a history as a JSON patient file.

    Raises:
        OutputError: a path that is no ``.json``, or cannot be written.
        ConfigError: a history of a drug that a file cannot name.
    """
    file = Path(path)
    if file.suffix.lower() != ".json":
        raise OutputError(f"{file.name}; allowed: a .json file; name one")
    text = json.dumps(as_table(history), indent=1, ensure_ascii=False) + "\n"
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {str(file)!r}: {error.strerror}; name another file") from error
    return file


def as_table(history: PatientHistory) -> dict[str, Any]:
    """The content of a patient file: every value in the unit of the drug model, which stands beside it.

    Times are clock times where the history has an origin, else hours. Notes are not kept: reading makes new ones.

    Args:
        history: of a drug that is built in or installed.

    Raises:
        ConfigError: of another drug, or with a covariate that the drug does not have.
    """
    words = words_of(history.drug)
    table: dict[str, Any] = {"format": FORMAT, "drug": history.drug}
    if history.name:
        table["name"] = history.name
    if history.origin is not None and isinstance(history.origin.tzinfo, ZoneInfo):
        table["zone"] = history.origin.tzinfo.key
    table["now"] = _time(history, history.now_h)
    table["covariates"] = _covariates(words, history)
    table["doses"] = [
        {
            "time": _time(history, dose.time_h),
            "amount": {"value": dose.amount, "unit": "mg"},
            "over": {"value": dose.duration_h, "unit": "h"},
            **({} if dose.route is None else {"route": dose.route}),
            **({} if dose.given else {"missed": True}),
        }
        for dose in history.doses
    ]
    table["levels"] = [_level(words, history, level) for level in history.levels]
    return table


def _time(history: PatientHistory, time_h: float) -> str | float:
    if history.origin is None:
        return time_h
    return clock_time(history.origin, time_h).isoformat(" ")


def _level(words: DrugWords, history: PatientHistory, level: Level) -> dict[str, Any]:
    unit = words.output(level.output, "output").unit
    value = f"<{level.value!r}" if level.below_limit else level.value
    row: dict[str, Any] = {"time": _time(history, level.time_h), "value": {"value": value, "unit": unit}}
    return row if level.output is None else row | {"output": level.output}


def _covariates(words: DrugWords, history: PatientHistory) -> dict[str, Any]:
    """One covariate of each quantity: those of other units follow from it when it is read."""
    known = {c.name: c for c in words.covariates}
    written: dict[tuple[str, str], str] = {}
    rows: dict[str, list[dict[str, Any]]] = {}
    for each in history.covariates:
        own = known.get(each.name)
        if own is None:
            raise ConfigError(f"covariate {each.name!r} of the history is none of {words.drug}: {', '.join(known)}")
        if written.setdefault((own.column, kind_of(own.unit)), own.name) != own.name:
            continue
        rows.setdefault(own.name, []).append({"time": _time(history, each.time_h), **_value(own, each.value)})
    return dict(rows)


def _value(covariate: Covariate, value: float) -> dict[str, Any]:
    """A number with its unit; a category has none."""
    has_unit = not covariate.codes and not covariate.words and covariate.unit != "1"
    return {"value": value, "unit": covariate.unit} if has_unit else {"value": value}

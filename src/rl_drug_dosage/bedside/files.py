"""A patient file: the values of a `PatientHistory` as JSON or TOML, in hours and the drug model's units.

    drug = "vancomycin"
    now_h = 49.5

    [covariates]
    crcl_ml_per_min = 55
    wt_kg = 82
    dialysis = 0

    [[doses]]
    time_h = 0
    amount = 1500
    duration_h = 1.5

    [[levels]]
    time_h = 10.9
    value = 14.2

A covariate that changes is a list of ``{time_h, value}``. Reading executes nothing.
"""

import dataclasses
import json
import tomllib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from rl_drug_dosage.bedside.history import CovariateAt, Dose, Level, PatientHistory
from rl_drug_dosage.errors import ConfigError, UnknownNameError

__all__ = ["history_of", "read_history"]

_MOST_BYTES = 5_000_000


def read_history(path: str | Path) -> PatientHistory:
    """Read a patient file.

    Raises:
        ConfigError: no such file, not JSON or TOML, a value of the wrong kind.
        UnknownNameError: a name that a patient file does not have.
    """
    path = Path(path)
    if path.suffix.lower() not in {".json", ".toml"}:
        raise ConfigError(f"patient file {path}; allowed: .json or .toml; write one of them")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ConfigError(f"patient file {path} is larger than {_MOST_BYTES:,} bytes; give one patient")
        text = path.read_text(encoding="utf-8")
        table = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"patient file {path} cannot be read: {error.strerror or error}; correct the path") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"patient file {path} is no {path.suffix[1:].upper()}: {error}; correct it") from None
    return history_of(table, str(path))


def history_of(table: object, where: str = "patient") -> PatientHistory:
    """A history from the values of a file.

    Args:
        table: names and values.
        where: how messages begin.
    """
    known = {f.name for f in dataclasses.fields(PatientHistory)}
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where}: not a table; allowed: names and values, {', '.join(sorted(known))}")
    for name in table:
        if name not in known:
            raise UnknownNameError(f"entry of {where}", str(name), known)
    if "drug" not in table:
        raise ConfigError(f"{where}: drug is missing; give its name, for example vancomycin")
    values: dict[str, Any] = dict(table)
    doses = [_entry(Dose, each, f"{where}, doses[{i}]") for i, each in enumerate(_listed(values, "doses", where))]
    levels = [_entry(Level, each, f"{where}, levels[{i}]") for i, each in enumerate(_listed(values, "levels", where))]
    covariates = _covariates(values.get("covariates", ()), where)
    now = values.get("now_h")
    if now is None:
        now = max([*(dose.time_h for dose in doses), *(level.time_h for level in levels)], default=0.0)
    origin = values.get("origin")
    if isinstance(origin, str):
        try:
            origin = datetime.fromisoformat(origin)
        except ValueError:
            raise ConfigError(f"{where}: origin is {origin!r}; allowed: 2026-11-03T08:00+01:00; correct it") from None
    notes = tuple(_listed(values, "notes", where))
    return PatientHistory(
        drug=values["drug"],
        doses=tuple(doses),
        levels=tuple(levels),
        covariates=tuple(covariates),
        now_h=now,
        origin=origin,
        name=values.get("name", ""),
        notes=notes,
    )


def _listed(values: Mapping[str, Any], name: str, where: str) -> list[Any]:
    found = values.get(name, [])
    if not isinstance(found, list | tuple):
        raise ConfigError(f"{where}: {name} is {found!r}; allowed: a list; write one entry for each")
    return list(found)


def _entry[T](kind: type[T], each: object, where: str) -> T:
    if not isinstance(each, Mapping):
        raise ConfigError(f"{where} is {each!r}; allowed: names and values, such as time_h; correct it")
    needed = [f.name for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING]  # type: ignore[arg-type]
    for name in needed:
        if name not in each:
            raise ConfigError(f"{where}: {name} is missing; give it")
    try:
        return kind(**each)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _covariates(table: object, where: str) -> list[CovariateAt]:
    """A list of entries with names, or a mapping from names to numbers or to lists of times and values."""
    if isinstance(table, list | tuple):
        return [_entry(CovariateAt, each, f"{where}, covariates[{i}]") for i, each in enumerate(table)]
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where}: covariates are {table!r}; allowed: names and numbers; correct it")
    found: list[CovariateAt] = []
    for name, value in table.items():
        rows = value if isinstance(value, list | tuple) else [{"time_h": 0.0, "value": value}]
        for i, each in enumerate(rows):
            own = {**each, "name": name} if isinstance(each, Mapping) else each
            found.append(_entry(CovariateAt, own, f"{where}, covariates.{name}[{i}]"))
    return found

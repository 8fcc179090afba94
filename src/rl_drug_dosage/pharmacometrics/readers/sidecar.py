"""NAME.toml beside a model file: what the file does not say, and the model needs.

`docs/model-readers.md` describes every key. A sidecar never contradicts in silence: it is read first, and what it says
counts; the page of the model names the file that each number came from.
"""

import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rl_drug_dosage.clinic.scenario_file import DISTRIBUTIONS
from rl_drug_dosage.clinic.toml_values import TableReader, keys_of
from rl_drug_dosage.errors import ConfigError, UnknownNameError
from rl_drug_dosage.pharmacometrics.readers.written import ReadError
from rl_drug_dosage.pkpd import DosingOptions, Target
from rl_drug_dosage.pkpd.distributions import Distribution

__all__ = [
    "CovariateWords",
    "MissingWordsError",
    "OutputWords",
    "Sidecar",
    "Units",
    "Wanted",
    "read_sidecar",
    "unknown_names",
]

_LARGEST_BYTES = 1_000_000
_UNKNOWN = "?"
"""What stands in the lines that a message shows; such a value counts as not given."""


@dataclass(frozen=True)
class Units:
    """Units of a model file.

    Args:
        time: of rates and times: h, min, day, week.
        dose: of amounts: mg, g, ug, ng, nmol, umol, or any other one with ``mg_per_dose_unit``.
        concentration: of the outputs that have no unit of their own.
        molar_mass_g_per_mol: of the drug, for amounts in mol.
        mg_per_dose_unit: what one of the file's dose units weighs, for units that are no mass.
    """

    time: str = ""
    dose: str = ""
    concentration: str = ""
    molar_mass_g_per_mol: float | None = None
    mg_per_dose_unit: float | None = None

    def __post_init__(self) -> None:
        for name in ("molar_mass_g_per_mol", "mg_per_dose_unit"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"{name} is {value:g}; allowed: a number above 0; correct it")


@dataclass(frozen=True)
class CovariateWords:
    """What a sidecar says of a covariate; the fields of `rl_drug_dosage.pkpd.Covariate`, each of which may be left out.

    A ``name`` is what scenarios and options call it, if that is not what the model file does.
    """

    name: str = ""
    unit: str = ""
    low: float | None = None
    high: float | None = None
    typical: float | None = None
    source: str = ""
    meaning: str = ""
    distribution: Distribution | None = None
    column: str = ""
    words: Mapping[str, float] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    possible: tuple[float, ...] = ()


@dataclass(frozen=True)
class OutputWords:
    """What a sidecar says of an output.

    Args:
        name: what scenarios and options call it, if that is not what the model file does.
        unit: of its values.
        meaning: in words.
        residual: ``"typical"`` takes a residual error that depends on covariates or random effects at its typical
            value; ``"none"`` leaves it out.
    """

    name: str = ""
    unit: str = ""
    meaning: str = ""
    residual: str = ""


@dataclass(frozen=True)
class Sidecar:
    """What a sidecar says; an empty one says nothing.

    Args:
        path: of the file; None if there is none.
        units: see `Units`.
        compartment: that doses enter which name none.
        covariates, outputs: by the names that the model file gives them.
        dosing, targets: as in a drug file; compartments by the model file's names.
        limits_of_use: sentences.
        drug, title, citation, doi, population, second_source: texts; empty where it says nothing.
    """

    path: Path | None = None
    units: Units = Units()
    compartment: str = ""
    covariates: Mapping[str, CovariateWords] = field(default_factory=dict)
    outputs: Mapping[str, OutputWords] = field(default_factory=dict)
    dosing: DosingOptions | None = None
    targets: tuple[Target, ...] = ()
    limits_of_use: tuple[str, ...] = ()
    drug: str = ""
    title: str = ""
    citation: str = ""
    doi: str = ""
    population: str = ""
    second_source: str = ""


@dataclass(frozen=True)
class Wanted:
    """A line that a sidecar needs: the table, the key, and what belongs there."""

    table: str
    key: str
    what: str
    is_text: bool = True


class MissingWordsError(ReadError):
    """What neither a model file nor its sidecar says, all at once, as the lines to add.

    Args:
        path: of the model file.
        wanted: the lines.
    """

    def __init__(self, path: str, wanted: Sequence[Wanted]) -> None:
        beside = Path(path).with_suffix(".toml").name
        count = len(wanted)
        super().__init__(
            f"{path} does not say {count} {'thing' if count == 1 else 'things'} that the model needs: put these lines "
            f"into {beside} beside it, with your values in place of {_UNKNOWN}"
        )
        self.path, self.wanted = path, tuple(wanted)
        self.below = tuple(_lines(wanted))

    def __reduce__(self) -> tuple[Any, ...]:
        return MissingWordsError, (self.path, self.wanted)

    def __str__(self) -> str:
        return "\n".join((str(self.args[0]), *self.below))


def _lines(wanted: Sequence[Wanted]) -> list[str]:
    """TOML, a table once, comments in one column."""
    tables: dict[str, list[Wanted]] = {}
    for one in wanted:
        tables.setdefault(one.table, []).append(one)
    lines: list[str] = []
    for table, rows in sorted(tables.items(), key=lambda item: item[0] != ""):
        lines += ["", f"[{table}]"] if table else [""]
        code = [f'{row.key} = "{_UNKNOWN}"' for row in rows]
        width = max(map(len, code))
        lines += [f"{text:<{width}}  # {row.what}" for text, row in zip(code, rows, strict=True)]
    return lines


_TOP: dict[str, Any] = {name: hint for name, hint in keys_of(Sidecar).items() if name != "path"}


def read_sidecar(path: Path) -> Sidecar:
    """The sidecar of a model file: NAME.toml beside it, if there is one.

    Raises:
        ConfigError: invalid TOML, a value of the wrong type, or one that is not allowed.
        UnknownNameError: a key that does not exist, with the nearest one.
    """
    beside = path.with_suffix(".toml")
    if not os.path.lexists(beside):
        return Sidecar()
    if not beside.is_file() or beside.stat().st_size > _LARGEST_BYTES:
        raise ConfigError(f"{beside} is no sidecar: allowed is a text file of up to {_LARGEST_BYTES / 1e6:g} MB")
    try:
        table = tomllib.loads(beside.read_text(encoding="utf-8"))
    except RecursionError:
        raise ConfigError(f"{beside} is nested too deeply: a sidecar has tables of values, no more") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigError(f"cannot read {beside}: {reason}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{beside} is no TOML: {error}") from error
    reader = TableReader(beside.name, _no_function, DISTRIBUTIONS, {(Target, "later"): ("from_h", "low", "high")})
    known = _known(table)
    if isinstance(known.get("dosing"), dict):
        known["dosing"] = _with_grid(reader, known["dosing"])
    reader.check_keys(known, _TOP, "the top level")
    return reader.make(Sidecar, known, "the top level", path=beside)


def _known(table: Mapping[str, Any]) -> dict[str, Any]:
    """Without the values that still have to be given."""
    return {
        key: _known(value) if isinstance(value, dict) else value for key, value in table.items() if value != _UNKNOWN
    }


def _no_function(text: str) -> Callable[..., Any]:
    raise ConfigError(f"{text!r}: a sidecar names no functions; write a drug file in Python for them (import --out)")


def _with_grid(reader: TableReader, table: dict[str, Any]) -> dict[str, Any]:
    """``amounts_mg = {from, to, step}`` as a list."""
    grid = table.get("amounts_mg")
    if not isinstance(grid, dict):
        return table
    where = "[dosing] amounts_mg"
    reader.check_keys(grid, dict.fromkeys(("from", "to", "step")), where)
    numbers = []
    for key in ("from", "to", "step"):
        if key not in grid:
            reader.refuse(f"{where} needs {key}")
        numbers.append(reader.value(float, grid[key], where, key))
    low, high, step = numbers
    count = round((high - low) / step) if step > 0 and high > low else 0
    if not 1 <= count <= 10_000 or abs(low + count * step - high) > 1e-6 * step:
        reader.refuse(f"{where}: the highest must be a whole number of steps above the lowest, at most 10,000")
    return {**table, "amounts_mg": [low + i * step for i in range(count + 1)]}


def unknown_names(sidecar: Sidecar, model_file: str, known: Mapping[str, Sequence[str]]) -> None:
    """Refuse a table of a covariate or output that the model does not have.

    Raises:
        UnknownNameError: with the nearest name.
    """
    for table in ("covariates", "outputs"):
        for name in getattr(sidecar, table):
            if name not in known[table]:
                file = sidecar.path.name if sidecar.path else "the sidecar"
                raise UnknownNameError(f"key in [{table}] of {file}:", name, known[table], remedy=f"read {model_file}")

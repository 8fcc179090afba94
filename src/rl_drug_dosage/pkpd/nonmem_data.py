"""Read patients from a NONMEM-style CSV file: one line per dose, level or covariate change.

| column | meaning |
|---|---|
| ID | patient; the lines of one patient must be consecutive |
| TIME | h, non-decreasing within a patient |
| AMT | mg |
| RATE or DUR | mg/h (-2: the model's own duration), or h |
| II, ADDL, SS | interval in h, additional doses, steady state (1 or 2) |
| CMT | compartment of a dose: its number, from 1, or its name |
| EVID | 0 level, 1 dose, 2 other, 3 reset, 4 reset and dose; without it AMT > 0 is a dose and DV a level |
| DV or CONC | level, in the output's unit; ``<0.5`` means below a limit of 0.5 |
| MDV | 1: DV is not a level |
| CENS | 1: below the limit of quantification; the limit is LLOQ, or DV if there is no LLOQ |
| LLOQ | limit of quantification; without CENS every DV below it is treated as censored |
| DVID or OUTPUT | what was measured: number, from 1, or name of the output; by default the first with an error model |
| OCC | occasion, any labels; numbered in order of appearance |
| covariates | by the drug's column (``WT``) or name (``wt_kg``) |

Headers are case-insensitive. An empty cell, ``.`` and ``NA`` mean missing. Lines that start with ``#``, and lines whose
first cell is ``C``, are comments. Other columns are ignored and listed in `NonmemData.notes`.

Lines with the same time are processed in file order, as in NONMEM: a level listed after a dose is drawn after it, and a
trough may belong to the previous occasion while the dose at the same time starts the next one. Between records a
covariate is carried backward (``"nocb"``) or forward (``"locf"``), also into missing cells. It has one value at a time.
"""

import dataclasses
import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax.numpy as jnp
import numpy as np

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd._errors import CovariateError, ObservationError, RegimenError
from rl_drug_dosage.pkpd._nonmem_lines import Line, read_lines
from rl_drug_dosage.pkpd.bayes import PatientData
from rl_drug_dosage.pkpd.covariates import Covariates, make_covariates
from rl_drug_dosage.pkpd.model import DrugModel
from rl_drug_dosage.pkpd.regimen import Dose, make_regimen
from rl_drug_dosage.pkpd.residual import Levels, make_levels

__all__ = ["NonmemData", "read_nonmem"]

type Interpolation = Literal["nocb", "locf"]

_MOMENT_H = 1e-9
"""Time between lines with the same time but different occasions, so that each has its own covariate record."""


@dataclass(frozen=True)
class NonmemData:
    """The contents of a file."""

    patients: tuple[PatientData, ...]
    """In file order, ready for `fit_patients`. A level that cannot be used has ``levels.used`` False."""
    lines: tuple[tuple[int, ...], ...]
    """Line number in the file, from 1, of every level of every patient."""
    flags: tuple[tuple[str, ...], ...]
    """Why a level is not used; empty if it is used."""
    notes: tuple[str, ...]
    """Sentences about what was ignored."""


def read_nonmem(
    path: Path, model: DrugModel, *, occasions: bool = False, interpolation: Interpolation = "nocb"
) -> NonmemData:
    """Read and check a file in the format given in the module docstring.

    Args:
        path: the CSV file.
        model: the drug whose covariates, compartments and outputs the columns refer to.
        occasions: read OCC, for drugs with inter-occasion variability.
        interpolation: how a covariate is carried between records.

    Raises:
        RegimenError, ObservationError, CovariateError: a line that cannot be used as given. A level before the first
            dose is not an error: it is flagged and left out of the fit.
        ConfigError: a file that cannot be read, or whose columns or lines do not describe patients.
    """
    if interpolation not in {"nocb", "locf"}:
        raise ConfigError(f"interpolation must be nocb or locf, not {interpolation!r}")
    lines, unread = read_lines(path, model)
    notes = [f"columns not read: {', '.join(unread)}"] if unread else []
    notes += _about_occasions(lines, model, occasions) + _about_outputs(lines, model)
    patients, numbers, flags = [], [], []
    for group in _patients(lines):
        own, occasion = _split_occasions(group) if occasions else (group, [0] * len(group))
        doses = _doses(own, model)
        levels, own_numbers, own_flags = _levels(own, model, doses)
        covariates = _covariates(own, occasion, model, interpolation)
        patients.append(PatientData(own[0].cells["ID"], doses, covariates, levels))
        numbers.append(own_numbers)
        flags.append(own_flags)
    return NonmemData(tuple(patients), tuple(numbers), tuple(flags), tuple(notes))


def _patients(lines: list[Line]) -> list[list[Line]]:
    groups = [list(group) for _, group in itertools.groupby(lines, key=lambda line: line.cells["ID"])]
    seen: set[str] = set()
    for group in groups:
        if group[0].cells["ID"] in seen:
            group[0].refuse(ConfigError, "ID", "this patient's lines are not consecutive", "sort by ID, then TIME")
        seen.add(group[0].cells["ID"])
        for before, line in itertools.pairwise(group):
            if line.time_h < before.time_h:
                line.refuse(ConfigError, "TIME", f"comes after {before.time_h:g} h", "sort the patient's lines by time")
    return groups


def _about_occasions(lines: list[Line], model: DrugModel, wanted: bool) -> list[str]:
    there = "OCC" in lines[0].cells
    if wanted and not model.occasion_etas:
        raise ConfigError(f"{model.name} has no inter-occasion variability: leave the occasions out")
    if wanted and not there:
        raise ConfigError(f"{lines[0].file}: occasions were requested, but there is no column OCC; add it")
    unused = there and bool(model.occasion_etas) and not wanted
    return ["OCC is not read: every patient has one occasion unless occasions are requested"] if unused else []


def _about_outputs(lines: list[Line], model: DrugModel) -> list[str]:
    measured = [output.name for output in model.outputs if output.residual is not None]
    if not measured:
        raise ObservationError(f"{model.name} has no output with an error model: its levels cannot be fitted")
    if len(measured) == 1 or "DVID" in lines[0].cells:
        return []
    level_lines = [line for line in lines if line.evid == 0]
    if len({line.cells.get("CMT") for line in level_lines}) > 1:
        level_lines[0].refuse(
            ObservationError,
            "CMT",
            "differs between levels",
            f"add a column DVID that says what was measured: one of {measured}",
        )
    return [f"levels are read as {measured[0]!r}: a column DVID chooses among {', '.join(measured)}"]


def _split_occasions(group: list[Line]) -> tuple[list[Line], list[int]]:
    """Occasions from 0. Lines with the same time but different occasions are shifted slightly apart."""
    labels: dict[str, int] = {}
    lines: list[Line] = []
    numbers: list[int] = []
    for i, line in enumerate(group):
        if not line.has("OCC"):
            line.refuse(CovariateError, "OCC", "no occasion", "give each line its occasion")
        number = labels.setdefault(line.cells["OCC"], len(labels))
        shift_h = 0.0
        if i and line.time_h == group[i - 1].time_h:
            shift_h = lines[-1].shift_h + (_MOMENT_H if number != numbers[-1] else 0.0)
        lines.append(dataclasses.replace(line, shift_h=shift_h))
        numbers.append(number)
    return lines, numbers


def _doses(group: list[Line], model: DrugModel) -> tuple[Dose, ...]:
    doses: list[Dose] = []
    for line in group:
        evid = line.evid
        if evid in {1, 4}:
            dose = _dose(line, evid, model)
            if any(_same(dose, other) for other in doses):
                line.refuse(
                    RegimenError, "TIME", f"a second dose into {dose.compartment!r} at the same time", "give their sum"
                )
            doses.append(dose)
            continue
        if line.amount_mg > 0:
            line.refuse(RegimenError, "AMT", f"EVID {evid} is not a dose", "give EVID 1 (or 4), or no amount")
        for column in ("RATE", "DUR", "II", "ADDL", "SS"):
            if line.number(column, RegimenError):
                line.refuse(RegimenError, column, "on a line without AMT", "give the dose, or leave it empty")
        if evid == 3:
            doses.append(Dose(line.time_h, reset=True))
    return tuple(doses)


def _same(a: Dose, b: Dose) -> bool:
    plain = not (a.reset or b.reset or a.steady_state or b.steady_state)
    return plain and a.time_h == b.time_h and a.compartment == b.compartment


def _dose(line: Line, evid: int, model: DrugModel) -> Dose:
    if line.amount_mg == 0:
        line.refuse(RegimenError, "AMT", f"a dose (EVID {evid}) without an amount", "give AMT > 0, or EVID 2 or 3")
    compartment = _compartment(line, model)
    rate = line.number("RATE", RegimenError) or 0.0
    if rate == -2 and f"duration_{compartment}" in model.typical():
        rate = 0.0
    if rate < 0:
        line.refuse(
            RegimenError, "RATE", "allowed are 0, rates > 0, and -2 where the model has a duration", "correct it"
        )
    interval, additional = line.number("II", RegimenError, 0.0) or 0.0, line.whole("ADDL", RegimenError)
    steady = line.whole("SS", RegimenError, (0, 1, 2))
    if interval > 0 and not additional and not steady:
        line.refuse(
            RegimenError, "II", "an interval without ADDL or SS has no effect", "add one of them, or set II to 0"
        )
    duration = line.number("DUR", RegimenError, 0.0) or 0.0
    dose = Dose(line.time_h, line.amount_mg, compartment, rate, duration, interval, additional, steady, evid == 4)
    try:
        make_regimen([dose], model.structure)
    except RegimenError as error:
        line.refuse(RegimenError, "AMT", *str(error).partition(" h): ")[2].rsplit("; ", 1))
    return dose


def _compartment(line: Line, model: DrugModel) -> str:
    structure = model.structure
    numbers = {str(i): name for i, name in enumerate(structure.compartments, start=1) if name in structure.dosable}
    known = numbers | {name: name for name in structure.dosable} | {"0": structure.default_compartment}
    given = line.cells["CMT"].removesuffix(".0") if line.has("CMT") else "0"
    if given not in known:
        line.refuse(RegimenError, "CMT", "no dose can enter this compartment", f"give one of {numbers}")
    return known[given]


def _output(line: Line, model: DrugModel) -> str:
    measured = {str(i): o.name for i, o in enumerate(model.outputs, start=1) if o.residual is not None}
    if not line.has("DVID"):
        return next(iter(measured.values()))
    given = line.cells["DVID"]
    if given in measured.values():
        return given
    if given.removesuffix(".0") not in measured:
        line.refuse(ObservationError, "DVID", "no output with an error model", f"give one of {measured}")
    return measured[given.removesuffix(".0")]


def _level(line: Line) -> tuple[float, bool]:
    """A level and False, or the limit of quantification and True if it is below."""
    if line.cells["DV"].startswith("<"):
        line = dataclasses.replace(line, cells=line.cells | {"DV": line.cells["DV"][1:].strip(), "CENS": "1"})
    limit, value = line.number("LLOQ", ObservationError, 0.0), line.number("DV", ObservationError, 0.0)
    if line.whole("CENS", ObservationError, (0, 1)):
        limit = value if limit is None else limit
        if not limit:
            line.refuse(ObservationError, "DV", "below quantification without a limit", "give it in LLOQ, or as DV")
        return limit, True
    if value is None:
        line.refuse(ObservationError, "DV", "a level (EVID 0) without a value", "give it, or MDV 1")
    if limit is not None and value < limit:
        if line.has("CENS"):
            line.refuse(
                ObservationError, "DV", f"below LLOQ {limit:g}, and CENS 0", "give CENS 1, or correct the level"
            )
        return limit, True
    return value, False


def _levels(
    group: list[Line], model: DrugModel, doses: tuple[Dose, ...]
) -> tuple[Levels, tuple[int, ...], tuple[str, ...]]:
    """Levels, their line numbers, and the reason for each level that is flagged as unused."""
    first_h = min((dose.time_h for dose in doses if dose.amount_mg > 0), default=math.inf)
    found: list[tuple[float, str, bool]] = []
    values, belows, flags, numbers, given_h = [], [], [], [], -math.inf
    for line in group:
        evid = line.evid
        given_h = line.time_h if evid in {1, 3, 4} else given_h
        if evid != 0 or line.whole("MDV", ObservationError, (0, 1)):
            continue
        (value, below), name, after = _level(line), _output(line, model), given_h == line.time_h
        if (line.time_h, name, after) in found:
            line.refuse(ObservationError, "TIME", f"a second level of {name!r} at this time", "give one, or their mean")
        early = line.time_h < first_h or (line.time_h == first_h and not after and _empty(model, name))
        found.append((line.time_h, name, after))
        values.append(value)
        belows.append(below)
        numbers.append(line.number_in_file)
        flags.append(f"line {line.number_in_file}: a level before any dose is not used" if early else "")
    times, names, afters = zip(*found, strict=True) if found else ((), (), ())
    try:
        levels = make_levels(model, times, values, output=names, below=belows, limit=values, after_dose=afters)
    except ObservationError as error:
        group[0].refuse(ObservationError, "ID", *str(error).rsplit(": ", 1))
    used = np.array([not flag for flag in flags], dtype=np.bool_)
    flagged = dataclasses.replace(levels, used=used)  # type: ignore[arg-type]
    return flagged, tuple(numbers), tuple(flags)


def _empty(model: DrugModel, output: str) -> bool:
    """Whether an output is 0 before the first dose; a level then carries no information."""
    p = {name: jnp.asarray(value) for name, value in model.typical().items()}
    state = model.structure.contents(model.structure.initial(p))
    return float(model.outputs[model.output_index(output)].value(state, p)) == 0.0


def _covariates(group: list[Line], occasion: list[int], model: DrugModel, carry: Interpolation) -> Covariates:
    times = sorted({line.time_h for line in group})
    place = {time: i for i, time in enumerate(times)}
    by_time = {line.time_h: number for line, number in zip(group, occasion, strict=True)}
    table = {c.name: _column(group, c.name, place, carry) for c in model.covariates}
    # Records that repeat their neighbour are dropped: NOCB keeps the last of a run, LOCF the first.
    rows = np.array([*table.values(), [by_time[time] for time in times]]).T
    change = np.any(rows[1:] != rows[:-1], axis=1)
    keep = np.append(change, True) if carry == "nocb" else np.insert(change, 0, True)
    kept = {name: column[keep] for name, column in table.items()}
    return make_covariates(model, kept, np.array(times)[keep], rows[keep, -1], carry)


def _column(group: list[Line], name: str, place: dict[float, int], carry: Interpolation) -> np.ndarray:
    """One value at every time; missing values are carried as between records."""
    values = np.full(len(place), np.nan)
    for line in group:
        value, known = line.number(name, CovariateError), values[place[line.time_h]]
        if value is not None and not np.isnan(known) and known != value:
            line.refuse(
                CovariateError, name, f"it was {known:g} on a line with the same time", "give one value per time"
            )
        if value is not None:
            values[place[line.time_h]] = value
    given = np.flatnonzero(~np.isnan(values))
    if not given.size:
        group[0].refuse(CovariateError, name, "missing on all of the patient's lines", "give at least one value")
    at = np.arange(len(values))
    if carry == "nocb":
        return values[given[np.minimum(np.searchsorted(given, at), given.size - 1)]]
    return values[given[np.maximum(np.searchsorted(given, at, side="right") - 1, 0)]]

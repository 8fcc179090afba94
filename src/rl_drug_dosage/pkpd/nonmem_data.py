"""Read patients from a NONMEM-style CSV file: one line per dose, level or covariate change.

| column | meaning |
|---|---|
| ID | patient; the lines of one patient must be consecutive |
| TIME | h, or clock time 8:30; may start again at EVID 3 or 4 |
| DATE, DAT1, DAT2, DAT3 | month-day-year, day-month-year, year-month-day, year-day-month, or the number of a day |
| AMT | mg |
| RATE or DUR | mg/h (-1, -2: the model's own rate, duration), or h |
| II, ADDL, SS | interval in h, additional doses, steady state (1 or 2; of a constant infusion with AMT 0, RATE > 0) |
| CMT | compartment of a dose: its number, from 1, or its name |
| EVID | 0 level, 1 dose, 2 other, 3 reset, 4 reset and dose; without it AMT > 0 is a dose and DV a level |
| DV or CONC | level, in the output's unit; ``<0.5`` and ``>80``: below, above a limit |
| MDV | 1: DV is not a level |
| CENS | 1: below the limit of quantification, LLOQ or else DV; -1: above it, ULOQ or else DV |
| LLOQ, ULOQ | limits of quantification; without CENS every DV outside them is treated as censored |
| DV_WEIGHT (W, WEIGHT) | weight of a level, > 0: the variance of its error is divided by it |
| DVID or OUTPUT | what was measured: number, from 1, or name of the output; by default the first with an error model |
| OCC | occasion, any labels; numbered in order of appearance |
| covariates | by the drug's column (``WT``) or name (``wt_kg``) |

Headers are case-insensitive. An empty cell, ``.`` and ``NA`` mean missing. Other columns are ignored and listed in
`NonmemData.notes`. Cells are separated by commas, semicolons, tabs or blanks; unless by commas, numbers may have
decimal commas. Lines that start with ``#`` are comments, and so are lines whose first cell is ``C`` where all patients
are numbers; how many is said in the notes. A header may start with ``#``. NONMEM's own tables (``TABLE NO. 1``) are
read.

Lines with the same time are processed in file order, as in NONMEM: a level listed after a dose is drawn after it, and a
trough may belong to the previous occasion, and have other covariates, than the dose at the same time. Between records a
covariate is carried backward (``"nocb"``) or forward (``"locf"``), also into missing cells. Doses at one time add up,
and each of several levels at one time counts. `docs/event-tables.md` says all of it.
"""

import dataclasses
import itertools
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd._errors import CovariateError, ObservationError, RegimenError
from rl_drug_dosage.pkpd._nonmem_covariates import (
    Interpolation,
    carried_text,
    covariate_records,
    filled_covariates,
    separate,
)
from rl_drug_dosage.pkpd._nonmem_lines import Line, read_lines
from rl_drug_dosage.pkpd._nonmem_text import TableText
from rl_drug_dosage.pkpd._nonmem_times import has_clock, place_in_time
from rl_drug_dosage.pkpd.bayes import PatientData, StartLevel
from rl_drug_dosage.pkpd.covariate import plain_number
from rl_drug_dosage.pkpd.model import DrugModel
from rl_drug_dosage.pkpd.regimen import Dose, make_regimen
from rl_drug_dosage.pkpd.residual import Levels, make_levels

__all__ = ["Interpolation", "NonmemData", "PreDoseLevel", "TableText", "read_nonmem"]

type PreDoseLevel = Literal["ignore", "start", "refuse"]

_TOGETHER = "put the patient's lines together, in the order of time; another patient needs another ID"
_MODELLED = {-1.0: "rate", -2.0: "duration"}
"""The parameter of the model that a negative RATE stands for."""


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
    hours: tuple[tuple[float, ...], ...]
    """Time of every level of every patient, as the file counts it."""
    starts: tuple[StartLevel | None, ...] = ()
    """The level from which each patient starts, for `start_from_levels`; None: without drug."""
    table: tuple[tuple[Line, ...], ...] = ()
    """Lines of every patient, for `titles` and `at_levels`."""

    @property
    def titles(self) -> tuple[str, ...]:
        """The header of the file."""
        return tuple(self.table[0][0].titles.values())

    @property
    def unread(self) -> frozenset[str]:
        """Titles of the columns that the model does not read."""
        return frozenset(own for column, own in self.table[0][0].titles.items() if column.startswith("unread "))

    def at_levels(self, title: str) -> tuple[tuple[str, ...], ...]:
        """The text of any column at every level of every patient, as the file has it.

        An empty cell has the text of the patient's line before it, or else of the next line that has one; "" where no
        line has.

        Args:
            title: one of `titles`.
        """
        column = next(column for column, own in self.table[0][0].titles.items() if own == title)
        return tuple(
            tuple(carried_text(lines, column, numbers)) for lines, numbers in zip(self.table, self.lines, strict=True)
        )


def read_nonmem(
    path: Path | TableText,
    model: DrugModel,
    *,
    occasions: bool = False,
    interpolation: Interpolation = "nocb",
    pre_dose_level: PreDoseLevel = "ignore",
) -> NonmemData:
    """Read and check a file in the format given in the module docstring.

    Args:
        path: the CSV file, or its text.
        model: the drug whose covariates, compartments and outputs the columns refer to.
        occasions: read OCC, for drugs with inter-occasion variability.
        interpolation: how a covariate is carried between records.
        pre_dose_level: what a level before the first dose means where it would be 0 without drug, and is above 0:
            ``"ignore"`` it is flagged and left out of the fit; ``"start"`` the patient starts from the first such
            level, see `pkpd.starts`; ``"refuse"`` it is an error. Outputs with a baseline (INR, leukocytes) are always
            used.

    Raises:
        RegimenError, ObservationError, CovariateError: a line that cannot be used as given.
        ConfigError: a file that cannot be read, or whose columns or lines do not describe patients.
    """
    if interpolation not in ("nocb", "locf"):
        raise ConfigError(f"interpolation must be nocb or locf, not {interpolation!r}")
    if pre_dose_level not in get_args(PreDoseLevel.__value__):
        raise ConfigError(f"--pre-dose-level must be ignore, start or refuse, not {pre_dose_level!r}")
    lines, notes = read_lines(path, model)
    relative = has_clock(lines)
    notes += ["dates and clock times are read as hours from each patient's first line"] if relative else []
    notes += _about_occasions(lines, model, occasions) + _about_outputs(lines, model) + _about_weights(lines)
    patients, numbers, flags, hours, starts, table = [], [], [], [], [], []
    for group in _patients(lines):
        placed = place_in_time(group, relative)
        if any(line.own_h < before.own_h for before, line in itertools.pairwise(placed)):
            notes.append(f"ID {group[0].cells['ID']}: the time starts again; FROM and UNTIL of estimates.csv go on")
        occasion = _occasions(placed) if occasions else [0] * len(placed)
        values = filled_covariates(placed, model, interpolation)
        own = separate(placed, values, occasion)
        doses = _doses(own, model)
        levels, own_lines, own_flags, start = _levels(own, model, doses, pre_dose_level)
        covariates = covariate_records(own, values, occasion, model, interpolation)
        patients.append(PatientData(own[0].cells["ID"], doses, covariates, levels))
        numbers.append(tuple(line.number_in_file for line in own_lines))
        hours.append(tuple(line.own_h for line in own_lines))
        flags.append(own_flags)
        starts.append(start)
        table.append(tuple(own))
    return NonmemData(
        tuple(patients), tuple(numbers), tuple(flags), tuple(notes), tuple(hours), tuple(starts), tuple(table)
    )


def _patients(lines: list[Line]) -> list[list[Line]]:
    groups = [list(group) for _, group in itertools.groupby(lines, key=lambda line: line.cells["ID"])]
    seen: set[str] = set()
    for group in groups:
        if group[0].cells["ID"] in seen:
            group[0].refuse(ConfigError, "ID", "this patient's lines are not consecutive", _TOGETHER)
        seen.add(group[0].cells["ID"])
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


def _about_weights(lines: list[Line]) -> list[str]:
    """What DV_WEIGHT does; a column WEIGHT with values on other lines than levels may be a body weight."""
    if "DV_WEIGHT" not in lines[0].cells:
        return []
    title = lines[0].titles["DV_WEIGHT"]
    for line in lines:
        if title.upper() == "WEIGHT" and line.evid != 0 and line.has("DV_WEIGHT"):
            line.refuse(
                ObservationError,
                "DV_WEIGHT",
                "the weight of a level, or of the body?",
                "call the weight of a level DV_WEIGHT, and a column that is not to be read BODYWEIGHT",
            )
    return [f"{title} is the weight of a level: the variance of its error is divided by it"]


def _occasions(group: list[Line]) -> list[int]:
    """Occasions from 0, in the order in which their labels appear."""
    labels: dict[str, int] = {}
    for line in group:
        if not line.has("OCC"):
            line.refuse(CovariateError, "OCC", "no occasion", "give each line its occasion")
        labels.setdefault(line.cells["OCC"], len(labels))
    return [labels[line.cells["OCC"]] for line in group]


def _doses(group: list[Line], model: DrugModel) -> tuple[Dose, ...]:
    doses: list[Dose] = []
    for line in group:
        evid = line.evid
        if evid in {1, 4}:
            doses.append(_dose(line, evid, model))
            continue
        if line.amount_mg > 0:
            line.refuse(RegimenError, "AMT", f"EVID {evid} is not a dose", "give EVID 1 (or 4), or no amount")
        for column in ("RATE", "DUR", "II", "ADDL", "SS"):
            if line.number(column, RegimenError):
                line.refuse(RegimenError, column, "on a line without AMT", "give the dose, or leave it empty")
        if evid == 3:
            doses.append(Dose(line.time_h, reset=True))
    return tuple(doses)


def _dose(line: Line, evid: int, model: DrugModel) -> Dose:
    steady = line.whole("SS", RegimenError, (0, 1, 2))
    compartment = _compartment(line, model)
    rate = _rate(line, compartment, model)
    if line.amount_mg == 0 and not (steady and rate > 0):
        what = f"a dose (EVID {evid}) without an amount"
        line.refuse(RegimenError, "AMT", what, "give AMT > 0, or SS 1 and RATE > 0 for a constant infusion")
    interval, additional = line.number("II", RegimenError, 0.0) or 0.0, line.whole("ADDL", RegimenError)
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


def _rate(line: Line, compartment: str, model: DrugModel) -> float:
    """mg/h; 0 for a bolus, and where the model has the rate or the duration that RATE -1 or -2 asks for."""
    rate = line.number("RATE", RegimenError) or 0.0
    if rate >= 0:
        return rate
    if rate not in _MODELLED:
        line.refuse(RegimenError, "RATE", "allowed are 0, rates > 0, -1 and -2", "correct it")
    name = f"{_MODELLED[rate]}_{compartment}"
    if name not in model.typical():
        line.refuse(
            RegimenError,
            "RATE",
            f"asks for a parameter {name!r}, which {model.name} does not have",
            "give the rate in mg/h that was given, or a model with this parameter",
        )
    return 0.0


def _compartment(line: Line, model: DrugModel) -> str:
    structure = model.structure
    numbers = {str(i): name for i, name in enumerate(structure.compartments, start=1) if name in structure.dosable}
    known = numbers | {name: name for name in structure.dosable} | {"0": structure.default_compartment}
    given = _whole(line.cells["CMT"]) if line.has("CMT") else "0"
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
    if _whole(given) not in measured:
        line.refuse(ObservationError, "DVID", "no output with an error model", f"give one of {measured}")
    return measured[_whole(given)]


def _whole(cell: str) -> str:
    """A whole number as its digits, however it is written (NONMEM: ``2.0000E+00``); any other text as it is."""
    try:
        value = plain_number(cell)
    except ValueError:
        return cell
    return str(int(value)) if value.is_integer() and abs(value) < 1e9 else cell


def _level(line: Line) -> tuple[float, int]:
    """A level and 0; the limit of quantification and -1 if it is below, 1 if it is above."""
    cell = line.cells["DV"]
    if cell.startswith(("<", ">")):
        marked = {"DV": cell[1:].strip(), "CENS": "1" if cell[0] == "<" else "-1"}
        line = dataclasses.replace(line, cells=line.cells | marked)
    value = line.number("DV", ObservationError, 0.0)
    censored = line.whole("CENS", ObservationError, (-1, 0, 1))
    limits = {side: line.number(name, ObservationError, 0.0) for side, name in ((-1, "LLOQ"), (1, "ULOQ"))}
    if censored:
        side = -censored
        limit = value if limits[side] is None else limits[side]
        if not limit:
            name, where = ("LLOQ", "below") if side < 0 else ("ULOQ", "above")
            line.refuse(ObservationError, "DV", f"{where} quantification without a limit", f"give it in {name}")
        return limit, side
    if value is None:
        line.refuse(ObservationError, "DV", "a level (EVID 0) without a value", "give it, or MDV 1")
    for side, limit in limits.items():
        if limit is not None and side * (value - limit) > 0:
            if line.has("CENS"):
                where, name = ("below", "LLOQ") if side < 0 else ("above", "ULOQ")
                remedy = f"give CENS {-side}, or leave {name} empty if the level was quantified"
                line.refuse(ObservationError, "DV", f"{where} {name} {limit:g}, and CENS 0", remedy)
            return limit, side
    return value, 0


def _levels(
    group: list[Line],
    model: DrugModel,
    doses: tuple[Dose, ...],
    pre_dose_level: PreDoseLevel,
) -> tuple[Levels, tuple[Line, ...], tuple[str, ...], StartLevel | None]:
    """Levels, their lines, the reason for each level that is flagged as unused, and where the patient starts."""
    first_h = min((dose.time_h for dose in doses if dose.amount_mg > 0 or dose.steady_state), default=math.inf)
    found: list[tuple[Line, str, bool, float, int, float]] = []
    flags, given_h, start = [], -math.inf, None
    for line in group:
        evid = line.evid
        given_h = line.time_h if evid in {1, 3, 4} else given_h
        if evid != 0 or line.whole("MDV", ObservationError, (0, 1)):
            continue
        (value, side), name, after = _level(line), _output(line, model), given_h == line.time_h
        # Of an output that is 0 without drug it carries no information, unless the patient starts from it.
        early = line.time_h < first_h or (line.time_h == first_h and not after)
        early = early and start is None and not _has_baseline(model, name)
        found.append((line, name, after, value, side, _weight(line)))
        flags.append(_about_early(line, value, side, pre_dose_level) if early else "")
        if early and pre_dose_level == "start" and value > 0 and side == 0:
            start = StartLevel(line.time_h, value, name)
    lines, names, afters, values, sides, weights = zip(*found, strict=True) if found else ((), (), (), (), (), ())
    try:
        levels = make_levels(
            model,
            [line.time_h for line in lines],
            values,
            output=names,
            below=[side < 0 for side in sides],
            above=[side > 0 for side in sides],
            weight=weights,
            limit=values,
            after_dose=afters,
        )
    except ObservationError as error:
        group[0].refuse(ObservationError, "ID", *str(error).rsplit(": ", 1))
    used = np.array([not flag for flag in flags], dtype=np.bool_)
    flagged = dataclasses.replace(levels, used=used)  # type: ignore[arg-type]
    return flagged, lines, tuple(flags), start


@cache
def _has_baseline(model: DrugModel, output: str) -> bool:
    """Whether an output is not 0 without drug."""
    return model.undosed(output) != 0.0


def _about_early(line: Line, value: float, side: int, pre_dose_level: PreDoseLevel) -> str:
    """Why a level before the first dose is not fitted."""
    where = f"line {line.number_in_file}: a level before any dose"
    if value == 0 or side:
        return f"{where} is not used"
    if pre_dose_level == "refuse":
        line.refuse(
            ObservationError,
            "DV",
            "a level before any dose",
            "list the doses that came before it, or choose --pre-dose-level start or ignore",
        )
    if pre_dose_level == "start":
        return f"{where}: the course starts from it"
    return f"{where} is not used; --pre-dose-level start begins the course from it"


def _weight(line: Line) -> float:
    weight = line.number("DV_WEIGHT", ObservationError, 0.0)
    if weight == 0:
        line.refuse(ObservationError, "DV_WEIGHT", "a level without weight", "give a weight > 0, or MDV 1")
    return 1.0 if weight is None else weight

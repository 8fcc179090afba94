"""NONMEM control streams: models as NM-TRAN reads them, with the estimates that NONMEM wrote beside them.

The text is parsed, never run. `docs/model-readers.md` lists what is read and what is refused.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rl_drug_dosage.pharmacometrics.readers.expressions import Expr, Name, Num, names_in
from rl_drug_dosage.pharmacometrics.readers.nonmem.inputs import (
    RESERVED,
    centre_of,
)
from rl_drug_dosage.pharmacometrics.readers.nonmem.outputs import Code, outputs_of
from rl_drug_dosage.pharmacometrics.readers.nonmem.parts import CALLS, Parts, parts_of
from rl_drug_dosage.pharmacometrics.readers.nonmem.statements import flattened, line_of, names_of, needed
from rl_drug_dosage.pharmacometrics.readers.written import (
    Assign,
    AssignKind,
    Number,
    ReadError,
    WrittenCovariate,
    WrittenModel,
    WrittenOutput,
)

__all__ = ["read"]

_PROPERTIES: Mapping[str, AssignKind] = {"F": "bioavailability", "ALAG": "lag", "D": "duration", "R": "rate"}
_TIME = "t"


def read(path: Path) -> WrittenModel:
    """Read a control stream (.mod, .ctl), and the final estimates in the .ext or .lst beside it.

    Args:
        path: the file.

    Returns:
        The model with NONMEM's numbering: ``theta_3``, ``eta_2``; doses enter the compartment that NONMEM takes.

    Raises:
        ReadError: what is not read, by line and column.
    """
    try:
        return _written(parts_of(path), path)
    except RecursionError:
        raise ReadError(f"{path}:1:1: nested too deeply; supported: models; name a NONMEM control stream") from None


def _renamed(parts: Parts) -> dict[str, Expr]:
    """What stands for names of the code: contents of compartments, time, synonyms, effects of later occasions."""
    names: dict[str, Expr] = {f"A_{i}": Name(name) for i, name in enumerate(parts.compartments.names, start=1)}
    names |= {"TIME": Name(_TIME), **{one: Name(own) for one, own in parts.inputs.synonyms.items()}}
    for synonym, own in parts.inputs.synonyms.items():
        if own == "TIME":
            names[synonym] = Name(_TIME)
    names |= parts.occasions.renamed
    # An effect without variance is 0.
    for i, number in enumerate(parts.omega.numbers):
        if number.value == 0.0:
            names[number.name] = Num(0.0)
            for late, first in list(names.items()):
                if first == Name(number.name) and late.startswith("eta_"):
                    names[late] = Num(0.0)
        elif i >= len(parts.omega.covariance):
            break
    return names


def _written(parts: Parts, path: Path) -> WrittenModel:
    renamed = _renamed(parts)
    constants = {**CALLS, **_entries(parts), **parts.occasions.constants}
    pk = flattened(parts.stream, [parts.pk], constants, renamed)
    in_des = renamed | {"T": Name(_TIME)}
    pk.run(parts.des, in_des)
    body = [*pk.statements, *_of_compartments(parts)]
    scales = _scales(parts)
    code = Code(
        parts.stream,
        parts.error,
        constants=dict(pk.constants),
        renamed=renamed,
        before=tuple(pk.statements),
        compartments=parts.compartments,
        scales=scales,
        sigma=parts.sigma,
        columns=frozenset(parts.inputs.columns),
        has_cmt="CMT" in parts.inputs.reserved,
        known=names_of((*parts.pk, *parts.des)),
    )
    outputs, remarks, facts = outputs_of(code)
    parts.remarks += remarks
    parts.facts |= facts
    wanted = {name for output in outputs for name in _names_of_output(output)}
    statements, names = needed(body, wanted)
    _require_values(parts, statements, outputs, names)
    return _assembled(parts, path, statements, outputs, names)


def _entries(parts: Parts) -> dict[str, Num]:
    """OMEGA(1,1) and SIGMA(1,1) where code reads them."""
    found: dict[str, Num] = {}
    for word, effects in (("omega", parts.omega), ("sigma", parts.sigma)):
        for (i, j), value in np.ndenumerate(effects.covariance):
            if i == j or value != 0:
                found[f"{word}_{i + 1}_{j + 1}"] = Num(float(value))
    return found


def _names_of_output(output: WrittenOutput) -> set[str]:
    names = set(names_in(output.expr))
    if output.error is not None:
        for tree in (output.error.additive, output.error.proportional, output.error.power):
            names |= names_in(tree) if tree is not None else set()
    return names


def _of_compartments(parts: Parts) -> list[Assign]:
    """Derivatives, initial contents, and properties of doses."""
    own, assigned = parts.compartments, names_of(parts.pk)[1]
    in_des = names_of(parts.des)[1]
    found: list[Assign] = []
    if own.has_equations and not parts.des:
        parts.stream.refuse(f"ADVAN{own.advan} without $DES", "equations in $DES", "write them", own.line)
    for i, name in enumerate(own.names, start=1):
        if own.has_equations and i != own.output:
            slope: Expr = Name(f"DADT_{i}")
            if f"DADT_{i}" not in in_des:
                slope = Num(0.0)
                parts.remarks.append(f"DADT({i}) has no value in $DES: it is 0")
            found.append(Assign(name, slope, line_of(parts.des, f"DADT_{i}") or own.line, "derivative"))
        else:
            found.append(Assign(name, own.slope(i - 1), own.line, "derivative"))
        if f"A_0_{i}" in assigned:
            found.append(Assign(name, Name(f"A_0_{i}"), line_of(parts.pk, f"A_0_{i}"), "start"))
        for start, kind in _PROPERTIES.items():
            if f"{start}{i}" in assigned and i != own.output:
                found.append(Assign(name, Name(f"{start}{i}"), line_of(parts.pk, f"{start}{i}"), kind))
    return found


def _scales(parts: Parts) -> dict[int, Expr]:
    """Index of a compartment -> its scale."""
    assigned = names_of(parts.pk)[1]
    found: dict[int, Expr] = {}
    for i, name in enumerate(parts.compartments.names):
        if f"S{i + 1}" in assigned:
            found[i] = Name(f"S{i + 1}")
        elif name == "central" and "SC" in assigned and not parts.compartments.has_equations:
            found[i] = Name("SC")
    return found


def _require_values(
    parts: Parts, statements: Sequence[Assign], outputs: Sequence[WrittenOutput], names: set[str]
) -> None:
    """Refuse names without a value: reserved data items, and variables that nothing assigns."""
    known = {_TIME, "ID", *parts.compartments.names, *parts.inputs.columns}
    known |= {one.name for one in (*parts.thetas, *parts.omega.numbers)}
    for name in sorted(names - known):
        line = next((one.line for one in statements if name in names_in(one.expr)), 0)
        line = line or next((one.line for one in outputs if name in _names_of_output(one)), 1)
        column = parts.stream.column_of(name, line)
        if name in RESERVED or name in {"NEWIND", "NEWL2", "MIXNUM", "MIXEST", "TSTATE", "DOSTIM", "DOSREC"}:
            supported = "covariates, TIME, contents of compartments, THETA, ETA"
            what = "the data item" if name in RESERVED else "NONMEM's variable"
            parts.stream.refuse(
                f"{what} {name} in a value that predictions rest on", supported, "write it without", line, column
            )
        if match := re.fullmatch(r"(theta|eta|eps|A|COM|P)_(\d+)", name):
            word = match[1] if match[1].isupper() else match[1].upper()
            count = {"THETA": len(parts.thetas), "ETA": len(parts.omega.numbers), "A": len(parts.compartments.names)}
            supported = f"{word}(1) to {word}({count.get(word, 0)})"
            parts.stream.refuse(f"{word}({match[2]}), which is not there", supported, "correct it", line)
        parts.stream.refuse(
            f"{name} has no value",
            "variables that are assigned above, and data items of $INPUT",
            "assign it",
            line,
            column,
        )
    for number in parts.thetas:
        if number.name in names and not np.isfinite(number.value):
            parts.stream.refuse(
                f"THETA({number.name[6:]}) without a value",
                "an initial estimate, or the .ext or .lst of a run beside the file",
                "give it",
                number.line,
            )


def _assembled(
    parts: Parts, path: Path, statements: list[Assign], outputs: list[WrittenOutput], names: set[str]
) -> WrittenModel:
    of_occasions = [n for n in parts.occasions.first if n in names]
    own = [n for n in parts.omega.numbers if n.name in names and n.name not in of_occasions]
    late = [n for n in parts.omega.numbers if n.name in of_occasions]
    at = {number.name: i for i, number in enumerate(parts.omega.numbers)}

    def covariance(numbers: Sequence[Number]) -> np.ndarray:
        index = [at[number.name] for number in numbers]
        return parts.omega.covariance[np.ix_(index, index)]

    parts.remarks += [
        f"{name} keeps something of earlier records (line {line}): here it is a covariate, a column of the data"
        for name, line in parts.kept.items()
        if name in names
    ]
    columns = {**parts.inputs.columns, "ID": next((r.line for r in parts.stream.all("INPUT")), 0)}
    trees = [statement.expr for statement in statements]
    covariates = tuple(
        WrittenCovariate(name, reference=centre_of(name, trees), line=line)
        for name, line in columns.items()
        if name in names
    )
    compartments = parts.compartments
    dosed = {name for name in compartments.names if _has_dose_property(statements, name)}
    dosed |= {compartments.names[i] for i in (compartments.dose, *compartments.named)}
    return WrittenModel(
        format="NONMEM",
        path=str(path),
        name=path.stem,
        thetas=tuple(number for number in parts.thetas if number.name in names),
        etas=tuple(own),
        omega=covariance(own),
        statements=tuple(statements),
        compartments=compartments.names,
        outputs=tuple(outputs),
        covariates=covariates,
        occasion_etas=tuple(late),
        occasion_omega=covariance(late),
        occasion=parts.occasions.column if late else "",
        dosed=tuple(
            sorted(dosed, key=lambda n: (n != compartments.names[compartments.dose], compartments.names.index(n)))
        ),
        facts=parts.facts,
        remarks=tuple(dict.fromkeys(parts.remarks)),
        files=tuple(parts.files),
    )


def _has_dose_property(statements: Sequence[Assign], compartment: str) -> bool:
    return any(
        one.target == compartment and one.kind in {"bioavailability", "lag", "duration", "rate"} for one in statements
    )

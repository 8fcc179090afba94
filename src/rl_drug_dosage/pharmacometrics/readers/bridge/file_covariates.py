"""Covariates of a written model, with what its sidecar says of them."""

import math
from collections.abc import Mapping

from rl_drug_dosage.pharmacometrics.readers.bridge import units as _units
from rl_drug_dosage.pharmacometrics.readers.bridge.said import Said, toml_key
from rl_drug_dosage.pharmacometrics.readers.bridge.statements import Steps, output_name
from rl_drug_dosage.pharmacometrics.readers.expressions import names_in
from rl_drug_dosage.pharmacometrics.readers.written import WrittenCovariate
from rl_drug_dosage.pkpd import Covariate, Fixed
from rl_drug_dosage.pkpd.covariate import RESERVED_TITLES

__all__ = ["covariates_of", "limits_of"]


def covariates_of(said: Said, steps: Steps) -> dict[str, Covariate]:
    """Covariates by the names of the file; only those that anything depends on."""
    roots = [output_name(i) for i in range(len(said.written.outputs))]
    roots += steps.properties.values()
    for output in said.written.outputs:
        error = output.error
        if error is not None and said.output(output.name).residual == "typical":
            sizes = [size for size in (error.additive, error.proportional, error.power) if size is not None]
            roots += [steps.last.get(n, n) for size in sizes for n in sorted(names_in(size))]
    read = set(roots) | {n for step in steps.needed(roots) for n in names_in(step.expr)}
    found = {}
    for written in said.written.covariates:
        if written.name in read and (covariate := _covariate(said, written)) is not None:
            found[written.name] = covariate
    return found


def _covariate(said: Said, written: WrittenCovariate) -> Covariate | None:
    told = said.covariate(written.name)
    table, called = f"covariates.{toml_key(written.name)}", written.meaning or written.name
    unit = _units.category(told.unit or written.unit)
    if not told.unit and written.facts.get("type") == "binary":
        unit = "0/1"
    typical = written.reference if told.typical is None else told.typical
    column = told.column or written.name
    before = len(said.wanted)
    if not unit:
        said.want(table, "unit", f'of {called}: "kg", "y", "0/1", "1" where it has none')
    if typical is None:
        said.want(table, "typical", f"a number: {called} of a typical patient")
    if column.strip().upper() in RESERVED_TITLES:
        what = f"{column} is a column that data files have for something else: its title in yours"
        said.want(table, "column", what)
    if typical is None or len(said.wanted) > before:
        return None
    # A name that data files have for something else gives way to that of the column.
    name = told.name or (column if written.name.strip().upper() in RESERVED_TITLES else written.name)
    low, high = (0.0, 1.0) if unit == "0/1" else (-math.inf, math.inf)
    where = said.source(written.line)
    if said.sidecar.path is not None and written.name in said.sidecar.covariates:
        where = f"{said.beside}; {where}"
    return Covariate(
        name=name,
        unit=unit,
        low=low if told.low is None else told.low,
        high=high if told.high is None else told.high,
        typical=typical,
        source=told.source or where,
        meaning=told.meaning or called,
        distribution=told.distribution or Fixed(typical),
        column=column,
        words=told.words,
        aliases=told.aliases,
        possible=told.possible or None,
    )


def limits_of(said: Said, covariates: Mapping[str, Covariate]) -> list[str]:
    """What a user should know of the file and of its virtual patients."""
    found = [f"read from {said.file}, not compared with its publication"]
    fixed = [
        f"{c.name} = {c.typical:g} {c.unit}".removesuffix(" 1").removesuffix(" 0/1")
        for name, c in covariates.items()
        if said.covariate(name).distribution is None
    ]
    if fixed:
        found.append(f"no distribution is stated of {', '.join(fixed)}: virtual patients all have this value")
    return found

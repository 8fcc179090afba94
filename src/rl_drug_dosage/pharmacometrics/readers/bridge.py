"""From a model as its authors wrote it to a `DrugModel`: units, random effects, structure, outputs, residual errors.

Numbers keep the file's units and lines. Contents are kept in mg and times in h by one factor each; everything else is
computed by the file's own statements, in its own units.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rl_drug_dosage.pharmacometrics.readers._callables import (
    CLOCK,
    Individual,
    Matrix,
    Moment,
    Pairs,
    Slopes,
    Start,
    Typical,
    Value,
)
from rl_drug_dosage.pharmacometrics.readers._effects import Effect, effects_of
from rl_drug_dosage.pharmacometrics.readers._linear import AffineForms
from rl_drug_dosage.pharmacometrics.readers._statements import TIME, Program, Step, Steps, single_assignment
from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Expr, Name, Num, names_in
from rl_drug_dosage.pharmacometrics.readers.sidecar import CovariateWords, OutputWords, Sidecar
from rl_drug_dosage.pharmacometrics.readers.written import Number, ReadError, WrittenModel, WrittenOutput
from rl_drug_dosage.pkpd import (
    Correlation,
    Covariate,
    DosingOptions,
    DrugModel,
    Eta,
    Fixed,
    LinearSystem,
    OdeSystem,
    Output,
    Param,
    Residual,
    Route,
)
from rl_drug_dosage.pkpd.parameter_units import NOT_STATED, PREFIXES, RESERVED, fits_name
from rl_drug_dosage.pkpd.quantities import possible_range
from rl_drug_dosage.pkpd.structure import Structure
from rl_drug_dosage.pkpd.units import per_mg_per_l

__all__ = ["drug_model"]

_HOURS = {
    "s": 1 / 3600, "sec": 1 / 3600, "second": 1 / 3600, "seconds": 1 / 3600,
    "min": 1 / 60, "minute": 1 / 60, "minutes": 1 / 60,
    "h": 1.0, "hr": 1.0, "hrs": 1.0, "hour": 1.0, "hours": 1.0,
    "d": 24.0, "day": 24.0, "days": 24.0, "week": 168.0, "weeks": 168.0, "wk": 168.0,
}  # fmt: skip
_PER_MG = {"kg": 1e-6, "g": 1e-3, "mg": 1.0, "ug": 1e3, "mcg": 1e3, "ng": 1e6, "pg": 1e9}
_MOL_PER_MG = {"mol": 1e-3, "mmol": 1.0, "umol": 1e3, "nmol": 1e6, "pmol": 1e9}
"""Of a substance with a molar mass of 1 g/mol."""


def drug_model(written: WrittenModel, sidecar: Sidecar | None = None) -> DrugModel:
    """The drug model of a file and its sidecar.

    Args:
        written: what the file says.
        sidecar: what was said beside it.

    Raises:
        ReadError: something that the engine cannot do, by line; everything that neither of the two says and the model
            needs, in one message.
        DrugModelError: parts that do not fit together.
    """
    return _Bridge(written, sidecar or Sidecar()).model()


class _Bridge:
    """One model, while it is made."""

    def __init__(self, written: WrittenModel, sidecar: Sidecar) -> None:
        self.written, self.sidecar = written, sidecar
        self.lacking: list[tuple[str, str, str]] = []
        """(table, line, comment) of what is asked for."""
        self.unit_h, self.per_mg = self._time(), self._dose()
        self.steps = self._all_steps()
        self.zero = {e.name for e in (*written.etas, *written.occasion_etas) if e.value == 0}
        etas = [e.name for e in written.etas]
        kappas = [e.name for e in written.occasion_etas]
        self.between, self.within = effects_of(self.steps, etas, kappas)

    # Units

    def _unit(self, what: str) -> str:
        return self.sidecar.units.get(what) or self.written.units.get(what, "")

    def _time(self) -> float:
        unit = self._unit("time").strip()
        if unit.lower() in _HOURS:
            return _HOURS[unit.lower()]
        self.lacking.append(
            ("units", 'time = "h"', f"unit of time; the file says {unit!r}" if unit else "unit of time")
        )
        return 1.0

    def _dose(self) -> float:
        unit = self._unit("dose").strip().replace("µ", "u").replace("μ", "u")
        if self.sidecar.mg_per_dose_unit is not None:
            return 1.0 / self.sidecar.mg_per_dose_unit
        if unit.lower() in _PER_MG:
            return _PER_MG[unit.lower()]
        if unit.lower() in _MOL_PER_MG:
            if self.sidecar.molar_mass_g_per_mol is None:
                self.lacking.append(("units", "molar_mass_g_per_mol = ", f"of the drug, whose doses are in {unit}"))
                return 1.0
            return _MOL_PER_MG[unit.lower()] / self.sidecar.molar_mass_g_per_mol
        if unit:
            self.lacking.append(("units", "mg_per_dose_unit = ", f"how many mg one {unit} is"))
        else:
            self.lacking.append(("units", 'dose = "mg"', "unit of amounts"))
        return 1.0

    # Statements

    def _all_steps(self) -> Steps:
        steps = single_assignment(self.written)
        more = []
        for i, output in enumerate(self.written.outputs):
            expr = output.expr
            known = {*steps.last, *self._inputs()}
            for name in sorted(names_in(expr)):
                if name not in known:
                    raise ReadError(f"{self.written.path}:{output.line}: {name!r} has no value; assign it first")
            from rl_drug_dosage.pharmacometrics.readers.expressions import substituted

            more.append(
                Step(f"_output_{i}", substituted(expr, {n: Name(now) for n, now in steps.last.items()}), output.line)
            )
        moving = set(steps.moving) | {s.name for s in more if names_in(s.expr) & steps.moving}
        return Steps((*steps.steps, *more), steps.last, steps.properties, frozenset(moving))

    def _inputs(self) -> set[str]:
        w = self.written
        names = {n.name for n in (*w.thetas, *w.etas, *w.occasion_etas)} | {c.name for c in w.covariates}
        return names | set(w.compartments) | {TIME}

    def _slope_names(self) -> dict[str, str]:
        return {
            c: self.steps.properties["derivative", c]
            for c in self.written.compartments
            if ("derivative", c) in self.steps.properties
        }

    # Model

    def model(self) -> DrugModel:
        w = self.written
        covariates = self._covariates()
        outputs_units = [self._output_unit(output) for output in w.outputs]
        dosing = self.sidecar.dosing or self._no_dosing()
        if self.lacking:
            raise ReadError(self._asked())
        parts = self._parts(outputs_units)
        facts = {**w.facts, **self.sidecar.facts}
        name = w.name.replace("_", "-").replace(" ", "-")
        etas = self._etas(self.between, w.etas)
        occasion = self._etas(self.within, w.occasion_etas)
        return DrugModel(
            name=name,
            drug=facts.get("drug", name),
            title=facts.get("title") or facts.get("description") or name,
            citation=facts.get("citation") or facts.get("reference") or f"{w.format} file {Path(w.path).name}",
            doi=facts.get("doi", ""),
            population=facts.get("population", "not stated"),
            structure=parts.structure,
            thetas={n.name: self._param(n) for n in w.thetas},
            parameters=parts.typical,
            etas=etas,
            covariates=covariates,
            outputs=parts.outputs,
            targets=self.sidecar.targets,
            dosing=dosing if self.sidecar.dosing else self._dosing(parts),
            correlations=self._correlations(self.between, w.etas, w.omega),
            occasion_etas=occasion,
            occasion_correlations=self._correlations(self.within, w.occasion_etas, w.occasion_omega),
            finish=parts.individual,
            ambiguities=w.remarks,
        )

    def _source(self, line: int) -> str:
        return f"{Path(self.written.path).name}, line {line}"

    def _param(self, n: Number, unit: str = "") -> Param:
        said = unit or n.unit
        meaning = n.label or n.name
        if not said or fits_name(n.name, said):
            meaning, said = f"{meaning} [{said}]" if said else meaning, NOT_STATED
        return Param(n.value, said, self._source(n.line), meaning, True)

    def _etas(self, effects: list[Effect], numbers: tuple[Number, ...]) -> tuple[Eta, ...]:
        return tuple(
            Eta(effect.parameter, self._param(n, "1"), kind="var", form=effect.form)
            for effect, n in zip(effects, numbers, strict=True)
            if n.name not in self.zero
        )

    def _correlations(
        self, effects: list[Effect], numbers: tuple[Number, ...], omega: np.ndarray
    ) -> tuple[Correlation, ...]:
        kept = [i for i, n in enumerate(numbers) if n.name not in self.zero]
        part = np.asarray(omega, float).reshape(len(numbers), len(numbers))[np.ix_(kept, kept)]
        if kept and np.linalg.eigvalsh(part).min() <= 1e-12 * part.max():
            names = ", ".join(numbers[i].name for i in kept)
            raise ReadError(
                f"{self.written.path}:{numbers[kept[0]].line}: the covariance matrix of {names} is not positive "
                "definite; correct the variances and covariances"
            )
        out = []
        for a, i in enumerate(kept):
            for b, j in enumerate(kept[:a]):
                if part[a, b] != 0:
                    what = f"covariance of {numbers[j].name} and {numbers[i].name}"
                    size = Param(float(part[a, b]), "1", self._source(numbers[i].line), what, True)
                    out.append(Correlation(effects[j].parameter, effects[i].parameter, size, kind="cov"))
        return tuple(out)

    # Covariates

    def _covariates(self) -> tuple[Covariate, ...]:
        found = []
        for c in self.written.covariates:
            said = self.sidecar.covariates.get(c.name, CovariateWords())
            unit = said.unit or c.unit
            typical = said.typical if said.typical is not None else c.reference
            if not unit:
                self.lacking.append((f"covariates.{c.name}", 'unit = ""', f"unit of {c.meaning or c.name}"))
            if typical is None:
                self.lacking.append((f"covariates.{c.name}", "typical = ", f"value of a typical patient, {unit}"))
            if not unit or typical is None:
                continue
            column = said.column or c.name
            low, high = possible_range(column, c.name, unit)
            found.append(
                Covariate(
                    name=c.name,
                    unit=unit,
                    low=low if said.low is None else said.low,
                    high=high if said.high is None else said.high,
                    typical=typical,
                    source=said.source or self._source(c.line),
                    meaning=said.meaning or c.meaning or c.name,
                    distribution=said.distribution or Fixed(typical),
                    column=column,
                )
            )
        return tuple(found)

    def _output_unit(self, output: WrittenOutput) -> str:
        said = self.sidecar.outputs.get(output.name, OutputWords())
        unit = said.unit or output.unit or self._unit("concentration")
        if not unit:
            self.lacking.append((f"outputs.{output.name}", 'unit = "mg/L"', "unit of this output"))
        return unit

    def _no_dosing(self) -> DosingOptions | None:
        return None

    def _dosing(self, parts: "_Parts") -> DosingOptions:
        dosed = self.written.dosed or self.written.compartments
        routes = tuple(Route(f"into {c}", parts.names[c], 0.0) for c in dosed)
        return DosingOptions(routes, (0.0, 1.0), (24.0,), 1.0, "none given")

    def _asked(self) -> str:
        lines = [f"[{table}]\n{line}  # {comment}" for table, line, comment in self.lacking]
        return f"{self.written.path} does not say everything: add to its .toml\n" + "\n".join(lines)

    # Structure and outputs

    def _parts(self, units: list[str]) -> "_Parts":
        return _Parts(self, units)


@dataclass
class _Key:
    file: str
    key: str


class _Parts:
    """Structure, functions and outputs."""

    def __init__(self, bridge: _Bridge, units: list[str]) -> None:
        self.bridge, self.written, self.steps = bridge, bridge.written, bridge.steps
        self.extra: list[Step] = []
        self.out: dict[str, str] = {}
        w = self.written
        slopes = bridge._slope_names()
        properties = self.steps.properties
        for (kind, compartment), name in properties.items():
            if compartment not in w.compartments:
                line = next(s.line for s in self.steps.steps if s.name == name)
                raise ReadError(
                    f"{w.path}:{line}: {compartment!r} is no compartment; allowed: {', '.join(w.compartments)}"
                )
            if kind != "derivative" and name in self.steps.moving:
                line = next(s.line for s in self.steps.steps if s.name == name)
                raise ReadError(
                    f"{w.path}:{line}: the {kind} of {compartment!r} depends on time or contents; supported: one that "
                    "depends on parameters and covariates"
                )
        forms = AffineForms(self.steps, w.compartments)
        rows = {c: forms.of(Name(name)) for c, name in slopes.items()}
        starts = [(c, name) for (kind, c), name in properties.items() if kind == "start"]
        linear = not starts and all(r is not None and r.constant == Num(0.0) for r in rows.values())
        output_names = [f"_output_{i}" for i in range(len(w.outputs))]
        moving_outputs = self.steps.needed(output_names, moving=True)
        clock = any(
            TIME in names_in(s.expr)
            for s in (*moving_outputs, *(s for s in self.steps.steps if s.name in output_names))
        )
        linear = linear and not clock
        self.names = {c: c for c in w.compartments}
        central = self._central(forms, units)
        self.auc: dict[int, float] = {}
        if central is not None and (central[1] == "central" or "central" not in self.names.values()):
            i, compartment, scale, coefficient = central
            self.names[compartment] = "central"
            # C = coefficient * content; v1 in L is the auc_scale over it.
            self.extra.append(Step("_v1", Call("/", (Num(scale / bridge.per_mg), coefficient)), w.outputs[i].line))
            self.out["_v1"] = "v1"
            self.auc[i] = scale
        pairs = tuple((c, self.names[c]) for c in w.compartments)
        per_h = 1.0 / bridge.unit_h
        for kind, prefix, factor in (
            ("bioavailability", "f_", 1.0),
            ("lag", "lag_", bridge.unit_h),
            ("duration", "duration_", bridge.unit_h),
            ("rate", "rate_", per_h / bridge.per_mg),
        ):
            for (own, c), name in properties.items():
                if own == kind:
                    self._give(f"{prefix}{self.names[c]}", Name(name), factor)
        entries: list[tuple[int, int, str]] = []
        order = list(w.compartments)
        if linear:
            for c, row in rows.items():
                assert row is not None
                for other, coefficient in row.coefficients.items():
                    key = f"k_{self.names[other]}_{self.names[c]}"
                    self._give(key, coefficient, per_h)
                    entries.append((order.index(c), order.index(other), key))
            self.extra = [*forms.more, *self.extra]
        else:
            self.extra = [*forms.more, *self.extra]
        moving_slopes = () if linear else self.steps.needed(slopes.values(), moving=True)
        for step in (*moving_slopes, *moving_outputs):
            for name in sorted(names_in(step.expr) - self.steps.moving):
                self._key(name)
        for name in (*([] if linear else slopes.values()), *output_names, *(n for _, n in starts)):
            if name not in self.steps.moving:
                self._key(name)
        for effect in (*bridge.between, *bridge.within):
            if not effect.is_helper:
                self._key(effect.parameter)
        self._build_individual()
        p = tuple((name, key) for name, key in self.out.items())

        def moment(steps: tuple[Step, ...], roots: tuple[str, ...]) -> Moment:
            wanted = {*roots}.union(*(names_in(s.expr) for s in steps))
            return Moment(
                Program([(s.name, s.expr) for s in steps]),
                tuple(pair for pair in pairs if pair[0] in wanted),
                tuple(pair for pair in p if pair[0] in wanted),
                bridge.per_mg,
                bridge.unit_h,
            )

        self.structure: Structure
        if linear:
            required = (*(key for _, _, key in entries), *(["v1"] if self.auc else []))
            self.structure = LinearSystem(tuple(self.names.values()), Matrix(len(order), tuple(entries)), required)
        else:
            roots = tuple(slopes.values())
            states = (*self.names.values(), *([CLOCK] if clock else []))
            missing = [c for c in order if c not in slopes]
            zero_slopes = [("_zero", c) for c in missing]
            del zero_slopes
            own = moment(self.steps.needed(roots, moving=True), roots)
            rhs = Slopes(
                own,
                tuple((self.names[c], slopes[c]) for c in order if c in slopes),
                clock,
                tuple(self.names[c] for c in missing),
            )
            start_pairs: Pairs = tuple((self.names[c], self.out[name]) for c, name in starts)
            required = tuple(sorted({key for _, key in own.p} | {key for _, key in start_pairs}))
            start = Start(start_pairs, bridge.per_mg) if starts else None
            self.structure = OdeSystem(states, rhs, required, start, doses_into=tuple(self.names.values()))
        self.outputs = tuple(
            self._output(
                i, output, units[i], moment(self.steps.needed([f"_output_{i}"], moving=True), (f"_output_{i}",)), clock
            )
            for i, output in enumerate(w.outputs)
        )

    def _give(self, key: str, expr: Expr, factor: float) -> None:
        name = f"_engine_{key}"
        scaled = expr if factor == 1.0 else Call("*", (Num(factor), expr))
        self.extra.append(Step(name, scaled, 0))
        self.out[name] = key

    def _key(self, name: str) -> None:
        if name in self.out:
            return
        clash = name in RESERVED or name.startswith((*PREFIXES, "rate_")) or name in self.out.values()
        self.out[name] = f"file_{name}" if clash else name

    def _central(self, forms: AffineForms, units: list[str]) -> tuple[int, str, float, Expr] | None:
        for i, unit in enumerate(units):
            scale = per_mg_per_l(unit)
            form = forms.of(Name(f"_output_{i}")) if f"_output_{i}" in self.steps.moving else None
            if scale is None or form is None or form.constant != Num(0.0) or len(form.coefficients) != 1:
                continue
            ((compartment, coefficient),) = form.coefficients.items()
            return i, compartment, scale, coefficient
        return None

    def _build_individual(self) -> None:
        w, bridge = self.written, self.bridge
        inputs = {c.name for c in w.covariates}
        thetas = [n.name for n in w.thetas]
        effects = (*bridge.between, *bridge.within)
        helpers = tuple(e.eta for e in effects if e.is_helper and e.eta not in bridge.zero)
        inside = tuple(e.eta for e in effects if not e.is_helper or e.eta in bridge.zero)
        static = [s for s in self.steps.steps if s.name not in self.steps.moving] + self.extra
        chosen = Steps(tuple(static), {}, {}, frozenset())
        needed = chosen.needed(self.out)
        reads = set(self.out).union(*(names_in(s.expr) for s in needed))
        fixed = tuple(dict.fromkeys(e.parameter for e in effects if not e.is_helper))
        # Before the random effects: what they act on.
        first = chosen.needed(fixed)
        passed = tuple(t for t in thetas if t in reads)
        self.typical = Typical(Program([(s.name, s.expr) for s in first]), (*inside, *helpers), fixed, helpers, passed)
        self.individual = Individual(
            Program([(s.name, s.expr) for s in needed]), inside, helpers, passed, fixed, tuple(self.out.items())
        )
        del inputs

    def _output(self, i: int, output: WrittenOutput, unit: str, moment: Moment, clock: bool) -> Output:
        said = self.bridge.sidecar.outputs.get(output.name, OutputWords())
        value = Value(moment, f"_output_{i}", clock and any(TIME in names_in(e) for _, e in moment.program.steps))
        return Output(output.name, unit, self._residual(output, unit), value, said.meaning, self.auc.get(i))

    def _residual(self, output: WrittenOutput, unit: str) -> Residual | None:
        error = output.error
        if error is None:
            return None
        a, b = self._size(error.additive, unit, output), self._size(error.proportional, "1", output)
        match error.kind:
            case "add":
                return Residual("additive", additive=a)
            case "prop":
                return Residual("proportional", proportional=b)
            case "combined1" | "combined2":
                return Residual(error.kind, additive=a, proportional=b)
            case "lnorm":
                return Residual("lognormal", proportional=self._size(error.additive or error.proportional, "1", output))
            case _:
                raise ReadError(f"{self.written.path}:{output.line}: residual error {error.kind!r} is not there yet")

    def _size(self, expr: Expr | None, unit: str, output: WrittenOutput) -> Param | None:
        if expr is None:
            return None
        w = self.written
        values = {n.name: n.value for n in w.thetas}
        chosen = self.steps.needed(names_in(expr) & set(self.steps.last), moving=None)
        from rl_drug_dosage.pharmacometrics.readers.expressions import evaluate

        known: dict[str, Any] = dict(values)
        for step in chosen:
            if not names_in(step.expr) <= set(known):
                raise ReadError(
                    f"{w.path}:{output.line}: the residual error of {output.name!r} depends on covariates or random "
                    "effects; supported: typical values and numbers"
                )
            known[step.name] = float(evaluate(step.expr, known))
        if not names_in(expr) <= set(known):
            raise ReadError(
                f"{w.path}:{output.line}: the residual error of {output.name!r} depends on {sorted(names_in(expr))}; "
                "supported: typical values and numbers"
            )
        size = abs(float(evaluate(expr, known)))
        if not math.isfinite(size):
            raise ReadError(f"{w.path}:{output.line}: the residual error of {output.name!r} is {size}")
        line = next((n.line for n in w.thetas if n.name in names_in(expr)), output.line)
        return Param(size, unit, self.bridge._source(line), f"residual error of {output.name}", True)


def _unused(_: Mapping[str, Any]) -> None: ...

"""Compartments, parameters and outputs of a bridged model.

A system with constant rates, nothing in it at the start and no input of its own is linear. It is a `Mammillary` where
it has that form and the file's own names leave no doubt of what ``v2`` is, a `LinearSystem` otherwise; both are exact.
Everything else is an `OdeSystem`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

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
from rl_drug_dosage.pharmacometrics.readers._effects import Effect
from rl_drug_dosage.pharmacometrics.readers._linear import Affine, AffineForms
from rl_drug_dosage.pharmacometrics.readers._mammillary import around, mammillary_forms, simplified
from rl_drug_dosage.pharmacometrics.readers._statements import TIME, Program, Step, Steps, output_name
from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Expr, Name, Num, names_in
from rl_drug_dosage.pharmacometrics.readers.written import AssignKind, ReadError, WrittenModel
from rl_drug_dosage.pkpd import Adaptive, LinearSystem, Mammillary, OdeSystem
from rl_drug_dosage.pkpd.parameter_units import PREFIXES
from rl_drug_dosage.pkpd.structure import Structure

__all__ = ["Parts", "Scales", "make_parts"]

_NOTHING = Num(0.0)
_DELIVERY: Mapping[AssignKind, str] = {
    "bioavailability": "f_",
    "lag": "lag_",
    "duration": "duration_",
    "rate": "rate_",
}
_STIFF = 2_000.0
"""Explicit steps of an interval, as stability asks for, above which an implicit method is cheaper: an implicit step of
a few states costs some ten explicit ones, and an accurate explicit solution takes a few hundred."""
_EXPLICIT_REACH = 3.0
"""Of the explicit method: its step times the fastest rate stays below this."""
_ENGINE_OF_TIME = frozenset({"cl", "q2", "q3", "ka", "ke0"})


@dataclass(frozen=True)
class Scales:
    """Contents of the file's unit in 1 mg, and its unit of time in h."""

    per_mg: float
    unit_h: float


@dataclass(frozen=True)
class Parts:
    """What a `DrugModel` is made of.

    Args:
        names: compartment of the file -> of the structure.
        auc_scale: index of an output -> its factor.
        reads: names of parameters, random effects and covariates that anything depends on.
    """

    structure: Structure
    typical: Typical
    individual: Individual
    values: tuple[Value, ...]
    names: Mapping[str, str]
    auc_scale: Mapping[int, float]
    reads: frozenset[str]


@dataclass
class _Draft:
    """The engine's parameters, while they are collected.

    Args:
        steps: everything that does not move.
        keys: name among the steps -> key.
        same: name in the file -> the engine's parameter that is exactly this, in the same unit.
    """

    steps: list[Step]
    keys: dict[str, str] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)

    def give(self, key: str, expr: Expr, factor: float = 1.0) -> None:
        """A parameter that the engine reads, ``factor`` times a tree."""
        name = f"_engine_{key}"
        self.steps.append(Step(name, _scaled(expr, factor), 0))
        self.keys[name] = key
        if factor == 1.0 and isinstance(expr, Name):
            self.same[expr.name] = key

    def keep(self, name: str, *, plain: bool) -> None:
        """A value of the file; its key is its own name, unless the engine means something else by it.

        Args:
            name: among the steps.
            plain: whether the engine may find it under its own name.
        """
        if name in self.keys:
            return
        if name in self.same:
            self.keys[name] = self.same[name]
            return
        taken = name in self.keys.values() or not plain or name.startswith((*PREFIXES, "rate_"))
        self.keys[name] = f"file_{name}" if taken else name


def make_parts(
    written: WrittenModel,
    steps: Steps,
    effects: Sequence[Effect],
    zero: frozenset[str],
    scales: Scales,
    per_mg_l: Sequence[float | None],
    covariate_names: Mapping[str, str],
    typical_covariates: Mapping[str, float],
) -> Parts:
    """Structure, functions and outputs.

    Args:
        written: what the file says.
        steps: its statements.
        effects: all random effects.
        zero: those whose variance is 0.
        scales: of contents and times.
        per_mg_l: of each output, what 1 mg/L is in its unit; None where it is no concentration.
        covariate_names: name in the file -> name in the engine.
        typical_covariates: name in the file -> value.

    Raises:
        ReadError: a statement that the engine cannot follow.
    """
    maker = _Maker(written, steps, effects, zero, scales, per_mg_l, covariate_names, typical_covariates)
    return maker.parts()


class _Maker:
    def __init__(
        self,
        written: WrittenModel,
        steps: Steps,
        effects: Sequence[Effect],
        zero: frozenset[str],
        scales: Scales,
        per_mg_l: Sequence[float | None],
        covariate_names: Mapping[str, str],
        typical_covariates: Mapping[str, float],
    ) -> None:
        self.written, self.steps, self.effects, self.zero = written, steps, effects, zero
        self.scales, self.per_mg_l = scales, per_mg_l
        self.covariate_names, self.typical_covariates = covariate_names, typical_covariates
        self.slopes = {c: n for (kind, c), n in steps.properties.items() if kind == "derivative"}
        self.starts = {c: n for (kind, c), n in steps.properties.items() if kind == "start"}
        self.outputs = [output_name(i) for i in range(len(written.outputs))]
        self.forms = AffineForms(steps, written.compartments)
        still = [step for step in steps.steps if step.name not in steps.moving]
        self.draft = _Draft([*still, *self.forms.more])
        self.fixed = tuple(dict.fromkeys(e.parameter for e in effects if not e.is_helper and e.eta not in zero))
        self.names = {c: c for c in written.compartments}
        self.auc_scale: dict[int, float] = {}

    def parts(self) -> Parts:
        """All of it."""
        self.check()
        moving = self.steps.needed(self.outputs, moving=True)
        clock = any(TIME in names_in(step.expr) for step in moving)
        rows = {c: self.forms.of(Name(name)) for c, name in self.slopes.items()}
        linear = not self.starts and not clock and all(row is not None and row.constant == _NOTHING for row in rows.values())
        central = self.name_central()
        structure: Structure | None = None
        exact = {c: r for c, r in rows.items() if r is not None and r.constant == _NOTHING and c not in self.starts}
        driver = self.mammillary(exact, central, self.written.compartments if linear else None)
        if linear:
            structure = driver
        for name in self.fixed:
            if self.scales.unit_h == 1.0 or name.lower() not in self.draft.keys.values():
                self.keep(name)
        if linear and structure is None:
            structure = self.linear(exact)
        for (kind, compartment), name in self.steps.properties.items():
            if kind in _DELIVERY:
                self.draft.give(f"{_DELIVERY[kind]}{self.names[compartment]}", self.delivered(kind, Name(name)))
        inside = driver.compartments if driver is not None else ()
        self.slopes = {c: name for c, name in self.slopes.items() if self.names[c] not in inside}
        wanted = [*moving, *([] if linear else self.steps.needed(self.slopes.values(), moving=True))]
        still = {n for step in wanted for n in names_in(step.expr)} | {*self.outputs, *self.starts.values()}
        still |= set() if linear else set(self.slopes.values())
        for name in sorted(still - self.steps.moving):
            self.keep(name)
        if not self.draft.keys:
            # The engine has at least one parameter to follow over the records.
            self.draft.give("none", Num(1.0))
        typical, individual, reads = self.functions()
        if structure is None:
            structure = self.ode(driver, clock, typical, individual)
        elif isinstance(structure, LinearSystem):
            structure = replace(structure, matrix=self.with_keys(structure.matrix))
        values = tuple(Value(self.moment([name]), name, clock and self.reads_time(name)) for name in self.outputs)
        return Parts(structure, typical, individual, values, self.names, self.auc_scale, reads)

    def check(self) -> None:
        """Refuse properties of what is no compartment, and those that move."""
        for (kind, compartment), name in self.steps.properties.items():
            at = f"{self.written.path}:{self.steps.line(name)}"
            if compartment not in self.written.compartments:
                known = ", ".join(self.written.compartments) or "none"
                raise ReadError(f"{at}: {compartment!r} is no compartment; allowed: {known}; give it a derivative")
            if kind != "derivative" and name in self.steps.moving:
                raise ReadError(
                    f"{at}: the {kind} of {compartment!r} depends on contents or time; supported: one that depends on "
                    "parameters and covariates; give the time as a covariate"
                )
        if not self.written.compartments:
            raise ReadError(f"{self.written.path}: there is no compartment; supported: models with derivatives")

    def delivered(self, kind: AssignKind, expr: Expr) -> Expr:
        """A property of doses in the engine's unit."""
        factor = {"bioavailability": 1.0, "rate": 1.0 / (self.scales.unit_h * self.scales.per_mg)}.get(
            kind, self.scales.unit_h
        )
        return expr if factor == 1.0 else Call("*", (Num(factor), expr))

    def keep(self, name: str) -> None:
        """A value of the file under its own name, where the engine means the same by it."""
        hourly = name not in _ENGINE_OF_TIME or self.scales.unit_h == 1.0
        self.draft.keep(name, plain=hourly and name != "v1")

    def name_central(self) -> tuple[str, Expr] | None:
        """The compartment of an output that is a concentration becomes ``central``, and gets its volume ``v1``."""
        for i, scale in enumerate(self.per_mg_l):
            found = self.concentration(i)
            if scale is None or found is None or (found[0] != "central" and "central" in self.names):
                continue
            compartment, coefficient = found
            self.names[compartment] = "central"
            # f = coefficient * content in the file's unit = scale * (content in mg / v1).
            volume = self.volume(coefficient, scale)
            self.draft.give("v1", volume)
            for j, other in enumerate(self.per_mg_l):
                again = self.concentration(j)
                if other is not None and again is not None and again[0] == compartment:
                    if self.volume(again[1], other) == volume:
                        self.auc_scale[j] = other
            return compartment, volume
        return None

    def volume(self, coefficient: Expr, scale: float) -> Expr:
        """The volume in L that makes an output, ``coefficient * content``, ``scale`` times the concentration in mg/L."""
        volume = Call("/", (Num(scale / self.scales.per_mg), coefficient))
        return simplified(volume, self.draft.steps, frozenset(self.fixed))

    def concentration(self, index: int) -> tuple[str, Expr] | None:
        """The one compartment that an output is proportional to, and its factor."""
        form = self.forms.of(Name(self.outputs[index]))
        if form is None or form.constant != _NOTHING or len(form.coefficients) != 1:
            return None
        ((compartment, factor),) = form.coefficients.items()
        return compartment, self.forms.written_out(factor)

    # Structures

    def mammillary(
        self, rows: Mapping[str, Affine], central: tuple[str, Expr] | None, compartments: Sequence[str] | None
    ) -> Mammillary | None:
        """The closed form, where it is one and none of its names means something else in the file.

        Args:
            rows: derivatives that are linear.
            central: compartment and volume.
            compartments: of the closed form; None: those that the central one exchanges with, and a depot.
        """
        if central is None:
            return None
        compartment, volume = central
        rates = {c: row.coefficients for c, row in rows.items()}
        compartments = around(compartment, self.written.compartments, rates) if compartments is None else compartments
        if not compartments:
            return None
        forms = mammillary_forms(compartments, compartment, volume, rates, self.draft.steps, frozenset(self.fixed))
        found = next((f for f in forms if not self.clashes({**f.flows, **f.volumes, "v1": volume})), None)
        if found is None:
            return None
        for key, expr in found.flows.items():
            self.draft.give(key, expr, 1.0 / self.scales.unit_h)
        for key, expr in found.volumes.items():
            self.draft.give(key, expr)
        peripherals, depot = [f"peripheral{i + 1}" for i in range(len(found.volumes))], "ka" in found.flows
        own = [*(["depot"] if depot else []), "central", *peripherals]
        self.names |= dict(zip(compartments, own, strict=True))
        return Mammillary(peripherals=len(peripherals), depot=depot)

    def clashes(self, given: Mapping[str, Expr]) -> bool:
        """Whether the file calls something else by a name of the engine, in any case of letters."""
        mine = [(s.name, s.name.lower()) for s in self.draft.steps]
        return any(key in given and given[key] != Name(name) for name, key in mine)

    def linear(self, rows: Mapping[str, Affine]) -> LinearSystem:
        """The exact propagator; its matrix gets its keys when all of them are known."""
        order = list(self.written.compartments)
        entries = [
            (order.index(c), order.index(other), f"_rate_{order.index(c)}_{order.index(other)}", coefficient)
            for c, row in rows.items()
            for other, coefficient in row.coefficients.items()
            if coefficient != _NOTHING
        ]
        extra = [Step(name, expr, 0) for _, _, name, expr in entries]
        leaves = frozenset(self.fixed) | {s.name for s in self.draft.steps if not s.name.startswith("_")}
        whole = Steps((*self.draft.steps, *extra), {}, {}, frozenset())
        needed = whole.needed([name for _, _, name, _ in entries], known=leaves)
        program = Program([(step.name, step.expr) for step in needed])
        for name in sorted(program.reads()):
            self.keep(name)
        return LinearSystem(
            names=tuple(self.names.values()),
            matrix=Matrix(program, (), tuple(entry[:3] for entry in entries), len(order), self.scales.unit_h),
            required=("v1",) if self.auc_scale else (),
        )

    def with_keys(self, matrix: Any) -> Matrix:
        """The matrix, with the keys of what it reads."""
        reads = matrix.program.reads()
        found: Matrix = replace(matrix, p=tuple((n, k) for n, k in self.draft.keys.items() if n in reads))
        return found

    def ode(
        self, driver: Mammillary | None, clock: bool, typical: Typical, individual: Individual
    ) -> OdeSystem:
        """Differential equations, those of a linear driver apart."""
        doses_into = tuple(n for n in self.names.values() if driver is None or n not in driver.compartments)
        still = tuple(own for c, own in self.names.items() if c not in self.slopes and own in doses_into)
        slopes: Pairs = tuple((self.names[c], name) for c, name in self.slopes.items())
        moment = self.moment(self.slopes.values())
        start: Start | None = None
        if self.starts:
            pairs: Pairs = tuple((self.names[c], self.draft.keys[name]) for c, name in self.starts.items())
            start = Start(pairs, self.scales.per_mg)
        system = OdeSystem(
            states=(*doses_into, CLOCK) if clock else doses_into,
            rhs=Slopes(moment, slopes, clock, still),
            required=(),
            start=start,
            pk=driver,
            doses_into=doses_into,
        )
        return system.with_method(Adaptive(stiff=self.is_stiff(system, typical, individual)))

    def is_stiff(self, system: OdeSystem, typical: Typical, individual: Individual) -> bool:
        """Whether an explicit method would take very many steps a day: by the fastest rate of the typical patient."""
        theta = {n.name: n.value for n in self.written.thetas}
        with jax.ensure_compile_time_eval():
            covariates = {
                self.covariate_names[name]: jnp.asarray(value, dtype=float)
                for name, value in self.typical_covariates.items()
            }
            p = individual(typical(theta, covariates), covariates)

            front = len(system.compartments) - len(system.states)

            def slope(y: Array, x: Array) -> Array:
                contents = dict(zip(system.compartments, x[:front], strict=False))
                got = system.rhs(jnp.zeros(()), {n: y[i] for i, n in enumerate(system.states)}, p, contents)
                return jnp.stack([got[name] for name in system.states])

            jacobian = jax.jacfwd(slope)
            found = [np.asarray(jacobian(x[front:], x)) for x in (system.initial(p), system.dosed(p, 100.0))]
        fastest = max((np.abs(np.linalg.eigvals(a)).max() for a in found if np.isfinite(a).all()), default=0.0)
        return bool(fastest * 24.0 / _EXPLICIT_REACH > _STIFF)

    # Functions

    def reads_time(self, name: str) -> bool:
        return any(TIME in names_in(step.expr) for step in self.steps.needed([name], moving=True))

    def moment(self, roots: Iterable[str]) -> Moment:
        """The statements that some values rest on, at a moment."""
        roots = tuple(roots)
        steps = self.steps.needed(roots, moving=True)
        wanted = set(roots).union(*(names_in(step.expr) for step in steps))
        return Moment(
            Program([(step.name, step.expr) for step in steps]),
            tuple((c, own) for c, own in self.names.items() if c in wanted),
            tuple((name, key) for name, key in self.draft.keys.items() if name in wanted),
            self.scales.per_mg,
            self.scales.unit_h,
        )

    def functions(self) -> tuple[Typical, Individual, frozenset[str]]:
        """``parameters`` and ``finish``."""
        every = Steps(tuple(self.draft.steps), {}, {}, frozenset())
        etas = frozenset(e.eta for e in self.effects)
        needed = every.needed(self.draft.keys)
        # What comes before the random effects, and what may get one in a training population.
        tainted = set(etas)
        for step in needed:
            if names_in(step.expr) & tainted:
                tainted.add(step.name)
        thetas = {n.name for n in self.written.thetas}
        of_thetas = set(thetas)
        for step in needed:
            if names_in(step.expr) & of_thetas:
                of_thetas.add(step.name)
        plain = [
            s.name
            for s in needed
            if s.name not in tainted and s.name in of_thetas and "@" not in s.name and not s.name.startswith("_")
        ]
        first = tuple(dict.fromkeys((*self.fixed, *plain)))
        before = Program([(s.name, s.expr) for s in every.needed(first)])
        after = Program([(s.name, s.expr) for s in every.needed(self.draft.keys, known=frozenset(first))])
        reads = after.reads() | {name for name in self.draft.keys if name not in {s.name for s in needed}}
        inside = tuple(e.eta for e in self.effects if not e.is_helper or e.eta in self.zero)
        helpers = tuple(
            e.eta for e in self.effects if e.is_helper and e.eta not in self.zero and e.eta in (reads | before.reads())
        )
        passed = tuple(n.name for n in self.written.thetas if n.name in reads)
        typical = Typical(
            before, tuple(e.eta for e in self.effects), first, helpers, passed, self.covariate_pairs(before.reads())
        )
        own = tuple(name for name in first if name in reads or name in self.draft.keys)
        individual = Individual(
            after,
            tuple(name for name in inside if name in reads),
            helpers,
            passed,
            own,
            self.covariate_pairs(reads),
            tuple(self.draft.keys.items()),
        )
        return typical, individual, frozenset(reads | before.reads())

    def covariate_pairs(self, reads: frozenset[str] | set[str]) -> Pairs:
        return tuple((name, own) for name, own in self.covariate_names.items() if name in reads)


def _scaled(expr: Expr, factor: float) -> Expr:
    return expr if factor == 1.0 else Call("*", (Num(factor), expr))


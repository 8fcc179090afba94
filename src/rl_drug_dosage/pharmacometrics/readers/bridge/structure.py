"""Compartments, parameters and outputs of a bridged model.

A system with constant rates, nothing in it at the start and no input of its own is linear. It is a `Mammillary` where
it has that form and the file's own names leave no doubt of what ``v2`` is, a `LinearSystem` otherwise; both are exact.
Everything else is an `OdeSystem`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp

from rl_drug_dosage.pharmacometrics.readers.bridge.arrivals import arrivals_of, hidden_in
from rl_drug_dosage.pharmacometrics.readers.bridge.callables import (
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
from rl_drug_dosage.pharmacometrics.readers.bridge.draft import Draft
from rl_drug_dosage.pharmacometrics.readers.bridge.effects import Effect
from rl_drug_dosage.pharmacometrics.readers.bridge.functions import functions_of
from rl_drug_dosage.pharmacometrics.readers.bridge.linear import Affine, AffineForms
from rl_drug_dosage.pharmacometrics.readers.bridge.mammillary import (
    around,
    clashes,
    mammillary_forms,
    namesakes,
    simplified,
)
from rl_drug_dosage.pharmacometrics.readers.bridge.parts import Parts, Scales
from rl_drug_dosage.pharmacometrics.readers.bridge.statements import TIME, Program, Step, Steps, key_of, output_name
from rl_drug_dosage.pharmacometrics.readers.bridge.stiffness import is_stiff
from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Expr, Name, Num, names_in
from rl_drug_dosage.pharmacometrics.readers.written import AssignKind, ReadError, WrittenModel
from rl_drug_dosage.pkpd import Adaptive, LinearSystem, Mammillary, OdeSystem
from rl_drug_dosage.pkpd.structure import Structure

__all__ = ["PartsMaker"]

_NOTHING = Num(0.0)
_DELIVERY: Mapping[AssignKind, str] = {
    "bioavailability": "f_",
    "lag": "lag_",
    "duration": "duration_",
    "rate": "rate_",
}
_ENGINE_OF_TIME = frozenset({"cl", "q2", "q3", "ka", "ke0"})


@dataclass
class PartsMaker:
    """Makes structure, functions and outputs.

    Args:
        written: what the file says.
        steps: its statements.
        effects: all random effects.
        zero: those whose variance is 0.
        scales: of contents and times.
        per_mg_l: of each output, what 1 mg/L is in its unit; None where it is no concentration.
        covariate_names: name in the file -> name in the engine.
        typical_covariates: name in the file -> value.
    """

    written: WrittenModel
    steps: Steps
    effects: Sequence[Effect]
    zero: frozenset[str]
    scales: Scales
    per_mg_l: Sequence[float | None]
    covariate_names: Mapping[str, str]
    typical_covariates: Mapping[str, float]

    def __post_init__(self) -> None:
        properties = self.steps.properties.items()
        self.slopes = {c: name for (kind, c), name in properties if kind == "derivative"}
        self.starts = {c: name for (kind, c), name in properties if kind == "start"}
        self.outputs = [output_name(i) for i in range(len(self.written.outputs))]
        self.forms = AffineForms(self.steps, self.written.compartments)
        still = [step for step in self.steps.steps if step.name not in self.steps.moving]
        self.draft = Draft([*still, *self.forms.more])
        own = (e.parameter for e in self.effects if not e.is_helper and e.eta not in self.zero)
        self.fixed = tuple(dict.fromkeys(own))
        self.names = {c: c for c in self.written.compartments}
        self.auc_scale: dict[int, float] = {}

    def parts(self) -> Parts:
        """All of it.

        Raises:
            ReadError: a statement that the engine cannot follow.
        """
        self.check()
        moving = self.steps.needed(self.outputs, moving=True)
        clock = any(TIME in names_in(step.expr) for step in moving)
        rows = {c: self.forms.of(Name(name)) for c, name in self.slopes.items()}
        exact = {c: r for c, r in rows.items() if r is not None and r.constant == _NOTHING and c not in self.starts}
        is_linear = len(exact) == len(rows) and not self.starts and not clock
        central = self.name_central()
        driver = self.mammillary(exact, central, self.written.compartments if is_linear else None)
        for name in self.fixed:
            if self.scales.unit_h == 1.0 or name.lower() not in self.draft.keys.values():
                self.keep(name)
        system = self.linear(exact) if is_linear and driver is None else None
        self.deliver()
        inside = driver.compartments if driver is not None else ()
        self.slopes = {} if is_linear else {c: n for c, n in self.slopes.items() if self.names[c] not in inside}
        moving = (*moving, *self.steps.needed(self.slopes.values(), moving=True))
        still = {n for step in moving for n in names_in(step.expr)}
        for name in sorted(still.union(self.outputs, self.starts.values(), self.slopes.values()) - self.steps.moving):
            self.keep(name)
        typical, individual, reads = functions_of(
            self.draft, self.written, self.effects, self.zero, self.fixed, self.covariate_names
        )
        structure: Structure
        if system is not None:
            structure = replace(system, matrix=self.with_keys(system.matrix))
        elif is_linear and driver is not None:
            structure = driver
        else:
            structure = self.ode(driver, clock, typical, individual)
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

    def deliver(self) -> None:
        """Properties of doses, in the engine's units."""
        scales = {"bioavailability": 1.0, "rate": 1.0 / (self.scales.unit_h * self.scales.per_mg)}
        for (kind, compartment), name in self.steps.properties.items():
            if kind in _DELIVERY:
                key = f"{_DELIVERY[kind]}{self.names[compartment]}"
                self.draft.give(key, Name(name), scales.get(kind, self.scales.unit_h))
        if not self.draft.keys:
            # The engine has at least one parameter to follow over the records.
            self.draft.give("none", Num(1.0))

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
                same = other is not None and again is not None and again[0] == compartment
                if same and key_of(self.volume(again[1], other)) == key_of(volume):  # type: ignore[index, arg-type]
                    self.auc_scale[j] = other  # type: ignore[assignment]
            return compartment, volume
        return None

    def volume(self, coefficient: Expr, scale: float) -> Expr:
        """The volume in L by which an output, ``coefficient * content``, is ``scale`` times mg/L."""
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
        same = namesakes(self.draft.steps, frozenset(self.fixed))
        found = next((f for f in forms if not clashes({**f.flows, **f.volumes, "v1": volume}, same)), None)
        if found is None:
            return None
        for key, expr in (*found.flows.items(), *found.volumes.items()):
            own = Name(key) if key in same and key_of(same[key]) == key_of(expr) else expr
            self.draft.give(key, own, 1.0 / self.scales.unit_h if key in found.flows else 1.0)
        peripherals, depot = [f"peripheral{i + 1}" for i in range(len(found.volumes))], "ka" in found.flows
        names = [*(["depot"] if depot else []), "central", *peripherals]
        self.names |= dict(zip(compartments, names, strict=True))
        return Mammillary(peripherals=len(peripherals), depot=depot)

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

    def ode(self, driver: Mammillary | None, clock: bool, typical: Typical, individual: Individual) -> OdeSystem:
        """Differential equations, those of a linear driver apart."""
        states = tuple(n for n in self.names.values() if driver is None or n not in driver.compartments)
        still = tuple(own for c, own in self.names.items() if c not in self.slopes and own in states)
        slopes: Pairs = tuple((self.names[c], name) for c, name in self.slopes.items())
        moment = self.moment(self.slopes.values())
        start: Start | None = None
        if self.starts:
            pairs: Pairs = tuple((self.names[c], self.draft.keys[name]) for c, name in self.starts.items())
            start = Start(pairs, self.scales.per_mg)
        arrivals = arrivals_of(self.written, self.names)
        hidden = hidden_in(self.written)
        system = OdeSystem(
            states=(*states, CLOCK) if clock else states,
            rhs=Slopes(moment, slopes, clock, still),
            required=(),
            start=start,
            pk=driver,
            doses_into=tuple(own for c, own in self.names.items() if own in states and c not in hidden),
            arrivals=arrivals,
        )
        theta = {n.name: jnp.asarray(n.value, dtype=float) for n in self.written.thetas}
        values = self.typical_covariates
        with jax.ensure_compile_time_eval():
            covariates = {self.covariate_names[n]: jnp.asarray(v, dtype=float) for n, v in values.items()}
            stiff = is_stiff(system, individual(typical(theta, covariates), covariates))
        return system.with_method(Adaptive(stiff=stiff))

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

"""What an SBML file declares: symbols with their values, rules, and the reactions that change species."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Expr, Name, Num, substituted
from rl_drug_dosage.pharmacometrics.readers.sbml.math import Maths
from rl_drug_dosage.pharmacometrics.readers.sbml.units import unit_words
from rl_drug_dosage.pharmacometrics.readers.source_text import Place, refused
from rl_drug_dosage.pharmacometrics.readers.written import Number, ReadError

__all__ = ["Symbol", "Symbols"]

Role = Literal["constant", "rule", "state"]


@dataclass
class Symbol:
    """Something with an id and a value.

    Args:
        name: of its variable; of a species that is a state, the amount.
        element: libsbml's.
        what: "species 'S1'", for messages.
        role: a number, what an assignment rule gives, or what changes by rates.
        value: what the file says it is at the start; None if it does not say.
        is_amount: of a species, whether ``value`` is an amount and not a concentration.
        read_as_amount: of a species, whether formulas read its amount.
        volume: of a species, the id of its compartment.
        initial: its initial assignment.
        rate: its rate rule.
    """

    name: str
    element: Any
    what: str
    role: Role = "constant"
    value: float | None = None
    is_amount: bool = True
    read_as_amount: bool = True
    volume: str = ""
    initial: Expr | None = None
    rate: Expr | None = None

    @property
    def line(self) -> int:
        return max(int(self.element.getLine()), 1)


@dataclass
class Symbols:
    """Reads the declarations of a model.

    Args:
        path: of the file.
        model: libsbml's model.
        maths: reads its formulas.

    Raises:
        ReadError: by line: an element that is not supported.
    """

    path: str
    model: Any
    maths: Maths
    by_name: dict[str, Symbol] = field(default_factory=dict)
    """By the names of their variables."""
    numbers: dict[str, Number] = field(default_factory=dict)
    """Typical values that something reads."""
    rules: dict[str, tuple[Expr, int]] = field(default_factory=dict)
    """What assignment rules and reactions give, by variable, with the line."""
    changes: dict[str, list[Expr]] = field(default_factory=dict)
    """Species -> the rates that its amount changes by."""

    def __post_init__(self) -> None:
        self.refuse_unsupported()
        self.name_everything()
        self.define_functions()
        self.read_symbols()
        self.read_rules()
        self.read_reactions()

    def wrong(self, element: Any, came: str, supported: str, remedy: str) -> ReadError:
        return refused(
            self.path, Place(max(element.getLine(), 1), max(element.getColumn(), 1)), came, supported, remedy
        )

    def undefined(self, name: str) -> ReadError:
        return self.wrong(self.model, f"{name!r} has no value", "ids of this model", "define it")

    def each(self, kind: str) -> Iterator[Any]:
        for i in range(getattr(self.model, f"getNum{kind}")()):
            yield getattr(self.model, f"get{kind.removesuffix('s') if kind != 'Species' else kind}")(i)

    def refuse_unsupported(self) -> None:
        for event in self.each("Events"):
            came = f"event {event.getId() or event.getName() or '(without an id)'!r}"
            raise self.wrong(
                event, came, "models without events", "give doses by this package, and leave the event out"
            )
        for rule in self.each("Rules"):
            if rule.isAlgebraic():
                came = f"algebraic rule {rule.getIdAttribute() or rule.getMetaId() or '(without an id)'!r}"
                raise self.wrong(rule, came, "assignment and rate rules", "solve it for one variable")
        for reaction in self.each("Reactions"):
            if reaction.isSetFast() and reaction.getFast():
                came = f"fast reaction {reaction.getId()!r}"
                raise self.wrong(reaction, came, "reactions with a rate", "write its equilibrium as a rule")
            if reaction.getKineticLaw() is None:
                came = f"reaction {reaction.getId()!r} without a kinetic law"
                raise self.wrong(reaction, came, "reactions with a rate", "add its kinetic law")

    def name_everything(self) -> None:
        """``t`` is the time here, and names that begin with _ are the reader's."""
        ids = [
            each.getId() for kind in ("Compartments", "Species", "Parameters", "Reactions") for each in self.each(kind)
        ]
        for name in ids:
            if name == "t" or name.startswith("_"):
                self.maths.names[name] = self.free(f"x{name}" if name.startswith("_") else "t_", ids)

    def free(self, name: str, taken: Iterable[str]) -> str:
        used = {*taken, *self.maths.names.values(), *self.by_name, *self.numbers, *self.rules}
        while name in used:
            name += "_"
        return name

    def variable(self, name: str) -> str:
        return self.maths.names.get(name, name)

    def define_functions(self) -> None:
        waiting = list(self.each("FunctionDefinitions"))
        while waiting:
            known = set(self.maths.definitions)
            ready = [d for d in waiting if d.getBody() is None or self.maths.calls(d.getBody()) <= known]
            if not ready:
                came = f"function definition {waiting[0].getId()!r} calls itself, or a function that is not defined"
                raise self.wrong(waiting[0], came, "functions of functions that are defined", "define it otherwise")
            for definition in ready:
                self.maths.define(definition)
            waiting = [d for d in waiting if d not in ready]

    def read_symbols(self) -> None:
        for each in self.each("Compartments"):
            # In Level 1 a compartment without a size has the size 1.
            size = each.getSize() if each.isSetSize() or each.getLevel() == 1 else None
            self.add(Symbol(self.variable(each.getId()), each, f"compartment {each.getId()!r}", value=size))
        for each in self.each("Parameters"):
            number = each.getValue() if each.isSetValue() else None
            self.add(Symbol(self.variable(each.getId()), each, f"parameter {each.getId()!r}", value=number))
        for each in self.each("Species"):
            amount = each.isSetInitialAmount()
            size = self.model.getCompartment(each.getCompartment())
            point = size is None or (size.getSpatialDimensionsAsDouble() == 0.0 and not size.isSetSize())
            self.add(
                Symbol(
                    self.variable(each.getId()),
                    each,
                    f"species {each.getId()!r}",
                    value=each.getInitialAmount()
                    if amount
                    else each.getInitialConcentration()
                    if each.isSetInitialConcentration()
                    else None,
                    is_amount=amount or point,
                    read_as_amount=each.getHasOnlySubstanceUnits() or point,
                    volume=self.variable(each.getCompartment()),
                )
            )
        for reaction in self.each("Reactions"):
            for _, side in _sides(reaction):
                if side.isSetId() and side.getId():
                    value = side.getStoichiometry() if not side.isSetStoichiometryMath() else None
                    value = None if value is not None and np.isnan(value) else value
                    self.add(Symbol(self.variable(side.getId()), side, f"stoichiometry {side.getId()!r}", value=value))
        for each in self.each("InitialAssignments"):
            symbol = self.symbol(each, each.getSymbol(), "initial assignment")
            symbol.initial = self.maths.expr(each.getMath(), each, f"initial assignment of {each.getSymbol()!r}")

    def add(self, symbol: Symbol) -> None:
        if symbol.value is not None and np.isnan(symbol.value):
            symbol.value = None
        self.by_name[symbol.name] = symbol

    def symbol(self, element: Any, name: str, what: str) -> Symbol:
        found = self.by_name.get(self.variable(name))
        if found is None:
            raise self.wrong(element, f"{what} of {name!r}", "ids of this model", "correct the id")
        return found

    def read_rules(self) -> None:
        for rule in self.each("Rules"):
            symbol = self.symbol(rule, rule.getVariable(), "rule")
            expr = self.maths.expr(rule.getMath(), rule, f"rule of {rule.getVariable()!r}")
            if rule.isAssignment():
                symbol.role = "rule"
                self.rules[symbol.name] = (expr, max(rule.getLine(), 1))
            else:
                symbol.role, symbol.rate = "state", expr
        for symbol in self.by_name.values():
            size = self.by_name.get(symbol.volume)
            if symbol.rate is not None and size is not None and size.role == "rule" and not symbol.read_as_amount:
                came = f"rate rule of {symbol.what}, whose compartment's size is given by an assignment rule"
                raise self.wrong(symbol.element, came, "a size that is constant or has a rate rule", "use amounts")

    def read_reactions(self) -> None:
        """Rates as variables, and the amounts of species that they change."""
        for reaction in self.each("Reactions"):
            name, law = self.variable(reaction.getId()), reaction.getKineticLaw()
            expr = self.maths.expr(law.getMath(), law, f"kinetic law of {reaction.getId()!r}")
            local = {}
            for i in range(law.getNumParameters()):
                parameter = law.getParameter(i)
                own = self.free(f"{name}_{parameter.getId()}", [])
                if not parameter.isSetValue():
                    came = f"parameter {parameter.getId()!r} of reaction {reaction.getId()!r} without a value"
                    raise self.wrong(parameter, came, "a number", "add it")
                self.numbers[own] = self.number(own, parameter.getValue(), parameter, parameter.getUnits())
                local[self.variable(parameter.getId())] = Name(own)
            self.rules[name] = (substituted(expr, local), max(law.getLine(), 1))
            for sign, side in _sides(reaction):
                self.change(name, sign, side)
        for name in self.changes:
            self.by_name[name].role = "state"

    def change(self, reaction: str, sign: float, side: Any) -> None:
        species = self.symbol(side, side.getSpecies(), "species reference")
        element = species.element
        if (
            element.getBoundaryCondition()
            or element.getConstant()
            or species.role == "rule"
            or species.rate is not None
        ):
            return
        if side.isSetStoichiometryMath():
            factor = self.maths.expr(side.getStoichiometryMath().getMath(), side, "stoichiometry")
        elif side.isSetId() and side.getId() and self.varies(self.by_name[self.variable(side.getId())]):
            factor = Name(self.variable(side.getId()))
        else:
            value = side.getStoichiometry()
            if np.isnan(value):
                came = f"{species.what} in a reaction, without a stoichiometry"
                raise self.wrong(side, came, "a number", "add it")
            factor = Num(value)
        rate: Expr = Name(reaction)
        if factor != Num(1.0):
            rate = Call("*", (factor, rate))
        conversion = element.getConversionFactor() or self.model.getConversionFactor()
        if conversion:
            rate = Call("*", (Name(self.variable(conversion)), rate))
        self.changes.setdefault(species.name, []).append(rate if sign > 0 else Call("neg", (rate,)))

    def varies(self, symbol: Symbol) -> bool:
        return symbol.role != "constant" or symbol.initial is not None

    def number(self, name: str, value: float, element: Any, unit: str = "") -> Number:
        label = element.getName() if element.getName() != name else ""
        return Number(
            name, float(value), max(element.getLine(), 1), label, unit_words(self.model, unit) if unit else ""
        )

    def keep(self, symbol: Symbol, name: str) -> None:
        """A number of the file as a typical value."""
        if symbol.value is None:
            raise self.wrong(
                symbol.element, f"{symbol.what} without a value", "a value, an initial assignment or a rule", "add it"
            )
        if name not in self.numbers:
            unit = symbol.element.getUnits() if symbol.what.startswith("parameter") else ""
            self.numbers[name] = self.number(name, symbol.value, symbol.element, unit)

    def numbers_of_laws(self) -> frozenset[str]:
        """Parameters of single kinetic laws: constants."""
        return frozenset(self.numbers) - frozenset(self.by_name)


def _sides(reaction: Any) -> Iterator[tuple[float, Any]]:
    for i in range(reaction.getNumReactants()):
        yield -1.0, reaction.getReactant(i)
    for i in range(reaction.getNumProducts()):
        yield 1.0, reaction.getProduct(i)

"""An SBML model as statements: what is constant, what a rule gives, what changes, and what holds at the start."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Expr, Name, Num, call, names_in, substituted
from rl_drug_dosage.pharmacometrics.readers.sbml_math import Maths, balanced
from rl_drug_dosage.pharmacometrics.readers.sbml_units import unit_words
from rl_drug_dosage.pharmacometrics.readers.source_text import Place, refused
from rl_drug_dosage.pharmacometrics.readers.written import Assign, Number, ReadError, WrittenModel, WrittenOutput

__all__ = ["written_model"]

Role = Literal["constant", "rule", "state"]


@dataclass
class _Symbol:
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


def written_model(path: str, stem: str, model: Any, libsbml: Any) -> WrittenModel:
    """The model of a file.

    Args:
        path: of the file.
        stem: its name without suffix, for models without an id.
        model: libsbml's model.
        libsbml: the module.

    Raises:
        ReadError: by line: an element that is not supported, or has no value.
    """
    return _Reading(path, model, Maths(path, libsbml)).written(stem)


@dataclass
class _Reading:
    path: str
    model: Any
    maths: Maths
    symbols: dict[str, _Symbol] = field(default_factory=dict)
    """By the names of their variables."""
    numbers: dict[str, Number] = field(default_factory=dict)
    rules: dict[str, tuple[Expr, int]] = field(default_factory=dict)
    """What assignment rules and reactions give, by variable, with the line."""
    starts: dict[str, Assign] = field(default_factory=dict)
    """Variables that are computed once, at the start."""

    def wrong(self, element: Any, came: str, supported: str, remedy: str) -> ReadError:
        return refused(
            self.path, Place(max(element.getLine(), 1), max(element.getColumn(), 1)), came, supported, remedy
        )

    def each(self, kind: str) -> Iterator[Any]:
        for i in range(getattr(self.model, f"getNum{kind}")()):
            yield getattr(self.model, f"get{kind.removesuffix('s') if kind != 'Species' else kind}")(i)

    # Reading

    def written(self, stem: str) -> WrittenModel:
        self.refuse_unsupported()
        self.name_everything()
        self.define_functions()
        self.read_symbols()
        self.read_rules()
        self.read_reactions()
        statements = self.statements()
        states = tuple(name for name, each in self.symbols.items() if each.role == "state")
        if not states:
            raise self.wrong(self.model, "nothing that changes by a rate", "reactions or rate rules", "add one")
        used = self.used(statements)
        return WrittenModel(
            format="SBML",
            path=self.path,
            name=self.model.getId() or stem,
            thetas=tuple(number for name, number in self.numbers.items() if name in used),
            etas=(),
            omega=np.zeros((0, 0)),
            statements=tuple(statements),
            compartments=states,
            outputs=tuple(self.outputs()),
            units=self.units(),
            facts={"description": self.model.getName()} if self.model.getName() else {},
            remarks=tuple(self.remarks()),
            files=(self.path,),
        )

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
        used = {*taken, *self.maths.names.values(), *self.symbols, *self.numbers, *self.starts}
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
            self.add(_Symbol(self.variable(each.getId()), each, f"compartment {each.getId()!r}", value=size))
        for each in self.each("Parameters"):
            number = each.getValue() if each.isSetValue() else None
            self.add(_Symbol(self.variable(each.getId()), each, f"parameter {each.getId()!r}", value=number))
        for each in self.each("Species"):
            amount = each.isSetInitialAmount()
            size = self.model.getCompartment(each.getCompartment())
            point = size is None or (size.getSpatialDimensionsAsDouble() == 0.0 and not size.isSetSize())
            self.add(
                _Symbol(
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
                    self.add(_Symbol(self.variable(side.getId()), side, f"stoichiometry {side.getId()!r}", value=value))
        for each in self.each("InitialAssignments"):
            symbol = self.symbol(each, each.getSymbol(), "initial assignment")
            symbol.initial = self.maths.expr(each.getMath(), each, f"initial assignment of {each.getSymbol()!r}")

    def add(self, symbol: _Symbol) -> None:
        if symbol.value is not None and np.isnan(symbol.value):
            symbol.value = None
        self.symbols[symbol.name] = symbol

    def symbol(self, element: Any, name: str, what: str) -> _Symbol:
        found = self.symbols.get(self.variable(name))
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
        for symbol in self.symbols.values():
            size = self.symbols.get(symbol.volume)
            if symbol.rate is not None and size is not None and size.role == "rule" and not symbol.read_as_amount:
                came = f"rate rule of {symbol.what}, whose compartment's size is given by an assignment rule"
                raise self.wrong(symbol.element, came, "a size that is constant or has a rate rule", "use amounts")

    def read_reactions(self) -> None:
        """Rates as variables, and the amounts of species that they change."""
        self.changes: dict[str, list[Expr]] = {}
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
            self.symbols[name].role = "state"

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
        elif side.isSetId() and side.getId() and self.varies(self.symbols[self.variable(side.getId())]):
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

    @staticmethod
    def varies(symbol: _Symbol) -> bool:
        return symbol.role != "constant" or symbol.initial is not None

    # Values

    def number(self, name: str, value: float, element: Any, unit: str = "") -> Number:
        label = element.getName() if element.getName() != name else ""
        return Number(
            name, float(value), max(element.getLine(), 1), label, unit_words(self.model, unit) if unit else ""
        )

    def read_as(self, name: str) -> Expr:
        """What a formula reads where it names a symbol, while time runs."""
        symbol = self.symbols.get(name)
        if symbol is None or not symbol.volume or symbol.role == "rule":
            return Name(name)
        if symbol.role == "state":
            return Name(name) if symbol.read_as_amount else Call("/", (Name(name), Name(symbol.volume)))
        size = self.symbols[symbol.volume]
        if symbol.initial is None and not self.varies(size):
            self.keep(symbol, name)
            if symbol.is_amount == symbol.read_as_amount:
                return Name(name)
            return Call("/" if symbol.is_amount else "*", (Name(name), Name(symbol.volume)))
        start = self.start_of(name)
        if symbol.read_as_amount or not self.varies(size) or size.role == "constant":
            return start
        # A constant amount in a compartment that grows: its concentration falls.
        return Call("/", (Call("*", (start, self.start_of(symbol.volume))), Name(symbol.volume)))

    def keep(self, symbol: _Symbol, name: str) -> None:
        """A number of the file as a typical value."""
        if symbol.value is None:
            raise self.wrong(
                symbol.element, f"{symbol.what} without a value", "a value, an initial assignment or a rule", "add it"
            )
        if name not in self.numbers:
            unit = symbol.element.getUnits() if symbol.what.startswith("parameter") else ""
            self.numbers[name] = self.number(name, symbol.value, symbol.element, unit)

    def start_of(self, name: str) -> Expr:
        """What a formula reads at the start; a variable of its own unless it is a constant."""
        waiting = [name]
        while waiting:
            last = waiting[-1]
            lacking = [each for each in self.rests_on(last) if self.start_name(each) is None]
            if self.start_name(last) is not None:
                waiting.pop()
            elif not lacking:
                self.make_start(waiting.pop())
            elif any(each in waiting for each in lacking):
                symbol = self.symbols.get(last)
                element = symbol.element if symbol else self.model
                raise self.wrong(
                    element, f"{last!r} rests on itself at the start", "values without a circle", "break it"
                )
            else:
                waiting += lacking[:1]
        found = self.start_name(name)
        assert found is not None
        return found

    def start_expr(self, name: str) -> Expr | None:
        """The formula of a symbol's value at the start; None for a number."""
        symbol = self.symbols.get(name)
        if symbol is not None and symbol.initial is not None and symbol.role != "rule":
            return symbol.initial
        return self.rules[name][0] if name in self.rules else None

    def rests_on(self, name: str) -> list[str]:
        expr = self.start_expr(name)
        if expr is not None:
            return sorted(names_in(expr) - {"t"} - set(self.numbers_of_laws()))
        symbol = self.symbols.get(name)
        if symbol is not None and symbol.volume and symbol.is_amount != symbol.read_as_amount:
            return [symbol.volume]
        return []

    def numbers_of_laws(self) -> frozenset[str]:
        """Parameters of single kinetic laws: constants."""
        return frozenset(self.numbers) - frozenset(self.symbols)

    def start_name(self, name: str) -> Expr | None:
        """The variable that holds a value at the start, once it is made."""
        symbol = self.symbols.get(name)
        plain = symbol is not None and symbol.role == "constant" and symbol.initial is None and not symbol.volume
        if symbol is not None and plain:
            self.keep(symbol, name)
        if plain or name in self.numbers_of_laws():
            return Name(name)
        made = self.starts.get(name)
        return None if made is None else Name(made.target)

    def make_start(self, name: str) -> None:
        symbol, expr = self.symbols.get(name), self.start_expr(name)
        if expr is None:
            if symbol is None:
                raise self.wrong(self.model, f"{name!r} has no value", "ids of this model", "define it")
            own = name if symbol.role == "constant" else self.free(f"{name}_initial", [])
            self.keep(symbol, own)
            expr = Name(own)
            if symbol.volume and symbol.is_amount != symbol.read_as_amount:
                size = self.start_name(symbol.volume)
                assert size is not None
                expr = Call("/" if symbol.is_amount else "*", (expr, size))
        else:
            values: dict[str, Expr] = {"t": Num(0.0)}
            for each in names_in(expr) - {"t"}:
                found = self.start_name(each)
                assert found is not None
                values[each] = found
            expr = substituted(expr, values)
        line = symbol.line if symbol is not None else self.rules[name][1]
        self.starts[name] = Assign(self.free(f"{name}_at_start", []), expr, line)

    # Statements

    def statements(self) -> list[Assign]:
        running = {name: self.running(expr) for name, (expr, _) in self.rules.items()}
        found = [Assign(name, running[name], self.rules[name][1]) for name in self.sorted_rules(running)]
        states = [(name, symbol) for name, symbol in self.symbols.items() if symbol.role == "state"]
        for name, symbol in states:
            found.append(Assign(name, self.derivative(name, symbol), symbol.line, "derivative"))
        for name, symbol in states:
            start = self.start_of(name)
            if symbol.volume and not symbol.read_as_amount:
                start = self.start_amount(symbol, start)
            found.append(Assign(name, start, symbol.line, "start"))
        constants: list[Assign] = []
        for name, symbol in self.symbols.items():
            if symbol.role == "constant" and symbol.initial is not None and not symbol.volume:
                constants.append(Assign(name, self.start_of(name), symbol.line))
        return [*self.starts.values(), *constants, *found]

    def start_amount(self, symbol: _Symbol, start: Expr) -> Expr:
        """A concentration times the size of its compartment; an amount that the file gives is kept as it stands."""
        if symbol.initial is None and symbol.is_amount and symbol.value is not None:
            return Name(next(n for n in (f"{symbol.name}_initial{'_' * i}" for i in range(9)) if n in self.numbers))
        return Call("*", (start, self.start_of(symbol.volume)))

    def running(self, expr: Expr) -> Expr:
        """A formula with what it reads while time runs."""
        values = {}
        for name in names_in(expr) - {"t"} - set(self.numbers_of_laws()):
            symbol = self.symbols.get(name)
            if symbol is None and name not in self.rules:
                raise self.wrong(self.model, f"{name!r} has no value", "ids of this model", "define it")
            if symbol is not None and symbol.role == "constant" and symbol.initial is None and not symbol.volume:
                self.keep(symbol, name)
            values[name] = self.read_as(name)
            for each in names_in(values[name]) - {name}:
                size = self.symbols.get(each)
                if size is not None and size.role == "constant" and size.initial is None:
                    self.keep(size, each)
        return substituted(expr, values)

    def sorted_rules(self, running: Mapping[str, Expr]) -> list[str]:
        """In an order in which each finds what it reads."""
        found: list[str] = []
        waiting = {name: names_in(expr) & set(running) for name, expr in running.items()}
        while waiting:
            ready = [name for name, reads in waiting.items() if not reads - set(found)]
            if not ready:
                name = next(iter(waiting))
                symbol = self.symbols.get(name)
                element = symbol.element if symbol else self.model
                raise self.wrong(element, f"the rule of {name!r} rests on itself", "rules without a circle", "break it")
            found += ready
            for name in ready:
                del waiting[name]
        return found

    def derivative(self, name: str, symbol: _Symbol) -> Expr:
        if symbol.rate is None:
            return balanced("+", [self.running(each) for each in self.changes[name]])
        rate = self.running(symbol.rate)
        if symbol.read_as_amount:
            return rate
        # d(amount)/dt = V d(conc)/dt + conc dV/dt.
        size = self.symbols[symbol.volume]
        if size.role == "constant":
            self.running(Name(symbol.volume))
        found = Call("*", (Name(symbol.volume), rate))
        if size.rate is None:
            return found
        return call("+", found, Call("*", (Call("/", (Name(name), Name(symbol.volume))), self.running(size.rate))))

    # The rest

    def used(self, statements: Iterable[Assign]) -> frozenset[str]:
        read: set[str] = set()
        for each in statements:
            read |= names_in(each.expr)
        for output in self.outputs():
            read |= names_in(output.expr)
        return frozenset(read)

    def outputs(self) -> Iterator[WrittenOutput]:
        """Species that change, and parameters that a rule gives."""
        words = self.units()
        for name, symbol in self.symbols.items():
            if symbol.role == "constant" or symbol.what.startswith(("compartment", "stoichiometry")):
                continue
            unit = ""
            if symbol.volume:
                unit = words.get("dose" if symbol.read_as_amount else "concentration", "")
            elif symbol.what.startswith("parameter"):
                unit = unit_words(self.model, symbol.element.getUnits())
            expr = self.running(Name(name))
            yield WrittenOutput(name, expr, symbol.line, unit=unit)

    def units(self) -> dict[str, str]:
        """What the file declares itself; the defaults of the specification are no declaration."""
        model = self.model
        level3 = model.getLevel() >= 3
        time = unit_words(model, model.getTimeUnits()) if level3 else self.own_unit("time")
        dose = unit_words(model, model.getSubstanceUnits()) if level3 else self.own_unit("substance")
        size = unit_words(model, model.getVolumeUnits()) if level3 else self.own_unit("volume")
        found = {"time": time, "dose": dose, "concentration": f"{dose}/{size}" if dose and size else ""}
        return {name: unit for name, unit in found.items() if unit}

    def own_unit(self, name: str) -> str:
        return unit_words(self.model, name) if self.model.getUnitDefinition(name) is not None else ""

    def remarks(self) -> Iterator[str]:
        if count := self.model.getNumConstraints():
            yield f"{count} constraints of the file are not checked"
        yield "no random effects and no residual error: typical courses only"


def _sides(reaction: Any) -> Iterator[tuple[float, Any]]:
    for i in range(reaction.getNumReactants()):
        yield -1.0, reaction.getReactant(i)
    for i in range(reaction.getNumProducts()):
        yield 1.0, reaction.getProduct(i)

"""An SBML model as statements: what rules give, what changes by rates, and where it starts."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Expr, Name, call, names_in, substituted
from rl_drug_dosage.pharmacometrics.readers.sbml.math import Maths, balanced
from rl_drug_dosage.pharmacometrics.readers.sbml.start import Starts
from rl_drug_dosage.pharmacometrics.readers.sbml.symbols import Symbol, Symbols
from rl_drug_dosage.pharmacometrics.readers.sbml.units import unit_words
from rl_drug_dosage.pharmacometrics.readers.written import Assign, WrittenModel, WrittenOutput

__all__ = ["written_model"]


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
    return _Statements(Symbols(path, model, Maths(path, libsbml))).written(stem)


class _Statements:
    def __init__(self, declared: Symbols) -> None:
        self.declared, self.starts = declared, Starts(declared)
        self.unnamed: dict[str, str] = {}
        """Parameters that are no outputs because their unit has no short name -> the unit's id."""

    def written(self, stem: str) -> WrittenModel:
        statements = self.statements()
        states = tuple(name for name, each in self.declared.by_name.items() if each.role == "state")
        if not states:
            raise self.declared.wrong(
                self.declared.model, "nothing that changes by a rate", "reactions or rate rules", "add one"
            )
        used = self.used(statements)
        return WrittenModel(
            format="SBML",
            path=self.declared.path,
            name=self.declared.model.getId() or stem,
            thetas=tuple(number for name, number in self.declared.numbers.items() if name in used),
            etas=(),
            omega=np.zeros((0, 0)),
            statements=tuple(statements),
            compartments=states,
            outputs=tuple(self.outputs()),
            units=self.units(),
            facts={"description": self.declared.model.getName()} if self.declared.model.getName() else {},
            remarks=tuple(self.remarks()),
            files=(self.declared.path,),
        )

    def read_as(self, name: str) -> Expr:
        """What a formula reads where it names a symbol, while time runs."""
        symbol = self.declared.by_name.get(name)
        if symbol is None or not symbol.volume or symbol.role == "rule":
            return Name(name)
        if symbol.role == "state":
            return Name(name) if symbol.read_as_amount else Call("/", (Name(name), Name(symbol.volume)))
        size = self.declared.by_name[symbol.volume]
        if symbol.initial is None and not self.declared.varies(size):
            self.declared.keep(symbol, name)
            if symbol.is_amount == symbol.read_as_amount:
                return Name(name)
            return Call("/" if symbol.is_amount else "*", (Name(name), Name(symbol.volume)))
        start = self.starts.start_of(name)
        if symbol.read_as_amount or not self.declared.varies(size) or size.role == "constant":
            return start
        # A constant amount in a compartment that grows: its concentration falls.
        return Call("/", (Call("*", (start, self.starts.start_of(symbol.volume))), Name(symbol.volume)))

    def statements(self) -> list[Assign]:
        running = {name: self.running(expr) for name, (expr, _) in self.declared.rules.items()}
        found = [Assign(name, running[name], self.declared.rules[name][1]) for name in self.sorted_rules(running)]
        states = [(name, symbol) for name, symbol in self.declared.by_name.items() if symbol.role == "state"]
        for name, symbol in states:
            found.append(Assign(name, self.derivative(name, symbol), symbol.line, "derivative"))
        for name, symbol in states:
            start = self.starts.start_of(name)
            if symbol.volume and not symbol.read_as_amount:
                start = self.starts.start_amount(symbol, start)
            found.append(Assign(name, start, symbol.line, "start"))
        constants: list[Assign] = []
        for name, symbol in self.declared.by_name.items():
            if symbol.role == "constant" and symbol.initial is not None and not symbol.volume:
                constants.append(Assign(name, self.starts.start_of(name), symbol.line))
        return [*self.starts.made.values(), *constants, *found]

    def running(self, expr: Expr) -> Expr:
        """A formula with what it reads while time runs."""
        values = {}
        for name in names_in(expr) - {"t"} - set(self.declared.numbers_of_laws()):
            symbol = self.declared.by_name.get(name)
            if symbol is None and name not in self.declared.rules:
                raise self.declared.wrong(
                    self.declared.model, f"{name!r} has no value", "ids of this model", "define it"
                )
            if symbol is not None and symbol.role == "constant" and symbol.initial is None and not symbol.volume:
                self.declared.keep(symbol, name)
            values[name] = self.read_as(name)
            for each in names_in(values[name]) - {name}:
                size = self.declared.by_name.get(each)
                if size is not None and size.role == "constant" and size.initial is None:
                    self.declared.keep(size, each)
        return substituted(expr, values)

    def sorted_rules(self, running: Mapping[str, Expr]) -> list[str]:
        """In an order in which each finds what it reads."""
        found: list[str] = []
        waiting = {name: names_in(expr) & set(running) for name, expr in running.items()}
        while waiting:
            ready = [name for name, reads in waiting.items() if not reads - set(found)]
            if not ready:
                name = next(iter(waiting))
                symbol = self.declared.by_name.get(name)
                element = symbol.element if symbol else self.declared.model
                raise self.declared.wrong(
                    element, f"the rule of {name!r} rests on itself", "rules without a circle", "break it"
                )
            found += ready
            for name in ready:
                del waiting[name]
        return found

    def derivative(self, name: str, symbol: Symbol) -> Expr:
        if symbol.rate is None:
            return balanced("+", [self.running(each) for each in self.declared.changes[name]])
        rate = self.running(symbol.rate)
        if symbol.read_as_amount:
            return rate
        # d(amount)/dt = V d(conc)/dt + conc dV/dt.
        size = self.declared.by_name[symbol.volume]
        if size.role == "constant":
            self.running(Name(symbol.volume))
        found = Call("*", (Name(symbol.volume), rate))
        if size.rate is None:
            return found
        return call("+", found, Call("*", (Call("/", (Name(name), Name(symbol.volume))), self.running(size.rate))))

    def used(self, statements: Iterable[Assign]) -> frozenset[str]:
        read: set[str] = set()
        for each in statements:
            read |= names_in(each.expr)
        for output in self.outputs():
            read |= names_in(output.expr)
        return frozenset(read)

    def outputs(self) -> Iterator[WrittenOutput]:
        """Species that change, and parameters that a rule gives and that change, where their unit has a name here."""
        words, moving = self.units(), self.moving()
        for name, symbol in self.declared.by_name.items():
            if name not in moving or symbol.what.startswith(("compartment", "stoichiometry")):
                continue
            unit = ""
            if symbol.volume:
                unit = words.get("dose" if symbol.read_as_amount else "concentration", "")
            elif symbol.what.startswith("parameter") and (declared := symbol.element.getUnits()):
                unit = unit_words(self.declared.model, declared)
                if not unit:
                    self.unnamed[name] = declared
                    continue
            yield WrittenOutput(name, self.running(Name(name)), symbol.line, unit=unit)

    def moving(self) -> frozenset[str]:
        """What changes with time: states, and what rules make of them."""
        found = {name for name, symbol in self.declared.by_name.items() if symbol.role == "state"} | {"t"}
        running = {name: self.running(expr) for name, (expr, _) in self.declared.rules.items()}
        for name in self.sorted_rules(running):
            if names_in(running[name]) & found:
                found.add(name)
        return frozenset(found)

    def units(self) -> dict[str, str]:
        """What the file declares itself; the defaults of the specification are no declaration."""
        model = self.declared.model
        level3 = model.getLevel() >= 3
        time = unit_words(model, model.getTimeUnits()) if level3 else self.own_unit("time")
        dose = unit_words(model, model.getSubstanceUnits()) if level3 else self.own_unit("substance")
        size = unit_words(model, model.getVolumeUnits()) if level3 else self.own_unit("volume")
        found = {"time": time, "dose": dose, "concentration": f"{dose}/{size}" if dose and size else ""}
        return {name: unit for name, unit in found.items() if unit}

    def own_unit(self, name: str) -> str:
        return unit_words(self.declared.model, name) if self.declared.model.getUnitDefinition(name) is not None else ""

    def remarks(self) -> Iterator[str]:
        if count := self.declared.model.getNumConstraints():
            yield f"{count} constraints of the file are not checked"
        if self.unnamed:
            named = ", ".join(f"{name} ({unit})" for name, unit in list(self.unnamed.items())[:20])
            yield f"no outputs, because of their units, are {named}"
        yield "no random effects and no residual error: typical courses only"

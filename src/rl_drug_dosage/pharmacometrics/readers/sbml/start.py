"""Values of an SBML model at the start: initial assignments, numbers, and the rules as they are then."""

from dataclasses import dataclass, field

from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Expr, Name, Num, names_in, substituted
from rl_drug_dosage.pharmacometrics.readers.sbml.symbols import Symbol, Symbols
from rl_drug_dosage.pharmacometrics.readers.written import Assign

__all__ = ["Starts"]


@dataclass
class Starts:
    """Computes values at the start, each once.

    Args:
        declared: what the file declares.
    """

    declared: Symbols
    made: dict[str, Assign] = field(default_factory=dict)
    """Variables that are computed once, in order, by the symbol whose value they are."""
    given: dict[str, str] = field(default_factory=dict)
    """Symbol -> the typical value that is the file's number for its start."""

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
                symbol = self.declared.by_name.get(last)
                element = symbol.element if symbol else self.declared.model
                raise self.declared.wrong(
                    element, f"{last!r} rests on itself at the start", "values without a circle", "break it"
                )
            else:
                waiting += lacking[:1]
        found = self.start_name(name)
        assert found is not None
        return found

    def start_expr(self, name: str) -> Expr | None:
        """The formula of a symbol's value at the start; None for a number."""
        symbol = self.declared.by_name.get(name)
        if symbol is not None and symbol.initial is not None and symbol.role != "rule":
            return symbol.initial
        return self.declared.rules[name][0] if name in self.declared.rules else None

    def rests_on(self, name: str) -> list[str]:
        expr = self.start_expr(name)
        if expr is not None:
            return sorted(names_in(expr) - {"t"} - set(self.declared.numbers_of_laws()))
        symbol = self.declared.by_name.get(name)
        if symbol is not None and symbol.volume and symbol.is_amount != symbol.read_as_amount:
            return [symbol.volume]
        return []

    def start_name(self, name: str) -> Expr | None:
        """The variable that holds a value at the start, once it is made."""
        symbol = self.declared.by_name.get(name)
        plain = symbol is not None and symbol.role == "constant" and symbol.initial is None and not symbol.volume
        if symbol is not None and plain:
            self.declared.keep(symbol, name)
        if plain or name in self.declared.numbers_of_laws():
            return Name(name)
        made = self.made.get(name)
        return None if made is None else Name(made.target)

    def make_start(self, name: str) -> None:
        symbol, expr = self.declared.by_name.get(name), self.start_expr(name)
        if expr is None:
            if symbol is None:
                raise self.declared.wrong(
                    self.declared.model, f"{name!r} has no value", "ids of this model", "define it"
                )
            own = name if symbol.role == "constant" else self.declared.free(f"{name}_initial", [])
            self.declared.keep(symbol, own)
            self.given[name] = own
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
        line = symbol.line if symbol is not None else self.declared.rules[name][1]
        self.made[name] = Assign(self.declared.free(f"{name}_at_start", []), expr, line)

    def start_amount(self, symbol: Symbol, start: Expr) -> Expr:
        """A concentration times the size of its compartment; an amount that the file gives is kept as it stands."""
        if symbol.initial is None and symbol.is_amount and symbol.value is not None:
            return Name(
                next(n for n in (f"{symbol.name}_initial{'_' * i}" for i in range(9)) if n in self.declared.numbers)
            )
        return Call("*", (start, self.start_of(symbol.volume)))

"""Expressions of C-like code, read without recursion by the ranks of their operators."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from rl_drug_dosage.pharmacometrics.readers.expressions import DEEPEST, Call, Expr, Name, Num
from rl_drug_dosage.pharmacometrics.readers.pkpdsim.c_tokens import Token, Tokens
from rl_drug_dosage.pharmacometrics.readers.source_text import Place
from rl_drug_dosage.pharmacometrics.readers.written import AssignKind

__all__ = ["Expressions", "Rules"]


@dataclass(frozen=True)
class Rules:
    """What a piece of code may do.

    Args:
        contents: names of the compartments, for ``A[n]``.
        first: the number of the first compartment in ``A[n]``, 0 or 1.
        assigns: kinds of compartment statements that it may have: ``"derivative"`` in ODEs, ``"start"`` in the initial
            state.
        renamed: what to write for a variable that is read.
        kept: variables that it may not give a value to -> why.
        unsupported: names of PKPDsim's own that are not supported -> what to do.
    """

    contents: tuple[str, ...]
    first: int
    assigns: frozenset[AssignKind]
    renamed: dict[str, str]
    kept: dict[str, str]
    unsupported: dict[str, str]


class _Operator(NamedTuple):
    function: str
    rank: int
    takes: int


_BINARY = {
    "||": _Operator("or", 1, 2), "|": _Operator("or", 1, 2),
    "&&": _Operator("and", 2, 2), "&": _Operator("and", 2, 2),
    "==": _Operator("==", 3, 2), "!=": _Operator("!=", 3, 2),
    "<": _Operator("<", 4, 2), "<=": _Operator("<=", 4, 2), ">": _Operator(">", 4, 2), ">=": _Operator(">=", 4, 2),
    "+": _Operator("+", 5, 2), "-": _Operator("-", 5, 2),
    "*": _Operator("*", 6, 2), "/": _Operator("/", 6, 2), "%": _Operator("%%", 6, 2),
}  # fmt: skip
_UNARY = {"-": _Operator("neg", 7, 1), "+": _Operator("", 7, 1), "!": _Operator("not", 7, 1)}
_TERNARY = 0
_FUNCTIONS = {
    "pow": ("^", 2), "exp": ("exp", 1), "expm1": ("expm1", 1), "log": ("log", 1), "log2": ("log2", 1),
    "log10": ("log10", 1), "log1p": ("log1p", 1), "sqrt": ("sqrt", 1), "fabs": ("abs", 1), "abs": ("abs", 1),
    "floor": ("floor", 1), "ceil": ("ceil", 1), "trunc": ("trunc", 1), "sin": ("sin", 1), "cos": ("cos", 1),
    "tan": ("tan", 1), "asin": ("asin", 1), "acos": ("acos", 1), "atan": ("atan", 1), "atan2": ("atan2", 2),
    "sinh": ("sinh", 1), "cosh": ("cosh", 1), "tanh": ("tanh", 1), "lgamma": ("lgamma", 1), "tgamma": ("gamma", 1),
    "min": ("min", 2), "max": ("max", 2), "fmin": ("min", 2), "fmax": ("max", 2),
}  # fmt: skip
"""C's functions -> ours, and how many arguments they take."""
_WHOLE = frozenset({"<", "<=", ">", ">=", "==", "!=", "and", "or", "not"})
"""What is a whole number whatever it is made of."""


class _Value(NamedTuple):
    """A part of an expression: C divides two whole numbers differently, and nesting is limited."""

    expr: Expr
    whole: bool
    depth: int


class _Open(NamedTuple):
    """What waits on the operator stack for its other side or its bracket."""

    text: str
    rank: int
    takes: int
    place: Place
    function: str = ""
    values: int = 0


class Expressions:
    """Reads expressions from a row of tokens.

    Args:
        tokens: the row; reading moves it on.
        rules: what may be read.
    """

    def __init__(self, tokens: Tokens, rules: Rules) -> None:
        self.tokens, self.rules = tokens, rules
        self.remarks: list[str] = []

    def compartment(self) -> str:
        self.tokens.at += 1
        number, close = self.tokens.next(), self.tokens.next()
        if number.kind != "number" or not number.text.isdigit() or close.text != "]":
            raise self.tokens.wrong(
                number, repr(f"[{number.text}"), "the number of a compartment", "write the number out"
            )
        index = int(number.text[:6]) - self.rules.first
        if not 0 <= index < len(self.rules.contents):
            allowed = f"{self.rules.first} to {self.rules.first + len(self.rules.contents) - 1}, by n_comp"
            raise self.tokens.wrong(number, f"compartment {number.text}", allowed, "correct it, or n_comp")
        return self.rules.contents[index]

    def expression(self, *, closed: bool = False) -> Expr:
        """Up to the end of the statement, or, if ``closed``, to the bracket that closes a condition."""
        done: list[_Value] = []
        waiting: list[_Open] = []
        wants_value = True
        while True:
            token = self.tokens.peek()
            if token.kind == "end" or token.text in {"{", "}"}:
                if closed or wants_value or any(o.text in {"(", "?"} for o in waiting):
                    raise self.tokens.wrong(token, _end_of(token), "the rest of the expression", "close it on its line")
                return self.reduced(done, waiting, -1)[0].expr
            self.tokens.at += 1
            if wants_value:
                wants_value = self.operand(token, done, waiting)
            elif token.text == ")" and closed and not any(o.text == "(" for o in waiting):
                if any(o.text == "?" for o in waiting):
                    raise self.tokens.wrong(token, "')'", ": after ?")
                return self.reduced(done, waiting, -1)[0].expr
            else:
                wants_value = self.operator(token, done, waiting)

    def operand(self, token: Token, done: list[_Value], waiting: list[_Open]) -> bool:
        """Read a value, or what opens one; True if a value is still wanted."""
        if len(waiting) > 3 * DEEPEST:
            raise self.tokens.wrong(
                token, f"more than {DEEPEST} levels of nesting", f"up to {DEEPEST}", "split the expression"
            )
        if token.kind == "number":
            value = float(token.text.rstrip("fFlL"))
            if value == math.inf:
                raise self.tokens.wrong(token, token.text[:40], "numbers up to 1.8e308")
            done.append(_Value(Num(value), token.text.isdigit(), 1))
            return False
        if token.kind == "name":
            return self.named(token, done, waiting)
        if token.text == "(":
            waiting.append(_Open("(", -1, 0, token.place, values=len(done)))
            return True
        if token.text == ")" and waiting and waiting[-1].function and waiting[-1].values == len(done):
            raise self.tokens.wrong(token, f"{waiting[-1].function}() without arguments", "its arguments")
        if token.text in _UNARY:
            found = _UNARY[token.text]
            waiting.append(_Open(token.text, found.rank, 1, token.place, found.function))
            return True
        raise self.tokens.wrong(token, repr(token.text), "a number, a name, (, -")

    def named(self, token: Token, done: list[_Value], waiting: list[_Open]) -> bool:
        name = token.text.removeprefix("std::")
        if self.tokens.peek().text == "(":
            if name not in _FUNCTIONS:
                raise self.tokens.wrong(token, f"{name}()", ", ".join(sorted(_FUNCTIONS)), "write it with these")
            self.tokens.at += 1
            waiting.append(_Open("(", -1, 0, token.place, name, len(done)))
            return True
        if name in self.rules.unsupported:
            raise self.tokens.wrong(
                token, repr(name), "parameters, covariates, variables, t", self.rules.unsupported[name]
            )
        if self.tokens.peek().text == "[":
            if name != "A":
                raise self.tokens.wrong(token, f"{name}[...]", "A[n]", "write it with these")
            done.append(_Value(Name(self.compartment()), False, 1))
            return False
        if name in {"true", "false"}:
            done.append(_Value(Num(float(name == "true")), True, 1))
            return False
        done.append(_Value(Name(self.rules.renamed.get(name, name)), False, 1))
        return False

    def operator(self, token: Token, done: list[_Value], waiting: list[_Open]) -> bool:
        """Read what follows a value; True if another value is wanted."""
        if token.text in _BINARY:
            found = _BINARY[token.text]
            self.reduced(done, waiting, found.rank)
            waiting.append(_Open(token.text, found.rank, 2, token.place, found.function))
            return True
        if token.text == "?":
            self.reduced(done, waiting, _TERNARY + 1)
            waiting.append(_Open("?", -1, 0, token.place))
            return True
        if token.text == ":":
            self.reduced(done, waiting, 0)
            if not waiting or waiting[-1].text != "?":
                raise self.tokens.wrong(token, "':'", ": after ?")
            waiting[-1] = _Open(":", _TERNARY, 3, token.place, "if")
            return True
        if token.text in {",", ")"}:
            self.reduced(done, waiting, 0)
            if not waiting or waiting[-1].text != "(" or (token.text == "," and not waiting[-1].function):
                raise self.tokens.wrong(token, repr(token.text), "an operator, or the end of the statement")
            if token.text == ",":
                if len(done) - waiting[-1].values > 8:
                    raise self.tokens.wrong(token, "more than 8 arguments", "one or two")
                return True
            self.close(done, waiting.pop())
            return False
        raise self.tokens.wrong(token, repr(token.text), "an operator, or the end of the statement")

    def close(self, done: list[_Value], bracket: _Open) -> None:
        if not bracket.function:
            return
        function, count = _FUNCTIONS[bracket.function]
        given = len(done) - bracket.values
        if given != count:
            came = f"{bracket.function}() with {given} arguments"
            raise self.tokens.wrong(Token("", "", bracket.place), came, f"{count}")
        self.join(done, _Open(bracket.function, 0, count, bracket.place, function))

    def reduced(self, done: list[_Value], waiting: list[_Open], rank: int) -> list[_Value]:
        """Join what binds at least as strongly as a rank. ``a ? b : c`` groups from the right."""
        while waiting and waiting[-1].rank >= max(rank, 0) and waiting[-1].takes:
            self.join(done, waiting.pop())
        return done

    def join(self, done: list[_Value], operator: _Open) -> None:
        parts = done[len(done) - operator.takes :]
        del done[len(done) - operator.takes :]
        depth = 1 + max(part.depth for part in parts)
        if depth > DEEPEST:
            came = f"an expression of more than {DEEPEST} levels"
            raise self.tokens.wrong(Token("", "", operator.place), came, f"up to {DEEPEST}", "split it")
        function = operator.function
        whole = all(part.whole for part in parts) and function in {"+", "-", "*", "/", "%%", "neg", "", "min", "max"}
        if not function:
            done.append(parts[0])
            return
        exprs = tuple(part.expr for part in parts)
        made: Expr = Call(function, exprs)
        if function == "neg" and isinstance(exprs[0], Num):
            made = Num(-exprs[0].value)
        if function == "%%":
            # C's remainder has the sign of the dividend.
            made = Call("-", (exprs[0], Call("*", (exprs[1], Call("trunc", (Call("/", exprs),))))))
        if function == "/" and whole:
            made = Call("trunc", (made,))
            self.remarks.append(
                f"line {operator.place.line}: a whole number divided by a whole number is cut, as C does; write 1.0 "
                "for 1 if that is not meant"
            )
        done.append(_Value(made, whole or function in _WHOLE, depth))


def _end_of(token: Token) -> str:
    return {"": "the end of the code", "\n": "the end of the line"}.get(token.text, repr(token.text))

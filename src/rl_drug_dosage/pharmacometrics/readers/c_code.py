"""The C-like statements of PKPDsim models: assignments and ``if``, one a line or closed by a semicolon.

Nothing is compiled or run. The rules are those of C where they differ from arithmetic on paper: a quotient of two whole
numbers is cut (``3/4`` is 0), a comparison is 1 or 0. Nesting is limited, and expressions are read without recursion.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rl_drug_dosage.pharmacometrics.readers.expressions import DEEPEST, Call, Expr, Name, Num
from rl_drug_dosage.pharmacometrics.readers.source_text import Place, refused
from rl_drug_dosage.pharmacometrics.readers.written import Assign, AssignKind, ReadError, merged

__all__ = ["Code", "Rules", "read_code"]

_BLOCKS = 60
"""Levels of ``if``; a chain of ``else if`` counts each."""
_MOST_TOKENS = 50_000
_ARRAYS: dict[str, AssignKind] = {"dAdt": "derivative", "A": "start"}
_STATEMENTS = "variable = ..., dAdt[n] = ..., if (...) {...} else {...}"

_TOKEN = re.compile(
    r"(?P<space>[ \t\r\f\v]+|//[^\n]*|\#[^\n]*|/\*.*?\*/)"
    r"|(?P<end>[;\n])"
    r"|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fFlL]?)"
    r"|(?P<name>(?:std::)?[A-Za-z_]\w*)"
    r"|(?P<sign>&&|\|\||[<>=!+*/-]=|\+\+|--|[-+*/%<>=!&|?:(),{}\[\]])",
    re.DOTALL,
)


class _Token(NamedTuple):
    kind: str
    text: str
    place: Place


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


@dataclass(frozen=True)
class Code:
    """Statements without a branch, and what to warn about."""

    statements: tuple[Assign, ...]
    remarks: tuple[str, ...]


def read_code(path: str, code: str, lines: Sequence[Place], rules: Rules, before: frozenset[tuple[str, str]]) -> Code:
    """Read statements.

    Args:
        path: of the file, for errors.
        code: the statements.
        lines: the place in the file of each of their lines.
        rules: what they may do.
        before: (target, kind) of the statements that come before.

    Raises:
        ReadError: by line and column: what C has and PKPDsim's models do not need, or no C at all.
    """
    parser = _Parser(path, list(_tokens(path, code, lines)), rules)
    statements = parser.block(0, before, until="")
    return Code(tuple(statements), tuple(parser.remarks))


def _tokens(path: str, code: str, lines: Sequence[Place]) -> Iterator[_Token]:
    at, row, begin, count = 0, 0, 0, 0
    place = lines[0]
    while at < len(code):
        place = Place(lines[row].line, lines[row].column + at - begin)
        match = _TOKEN.match(code, at)
        if match is None:
            raise refused(path, place, repr(code[at]), "C statements", "remove it")
        kind = match.lastgroup or ""
        count += 1
        if count > _MOST_TOKENS:
            raise refused(path, place, f"code of more than {_MOST_TOKENS:,} parts", "models", "shorten it")
        if kind != "space":
            yield _Token(kind, match.group(), place)
        breaks = match.group().count("\n")
        if breaks:
            row, begin = row + breaks, match.start() + match.group().rfind("\n") + 1
        at = match.end()
    yield _Token("end", "", place)


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


class _Parser:
    def __init__(self, path: str, tokens: list[_Token], rules: Rules) -> None:
        self.path, self.tokens, self.rules = path, tokens, rules
        self.at = 0
        self.remarks: list[str] = []

    # Statements

    def wrong(self, token: _Token, came: str, supported: str, remedy: str = "correct it") -> ReadError:
        return refused(self.path, token.place, came, supported, remedy)

    def peek(self) -> _Token:
        return self.tokens[self.at]

    def next(self) -> _Token:
        self.at += 1
        return self.tokens[self.at - 1]

    def done(self) -> bool:
        return self.at >= len(self.tokens) - 1

    def skip_ends(self) -> None:
        while not self.done() and self.peek().kind == "end":
            self.at += 1

    def block(self, depth: int, before: frozenset[tuple[str, str]], until: str) -> list[Assign]:
        """Statements up to a closing bracket, or to the end."""
        found: list[Assign] = []
        known = set(before)
        while True:
            self.skip_ends()
            if self.done():
                if until:
                    raise self.wrong(self.peek(), "the end of the code", f"{until} that closes the block", "close it")
                return found
            if self.peek().text == "}" and until:
                self.at += 1
                return found
            new = self.statement(depth, frozenset(known))
            known |= {(each.target, each.kind) for each in new}
            found += new

    def statement(self, depth: int, before: frozenset[tuple[str, str]]) -> list[Assign]:
        token = self.peek()
        if token.text == "if":
            return self.branch(depth, before)
        if token.kind != "name":
            raise self.wrong(token, repr(token.text), _STATEMENTS)
        self.at += 1
        if token.text in {"double", "float", "int", "bool"}:
            token = self.next()
        if token.kind != "name" or self.peek().text not in {"=", "+=", "-=", "*=", "/=", "["}:
            known = "loops and calls have no counterpart" if token.text in {"for", "while", "do"} else "correct it"
            raise self.wrong(token, repr(f"{token.text} {self.peek().text}".strip()), _STATEMENTS, known)
        target, kind = self.target(token)
        sign = self.next()
        if sign.text not in {"=", "+=", "-=", "*=", "/="}:
            raise self.wrong(sign, repr(sign.text), "= after what gets a value")
        value = self.expression()
        if sign.text != "=":
            if kind != "value":
                raise self.wrong(sign, repr(sign.text), "= for a compartment", "write the sum out")
            value = Call(sign.text[0], (Name(target), value))
        return [Assign(target, value, token.place.line, kind)]

    def target(self, token: _Token) -> tuple[str, AssignKind]:
        if self.peek().text == "[":
            kind = _ARRAYS.get(token.text)
            if kind is None or kind not in self.rules.assigns:
                raise self.wrong(token, f"{token.text}[...] = ...", "dAdt[n] in ode_code, A[n] in state_init")
            return self.compartment(), kind
        if token.text in self.rules.kept:
            raise self.wrong(token, f"{token.text} gets a value", "variables", self.rules.kept[token.text])
        return token.text, "value"

    def compartment(self) -> str:
        self.at += 1
        number, close = self.next(), self.next()
        if number.kind != "number" or not number.text.isdigit() or close.text != "]":
            raise self.wrong(number, repr(f"[{number.text}"), "the number of a compartment", "write the number out")
        index = int(number.text[:6]) - self.rules.first
        if not 0 <= index < len(self.rules.contents):
            allowed = f"{self.rules.first} to {self.rules.first + len(self.rules.contents) - 1}, by n_comp"
            raise self.wrong(number, f"compartment {number.text}", allowed, "correct it, or n_comp")
        return self.rules.contents[index]

    def branch(self, depth: int, before: frozenset[tuple[str, str]]) -> list[Assign]:
        token = self.next()
        if depth >= _BLOCKS:
            raise self.wrong(token, f"more than {_BLOCKS} levels of if", f"up to {_BLOCKS}", "flatten them")
        if self.peek().text != "(":
            raise self.wrong(self.peek(), repr(self.peek().text), "( after if")
        self.at += 1
        condition = self.expression(closed=True)
        # An inner condition must not get the name of this one.
        inner = before | {(f"_level_{depth}", "value")}
        then = self.body(depth + 1, inner)
        mark = self.at
        self.skip_ends()
        otherwise: list[Assign] = []
        if not self.done() and self.peek().text == "else":
            self.at += 1
            otherwise = self.body(depth + 1, inner)
        else:
            self.at = mark
        return merged(condition, then, otherwise, before)

    def body(self, depth: int, before: frozenset[tuple[str, str]]) -> list[Assign]:
        while not self.done() and self.peek().text == "\n":
            self.at += 1
        if self.peek().text == "{":
            self.at += 1
            return self.block(depth, before, "}")
        if self.done():
            raise self.wrong(self.peek(), "the end of the code", "a statement after if or else")
        return self.statement(depth, before)

    # Expressions

    def expression(self, *, closed: bool = False) -> Expr:
        """Up to the end of the statement, or, if ``closed``, to the bracket that closes a condition."""
        done: list[_Value] = []
        waiting: list[_Open] = []
        wants_value = True
        while True:
            token = self.peek()
            if token.kind == "end" or token.text in {"{", "}"}:
                if closed or wants_value or any(o.text in {"(", "?"} for o in waiting):
                    raise self.wrong(token, _end_of(token), "the rest of the expression", "close it on its line")
                return self.reduced(done, waiting, -1)[0].expr
            self.at += 1
            if wants_value:
                wants_value = self.operand(token, done, waiting)
            elif token.text == ")" and closed and not any(o.text == "(" for o in waiting):
                if any(o.text == "?" for o in waiting):
                    raise self.wrong(token, "')'", ": after ?")
                return self.reduced(done, waiting, -1)[0].expr
            else:
                wants_value = self.operator(token, done, waiting)

    def operand(self, token: _Token, done: list[_Value], waiting: list[_Open]) -> bool:
        """Read a value, or what opens one; True if a value is still wanted."""
        if len(waiting) > 3 * DEEPEST:
            raise self.wrong(
                token, f"more than {DEEPEST} levels of nesting", f"up to {DEEPEST}", "split the expression"
            )
        if token.kind == "number":
            value = float(token.text.rstrip("fFlL"))
            if value == math.inf:
                raise self.wrong(token, token.text[:40], "numbers up to 1.8e308")
            done.append(_Value(Num(value), token.text.isdigit(), 1))
            return False
        if token.kind == "name":
            return self.named(token, done, waiting)
        if token.text == "(":
            waiting.append(_Open("(", -1, 0, token.place, values=len(done)))
            return True
        if token.text == ")" and waiting and waiting[-1].function and waiting[-1].values == len(done):
            raise self.wrong(token, f"{waiting[-1].function}() without arguments", "its arguments")
        if token.text in _UNARY:
            found = _UNARY[token.text]
            waiting.append(_Open(token.text, found.rank, 1, token.place, found.function))
            return True
        raise self.wrong(token, repr(token.text), "a number, a name, (, -")

    def named(self, token: _Token, done: list[_Value], waiting: list[_Open]) -> bool:
        name = token.text.removeprefix("std::")
        if self.peek().text == "(":
            if name not in _FUNCTIONS:
                raise self.wrong(token, f"{name}()", ", ".join(sorted(_FUNCTIONS)), "write it with these")
            self.at += 1
            waiting.append(_Open("(", -1, 0, token.place, name, len(done)))
            return True
        if name in self.rules.unsupported:
            raise self.wrong(token, repr(name), "parameters, covariates, variables, t", self.rules.unsupported[name])
        if self.peek().text == "[":
            if name != "A":
                raise self.wrong(token, f"{name}[...]", "A[n]", "write it with these")
            done.append(_Value(Name(self.compartment()), False, 1))
            return False
        if name in {"true", "false"}:
            done.append(_Value(Num(float(name == "true")), True, 1))
            return False
        done.append(_Value(Name(self.rules.renamed.get(name, name)), False, 1))
        return False

    def operator(self, token: _Token, done: list[_Value], waiting: list[_Open]) -> bool:
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
                raise self.wrong(token, "':'", ": after ?")
            waiting[-1] = _Open(":", _TERNARY, 3, token.place, "if")
            return True
        if token.text in {",", ")"}:
            self.reduced(done, waiting, 0)
            if not waiting or waiting[-1].text != "(" or (token.text == "," and not waiting[-1].function):
                raise self.wrong(token, repr(token.text), "an operator, or the end of the statement")
            if token.text == ",":
                if len(done) - waiting[-1].values > 8:
                    raise self.wrong(token, "more than 8 arguments", "one or two")
                return True
            self.close(done, waiting.pop())
            return False
        raise self.wrong(token, repr(token.text), "an operator, or the end of the statement")

    def close(self, done: list[_Value], bracket: _Open) -> None:
        if not bracket.function:
            return
        function, count = _FUNCTIONS[bracket.function]
        given = len(done) - bracket.values
        if given != count:
            came = f"{bracket.function}() with {given} arguments"
            raise refused(self.path, bracket.place, came, f"{count}", "correct it")
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
            raise refused(self.path, operator.place, came, f"up to {DEEPEST}", "split it")
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


def _end_of(token: _Token) -> str:
    return {"": "the end of the code", "\n": "the end of the line"}.get(token.text, repr(token.text))

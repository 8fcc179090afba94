"""The C-like statements of PKPDsim models: assignments and ``if``, one a line or closed by a semicolon.

Nothing is compiled or run. The rules are those of C where they differ from arithmetic on paper: a quotient of two whole
numbers is cut (``3/4`` is 0), a comparison is 1 or 0. Nesting is limited, and expressions are read without recursion.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Name
from rl_drug_dosage.pharmacometrics.readers.pkpdsim.c_expressions import Expressions, Rules
from rl_drug_dosage.pharmacometrics.readers.pkpdsim.c_tokens import Token, Tokens
from rl_drug_dosage.pharmacometrics.readers.source_text import Place
from rl_drug_dosage.pharmacometrics.readers.written import Assign, AssignKind, merged

__all__ = ["Code", "read_code"]

_BLOCKS = 60
"""Levels of ``if``; a chain of ``else if`` counts each."""
_ARRAYS: dict[str, AssignKind] = {"dAdt": "derivative", "A": "start"}
_STATEMENTS = "variable = ..., dAdt[n] = ..., if (...) {...} else {...}"


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
    statements = _Statements(Tokens(path, code, lines), rules)
    found = statements.block(0, before, until="")
    return Code(tuple(found), tuple(statements.expressions.remarks))


class _Statements:
    def __init__(self, tokens: Tokens, rules: Rules) -> None:
        self.tokens, self.rules = tokens, rules
        self.expressions = Expressions(tokens, rules)

    def block(self, depth: int, before: frozenset[tuple[str, str]], until: str) -> list[Assign]:
        """Statements up to a closing bracket, or to the end."""
        found: list[Assign] = []
        known = set(before)
        while True:
            self.tokens.skip_ends()
            if self.tokens.done():
                if until:
                    raise self.tokens.wrong(
                        self.tokens.peek(), "the end of the code", f"{until} that closes the block", "close it"
                    )
                return found
            if self.tokens.peek().text == "}" and until:
                self.tokens.at += 1
                return found
            new = self.statement(depth, frozenset(known))
            known |= {(each.target, each.kind) for each in new}
            found += new

    def statement(self, depth: int, before: frozenset[tuple[str, str]]) -> list[Assign]:
        token = self.tokens.peek()
        if token.text == "if":
            return self.branch(depth, before)
        if token.kind != "name":
            raise self.tokens.wrong(token, repr(token.text), _STATEMENTS)
        self.tokens.at += 1
        if token.text in {"double", "float", "int", "bool"}:
            token = self.tokens.next()
        if token.kind != "name" or self.tokens.peek().text not in {"=", "+=", "-=", "*=", "/=", "["}:
            known = "loops and calls have no counterpart" if token.text in {"for", "while", "do"} else "correct it"
            raise self.tokens.wrong(token, repr(f"{token.text} {self.tokens.peek().text}".strip()), _STATEMENTS, known)
        target, kind = self.target(token)
        sign = self.tokens.next()
        if sign.text not in {"=", "+=", "-=", "*=", "/="}:
            raise self.tokens.wrong(sign, repr(sign.text), "= after what gets a value")
        value = self.expressions.expression()
        if sign.text != "=":
            if kind != "value":
                raise self.tokens.wrong(sign, repr(sign.text), "= for a compartment", "write the sum out")
            value = Call(sign.text[0], (Name(target), value))
        return [Assign(target, value, token.place.line, kind)]

    def target(self, token: Token) -> tuple[str, AssignKind]:
        if self.tokens.peek().text == "[":
            kind = _ARRAYS.get(token.text)
            if kind is None or kind not in self.rules.assigns:
                raise self.tokens.wrong(token, f"{token.text}[...] = ...", "dAdt[n] in ode_code, A[n] in state_init")
            return self.expressions.compartment(), kind
        if token.text in self.rules.kept:
            raise self.tokens.wrong(token, f"{token.text} gets a value", "variables", self.rules.kept[token.text])
        return token.text, "value"

    def branch(self, depth: int, before: frozenset[tuple[str, str]]) -> list[Assign]:
        token = self.tokens.next()
        if depth >= _BLOCKS:
            raise self.tokens.wrong(token, f"more than {_BLOCKS} levels of if", f"up to {_BLOCKS}", "flatten them")
        if self.tokens.peek().text != "(":
            raise self.tokens.wrong(self.tokens.peek(), repr(self.tokens.peek().text), "( after if")
        self.tokens.at += 1
        condition = self.expressions.expression(closed=True)
        # An inner condition must not get the name of this one.
        inner = before | {(f"_level_{depth}", "value")}
        then = self.body(depth + 1, inner)
        mark = self.tokens.at
        self.tokens.skip_ends()
        otherwise: list[Assign] = []
        if not self.tokens.done() and self.tokens.peek().text == "else":
            self.tokens.at += 1
            otherwise = self.body(depth + 1, inner)
        else:
            self.tokens.at = mark
        return merged(condition, then, otherwise, before)

    def body(self, depth: int, before: frozenset[tuple[str, str]]) -> list[Assign]:
        while not self.tokens.done() and self.tokens.peek().text == "\n":
            self.tokens.at += 1
        if self.tokens.peek().text == "{":
            self.tokens.at += 1
            return self.block(depth, before, "}")
        if self.tokens.done():
            raise self.tokens.wrong(self.tokens.peek(), "the end of the code", "a statement after if or else")
        return self.statement(depth, before)

"""Expressions of abbreviated code as trees, by precedence climbing."""

from collections.abc import Callable, Mapping
from typing import NoReturn

from rl_drug_dosage.pharmacometrics.readers.expressions import DEEPEST, Call, Expr, Name, Num
from rl_drug_dosage.pharmacometrics.readers.nonmem.records import Stream
from rl_drug_dosage.pharmacometrics.readers.nonmem.tokens import SUPPORTED, Token

__all__ = ["Expression", "Replace", "replacements"]

_BRACKETS = 80
"""Levels of brackets in brackets; with the levels of blocks they stay below Python's limit of calls."""
_OPERATORS = {
    ".EQ.": "==",
    ".EQN.": "==",
    "==": "==",
    ".NE.": "!=",
    ".NEN.": "!=",
    "/=": "!=",
    ".LT.": "<",
    "<": "<",
    ".LE.": "<=",
    "<=": "<=",
    ".GT.": ">",
    ">": ">",
    ".GE.": ">=",
    ">=": ">=",
    ".AND.": "and",
    ".OR.": "or",
    "+": "+",
    "-": "-",
    "*": "*",
    "/": "/",
    "**": "^",
}
_BINDS = {"or": 1, "and": 2, **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), 4), "+": 5, "-": 5, "*": 6, "/": 6}
_NOT, _SIGN, _POWER = 3, 5, 7
_FUNCTIONS = {
    **{name: name.lower() for name in ("EXP", "LOG", "LOG10", "SQRT", "ABS", "SIN", "COS", "TAN", "ASIN", "ACOS")},
    **{name: name.lower() for name in ("ATAN", "ATAN2", "SINH", "COSH", "TANH", "PHI", "GAMMA", "MIN", "MAX")},
    **{f"P{name}": name.lower() for name in ("EXP", "LOG", "LOG10", "SQRT", "SIN", "COS", "TAN", "ASIN", "ACOS")},
    **{f"D{name}": name.lower() for name in ("EXP", "LOG", "LOG10", "SQRT", "ABS", "SIN", "COS", "TAN")},
    "PATAN": "atan",
    "PATAN2": "atan2",
    "INT": "trunc",
    "AINT": "trunc",
    "NINT": "round",
    "FLOOR": "floor",
    "MOD": "%%",
    "GAMLN": "lgamma",
    "ALOG": "log",
    "DMAX1": "max",
    "DMIN1": "min",
    "AMAX1": "max",
    "AMIN1": "min",
}
_INDEXED = {"THETA": "theta", "ETA": "eta", "EPS": "eps", "ERR": "eps", "A": "A", "A_0": "A_0", "DADT": "DADT"}

type Replace = Callable[[str, str], Expr | None]
"""(name, what its brackets hold) -> the tree of a $ABBR REPLACE, or None."""


def replacements(table: Mapping[tuple[str, str], Expr]) -> Replace:
    """The abbreviations of a table by (name, what its brackets hold)."""
    return lambda name, index: table.get((name, index))


class Expression:
    """A row of tokens -> a tree, by precedence climbing."""

    def __init__(self, stream: Stream, replace: Replace, row: list[Token], at: int) -> None:
        self.stream = stream
        self.replace = replace
        self.row = row
        self.at = at
        self.depths: dict[int, int] = {}
        self.kept: list[Expr] = []

    def whole(self) -> Expr:
        """An expression that ends with its row."""
        expr = self._climb(0, 0)
        if self.at < len(self.row):
            self._refuse(f"{self.row[self.at].text!r}")
        return expr

    def bracketed(self) -> Expr:
        """``( ... )``."""
        self._take("(")
        expr = self._climb(0, 0)
        self._take(")")
        return expr

    def place(self) -> str:
        """What an assignment gives a value to."""
        expr = self._operand(0)
        if not isinstance(expr, Name) or expr.name.startswith(("theta_", "eta_", "eps_")):
            self.at = 0
            self._refuse(f"{self.row[0].text!r}, which takes no value")
        return expr.name

    def _climb(self, least: int, level: int) -> Expr:
        if level > _BRACKETS:
            self._refuse(f"brackets in brackets, more than {_BRACKETS} levels")
        left = self._prefixed(level)
        while self.at < len(self.row):
            token = self.row[self.at]
            operator = _OPERATORS.get(token.text) if token.kind in {"sign", "word"} else None
            binds = _POWER if operator == "^" else _BINDS.get(operator or "", -1)
            if operator is None or binds < max(least, 1):
                return left
            self.at += 1
            # Powers are taken from the right, everything else from the left.
            right = self._climb(binds if operator == "^" else binds + 1, level + 1)
            left = self._made(Call(operator, (left, right)))
        return left

    def _prefixed(self, level: int) -> Expr:
        token = self._now()
        if token.text in {"+", "-"} and token.kind == "sign":
            self.at += 1
            inner = self._climb(_SIGN + 1, level + 1)
            if token.text == "+":
                return inner
            return Num(-inner.value) if isinstance(inner, Num) else self._made(Call("neg", (inner,)))
        if token.text == ".NOT.":
            self.at += 1
            return self._made(Call("not", (self._climb(_NOT, level + 1),)))
        return self._operand(level)

    def _operand(self, level: int) -> Expr:
        token = self._now()
        self.at += 1
        if token.text == "(":
            self.at -= 1
            self._take("(")
            expr = self._climb(0, level + 1)
            self._take(")")
            return expr
        if token.kind == "number":
            return Num(float(token.text.replace("D", "E")))
        if token.text in {".TRUE.", ".FALSE."}:
            return Num(1.0 if token.text == ".TRUE." else 0.0)
        if token.kind != "name":
            self.at -= 1
            self._refuse(f"{token.text!r}")
        if self.at < len(self.row) and self.row[self.at].text == "(":
            return self._indexed_or_call(token, level)
        return self.replace(token.text, "") or Name(token.text)

    def _indexed_or_call(self, token: Token, level: int) -> Expr:
        inside = self.row[self.at + 1 : self.at + 3]
        closed = len(inside) == 2 and inside[1].text == ")"
        if closed and (replaced := self.replace(token.text, inside[0].text)) is not None:
            self.at += 3
            return replaced
        if token.text in {"SIGMA", "OMEGA"}:
            return self._entry(token)
        if token.text in {"MTIME", "MPAST", "MNEXT"}:
            self.stream.refuse(
                f"{token.text}, model event times",
                "times of doses and levels",
                "write the model without it",
                token.line,
                token.column,
            )
        if token.text in _INDEXED or token.text in {"COM", "P", "S", "R", "D", "F", "K"} or token.text.endswith("_"):
            if not closed or inside[0].kind != "number" or not inside[0].text.isdigit():
                self.at -= 1
                self._refuse(f"{token.text}(...) without a number in its brackets")
            self.at += 3
            return Name(f"{_INDEXED.get(token.text, token.text)}_{int(inside[0].text)}")
        if token.text not in _FUNCTIONS:
            self.at -= 1
            shown = ", ".join(sorted(name for name in _FUNCTIONS if name[0] not in "DP" or name == "PHI"))
            self.stream.refuse(f"{token.text}(...)", f"functions {shown}", "write it out", token.line, token.column)
        return self._call(token, level)

    def _entry(self, token: Token) -> Name:
        """SIGMA(1,1): a name whose number is known."""
        inside = self.row[self.at + 1 : self.at + 5]
        texts = [one.text for one in inside]
        if len(texts) == 4 and texts[0].isdigit() and texts[1] == "," and texts[2].isdigit() and texts[3] == ")":
            self.at += 5
            return Name(f"{token.text.lower()}_{int(texts[0])}_{int(texts[2])}")
        if len(texts) >= 2 and texts[0].isdigit() and texts[1] == ")":
            self.at += 3
            return Name(f"{token.text.lower()}_{int(texts[0])}_{int(texts[0])}")
        self.at -= 1
        return self._refuse(f"{token.text}(...) without a row and a column")

    def _call(self, token: Token, level: int) -> Expr:
        self._take("(")
        args = [self._climb(0, level + 1)]
        while self._now().text == ",":
            self.at += 1
            args.append(self._climb(0, level + 1))
        self._take(")")
        function = _FUNCTIONS[token.text]
        wanted = 2 if function in {"%%", "atan2", "min", "max"} else 1
        if len(args) < wanted or (len(args) > wanted and function not in {"min", "max"}):
            self.stream.refuse(
                f"{token.text} with {len(args)} arguments", f"{wanted}", "correct it", token.line, token.column
            )
        expr: Expr = args[0] if wanted == 2 else self._made(Call(function, (args[0],)))
        for arg in args[1:]:
            expr = self._made(Call(function, (expr, arg)))
        return expr

    def _made(self, call: Call) -> Call:
        """A call that is not too deep: trees are compared and printed by code with a limit."""
        depth = 1 + max(self.depths.get(id(arg), 0) for arg in call.args)
        if depth > DEEPEST:
            self._refuse(f"an expression of more than {DEEPEST} steps in a row")
        self.depths[id(call)] = depth
        self.kept.append(call)
        return call

    def _now(self) -> Token:
        if self.at >= len(self.row):
            last = self.row[-1]
            self.stream.refuse(
                "the end of the line", "a complete expression", "complete it", last.line, last.column + len(last.text)
            )
        return self.row[self.at]

    def _take(self, text: str) -> None:
        if self._now().text != text:
            self._refuse(f"{self._now().text!r} where {text} is expected")
        self.at += 1

    def _refuse(self, came: str) -> NoReturn:
        token = self.row[min(self.at, len(self.row) - 1)]
        self.stream.refuse(came, SUPPORTED, "correct it", token.line, token.column)

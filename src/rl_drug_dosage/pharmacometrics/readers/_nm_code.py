"""Abbreviated code of NONMEM ($PK, $PRED, $DES, $ERROR) as a tree of statements. Nothing is evaluated."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from rl_drug_dosage.pharmacometrics.readers._nm_records import Line, Record, Stream
from rl_drug_dosage.pharmacometrics.readers.expressions import DEEPEST, Call, Expr, Name, Num
from rl_drug_dosage.pharmacometrics.readers.written import ReadError

__all__ = ["Branch", "If", "Opaque", "Set", "Statement", "parse_code"]


@dataclass(frozen=True)
class Set:
    """``target = expr``."""

    target: str
    expr: Expr
    line: int


@dataclass(frozen=True)
class Branch:
    """A condition and what it guards; an ELSE has none."""

    condition: Expr | None
    body: "tuple[Statement, ...]"


@dataclass(frozen=True)
class If:
    """IF, ELSE IF, ELSE."""

    branches: tuple[Branch, ...]
    line: int


@dataclass(frozen=True)
class Opaque:
    """A statement that is not read; an error unless it is in a branch that never runs.

    Args:
        what: it is, for a message.
        line, column: where it is.
        refusal: the whole message, if there is one already.
    """

    what: str
    line: int
    column: int
    refusal: str = ""


type Statement = Set | If | Opaque

_STATEMENTS = 5000
"""Of one block; the longest known ones have 500."""
_BLOCKS, _BRACKETS = 50, 80
"""Levels of IF in IF, and of brackets in brackets; together they stay below Python's limit of calls."""
_SUPPORTED = "assignments, IF, ELSE and functions of NM-TRAN"
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
_TOKEN = re.compile(
    r"""[ \t]*(?:
    (?P<number>(?:\d+(?:\.(?![A-Za-z]+\.)\d*)?|\.\d+)(?:[EDed][+-]?\d+)?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<word>\.[A-Za-z]+\.)
    |(?P<sign>\*\*|==|/=|<=|>=|[-+*/<>(),=])
    )""",
    re.VERBOSE,
)
_INDEXED = {"THETA": "theta", "ETA": "eta", "EPS": "eps", "ERR": "eps", "A": "A", "A_0": "A_0", "DADT": "DADT"}
_HARMLESS = re.compile(
    r"""(?:FIRST|LAST|MAIN|CONTAINS
    |(?:USE|COMMON|INTEGER|REAL|DOUBLE[ ]PRECISION|LOGICAL|IMPLICIT|SAVE|DIMENSION)\b.*
    |IMAX\s*=.*|COMMENT.*|WRITE.*|PRINT.*|!.*|)""",
    re.VERBOSE,
)
"""Verbatim lines that change no value of the model: declarations, a larger number of evaluations, output."""
_IGNORED = re.compile(r"(?:EXIT\b|CALLFL\s*=|COMRES\s*=|RETURN$|OPEN\b|WRITE\b|PRINT\b|CLOSE\b|REWIND\b|STOP\b)")


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    line: int
    column: int


type Replace = Callable[[str, str], Expr | None]
"""(name, what its brackets hold) -> the tree of a $ABBR REPLACE, or None."""


def parse_code(stream: Stream, records: Sequence[Record], replace: Replace) -> tuple[Statement, ...]:
    """The statements of some records, as if they were one.

    Args:
        stream: for messages.
        records: with abbreviated code.
        replace: abbreviations of the user.

    Raises:
        ReadError: text that is not abbreviated code.
    """
    rows = [row for record in records for row in _rows(stream, record.lines)]
    found = _Code(stream, rows, replace).block(0)
    for statement in found:
        # No condition can rule this one out.
        if isinstance(statement, Opaque) and statement.refusal:
            raise ReadError(statement.refusal)
    return found


def _rows(stream: Stream, lines: Sequence[Line]) -> list[list[_Token]]:
    """Tokens by statement; a line that ends in & goes on."""
    rows: list[list[_Token]] = []
    goes_on = False
    for line in lines:
        if len(rows) > _STATEMENTS:
            stream.refuse("one statement more", f"up to {_STATEMENTS:,} in one block", "shorten it", line.number)
        text = line.text.rstrip()
        more = text.endswith("&")
        tokens = list(_tokens(stream, text.removesuffix("&"), line.number))
        if goes_on and rows:
            rows[-1] += tokens
        elif tokens:
            rows.append(tokens)
        goes_on = more
    return rows


def _tokens(stream: Stream, text: str, number: int) -> list[_Token]:
    bare = text.strip()
    start = len(text) - len(text.lstrip()) + 1
    if bare.startswith('"'):
        return [_Token("verbatim", bare[1:].strip().upper(), number, start)]
    if bare.startswith("("):
        # A condition of the calls of a block, (OBSERVATION ONLY) or (ONLY OBSERVATIONS).
        return [_Token("verbatim", "", number, start)] if _is_call_protocol(bare) else _scan(stream, text, number)
    if _IGNORED.match(bare.upper()) or re.fullmatch(r"include\s.*nonmem_reserved\w*", bare, re.IGNORECASE):
        return [_Token("ignored", bare.split()[0].upper(), number, start)]
    return _scan(stream, text, number)


def _is_call_protocol(bare: str) -> bool:
    return (
        len(bare) < 80
        and re.fullmatch(r"\([A-Za-z ]*(?:OBS|EVENT|PER|ONCE|CALL|RECORD)[A-Za-z ]*\)", bare, re.IGNORECASE) is not None
    )


def _scan(stream: Stream, text: str, number: int) -> list[_Token]:
    found, at = [], 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            stream.refuse(f"{text[at:end]!r}", _SUPPORTED, "write it as abbreviated code", number, at + 1)
        kind = str(match.lastgroup)
        found.append(_Token(kind, match[kind].upper(), number, match.start(kind) + 1))
        at = match.end()
    return found


class _Code:
    """Rows of tokens -> statements. One row may begin a block that others end."""

    def __init__(self, stream: Stream, rows: list[list[_Token]], replace: Replace) -> None:
        self.stream = stream
        self.rows = rows
        self.replace = replace
        self.at = 0

    def block(self, depth: int, ends: frozenset[str] = frozenset()) -> tuple[Statement, ...]:
        """Statements up to a row that begins with one of ``ends``, or to the end of all."""
        found: list[Statement] = []
        while self.at < len(self.rows):
            row = self.rows[self.at]
            if _keyword(row) in ends:
                return tuple(found)
            self.at += 1
            found += self._statement(row, depth)
        return tuple(found)

    def _statement(self, row: list[_Token], depth: int) -> list[Statement]:
        first = row[0]
        if first.kind in {"verbatim", "ignored"}:
            harmless = first.kind == "ignored" or _HARMLESS.fullmatch(first.text) is not None
            return [] if harmless else [Opaque(f'verbatim code ("{first.text})', first.line, first.column)]
        if depth > _BLOCKS:
            self._refuse(first, f"blocks in blocks, more than {_BLOCKS} levels", _SUPPORTED)
        word = _keyword(row)
        if word == "IF":
            return self._if(row, depth)
        if word in {"ELSE", "ELSEIF", "ENDIF", "ENDDO"}:
            self._refuse(first, f"{word} without its IF or DO", _SUPPORTED)
        if word in {"DO", "CALL"}:
            return [self._not_read(row, depth)]
        if re.fullmatch(r"R\d+ = RATE", " ".join(token.text for token in row)):
            # The rate of a dose is the data's own.
            return []
        try:
            return [self._assignment(row)]
        except ReadError as error:
            return [Opaque(first.text, first.line, first.column, str(error))]

    def _not_read(self, row: list[_Token], depth: int) -> Opaque:
        """A loop or a call."""
        first = row[0]
        if first.text == "DO":
            self.block(depth + 1, frozenset({"ENDDO"}))
            self.at += 1
            return Opaque("a loop (DO)", first.line, first.column)
        return Opaque(f"CALL {row[1].text if len(row) > 1 else ''}", first.line, first.column)

    def _if(self, row: list[_Token], depth: int) -> list[Statement]:
        expression = _Expression(self, row, 1)
        condition = expression.bracketed()
        rest = row[expression.at :]
        if not rest:
            self._refuse(row[-1], "IF without a statement", "IF (...) statement, or IF (...) THEN")
        if rest[0].text != "THEN" or len(rest) > 1:
            body = self._single(rest, depth)
            return [If((Branch(condition, tuple(body)),), row[0].line)] if body else []
        branches = [Branch(condition, self.block(depth + 1, _ENDS))]
        while True:
            if self.at >= len(self.rows):
                self._refuse(row[0], "IF ... THEN without ENDIF", _SUPPORTED)
            now = self.rows[self.at]
            self.at += 1
            word = _keyword(now)
            if word == "ENDIF":
                return [If(tuple(branches), row[0].line)]
            if word == "ELSE":
                branches.append(Branch(None, self._else(now, depth)))
                continue
            skip = 1 if now[0].text == "ELSEIF" else 2
            own = _Expression(self, now, skip)
            branches.append(Branch(own.bracketed(), self.block(depth + 1, _ENDS)))

    def _else(self, row: list[_Token], depth: int) -> tuple[Statement, ...]:
        own = self._single(row[1:], depth) if len(row) > 1 else []
        return (*own, *self.block(depth + 1, _ENDS))

    def _single(self, row: list[_Token], depth: int) -> list[Statement]:
        if row[0].text in {"EXIT", "RETURN", "STOP", "WRITE", "PRINT", "CALLFL", "COMRES"}:
            return []
        return self._statement(row, depth + 1)

    def _assignment(self, row: list[_Token]) -> Set:
        target = _Expression(self, row, 0)
        place = target.place()
        if target.at >= len(row) or row[target.at].text != "=":
            at = row[min(target.at, len(row) - 1)]
            self._refuse(at, f"{at.text!r} where = is expected", _SUPPORTED)
        value = _Expression(self, row, target.at + 1)
        expr = value.whole()
        return Set(place, expr, row[0].line)

    def _refuse(self, token: _Token, came: str, supported: str) -> NoReturn:
        self.stream.refuse(came, supported, "correct it", token.line, token.column)


_ENDS = frozenset({"ELSE", "ELSEIF", "ENDIF"})


def _keyword(row: list[_Token]) -> str:
    """The word that a row begins with, if it is one of the language; END IF and ELSE IF are one word."""
    first = row[0].text if row[0].kind == "name" else ""
    second = row[1].text if len(row) > 1 else ""
    if second == "=":
        return ""
    if first in {"END", "ELSE"} and second in {"IF", "DO"}:
        return first + second
    if first == "IF" and second != "(":
        return ""
    return first if first in {"IF", "ELSE", "ELSEIF", "ENDIF", "DO", "ENDDO", "CALL"} else ""


class _Expression:
    """A row of tokens -> a tree, by precedence climbing."""

    def __init__(self, code: _Code, row: list[_Token], at: int) -> None:
        self.code = code
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
        return self.code.replace(token.text, "") or Name(token.text)

    def _indexed_or_call(self, token: _Token, level: int) -> Expr:
        inside = self.row[self.at + 1 : self.at + 3]
        closed = len(inside) == 2 and inside[1].text == ")"
        if closed and (replaced := self.code.replace(token.text, inside[0].text)) is not None:
            self.at += 3
            return replaced
        if token.text in {"SIGMA", "OMEGA"}:
            return self._entry(token)
        if token.text in {"MTIME", "MPAST", "MNEXT"}:
            self.code.stream.refuse(
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
            self.code.stream.refuse(
                f"{token.text}(...)", f"functions {shown}", "write it out", token.line, token.column
            )
        return self._call(token, level)

    def _entry(self, token: _Token) -> Name:
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

    def _call(self, token: _Token, level: int) -> Expr:
        self._take("(")
        args = [self._climb(0, level + 1)]
        while self._now().text == ",":
            self.at += 1
            args.append(self._climb(0, level + 1))
        self._take(")")
        function = _FUNCTIONS[token.text]
        wanted = 2 if function in {"%%", "atan2", "min", "max"} else 1
        if len(args) < wanted or (len(args) > wanted and function not in {"min", "max"}):
            self.code.stream.refuse(
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

    def _now(self) -> _Token:
        if self.at >= len(self.row):
            last = self.row[-1]
            self.code.stream.refuse(
                "the end of the line", "a complete expression", "complete it", last.line, last.column + len(last.text)
            )
        return self.row[self.at]

    def _take(self, text: str) -> None:
        if self._now().text != text:
            self._refuse(f"{self._now().text!r} where {text} is expected")
        self.at += 1

    def _refuse(self, came: str) -> NoReturn:
        token = self.row[min(self.at, len(self.row) - 1)]
        self.code.stream.refuse(came, _SUPPORTED, "correct it", token.line, token.column)


def replacements(table: Mapping[tuple[str, str], Expr]) -> Replace:
    """The abbreviations of a table by (name, what its brackets hold)."""
    return lambda name, index: table.get((name, index))

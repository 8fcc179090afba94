"""Python text: expressions as lines of code, values as calls, in the layout of ruff's formatter."""

import json
import keyword
import math
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any

from rl_drug_dosage.pharmacometrics.readers.expressions import FUNCTIONS, Call, Expr, Name, Num, folded

__all__ = ["Code", "Lines", "Rebuilt", "dictionary", "identifier", "quoted", "rendered", "tidied"]

WIDTH = 120
_SHORT = 84
"""An expression that is longer is taken apart."""
_SUM, _PRODUCT, _SIGN, _WHOLE = 1, 2, 3, 4
_OPERATORS = {"+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT}
_COMPARED = frozenset({"<", "<=", ">", ">=", "==", "!="})
_TAKEN = frozenset({"theta", "covariates", "p", "state", "x", "t", "pk", "jax", "jnp", "norm", "gammaln", "a", "DRUG"})


def identifier(name: str, taken: Mapping[str, str]) -> str:
    """A Python name for a variable, unlike those of others."""
    text = re.sub(r"[^A-Za-z0-9_]", "_", name).lstrip("_") or "value"
    if text[0].isdigit() or keyword.iskeyword(text) or text in _TAKEN:
        text = f"v_{text}"
    used = set(taken.values())
    while text in used:
        text += "_"
    return text


def quoted(text: str) -> str:
    """A text as Python, in double quotes unless only it has them."""
    written = json.dumps(text, ensure_ascii=False)
    if '"' in text and "'" not in text and "\\" not in text:
        inner = written[1:-1].replace('\\"', '"')
        return f"'{inner}'"
    # What ends a line for Python, and for JSON does not.
    return re.sub("[\x7f-\x9f\u2028\u2029\ud800-\udfff]", lambda m: f"\\u{ord(m[0]):04x}", written)


@dataclass(frozen=True)
class _Text:
    """Code of an expression: how tightly it binds, and what it is as a condition."""

    code: str
    binds: int
    condition: str = ""

    def within(self, binds: int) -> str:
        return self.code if self.binds >= binds else f"({self.code})"

    @property
    def true(self) -> str:
        return self.condition or f"{self.within(_WHOLE)} != 0"


def tidied(expr: Expr, zeros: Iterable[str] = ()) -> Expr:
    """With 0 for some names, and without what is idle then: ``exp(a + 0)`` is ``exp(a)``, ``a * exp(0)`` is ``a``."""
    gone, zero, one = frozenset(zeros), Num(0.0), Num(1.0)

    def joined(part: Call, args: tuple[Expr, ...]) -> Expr:
        match part.function, args:
            case ("+", (a, b)) if zero in (a, b):
                return b if a == zero else a
            case ("-", (a, b)) if b == zero:
                return a
            case ("*", (a, b)) if one in (a, b):
                return b if a == one else a
            case ("/", (a, b)) if b == one:
                return a
            case ("exp", (a,)) if a == zero:
                return one
        return part if all(map(operator.is_, args, part.args)) else Call(part.function, args)

    found: Expr = folded(expr, lambda leaf: zero if isinstance(leaf, Name) and leaf.name in gone else leaf, joined)
    return found


class Lines:
    """The body of a function: statements, one value each.

    Args:
        reads: what to write for a name that is given: code, and whether it has to stand in brackets in a product.
        lines: line of the file of each name; no comment for 0.
    """

    def __init__(self, reads: Mapping[str, str], lines: Mapping[str, int]) -> None:
        self._reads, self._lines = dict(reads), lines
        self._own: dict[str, str] = {}
        self._parts = 0
        self.code: list[str] = []

    def assign(self, name: str, expr: Expr) -> None:
        """``name = expr``, in several lines if it is long; another name for a value needs none."""
        text = self.text(expr)
        if isinstance(expr, Name):
            self._reads[name] = text.code
            return
        own = identifier(name, {**self._own, "": ""})
        self._write(own, text.code, self._lines.get(name, 0))
        self._own[name] = own

    def read(self, name: str, factor: float = 1.0) -> str:
        """The code of a value, times a factor."""
        text = self._leaf(Name(name))
        return text.code if factor == 1.0 else f"{text.within(_PRODUCT)} * {factor!r}"

    def text(self, expr: Expr) -> _Text:
        """The code of an expression; parts of a long one get a line of their own."""
        found: _Text = folded(expr, self._leaf, self._joined)
        return found

    def _write(self, own: str, code: str, line: int) -> None:
        comment = f"  # line {line}"
        fits = len(own) + len(code) + len(comment) + 7 <= WIDTH
        self.code.append(f"{own} = {code}{comment if line and fits else ''}")

    def _leaf(self, part: Num | Name) -> _Text:
        if isinstance(part, Num):
            code = repr(float(part.value)) if math.isfinite(part.value) else f'float("{part.value}")'
            return _Text(code, _SIGN if part.value < 0 else _WHOLE)
        if part.name in self._own:
            return _Text(self._own[part.name], _WHOLE)
        code = self._reads[part.name]
        return _Text(code, _PRODUCT if " * " in code or " / " in code else _WHOLE)

    def _joined(self, part: Call, args: tuple[_Text, ...]) -> _Text:
        parts = list(args)
        while True:
            made = _call(part.function, parts)
            longest = max(range(len(parts)), key=lambda i: len(parts[i].code))
            if len(made.code) <= _SHORT or len(parts[longest].code) <= 24:
                return made
            self._parts += 1
            name = identifier(f"part_{self._parts}", self._own)
            self._write(name, parts[longest].code, 0)
            self._own[f" {name}"] = name
            parts[longest] = _Text(name, _WHOLE)


def _call(function: str, args: Sequence[_Text]) -> _Text:
    if function in _OPERATORS:
        binds = _OPERATORS[function]
        # The right side keeps its brackets, so that the order of the operations is the file's.
        return _Text(f"{args[0].within(binds)} {function} {args[1].within(binds + 1)}", binds)
    if function == "neg":
        return _Text(f"-{args[0].within(_WHOLE)}", _SIGN)
    condition = _condition(function, args)
    if condition:
        return _Text(f"jnp.where({condition}, 1.0, 0.0)", _WHOLE, condition)
    if function == "if":
        return _Text(f"jnp.where({args[0].true}, {args[1].code}, {args[2].code})", _WHOLE)
    codes = [arg.within(_WHOLE) if function == "logit" else arg.code for arg in args]
    return _Text(FUNCTIONS[function].python.format(*codes), _WHOLE)


def _condition(function: str, args: Sequence[_Text]) -> str:
    if function in _COMPARED:
        return f"{args[0].within(_SUM)} {function} {args[1].within(_SUM)}"
    if function in {"and", "or"}:
        return f"({args[0].true}) {'&' if function == 'and' else '|'} ({args[1].true})"
    return f"{args[0].within(_WHOLE)} == 0" if function == "not" else ""


def dictionary(entries: Mapping[str, str], indent: int, before: str) -> str:
    """``before {...}``, in one line where it fits."""
    inside = ", ".join(f"{quoted(key)}: {code}" for key, code in entries.items())
    if indent + len(before) + len(inside) + 2 <= WIDTH:
        return f"{before}{{{inside}}}"
    pad = " " * (indent + 4)
    rows = "".join(f"{pad}{quoted(key)}: {code},\n" for key, code in entries.items())
    return f"{before}{{\n{rows}{' ' * indent}}}"


@dataclass(frozen=True)
class Code:
    """A value that is written as it is: the name of a function."""

    text: str


@dataclass(frozen=True)
class Rebuilt:
    """A dataclass, some of whose fields are written in another way."""

    value: Any
    changes: Mapping[str, Any]


def rendered(value: Any, indent: int, before: int = 0) -> str:
    """A value as Python: dataclasses as calls, without their defaults.

    Args:
        value: made of dataclasses, tuples, mappings, texts and numbers.
        indent: of the line it begins in.
        before: characters before it in this line, and behind it.
    """
    flat = _flat(value)
    if indent + before + len(flat) <= WIDTH and "\n" not in flat:
        return flat
    pad = " " * (indent + 4)
    if is_dataclass(value) and not isinstance(value, Code):
        made = value.value if isinstance(value, Rebuilt) else value
        rows = [(f"{name}=", each) for name, each in _arguments(value)]
        opening, closing = f"{type(made).__name__}(", ")"
    elif isinstance(value, Mapping):
        rows, opening, closing = [(f"{quoted(str(k))}: ", v) for k, v in value.items()], "{", "}"
    elif isinstance(value, tuple):
        rows, opening, closing = [("", each) for each in value], "(", ")"
    else:
        return flat
    inside = "".join(f"{pad}{name}{rendered(each, indent + 4, len(name) + 1)},\n" for name, each in rows)
    return f"{opening}\n{inside}{' ' * indent}{closing}"


def _arguments(value: Any) -> list[tuple[str, Any]]:
    found, changes = [], value.changes if isinstance(value, Rebuilt) else {}
    value = value.value if isinstance(value, Rebuilt) else value
    for each in fields(value):
        own = changes.get(each.name, getattr(value, each.name))
        default = each.default_factory() if each.default_factory is not MISSING else each.default
        if default is MISSING or not (own is default or (type(own) is type(default) and own == default)):
            found.append((each.name, own))
    return found


def _flat(value: Any) -> str:  # noqa: PLR0911 - one case a kind of value
    if isinstance(value, Code):
        return value.text
    if is_dataclass(value):
        made = value.value if isinstance(value, Rebuilt) else value
        return f"{type(made).__name__}({', '.join(f'{n}={_flat(v)}' for n, v in _arguments(value))})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{quoted(str(k))}: {_flat(v)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple):
        inside = ", ".join(map(_flat, value))
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return repr(float(value) if isinstance(value, float) else value)

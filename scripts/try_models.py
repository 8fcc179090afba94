"""Try model files of other people: read each, simulate it, and compare with an independent integration.

scripts/try_models.py FOLDER            every .R file below the folder
scripts/try_models.py FOLDER --only NAME --sample 50 --table out.md

A file's model is made by `rl_drug_dosage.pharmacometrics.readers`, with a sidecar that gives what the file does not say
(time in h, doses in mg, units, covariates), and two patients are simulated in float64: the typical one, and one with
random effects. The same text is translated a second time, by regular expressions into Python that is checked to be
arithmetic only, and integrated by scipy (LSODA, rtol 1e-10); nothing of this package's reader is used there. `linCmt()`
is translated by hand-written equations. Nothing in a file is executed as R.

A row says: read, simulated, the largest difference relative to the output (with 0.1 % of its maximum added to it), and
the reason where one of them fails. The exit code is 0.
"""

import argparse
import ast
import math
import re
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import gammaln
from scipy.stats import gamma, norm

from rl_drug_dosage.errors import RlDrugDosageError
from rl_drug_dosage.pharmacometrics.readers.bridge.model import drug_model
from rl_drug_dosage.pharmacometrics.readers.rxode2.reader import read
from rl_drug_dosage.pharmacometrics.readers.sidecar import CovariateWords, OutputWords, Sidecar, Units
from rl_drug_dosage.pharmacometrics.readers.written import WrittenModel
from rl_drug_dosage.pkpd import Dose, DrugModel, make_covariates, make_regimen, predict

HOURS = {
    "h": 1.0,
    "hr": 1.0,
    "hour": 1.0,
    "hours": 1.0,
    "min": 1 / 60,
    "d": 24.0,
    "day": 24.0,
    "days": 24.0,
    "week": 168.0,
}
MG = {"mg": 1.0, "g": 1e3, "ug": 1e-3, "mcg": 1e-3, "µg": 1e-3, "ng": 1e-6, "kg": 1e6}
DOSE, DOSE_TIMES_H = 100.0, (0.0, 12.0)
TIMES_H = np.array([0.5, 1.0, 2.0, 4.0, 8.0, 11.5, 12.5, 14.0, 18.0, 24.0, 48.0, 96.0])
SECONDS = 30


# The second translation


def _without_words(text: str) -> str:
    """Code without comments; strings become empty ones."""
    return re.sub(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|#[^\n]*", lambda m: "" if m[0][0] == "#" else '""', text)


def _inside(text: str, opening: str) -> str:
    """What stands between the braces that follow ``opening``; empty if there is none."""
    found = re.search(opening, text)
    if not found:
        return ""
    depth, start = 1, found.end()
    for i in range(start, len(text)):
        depth += (text[i] == "{") - (text[i] == "}")
        if depth == 0:
            return text[start:i]
    return ""


def _pieces(text: str) -> list[str]:
    """Statements, with braces of their own as pieces."""
    out, depth, word = [], 0, ""
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter in "{}" and depth == 0:
            out += [word, letter]
            word = ""
        elif letter in ";\n" and depth == 0 and not re.search(r"[-+*/^=<~&|,]\s*$|<-\s*$", word):
            out.append(word)
            word = ""
        else:
            word += " " if letter == "\n" else letter
    return [piece.strip() for piece in [*out, word] if piece.strip()]


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "abs": abs, "log10": np.log10, "log2": np.log2, "log1p": np.log1p,
    "expm1": np.expm1, "sin": np.sin, "cos": np.cos, "tan": np.tan, "tanh": np.tanh, "atan": np.arctan,
    "floor": math.floor, "ceiling": math.ceil, "pnorm": norm.cdf, "phi": norm.cdf, "qnorm": norm.ppf, "max": max,
    "min": min,
    "gammafn": lambda x: np.exp(gammaln(x)), "lgamma": gammaln, "lgammafn": gammaln, "fabs": abs,
    "gamma": lambda x: np.exp(gammaln(x)), "factorial": lambda x: np.exp(gammaln(x + 1)),
    "expit": lambda x, a=0.0, b=1.0: a + (b - a) / (1 + np.exp(-x)),
    "logit": lambda x, a=0.0, b=1.0: -np.log(1 / ((x - a) / (b - a)) - 1),
    "probitInv": lambda x, a=0.0, b=1.0: a + (b - a) * norm.cdf(x),
    "probit": lambda x, a=0.0, b=1.0: norm.ppf((x - a) / (b - a)),
    "transit": lambda tad, podo, n, mtt, f=1.0: _transit(tad, podo, n, mtt, f),
    "ifelse": lambda c, a, b: a if c else b, "pow": lambda a, b: a**b,
    "c": lambda *x: x[1] if len(x) > 2 else x[-1] if len(x) < 2 else x[1],
    "fix": lambda *x: x[1] if len(x) > 1 else x[0], "fixed": lambda *x: x[1] if len(x) > 1 else x[0],
}  # fmt: skip


def _transit(tad: float, podo: float, n: float, mtt: float, f: float) -> float:
    """Savic's input: a gamma density."""
    return float(f * podo * gamma.pdf(tad, n + 1, scale=mtt / (n + 1)))


_ALLOWED = (
    ast.Module, ast.Expression, ast.Assign, ast.If, ast.Pass, ast.Expr, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare,
    ast.Call, ast.Name, ast.Constant, ast.Subscript, ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context,
    ast.Tuple,
)  # fmt: skip


def _word(name: str) -> str:
    return "v_" + name.replace(".", "_dot_")


def _python(formula: str) -> str:
    """A formula of R in Python's spelling."""
    text = re.sub(r"d\s*/\s*dt\s*\(\s*([\w.]+)\s*\)", r"D[\1]", formula)
    text = re.sub(r"\b(?:podo|dose)0?\s*\(\s*([\w.]*)\s*\)", r'PODO["\1"]', text)
    text = re.sub(r"\btad0?\s*\(\s*([\w.]*)\s*\)", r'TAD["\1"]', text)
    text = re.sub(r"\b(\d+)L\b", r"\1", text)
    text = re.sub(r",\s*(?:FIXED|FIX|fixed|fix)\s*\)", ")", text)

    def name(found: re.Match[str]) -> str:
        word, after = found[0], text[found.end() :].lstrip()[:1]
        if word in {"TRUE", "FALSE"}:
            return "1.0" if word == "TRUE" else "0.0"
        if word in {"Inf", "pi", "M_PI"}:
            return "1e300" if word == "Inf" else repr(math.pi)
        if word in {"time", "t", "TIME"} and after != "(":
            return "v_t"
        return f"f_{word.replace('.', '_dot_')}" if after == "(" else _word(word)

    text = re.sub(r"(?<![\w.\"])(?!(?:TAD|PODO)\[)(?:[A-Za-z]|\.(?!\d))[\w.]*(?!\")", name, text)
    text = re.sub(r"D\[v_([\w]+)\]", r'D["\1"]', text)
    text = text.replace("^", "**").replace("&&", " and ").replace("||", " or ")
    text = re.sub(r"(?<!&)&(?!&)", " and ", text)
    text = re.sub(r"(?<!\|)\|(?!\|)", " or ", text)
    text = re.sub(r"!(?!=)", " not ", text)
    return re.sub(r"(?<![\w.])0+(?=\d)", "", text.replace("%%", "%"))


@dataclass
class Second:
    """A model's text in Python: the code of its statements, and the names of its compartments."""

    thetas: dict[str, float] = field(default_factory=dict)
    code: Any = None
    states: list[str] = field(default_factory=list)
    solved: str = ""


_PLACE = {"f": "f", "F": "f", "alag": "lag", "lag": "lag", "dur": "dur", "rate": "rate"}
_ERROR = re.compile(r"(?<![\w.])(?:add|prop|propT|pow|lnorm|dlnorm|logn|dlogn|norm|dnorm|logitNorm)\s*\(")


def _statement(piece: str, second: Second) -> str:
    """One statement in Python; empty if it assigns nothing."""
    if re.match(r"(?:cmt|dvid|param|locf|linear|nocb|matExp|label)\s*\(", piece):
        return ""
    found = re.match(r"(.*?[\w.)\]`]\s*)(<-|=(?!=)|~)(.*)$", piece, re.DOTALL)
    if not found:
        raise ValueError(f"no statement: {piece[:60]}")
    target, sign, value = found[1].strip(), found[2], found[3].strip()
    if sign == "~" and _ERROR.search(value):
        return "v_cp = " + _solved(target, second) if target.startswith("linCmt") else ""
    value = _python(re.sub(r"linCmt\s*\([^()]*\)", lambda m: "SOLVED", value))
    value = value.replace("v_SOLVED", _solved("linCmt()", second) if "SOLVED" in value else "")
    target = re.sub(r"^mtime\s*\(\s*([\w.]+)\s*\)$", r"\1", target)
    if state := re.fullmatch(r"d\s*/\s*dt\s*\(\s*([\w.]+)\s*\)", target):
        if state[1] not in second.states:
            second.states.append(state[1])
        value = re.sub(r"f_transit\(", f'f_transit(TAD["{state[1]}"], PODO["{state[1]}"], ', value)
        return f'D["{state[1]}"] = {value}'
    if start := re.fullmatch(r"([\w.]+)\s*\(\s*0\s*\)", target):
        return f'P["start", "{start[1]}"] = {value}'
    if (place := re.fullmatch(r"(\w+)\s*\(\s*([\w.]+)\s*\)", target)) and place[1] in _PLACE:
        return f'P["{_PLACE[place[1]]}", "{place[2]}"] = {value}'
    return f"{_word(target)} = {value}"


def _solved(_: str, second: Second) -> str:
    second.solved = "yes"
    return "(v_central / SOLVED[0])"


def _condition(text: str) -> tuple[str, str]:
    """What stands in the bracket that a text begins with, and what follows it."""
    depth = 0
    for i, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return text[1:i], text[i + 1 :].strip()
    raise ValueError("a bracket is never closed")


def _block(pieces: list[str], second: Second) -> list[str]:
    """Statements up to the closing brace, as Python lines."""
    lines: list[str] = []
    while pieces:
        piece = pieces.pop(0)
        if piece == "}":
            break
        if piece == "{":
            lines += _block(pieces, second)
            continue
        head = re.match(r"(else\s+if|if|else)\b\s*", piece)
        if not head:
            lines += [line for line in (_statement(piece, second),) if line]
            continue
        rest, condition = piece[head.end() :], ""
        if head[1] != "else":
            condition, rest = _condition(rest)
        if rest:
            after = re.match(r"(.*?)\s*\belse\b(.*)$", rest, re.DOTALL)
            if after:
                pieces.insert(0, "else " + after[2].strip())
                rest = after[1]
            body = _block([rest], second)
        else:
            assert pieces.pop(0) == "{"
            body = _block(pieces, second)
        word = {"if": "if", "else": "else"}.get(head[1], "elif")
        lines.append(f"{word} {_python(condition)}:" if condition else "else:")
        lines += ["    " + line for line in body or ["pass"]]
    return lines


def translate(text: str) -> Second:
    """The model of a file's text, without this package's reader."""
    code = _without_words(text)
    second = Second()
    for piece in _pieces(_inside(code, r"\bini\s*\(\s*\{")):
        found = re.match(r"([\w.]+)\s*(?:<-|=)(.*)$", piece, re.DOTALL)
        if found:
            second.thetas[found[1]] = float(_evaluated(_python(found[2].strip())))
    body = _inside(code, r"\bmodel\s*\(\s*\{") or _inside(code, r"\b(?:rxode2|RxODE|rxode)\s*\(\s*\{")
    lines = _block(_pieces(body), second)
    tree = ast.parse("\n".join(lines) or "pass")
    _only_arithmetic(tree)
    second.code = compile(tree, "model", "exec")
    return second


def _only_arithmetic(tree: ast.AST) -> None:
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            raise ValueError(f"no arithmetic: {type(node).__name__}")
        if isinstance(node, ast.Name) and not re.fullmatch(r"v_\w+|f_\w+|D|P|SOLVED|TAD|PODO", node.id):
            raise ValueError(f"no name of a model: {node.id}")
        if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id.startswith("f_")):
            raise ValueError("no function of a model")


def _names() -> dict[str, Any]:
    return {"__builtins__": {}, **{f"f_{name}": function for name, function in _FUNCTIONS.items()}}


def _evaluated(formula: str) -> float:
    tree = ast.parse(formula, mode="eval")
    _only_arithmetic(tree)
    return eval(compile(tree, "ini", "eval"), _names())  # noqa: S307 - checked to be arithmetic


# The second integration


def _solved_rates(values: Mapping[str, Any]) -> tuple[float, float, float, list[tuple[float, float]]]:
    """Volume, ka, kel and exchange rates of ``linCmt()`` from a model's variables."""
    low: dict[str, float] = {}
    for name, value in values.items():
        if name.startswith("v_") and isinstance(value, (int, float, np.floating)):
            low[name[2:].lower()] = float(value)
    ka = low.get("ka", math.nan)

    def first(*names: str) -> float | None:
        return next((low[name] for name in names if name in low), None)

    numbered_from_2 = first("v", "vc", "v1") is None
    volume = first("v", "vc", "v1", "v2")
    if "cl" in low and volume is not None:
        tissue = [
            first("v3") if numbered_from_2 else first("v2", "vp", "vp1", "vt", "vd"),
            first("v4" if numbered_from_2 else "v3", "vp2", "vt2", "vd2"),
        ]
        if "vss" in low:
            tissue = [low["vss"] - volume, None]
        flow = [first("q", "cld", "q1"), first("q2", "cld2")]
        pairs = [(q / volume, q / v) for q, v in zip(flow, tissue, strict=True) if q is not None and v is not None]
        return volume, ka, low["cl"] / volume, pairs
    kel = first("k", "ke", "kel", "k10", "k20")
    if kel is not None and volume is not None:
        pairs = [
            (low[a], low[b])
            for a, b in (("k12", "k21"), ("k13", "k31"), ("k23", "k32"), ("k24", "k42"))
            if a in low and b in low
        ]
        return volume, ka, kel, pairs
    alpha, beta = low["alpha"], low.get("beta")
    if beta is None:
        return (1 / low["a"] if "a" in low else volume or math.nan), ka, alpha, []
    if "aob" in low:
        k21, size = (low["aob"] * beta + alpha) / (low["aob"] + 1), volume
    elif "k21" in low:
        k21, size = low["k21"], volume
    else:
        a, b = low.get("a", 1 / (volume or math.nan)), low["b"]
        k21, size = (a * beta + b * alpha) / (a + b), 1 / (a + b)
    k10 = alpha * beta / k21
    return size or math.nan, ka, k10, [(alpha + beta - k21 - k10, k21)]


class Integration:
    """One patient of a translated model."""

    def __init__(self, second: Second, given: Mapping[str, float], compartments: Sequence[str]) -> None:
        self.second = second
        self.given = {_word(name): value for name, value in {**second.thetas, **given}.items()}
        self.states = list(compartments)
        self.last: dict[str, tuple[float, float]] = {}

    def at(self, t: float, x: Sequence[float]) -> tuple[dict[str, Any], dict[str, Any], dict[Any, Any]]:
        """Variables, derivatives and properties at a time, in the file's units."""
        slopes: dict[str, Any] = {}
        properties: dict[Any, Any] = {}
        values = {**_names(), **self.given, "v_t": t, "D": slopes, "P": properties, "SOLVED": [math.nan]}
        values["TAD"] = {name: t - when for name, (when, _) in self.last.items()}
        values["PODO"] = {name: amount for name, (_, amount) in self.last.items()}
        values |= {_word(name): content for name, content in zip(self.states, x, strict=True)}
        exec(self.second.code, values)  # noqa: S102 - checked to be arithmetic
        if self.second.solved:
            volume, ka, kel, pairs = _solved_rates(values)
            values["SOLVED"] = [volume]
            exec(self.second.code, values)  # noqa: S102
            depot = values.get("v_depot", 0.0)
            central = values["v_central"]
            slopes["central"] = -kel * central
            if not math.isnan(ka):
                slopes["depot"] = -ka * depot
                slopes["central"] += ka * depot
            for i, (there, back) in enumerate(pairs, start=1):
                other = values[f"v_peripheral{i}"]
                slopes[f"peripheral{i}"] = there * central - back * other
                slopes["central"] += back * other - there * central
        return values, slopes, properties

    def _events(
        self, compartment: str, doses: Sequence[tuple[float, float]]
    ) -> tuple[np.ndarray, float, list[tuple[float, float, float]]]:
        """Contents at the start, bioavailability, and (time, bolus, change of the infusion rate)."""
        _, _, first = self.at(0.0, np.zeros(len(self.states)))
        x = np.array([float(first.get(("start", name), 0.0)) for name in self.states])
        f, lag = float(first.get(("f", compartment), 1.0)), float(first.get(("lag", compartment), 0.0))
        duration = float(first.get(("dur", compartment), 0.0))
        if ("rate", compartment) in first:
            duration = DOSE * f / float(first["rate", compartment])
        events: list[tuple[float, float, float]] = []
        for time_, amount in doses:
            rate = amount * f / duration if duration > 0 else 0.0
            events += [(time_ + lag, 0.0 if rate else amount * f, rate), (time_ + lag + duration, 0.0, -rate)]
        return x, f, events

    def course(
        self, compartment: str, doses: Sequence[tuple[float, float]], times: np.ndarray, names: Sequence[str]
    ) -> np.ndarray:
        """Variables at times, after doses (time, amount) into a compartment."""
        self.last = dict.fromkeys((compartment, *self.states, ""), (0.0, 0.0))
        x, f, events = self._events(compartment, doses)
        at = self.states.index(compartment)
        stops = sorted({0.0, *(time_ for time_, _, _ in events), *times})
        rate, out, seen_by = 0.0, {}, {}
        for i, now in enumerate(stops):
            out[now], seen_by[now] = x.copy(), dict(self.last)
            for time_, bolus, change in events:
                if time_ == now:
                    seen = change >= 0 and (bolus or change or f == 0)
                    self.last |= dict.fromkeys((compartment, ""), (now, DOSE)) if seen else {}
                    x = x + bolus * (np.arange(len(x)) == at)
                    rate += change
            if i + 1 == len(stops) or now >= times[-1]:
                break

            def slope(t: float, y: np.ndarray, rate: float = rate) -> list[float]:
                _, slopes, _ = self.at(t, y)
                return [float(slopes.get(name, 0.0)) + (rate if j == at else 0.0) for j, name in enumerate(self.states)]

            if len(x):
                done = solve_ivp(slope, (now, stops[i + 1]), x, method="LSODA", rtol=1e-10, atol=1e-11)
                if not done.success:
                    raise ValueError(f"scipy: {done.message}")
                x = done.y[:, -1]
        rows = []
        for t in times:
            self.last = seen_by[t]
            values = self.at(t, out[t])[0]
            rows.append([float(values.get(_word(name), math.nan)) for name in names])
        return np.array(rows)


# A row


@dataclass
class Row:
    """What became of a file."""

    name: str
    read: bool = False
    simulated: bool = False
    difference: float = math.nan
    reason: str = ""
    seconds: float = 0.0


def _sidecar(written: WrittenModel) -> tuple[Sidecar, float, float]:
    """What the file does not say; h per unit of time, mg per unit of dose."""
    time_unit = written.units.get("time", "h").strip().lower()
    time_unit = time_unit if time_unit in HOURS else "h"
    dose_unit = written.units.get("dose", "mg").strip()
    own = None if dose_unit in MG else 1.0
    concentration = written.units.get("concentration", "mg/L")
    units = Units(time=time_unit, dose=dose_unit, concentration=concentration, mg_per_dose_unit=own)
    covariates = {
        c.name: CovariateWords(
            unit=c.unit or "1",
            typical=c.reference if c.reference is not None else 1.0,
            low=None if c.reference is None else min(0.0, c.reference),
        )
        for c in written.covariates
    }
    outputs = {o.name: OutputWords(unit=concentration, residual="typical") for o in written.outputs}
    compartment = (written.dosed or written.compartments or ("",))[0]
    return (
        Sidecar(units=units, compartment=compartment, covariates=covariates, outputs=outputs),
        HOURS[time_unit],
        MG.get(dose_unit, 1.0),
    )


_UNIT = re.compile(r"unit of covariate '([^']+)'.*?allowed: (.+?)(?: or |, as |;)")


_COLUMN = re.compile(r"\[covariates\.\"?([\w.]+)\"?\]\s*column")


def _bridged(written: WrittenModel, sidecar: Sidecar) -> DrugModel:
    """The drug model; a covariate whose name asks for a certain unit gets that unit."""
    for _ in range(30):
        try:
            return drug_model(written, sidecar)
        except RlDrugDosageError as error:
            found = _UNIT.search(str(error))
            if column := _COLUMN.search(str(error)):
                words = replace(sidecar.covariates[column[1]], column=f"column_{column[1].lower()}")
                sidecar = replace(sidecar, covariates={**sidecar.covariates, column[1]: words})
                continue
            if not found:
                raise
            words = replace(sidecar.covariates[found[1]], unit=found[2])
            sidecar = replace(sidecar, covariates={**sidecar.covariates, found[1]: words})
    raise ValueError("no units fit")


def _patient(model: DrugModel, written: WrittenModel, scale: float, seed: int) -> tuple[dict[str, float], np.ndarray]:
    """Covariates, and random effects in the order of the file's etas."""
    values = {}
    for c in model.covariates:
        value = c.typical * (1.0 + 0.1 * scale) if c.typical else 0.0
        values[c.name] = float(min(max(value, c.low), c.high))
    spread = np.sqrt(np.clip(np.diag(written.omega), 0.0, 0.25)) if len(written.etas) else np.zeros(0)
    return values, scale * np.random.default_rng(seed).normal(size=len(spread)) * spread


def _given(name: str, values: Mapping[str, float]) -> float:
    """The value of a covariate that the model may have under another name; 1 if nothing depends on it."""
    return next((values[n] for n in (name, f"column_{name.lower()}", name.lower()) if n in values), 1.0)


def attempt(path: Path) -> Row:
    """Read, simulate and compare one file."""
    row = Row(path.stem)
    started = time.perf_counter()
    try:
        _attempt(path, row)
    except RlDrugDosageError as error:
        row.reason = str(error).replace(str(path), "")
    except Exception as error:  # noqa: BLE001 - a table of everything that goes wrong
        row.reason = f"{type(error).__name__}: {str(error)[:200]}"
    row.seconds = time.perf_counter() - started
    return row


def _attempt(path: Path, row: Row) -> None:
    written = read(path)
    row.read = True
    sidecar, hours, mg = _sidecar(written)
    model = _bridged(written, sidecar)
    compartment = (written.dosed or written.compartments or ("",))[0]
    structure = model.structure
    place = written.compartments.index(compartment) if compartment else 0
    name = structure.compartments[place]
    regimen = make_regimen([Dose(t, DOSE * mg, name) for t in DOSE_TIMES_H], structure)
    names = [o.name for o in written.outputs]
    run = jax.jit(lambda table, eta: predict(model, regimen, table, TIMES_H, eta))
    try:
        second = translate(path.read_text(encoding="utf-8"))
        problem = ""
    except (ValueError, SyntaxError, KeyError, IndexError, AssertionError) as error:
        second, problem = Second(), f"no second translation: {error}"
    worst = 0.0
    for scale, seed in ((0.0, 0), (1.0, 1)):
        values, eta = _patient(model, written, scale, seed)
        kept = np.array([e for e, n in zip(eta, written.etas, strict=True) if n.value != 0])
        ours = np.asarray(run(make_covariates(model, values), kept))
        row.simulated = bool(np.all(np.isfinite(ours)))
        if not row.simulated and problem:
            raise ValueError("the simulation is not finite")
        if problem:
            row.reason = problem
            continue
        by_name = {**values, **{c.column: values[c.name] for c in model.covariates}}
        own = {c.name: _given(c.name, by_name) for c in written.covariates}
        given = {**own, **{n.name: float(e) for n, e in zip(written.etas, eta, strict=True)}}
        given |= {n.name: 0.0 for n in written.occasion_etas}
        doses = [(t / hours, DOSE) for t in DOSE_TIMES_H]
        hidden = {c for d in written.last_doses for c in (d.content, d.last_dose, d.time_after_dose)}
        compartments = [c for c in written.compartments if c not in hidden]
        patient = Integration(second, given, compartments)
        try:
            theirs = patient.course(compartment, doses, TIMES_H / hours, names)
        except (ValueError, OverflowError, TimeoutError, ZeroDivisionError) as error:
            if row.simulated:
                raise
            raise ValueError(f"the file's own equations have no solution at its own numbers ({error})") from error
        if not row.simulated:
            own = "the file's own equations have no solution at its own numbers"
            raise ValueError("not finite here only" if np.all(np.isfinite(theirs)) else own)
        size = np.abs(theirs) + 1e-3 * np.abs(theirs).max(axis=0) + 1e-12
        worst = max(worst, float(np.max(np.abs(ours - theirs) / size)))
        row.difference = worst


def main() -> None:
    """Try the files and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="files whose path contains this")
    parser.add_argument("--sample", type=int, default=0, help="so many files, evenly spread")
    parser.add_argument("--table", type=Path, help="also write the table here")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    warnings.simplefilter("ignore")
    paths = [p for p in sorted(options.folder.rglob("*.[Rr]")) if options.only in str(p)]
    if options.sample and len(paths) > options.sample:
        paths = [paths[i * len(paths) // options.sample] for i in range(options.sample)]

    def late(*_: object) -> None:
        raise TimeoutError(f"longer than {SECONDS} s")

    signal.signal(signal.SIGALRM, late)
    rows = []
    for path in paths:
        signal.alarm(SECONDS)
        rows.append(attempt(path))
        signal.alarm(0)
        row = rows[-1]
        words = f"{'read' if row.read else '-':5}{'sim' if row.simulated else '-':4}"
        line = f"{row.name:50.50} {words}{row.difference:9.1e} {row.seconds:5.1f} s  {row.reason}"
        print(line, flush=True)
        if len(rows) % 20 == 0:
            jax.clear_caches()
    close = sum(row.difference <= 1e-5 for row in rows)
    compared = sum(math.isfinite(row.difference) for row in rows)
    print(
        f"{len(rows)} files: {sum(r.read for r in rows)} read, {sum(r.simulated for r in rows)} simulated, "
        f"{compared} compared, {close} of them within 1e-5"
    )
    for reason, count in Counter(re.sub(r"[:\d]+", ":", row.reason)[:100] for row in rows if row.reason).most_common():
        print(f"{count:5} {reason}")
    if options.table:
        head = "| file | read | simulated | difference | reason |\n|---|---|---|---|---|\n"
        lines = [f"| {r.name} | {r.read} | {r.simulated} | {r.difference:.1e} | {r.reason[:200]} |" for r in rows]
        options.table.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
    sys.exit(0)


if __name__ == "__main__":
    main()

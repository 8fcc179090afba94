"""Written models made by hand, for tests of what comes after the readers: formulas in Python's spelling."""

import ast
import math
from collections.abc import Mapping, Sequence

import numpy as np

from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Expr, Name, Num
from rl_drug_dosage.pharmacometrics.readers.written import (
    Assign,
    Number,
    WrittenCovariate,
    WrittenError,
    WrittenModel,
    WrittenOutput,
)

_OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "^", ast.Mod: "%%"}
_COMPARISONS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
_KINDS = {"d": "derivative", "f": "bioavailability", "lag": "lag", "dur": "duration", "start": "start"}


def formula(text: str) -> Expr:
    """``formula("cl * exp(eta)")``; ``a if test else b`` is a condition."""
    return _tree(ast.parse(text, mode="eval").body)


def _tree(node: ast.expr) -> Expr:  # noqa: PLR0911 - one case a kind of node
    match node:
        case ast.Constant(value):
            return Num(float(value))
        case ast.Name(name):
            return Name(name)
        case ast.BinOp(left, operator, right):
            return Call(_OPERATORS[type(operator)], (_tree(left), _tree(right)))
        case ast.UnaryOp(ast.USub(), operand):
            return Call("neg", (_tree(operand),))
        case ast.Compare(left, [operator], [right]):
            return Call(_COMPARISONS[type(operator)], (_tree(left), _tree(right)))
        case ast.IfExp(test, body, orelse):
            return Call("if", (_tree(test), _tree(body), _tree(orelse)))
        case ast.Call(ast.Name(function), args):
            return Call(function, tuple(map(_tree, args)))
    raise AssertionError(ast.dump(node))


def statements(text: str) -> tuple[Assign, ...]:
    """A statement a line: ``cl = ...``, ``d(central) = ...``, ``f(depot) = ...``."""
    found = []
    for line, row in enumerate(text.strip().splitlines(), start=10):
        target, _, right = (part.strip() for part in row.partition("="))
        kind, bracket, inside = target.partition("(")
        if bracket:
            found.append(Assign(inside.rstrip(")"), formula(right), line, _KINDS[kind]))
        else:
            found.append(Assign(target, formula(right), line))
    return tuple(found)


def variance(cv_percent: float) -> float:
    """Of a log-normal random effect."""
    return math.log1p((cv_percent / 100.0) ** 2)


def written_model(
    text: str,
    thetas: Mapping[str, float],
    *,
    compartments: Sequence[str] = ("central",),
    outputs: Mapping[str, str] | None = None,
    errors: Mapping[str, WrittenError] | None = None,
    etas: Mapping[str, float] | None = None,
    omega: np.ndarray | None = None,
    occasion_etas: Mapping[str, float] | None = None,
    covariates: Mapping[str, tuple[str, float]] | None = None,
    units: Mapping[str, str] | None = None,
    **more: object,
) -> WrittenModel:
    """A model with a line for each number; ``covariates`` are unit and reference."""

    def numbers(values: Mapping[str, float] | None, first: int) -> tuple[Number, ...]:
        return tuple(Number(name, value, first + i) for i, (name, value) in enumerate((values or {}).items()))

    spread, within = etas or {}, occasion_etas or {}
    return WrittenModel(
        format="test",
        path="toy.R",
        name="toy",
        thetas=numbers(thetas, 100),
        etas=numbers(spread, 200),
        omega=np.diag(list(spread.values())) if omega is None else omega,
        statements=statements(text),
        compartments=tuple(compartments),
        outputs=tuple(
            WrittenOutput(name, formula(value), 50 + i, (errors or {}).get(name))
            for i, (name, value) in enumerate((outputs or {"cp": "cp"}).items())
        ),
        covariates=tuple(
            WrittenCovariate(name, unit, reference=reference) for name, (unit, reference) in (covariates or {}).items()
        ),
        occasion_etas=numbers(within, 300),
        occasion_omega=np.diag(list(within.values())),
        units={"time": "h", "dose": "mg", "concentration": "mg/L", **(units or {})},
        **more,  # type: ignore[arg-type]
    )


VANCOMYCIN = written_model(
    """
    cl = tvcl * (CRCL / 120) ** 0.8 * 0.7 ** DIAL * exp(e_cl)
    vc = tvv * WT / 70 * 0.5 ** DIAL * exp(e_v)
    vp = exp(log(tvvp) + e_vp)
    d(central) = -(cl + tvq) / vc * central + tvq / vp * peripheral
    d(peripheral) = tvq * central / vc - tvq * peripheral / vp
    cp = central / vc
    """,
    {"tvcl": 4.5, "tvv": 58.4, "tvq": 6.5, "tvvp": 38.4},
    compartments=("central", "peripheral"),
    errors={"cp": WrittenError("combined2", Num(3.4), Num(0.227))},
    etas={"e_cl": variance(39.8), "e_v": variance(81.6), "e_vp": variance(57.1)},
    covariates={"CRCL": ("mL/min", 62.0), "WT": ("kg", 79.0), "DIAL": ("0/1", 0.0)},
)
_SD = np.sqrt([variance(cv) for cv in (25.9, 15.2, 41.8, 58.5)])
TOBRAMYCIN = written_model(
    """
    bmi = WT / (HT / 100) ** 2
    ffm = 9270 * WT / (8780 + 244 * bmi) if FEMALE > 0.5 else 9270 * WT / (6680 + 216 * bmi)
    size = ffm / 70
    adult = 69.5 if FEMALE > 0.5 else 84
    at15 = -2.3733 - 12.91367 * log(15) + 23.93581 * sqrt(15)
    norm = adult
    norm = at15 + (adult - at15) * (AGE - 15) / 3 if AGE <= 18 else norm
    norm = -2.3733 - 12.91367 * log(AGE) + 23.93581 * sqrt(AGE) if AGE <= 15 else norm
    ofage = 1 + (-0.021 if AGE < 18 else -0.010) * (AGE - 18)
    cl = (t1 if FEMALE > 0.5 else t2) * size ** 0.952 * ofage * (norm / SCR) ** 0.222 * exp(e_cl)
    v = (t3 if FEMALE > 0.5 else t4) * size * exp(e_v)
    q = t5 * size ** 0.952 * exp(e_q)
    vp = t6 * size * exp(e_vp)
    k10 = cl / v
    k12 = q / v
    k21 = q / vp
    d(central) = -(k10 + k12) * central + k21 * p1
    d(p1) = k12 * central - k21 * p1
    """,
    {"t1": 8.1, "t2": 9.4, "t3": 20.1, "t4": 25.1, "t5": 1.5, "t6": 10.0},
    compartments=("central", "p1"),
    outputs={"cp": "central / v"},
    errors={"cp": WrittenError("prop", proportional=Num(0.204))},
    etas=dict(zip(("e_cl", "e_v", "e_q", "e_vp"), _SD**2, strict=True)),
    omega=np.outer(_SD, _SD)
    * np.array([[1, 0.658, 0.711, 0], [0.658, 1, 0.475, 0], [0.711, 0.475, 1, 0], [0, 0, 0, 1.0]]),
    covariates={
        "FEMALE": ("0/1", 0.0),
        "AGE": ("y", 31.7),
        "WT": ("kg", 58.0),
        "HT": ("cm", 167.0),
        "SCR": ("umol/L", 68.3),
    },
)
TACROLIMUS = written_model(
    """
    cl = 23 * 1.631 ** CYP3A5 * 0.8 ** CYP3A4 * (AGE / 55.72) ** -0.43 * (ALB / 42) ** 0.43 * (BSA / 1.93) ** 0.88 \
* (SCR / 134.98) ** -0.14 * (HCT / 34) ** -0.76 * exp(e_cl + k_cl)
    v = 692 * (LBM / 58.94) ** 1.52 * exp(e_v)
    vp = 5340 * exp(e_vp)
    q = 11.6 * exp(e_q)
    lag(depot) = tlag
    d(depot) = -ka * depot
    d(central) = ka * depot - cl / v * central - q / v * central + q / vp * p1
    d(p1) = q / v * central - q / vp * p1
    """,
    {"ka": 3.58, "tlag": 0.38},
    compartments=("depot", "central", "p1"),
    outputs={"cp": "1000 * central / v", "immunoassay": "central / v * 1000"},
    errors={
        "cp": WrittenError("prop", proportional=Num(0.245)),
        "immunoassay": WrittenError("combined2", Num(0.88), Num(0.177)),
    },
    etas={"e_cl": variance(38.6), "e_v": variance(49.2), "e_vp": variance(53.0), "e_q": variance(78.7)},
    occasion_etas={"k_cl": variance(13.6)},
    covariates={
        "AGE": ("y", 55.72),
        "ALB": ("g/L", 42.0),
        "BSA": ("m2", 1.93),
        "LBM": ("kg", 58.94),
        "SCR": ("umol/L", 134.98),
        "HCT": ("%", 34.0),
        "CYP3A5": ("0/1", 0.0),
        "CYP3A4": ("0/1", 0.0),
    },
    units={"concentration": "ug/L"},
)
PACLITAXEL = written_model(
    """
    cl = 285 * exp(e_cl)
    circ0 = 7.21 * exp(e_circ0)
    mtt = 124 * exp(e_mtt)
    slope = 1000 / 853.9 * 28.9 * exp(e_slope)
    ktr = 4 / mtt
    conc = central / 290
    edrug = slope * conc
    start(prol) = circ0
    start(t1) = circ0
    start(t2) = circ0
    start(t3) = circ0
    start(circ) = circ0
    d(central) = -(cl + q) / 290 * central + q / 995 * p1
    d(p1) = q / 290 * central - q / 995 * p1
    d(prol) = ktr * prol * (1 - edrug) * (circ0 / circ) ** 0.239 - ktr * prol
    d(t1) = ktr * (prol - t1)
    d(t2) = ktr * (t1 - t2)
    d(t3) = ktr * (t2 - t3)
    d(circ) = ktr * (t3 - circ)
    """,
    {"q": 204.0},
    compartments=("central", "p1", "prol", "t1", "t2", "t3", "circ"),
    outputs={"leukocytes": "circ", "conc": "conc"},
    errors={"leukocytes": WrittenError("prop", proportional=Num(0.286))},
    etas={"e_cl": 0.28**2, "e_circ0": 0.107, "e_mtt": 0.0296, "e_slope": 0.176},
)
_CHAIN = "\n".join(f"d(s{i}) = 6 / fast * (s{i - 1} - s{i})" for i in range(2, 7))
WARFARIN = written_model(
    f"""
    kept = 1 - (0.315 if CYP == 12 else 0.453 if CYP == 13 else 0.722 if CYP == 22 else 0.69 if CYP == 23 else 0)
    kept = 1 - 0.852 if CYP == 33 else kept
    cl = 0.314 * kept * (1 - 0.0091 * (AGE - 71)) * exp(e_cl)
    v = 13.8 * exp(e_v)
    vp = 6.59 * exp(e_vp)
    fast = 11.6 * exp(e_fast)
    slow = 120 * exp(e_slow)
    ec50 = (4.61 if G == 2 else 3.02 if G == 1 else 2.2) * exp(e_ec50)
    f(depot) = 0.5
    start(s1) = 1
    start(s2) = 1
    start(s3) = 1
    start(s4) = 1
    start(s5) = 1
    start(s6) = 1
    start(slow1) = 1
    d(depot) = -2 * depot
    d(central) = 2 * depot - cl / v * central - 0.131 / v * central + 0.131 / vp * p1
    d(p1) = 0.131 / v * central - 0.131 / vp * p1
    cp = central / v
    cpow = (cp / ec50) ** 0.424 if cp > 0 else 0
    eff = cpow / (1 + cpow)
    d(s1) = 6 / fast * (1 - eff - s1)
    {_CHAIN}
    d(slow1) = (1 - eff - slow1) / slow
    lost = 1 - s6 * slow1
    inr = BASE + 20 * (lost ** 3.61 if lost > 0 else 0)
    """,
    {},
    compartments=("depot", "central", "p1", "s1", "s2", "s3", "s4", "s5", "s6", "slow1"),
    outputs={"inr": "inr", "cp": "cp"},
    errors={
        "inr": WrittenError("lnorm", additive=Num(0.0325)),
        "cp": WrittenError("lnorm", additive=Num(0.301)),
    },
    etas={
        "e_cl": variance(31.0),
        "e_v": variance(26.2),
        "e_vp": variance(99.1),
        "e_fast": variance(14.1),
        "e_slow": variance(102.0),
        "e_ec50": variance(40.9),
    },
    covariates={"AGE": ("y", 71.0), "CYP": ("code", 11.0), "G": ("count", 2.0), "BASE": ("1", 1.0)},
)

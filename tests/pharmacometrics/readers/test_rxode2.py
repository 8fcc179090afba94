"""The reader of rxode2 and nlmixr2 files: what it understands, what it refuses, and what nothing can make it do."""

import math
import re
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rl_drug_dosage.pharmacometrics.readers.expressions import Num, evaluate, to_python
from rl_drug_dosage.pharmacometrics.readers.rxode2.reader import models_in, read
from rl_drug_dosage.pharmacometrics.readers.written import ReadError, WrittenModel

HERE = Path(__file__).parent
MODELS = sorted((HERE / "models").glob("*.R"))


def written(tmp_path: Path, ini: str = "", model: str = "", before: str = "") -> WrittenModel:
    path = tmp_path / "model.R"
    path.write_text(
        f"one <- function() {{ {before}\nini({{\n{ini}\n}})\nmodel({{\n{model}\n}})\n}}\n", encoding="utf-8"
    )
    return read(path)


def values(model: WrittenModel, **given: float) -> dict[str, float]:
    """Variables, and derivatives as ``d/dt(x)``, with numbers for what is read."""
    known = {number.name: number.value for number in (*model.thetas,)}
    known |= dict.fromkeys((e.name for e in (*model.etas, *model.occasion_etas)), 0.0)
    known |= dict.fromkeys(model.compartments, 0.0) | {"t": 0.0} | given
    out = {}
    with jax.enable_x64(True):
        for statement in model.statements:
            value = float(evaluate(statement.expr, known))
            if statement.kind == "value":
                known[statement.target] = out[statement.target] = value
            else:
                out[f"{statement.kind} {statement.target}"] = value
    return out


def rates(model: WrittenModel) -> np.ndarray:
    """The matrix of a linear model, from its derivatives at unit contents."""
    columns = []
    for name in model.compartments:
        found = values(model, **{name: 1.0})
        columns.append([found[f"derivative {other}"] for other in model.compartments])
    return np.array(columns).T


# What a file says


def test_everything_that_a_file_says_is_kept() -> None:
    model = read(HERE / "models" / "oral_two_compartments.R")
    numbers = {n.name: n for n in model.thetas}
    assert model.name == "invented_2026_oral"
    assert numbers["lka"].value == pytest.approx(math.log(0.9), rel=1e-15)
    assert (numbers["lka"].label, numbers["lka"].unit) == ("Absorption rate (1/h)", "")  # of exp(lka)
    assert numbers["lcl"].value == pytest.approx(math.log(4.2), rel=1e-15)
    assert numbers["lcl"].label == "Clearance (L/h)"
    assert [n.name for n in model.thetas if n.fixed] == ["lvc", "lvp"]
    assert [e.name for e in model.etas] == ["eta.cl", "eta.vc", "eta.ka", "eta.f"]
    expected = np.array([[0.09, 0.02, 0, 0], [0.02, 0.04, 0, 0], [0, 0, 0.25, 0], [0, 0, 0, 0.01]])
    np.testing.assert_allclose(model.omega, expected, rtol=1e-15)
    assert (model.occasion, [e.name for e in model.occasion_etas]) == ("occ", ["iov.cl"])
    assert model.units == {"time": "h", "dose": "mg", "concentration": "mg/L"}
    assert model.facts["doi"] == "10.1234/nowhere.2026.001"
    assert model.facts["population"] == "40 subjects; invented"
    assert model.dosed == ("depot", "central")
    assert [o.name for o in model.outputs] == ["cp", "response"]
    assert [o.code for o in model.outputs] == [1, 2]
    weight, sex = model.covariates
    assert (weight.name, weight.unit, weight.reference) == ("WT", "kg", 70.0)
    assert (sex.name, sex.unit, sex.reference) == ("SEXF", "1", 0.0)
    assert weight.facts["notes"] == 'about 70 kg; "total" weight'
    assert model.remarks == ()


def test_a_label_gives_the_unit_of_a_number_that_is_not_transformed(tmp_path: Path) -> None:
    model = written(tmp_path, 'cl <- 3; label("Clearance (CL) (L/h)")\nv <- 10  # volume (L)', "cp <- linCmt()")
    assert [n.unit for n in model.thetas] == ["L/h", "L"]


def test_compartments_of_lincmt_follow_those_of_equations() -> None:
    model = read(HERE / "models" / "oral_two_compartments.R")
    assert model.compartments == ("effect", "depot", "central", "peripheral1")
    found = values(model, WT=35.0, SEXF=1.0, central=10.0)
    cl, v = 4.2 * 0.5**0.75 * 0.8, 31 * 0.5
    assert found["derivative central"] == pytest.approx(-10 * (cl + 2.5) / v, rel=1e-12)
    assert found["bioavailability depot"] == pytest.approx(0.7, rel=1e-12)
    assert found["lag depot"] == pytest.approx(0.25, rel=1e-12)


def test_the_mini_language_has_numbers_as_parameters() -> None:
    model = read(HERE / "models" / "mini.R")
    assert {n.name: n.value for n in model.thetas} == {"CL": 3.5, "V": 20.0}
    assert [c.name for c in model.covariates] == ["CRCL"]
    assert model.covariates[0].reference == 100.0
    assert [o.name for o in model.outputs] == ["C2"]
    assert "simulated, not estimated" in model.remarks[0]
    assert model.statements[0].line == 6, "a line inside a string counts in the file"


def test_a_model_without_compartments_is_one_that_doses_do_not_change(tmp_path: Path) -> None:
    model = written(tmp_path, "k <- 0.2; s <- 1", "y <- DOSE * exp(-k * t)\ny ~ add(s)")
    assert model.compartments == ("no_effect",)
    assert "doses do not change it" in model.remarks[0]
    assert values(model, DOSE=10.0, t=5.0)["y"] == pytest.approx(10 * math.exp(-1))


def test_a_last_dose_gets_compartments_of_its_own(tmp_path: Path) -> None:
    model = read(HERE / "models" / "last_dose.R")
    (last,) = model.last_doses
    assert (last.inlet, last.passes_on) == ("depot", False)
    assert model.compartments[:3] == ("depot", "central", "depot_content")
    found = values(model, depot_last_dose=100.0, depot_time_after_dose=1.5, depot_content=3.0)
    k, n = 7.58 / 1.2, 6.58
    given = 0.7 * 100 * k * (k * 1.5) ** n * math.exp(-k * 1.5) / math.gamma(n + 1)
    assert found["derivative depot_content"] == pytest.approx(given - 0.8 * 3, rel=1e-12)
    assert found["derivative central"] == pytest.approx(0.8 * 3 + 0.3 * 100 / 2, rel=1e-12)
    assert "bioavailability depot" not in found
    part = written(tmp_path, "k <- 1", "d/dt(x) <- -k*x + podo(x)*tad()\nf(x) <- 0.5\ny <- x")
    assert part.last_doses[0].passes_on
    found = values(part, x_last_dose=8.0, x_time_after_dose=2.0)
    assert found["derivative x_content"] == pytest.approx(32.0)  # 8 of 16 arrived
    assert values(part, x_last_dose=8.0, x_time_after_dose=2.0, x_content=3.0)["y"] == 3.0


@pytest.mark.parametrize(
    "line",
    ["y ~ pois(y)", "y ~ dbeta(y, k)", "y ~ add(k) + t(4)", "ll(y) ~ DV * y", "y ~ add(k) + boxCox(k)", "y ~ c(y, k)"],
)
def test_data_that_are_no_measurement_leave_their_variable_without_an_error(tmp_path: Path, line: str) -> None:
    model = written(tmp_path, "k <- 1", f"d/dt(c) <- -k*c\ny <- c/k\n{line}")
    assert [(o.name, o.error) for o in model.outputs] == [("y", None)]
    assert "no estimation from it" in model.remarks[0]
    assert model.covariates == ()


def test_branches_are_if_else_chains() -> None:
    model = read(HERE / "models" / "saturable.R")
    for conc, slow in ((120.0, 0.5), (60.0, 0.8), (10.0, 1.0)):
        found = values(model, central=conc * 12)
        assert found["derivative central"] == pytest.approx(-slow * 300 * conc / (4 + conc), rel=1e-12)
    assert values(model)["start turnover"] == pytest.approx(6.25)


def test_a_list_of_posologyr_is_a_model(tmp_path: Path) -> None:
    path = tmp_path / "list.R"
    path.write_text(
        """
mod <- list(
  ppk_model = rxode2::rxode({
    Cl = THETA_Cl * (CRCL / 90) * exp(ETA_Cl + KAPPA_Cl)
    Cc = centr / THETA_V
    d/dt(centr) = -Cl / THETA_V * centr
  }),
  error_model = function(f, sigma) {
    g <- sigma[1]^2 + (sigma[2]^2) * (f^2)
    return(sqrt(g))
  },
  theta = c(THETA_Cl = 4.5, THETA_V = 58),
  omega = lotri::lotri({ETA_Cl ~ 0.15}),
  pi_matrix = lotri::lotri({KAPPA_Cl ~ 0.04}),
  sigma = c(additive_a = 3.4, proportional_b = 0.2),
  covariates = c("CRCL")
)
""",
        encoding="utf-8",
    )
    model = read(path)
    assert (model.name, {n.name: n.value for n in model.thetas}) == ("mod", {"THETA_Cl": 4.5, "THETA_V": 58.0})
    assert (model.omega.tolist(), model.occasion_omega.tolist(), model.occasion) == ([[0.15]], [[0.04]], "OCC")
    assert [c.name for c in model.covariates] == ["CRCL"]
    (output,) = model.outputs
    assert output.error is not None
    assert (output.error.kind, output.error.additive, output.error.proportional) == ("combined2", Num(3.4), Num(0.2))
    path.write_text(path.read_text(encoding="utf-8").replace("return(sqrt(g))", "return(log(g))"), encoding="utf-8")
    assert "is not understood" in read(path).remarks[0]


def test_nested_branches_keep_their_conditions_apart(tmp_path: Path) -> None:
    model = written(
        tmp_path, "k <- 1", "if (A > 0) {\n if (B > 0) {\n  x <- 1\n } else x <- 2\n}\nd/dt(c) <- -k*x*c\ny <- c"
    )
    for a, b, x in ((1, 1, 1), (1, -1, 2), (-1, 1, 0)):
        assert values(model, A=a, B=b)["x"] == x


# ini


@pytest.mark.parametrize(
    ("text", "value", "fixed"),
    [
        ("x <- 2", 2.0, False),
        ("x = 0x10", 16.0, False),
        ("x <- 3L", 3.0, False),
        ("x <- -log(4.5)", -math.log(4.5), False),
        ("x <- 2^3^0.5", 2.0 ** (3.0**0.5), False),
        ("x <- -2^2", -4.0, False),
        ("x <- c(0, 1.5)", 1.5, False),
        ("x <- c(-Inf, 1.5, Inf)", 1.5, False),
        ("x <- c(0, 1.5, 3, FIXED)", 1.5, True),
        ("x <- c(1.5, fixed)", 1.5, True),
        ("x <- fixed(c(0, 1.5, 3))", 1.5, True),
        ("x <- fix(0, 1.5)", 1.5, True),
        ("x <- c(0, fix(1.5), 3)", 1.5, True),
        ("x <- logit(2, 1, 5)", math.log(0.25 / 0.75), False),
        ("x <- log(mw / 2)", math.log(50.0), False),
    ],
)
def test_typical_values(tmp_path: Path, text: str, value: float, fixed: bool) -> None:
    number = written(tmp_path, text, "d/dt(c) <- -x*c\ny <- c", before="mw <- 100").thetas[0]
    assert (number.value, number.fixed) == (pytest.approx(value, rel=1e-14), fixed)


@pytest.mark.parametrize(
    ("text", "matrix"),
    [
        ("a ~ 0.1", [[0.1]]),
        ("a ~ fix(0.1)", [[0.1]]),
        ("a ~ sd(0.3)", [[0.09]]),
        ("a + b ~ c(0.1, 0.01, 0.2)", [[0.1, 0.01], [0.01, 0.2]]),
        ("a + b ~ fixed(0.1, 0.01, 0.2)", [[0.1, 0.01], [0.01, 0.2]]),
        ("a + b ~ cor(0.09, 0.5, 0.16)", [[0.09, 0.06], [0.06, 0.16]]),
        ("a + b ~ sd(cor(0.3, 0.5, 0.4))", [[0.09, 0.06], [0.06, 0.16]]),
        ("a + b ~ sd(0.3, 0.06, 0.4)", [[0.09, 0.06], [0.06, 0.16]]),
        ("a + b ~ chol(0.3, 0.2, 0.4)", [[0.09, 0.06], [0.06, 0.2]]),
        ("a ~ 0.1; b ~ c(0.01, 0.2)", [[0.1, 0.01], [0.01, 0.2]]),
        ("a ~ 0.1; b ~ 0.2", [[0.1, 0.0], [0.0, 0.2]]),
        ("a ~ fix(0)", [[0.0]]),
    ],
)
def test_random_effects(tmp_path: Path, text: str, matrix: list[list[float]]) -> None:
    np.testing.assert_allclose(written(tmp_path, text, "d/dt(c) <- -c*exp(a)\ny <- c").omega, matrix, rtol=1e-14)


@pytest.mark.parametrize(
    ("line", "warned"),
    [
        ("e ~ 0.0862  # 30 % CV", False),
        ("e ~ 0.09  # 30 % CV", False),
        ("e ~ 0.3  # 30 % CV", True),
        ("e ~ 0.086  # CV = 30%", False),
        ("e ~ 0.0862  # log(0.3^2 + 1)", False),
        ("e ~ 0.3  # log(1 + 0.3^2)", True),
        ("e ~ 0.0862  # RSE 12 %", False),
        ("e ~ sqrt(log(0.3^2 + 1))", True),
        ("e + f ~ c(0.09, 0.01, 0.04)  # CV 30%, CV 50%", True),
    ],
)
def test_a_printed_cv_is_compared_with_the_variance(tmp_path: Path, line: str, warned: bool) -> None:
    assert bool(written(tmp_path, line, "d/dt(c) <- -c*exp(e)\ny <- c").remarks[:-1]) == warned


# linCmt

ONE = np.array([[-0.3]])
TWO = np.array([[-0.5, 0.1], [0.2, -0.1]])
THREE = np.array([[-0.55, 0.1, 0.02], [0.2, -0.1, 0.0], [0.05, 0.0, -0.02]])
ORAL = np.array([[-1.2, 0.0, 0.0], [1.2, -0.5, 0.1], [0.0, 0.2, -0.1]])


def hybrid(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slopes, and sizes of a unit dose over a volume of 10, of a central compartment that is the first one."""
    lam, vectors = np.linalg.eig(matrix)
    sizes = np.real(vectors[0] * np.linalg.inv(vectors)[:, 0]) / 10.0
    order = np.argsort(np.real(lam))
    return -np.real(lam)[order], sizes[order]


def _hybrid_text(matrix: np.ndarray) -> str:
    slopes, sizes = hybrid(matrix)
    names = zip(("alpha", "beta", "gamma"), ("a", "b", "c"), slopes, sizes, strict=False)
    return "; ".join(f"{slope} <- {float(s)!r}; {size} <- {float(z)!r}" for slope, size, s, z in names)


def _aob_text() -> str:
    (alpha, beta), (a, b) = hybrid(TWO)
    return f"alpha <- {float(alpha)!r}; beta <- {float(beta)!r}; aob <- {float(a / b)!r}; vc <- 10"


@pytest.mark.parametrize(
    ("names", "matrix"),
    [
        ("cl <- 3; v <- 10", ONE),
        ("CL <- 3; Vc <- 10", ONE),
        ("kel <- 0.3; v <- 10", ONE),
        ("k <- 0.3; v1 <- 10", ONE),
        ("alpha <- 0.3; v <- 10", ONE),
        ("alpha <- 0.3; a <- 0.1", ONE),
        ("cl <- 3; v <- 10; q <- 2; vp <- 20", TWO),
        ("cl <- 3; v1 <- 10; q <- 2; v2 <- 20", TWO),
        ("cl <- 3; v2 <- 10; q <- 2; v3 <- 20", TWO),
        ("cl <- 3; vc <- 10; cld <- 2; vt <- 20", TWO),
        ("cl <- 3; v <- 10; q2 <- 2; v2 <- 20", TWO),
        ("cl <- 3; v <- 10; q <- 2; vss <- 30", TWO),
        ("cl1 <- 3; v1 <- 10; cl2 <- 2; v2 <- 20", TWO),
        ("ke <- 0.3; vc <- 10; k12 <- 0.2; k21 <- 0.1", TWO),
        ("k20 <- 0.3; v2 <- 10; k23 <- 0.2; k32 <- 0.1", TWO),
        (_aob_text(), TWO),
        (_hybrid_text(TWO), TWO),
        ("cl <- 3; v <- 10; q <- 2; vp <- 20; q2 <- 0.5; vp2 <- 25", THREE),
        ("cl <- 3; v1 <- 10; q <- 2; v2 <- 20; q2 <- 0.5; v3 <- 25", THREE),
        ("k10 <- 0.3; v <- 10; k12 <- 0.2; k21 <- 0.1; k13 <- 0.05; k31 <- 0.02", THREE),
        (_hybrid_text(THREE), THREE),
        ("ka <- 1.2; cl <- 3; v <- 10; q <- 2; vp <- 20", ORAL),
    ],
)
def test_spellings_of_lincmt_mean_the_same_model(tmp_path: Path, names: str, matrix: np.ndarray) -> None:
    model = written(tmp_path, "s <- 1", names.replace(";", "\n") + "\ncp <- linCmt()\ncp ~ add(s)")
    np.testing.assert_allclose(rates(model), matrix, atol=1e-9)
    assert values(model, central=1.0)["cp"] == pytest.approx(0.1, rel=1e-9)


def test_only_the_arguments_of_lincmt_count(tmp_path: Path) -> None:
    model = written(tmp_path, "s <- 1", "cl <- 3\nv <- 10\nq <- 2\nvp <- 20\nlinCmt(cl, v) ~ add(s)")
    assert model.compartments == ("central",)


# Residual errors


@pytest.mark.parametrize(
    ("text", "kind", "sizes"),
    [
        ("add(a)", "add", ("a", None, None)),
        ("norm(a)", "add", ("a", None, None)),
        ("prop(b)", "prop", (None, "b", None)),
        ("pow(b, c)", "pow", (None, "b", "c")),
        ("add(a) + prop(b)", "combined2", ("a", "b", None)),
        ("prop(b) + add(a) + combined2()", "combined2", ("a", "b", None)),
        ("add(a) + prop(b) + combined1()", "combined1", ("a", "b", None)),
        ("add(a) + pow(b, c)", "combined2", ("a", "b", "c")),
        ("lnorm(a)", "lnorm", ("a", None, None)),
        ("add(a) + dnorm()", "add", ("a", None, None)),
        ("add(a) + var()", "add", ("jnp.sqrt(a)", None, None)),
        ("add(a * 2)", "add", ("a * 2.0", None, None)),
        ("logitNorm(a, 0, 10)", "logit", ("a", None, None)),
    ],
)
def test_residual_errors(tmp_path: Path, text: str, kind: str, sizes: tuple[str | None, ...]) -> None:
    model = written(tmp_path, "a <- 1; b <- 2; c <- 3", f"d/dt(x) <- -x\ncp <- x\ncp ~ {text}")
    error = model.outputs[0].error
    assert error is not None
    assert error.kind == kind
    found = (error.additive, error.proportional, error.power)
    assert tuple(None if size is None else to_python(size) for size in found) == sizes
    if kind == "logit":
        assert (error.low, error.high) == (0.0, 10.0)


# Formulas


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("2 ** 3", 8.0),
        ("7 %% 4", 3.0),
        ("-7 %/% 4", -2.0),
        ("expit(0, 10, 20)", 15.0),
        ("logit(15, 10, 20)", 0.0),
        ("probit(0.5)", 0.0),
        ("probitInv(0, 2, 4)", 3.0),
        ("min(3, 1, 2)", 1.0),
        ("max(3, 1, 2) + max(4)", 7.0),
        ("factorial(5)", 120.0),
        ("choose(5, 2)", 10.0),
        ("ifelse(1 > 2, 3, 4)", 4.0),
        ("if (2 > 1 && !(1 == 2)) 3 else 4", 3.0),
        ("(1 < 2) * 5", 5.0),
        ("log(8, 2)", 3.0),
        ("pi", math.pi),
        ("t + 1", 6.0),
        ("time + 1", 6.0),
        ("2 -\n 1", 1.0),
        ("{3}", 3.0),
    ],
)
def test_formulas(tmp_path: Path, formula: str, value: float) -> None:
    model = written(tmp_path, "k <- 1", f"x <- {formula}\nd/dt(c) <- -k*c*x\ny <- c")
    assert values(model, t=5.0)["x"] == pytest.approx(value, abs=1e-12)


def test_r_reads_a_power_before_a_sign_and_a_sign_before_a_product(tmp_path: Path) -> None:
    model = written(tmp_path, "k <- 2", "x <- -k^2 * -1\ny <- 2^-k^2\nd/dt(c) <- -c")
    found = values(model)
    assert (found["x"], found["y"]) == (4.0, 2.0**-4)


# What is refused


@pytest.mark.parametrize(
    ("ini", "model", "place", "words"),
    [
        ("k <- 1", "x <- tafd()", "6:6", "tafd() is not supported"),
        ("k <- 1", "x <- k +* 2", "6:9", "cannot stand here"),
        ("k <- 1", "x <- hill(k)", "6:6", "supported are"),
        ("k <- 1", "x <- expp(k)", "6:6", "did you mean exp?"),
        ("k <- 1", "x <- k == 'male'", "6:11", "numbers only"),
        ("k <- 1", "x <- rnorm(1)", "6:6", "no random draws"),
        ("k <- 1", "x <- mix(k, 0.5, 2)", "6:6", "mixtures"),
        ("k <- 1", "x <- delay(c, 2)", "6:6", "delays"),
        ("k <- 1", "f(gut) <- 1", "6:3", "'gut' is no compartment"),
        ("k <- 1", "for (i in 1:3) x <- i", "6:1", "for() is no statement"),
        ("k <- 1", "3 <- k", "6:1", "nothing that can be assigned to"),
        ("k <- 1", "d/dt(c) <- -c\nc <- 2", "7:1", "is a compartment"),
        ("s <- 1", "cp <- linCmt()", "6:7", "linCmt() finds neither"),
        ("k <- 1", "cl <- 1\nv <- 2\nvp <- 1\ncp <- linCmt()", "9:7", "0 intercompartmental clearances and 1"),
        ("k <- 1", "d/dt(c) <- -c\nc ~ probitNorm(k)", "7:5", "probitNorm() is not supported"),
        ("k <- 1", "d/dt(c) <- -c\nc ~ add(k) + probitNorm(k)", "7:14", "probitNorm() is not supported"),
        ("k <- 1", "d/dt(c) <- -c\nif (k > 1) {c ~ add(k)}", "7:12", "residual error inside if"),
        ("k <- NA", "d/dt(c) <- -k*c", "3:6", "has no value"),
        ("k <- other", "d/dt(c) <- -k*c", "3:6", "'other' has no value here"),
        ("k <- log(-1)", "d/dt(c) <- -k*c", "3:6", "no value"),
        ("k <- 1; k <- 2", "d/dt(c) <- -k*c", "3:9", "has a value already"),
        ("a + b ~ c(0.1, 0.2)", "d/dt(c) <- -c", "3:1", "3, row by row"),
        ("a + b ~ c(0.1, 0.2, 0.1)", "d/dt(c) <- -c", "3:1", "not positive definite"),
        ("a + b ~ c(0.1, 0.1, 0.1)", "d/dt(c) <- -c", "3:1", "singular"),
        ("a ~ -1", "d/dt(c) <- -c", "3:1", "negative"),
        ("a ~ 1 | occ; b ~ 1 | site", "d/dt(c) <- -c", "3:14", "one level below"),
        ("print(1)", "d/dt(c) <- -c", "3:1", "no statement of ini"),
        ("k <- 1", "", "5:7", "nothing is predicted"),
    ],
)
def test_what_is_not_supported_is_named_with_line_and_column(
    tmp_path: Path, ini: str, model: str, place: str, words: str
) -> None:
    with pytest.raises(ReadError) as caught:
        written(tmp_path, ini, model)
    assert f"model.R:{place}: " in str(caught.value)
    assert words in str(caught.value)


def test_a_slip_in_a_name_is_told_from_a_covariate(tmp_path: Path) -> None:
    listed = 'covariateData <- list(WT = list(units = "kg"))'
    with pytest.raises(ReadError, match=r"'clearence' has no value.*did you mean 'clearance'"):
        written(tmp_path, "clearance <- 1", "d/dt(c) <- -clearence*WT*c\ny <- c", before=listed)
    model = written(tmp_path, "clearance <- 1", "d/dt(c) <- -AGE*clearance*WT*c\ny <- c", before=listed)
    assert "'AGE' is taken from the data" in model.remarks[0]


def test_several_models_are_named(tmp_path: Path) -> None:
    path = tmp_path / "two.R"
    one = "{0} <- function() {{ ini({{k <- 1}}); model({{d/dt(x) <- -k*x; y <- x}}) }}\n"
    path.write_text(one.format("first") + one.format("second"), encoding="utf-8")
    with pytest.raises(ReadError, match=r"first \(line 1\), second \(line 2\): leave one"):
        read(path)
    assert models_in(path) == ("first", "second")
    assert read(path, "second").name == "second"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no model in this R code"),
        ("fit <- lm(y ~ x, data = d)\nplot(fit)\n", "no model in this R code"),
        ("Dear colleagues, the model is attached.", "must be R code"),
        ("f <- function() {", "never closed"),
        ('x <- "abc', "never closed"),
        ("f <- function() { model(k) }", "without braces"),
    ],
)
def test_other_text_is_no_model(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "model.R"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ReadError, match=re.escape(words)):
        read(path)


def test_other_encodings_and_missing_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "model.R"
    path.write_bytes("# Größe\n".encode("latin-1"))
    with pytest.raises(ReadError, match="not UTF-8"):
        read(path)
    with pytest.raises(ReadError, match="cannot be read"):
        read(tmp_path / "none.R")


# Nothing is executed, and no text does harm


def test_nothing_is_executed(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    path = tmp_path / "model.R"
    call = f'system("touch {mark}")'
    path.write_text(
        f"{call}\nf <- function() {{ {call}; x <- {call}\nini({{k <- 1}}); model({{d/dt(c) <- -k*c; y <- c}}) }}"
    )
    assert read(path).name == "f"
    path.write_text(f"f <- function() {{ ini({{k <- {call}}}); model({{d/dt(c) <- -k*c}}) }}")
    with pytest.raises(ReadError, match=r"system\(\) is not supported"):
        read(path)
    assert not mark.exists()


_HEAD = "f <- function() {ini({k <- 1})\nmodel({d/dt(c) <- -k*c\n"


@pytest.mark.long
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("# comment\n" * 1_100_000, id="10 MB"),
        pytest.param(_HEAD + "x <- 1" + " + 1" * 250_000 + "})}", id="a line of a million characters"),
        pytest.param(_HEAD + "x <- " + "(\n" * 100_000 + "1" + ")" * 40_000, id="100,000 brackets"),
        pytest.param(_HEAD + "x <- " + "(" * 20_000 + "1" + ")" * 20_000 + "})}", id="20,000 brackets"),
        pytest.param(_HEAD + "{" * 20_000 + "}" * 20_000 + "})}", id="braces"),
        pytest.param(_HEAD + "x <- " + "-" * 40_000 + "1})}", id="signs"),
        pytest.param(_HEAD + "x <- " + "2^" * 20_000 + "1})}", id="powers"),
        pytest.param(_HEAD + "x <- 1" + "+1" * 20_000 + "})}", id="sums"),
        pytest.param(_HEAD + "if (k > 1) x <- 1 else\n" * 4_000 + "x <- 2})}", id="else if"),
        pytest.param(_HEAD + "if (k > 1) {x <- 1}\n" * 4_000 + "})}", id="ifs"),
        pytest.param("f <- " + "function() " * 4_000 + "1", id="functions"),
        pytest.param(_HEAD + "x <- " + "a$" * 20_000 + "b})}", id="dollars"),
    ],
)
def test_large_and_deep_files_end_in_a_named_error_within_two_seconds(tmp_path: Path, text: str) -> None:
    path = tmp_path / "model.R"
    path.write_text(text, encoding="utf-8")
    started = time.process_time()
    with pytest.raises(ReadError):
        read(path)
    assert time.process_time() - started < 2.0


def test_a_caller_deep_in_calls_gets_an_answer_or_a_named_error(tmp_path: Path) -> None:
    path = tmp_path / "model.R"
    path.write_text(_HEAD + "x <- " + "exp(" * 150 + "1" + ")" * 150 + "})}", encoding="utf-8")

    def deep(levels: int) -> WrittenModel:
        return deep(levels - 1) if levels else read(path)

    assert deep(100).name == "f"
    with pytest.raises(ReadError, match="too deep"):
        deep(sys.getrecursionlimit() - 250)


_TEXTS = [path.read_text(encoding="utf-8") for path in MODELS]
_WORDS = [
    *"(){}[],;~^+-*/<>=!&|%$@:?#'\"`\\\n ",
    "<-",
    "if",
    "else",
    "function",
    "linCmt()",
    "d/dt(",
    "1e9",
    "NA",
    "é",
    "\x00",
]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A model's text with a few places cut, doubled or replaced."""
    text = draw(st.sampled_from(_TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        end = min(len(text), at + draw(st.integers(0, 40)))
        put = draw(st.one_of(st.sampled_from(_WORDS), st.just(""), st.just(text[at:end] * 2), st.text(max_size=5)))
        text = text[:at] + put + text[end:]
    return text


@pytest.mark.long
@settings(max_examples=300, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutated())
def test_mutated_models_are_read_or_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "model.R"
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        model = read(path)
    except ReadError:
        return
    assert model.outputs
    assert model.compartments


# Against an independent integration


@pytest.mark.long
@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_models_agree_with_an_independent_integration(path: Path, load_script) -> None:
    with jax.enable_x64(True):
        row = load_script("try_models").attempt(path)
    assert (row.read, row.simulated, row.reason) == (True, True, "")
    assert row.difference < 1e-7

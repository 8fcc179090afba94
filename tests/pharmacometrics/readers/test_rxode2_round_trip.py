"""The built-in drugs of test_nonmem_round_trip, written as rxode2 text here and read back."""

import importlib.util
from pathlib import Path

import jax
import numpy as np
import pytest

from rl_drug_dosage.pharmacometrics.readers.written import ReadError
from rl_drug_dosage.pkpd import Dose, occasion_omega, omega
from rl_drug_dosage.registry import load_drug

_SPEC = importlib.util.spec_from_file_location("beside", Path(__file__).with_name("test_nonmem_round_trip.py"))
beside = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(beside)

MODELS = {
    "vancomycin-goti2018": (
        ("e1", "e2", "e3"),
        """
        cl <- t_cl * (CRCL / 120)^t_crcl_on_cl * t_dialysis_on_cl^DIAL * exp(e1)
        v1 <- t_v1 * WT / 70 * t_dialysis_on_v1^DIAL * exp(e2)
        q <- t_q2
        v2 <- t_v2 * exp(e3)
        cp <- linCmt()
        cp ~ add(a) + prop(b)
        """,
    ),
    "amikacin-burdet2015": (
        ("e1", "e2", "e3", "e4"),
        """
        cl <- t_cl * (CRCL / 82)^t_crcl_on_cl * exp(e1)
        vc <- t_v1 * (WT / 78)^t_wt_on_v1 * (PF / 169)^t_pf_on_v1 * exp(e2)
        vp <- t_v2 * exp(e3)
        q <- t_q2 * exp(e4)
        d/dt(central) <- -(cl + q) / vc * central + q / vp * side
        d/dt(side) <- q / vc * central - q / vp * side
        cp <- central / vc
        cp ~ add(a) + prop(b)
        """,
    ),
    "gentamicin-staatz2005": (
        ("e1", "e2"),
        """
        clearance <- t_cl * (1 + t_baseline_on_cl * (CRCL - CHANGE - 63) + t_change_on_cl * CHANGE) * exp(e1)
        v <- t_v1 * WT
        k <- clearance / v
        k12 <- t_q2 / v
        k21 <- t_q2 / (t_v2 * WT * exp(e2))
        cp <- linCmt()
        cp ~ add(a) + prop(b)
        """,
    ),
    "tacrolimus-storset2014": (
        ("e1", "e2", "e3", "e4"),
        """
        size <- FFM / 60
        cl <- t_cl * size^0.75 * t_expresser_on_cl^CYP * exp(e1)
        vc <- t_v1 * size * exp(e2)
        q <- t_q2 * size^0.75 * exp(e3)
        vp <- t_v2 * size
        ka <- t_ka * exp(bok)
        day1 <- t_day_1_on_f * exp(e4)
        bio <- (1 - t_prednisolone_max * PRED / (t_prednisolone_50 + PRED)) * t_expresser_on_f^CYP * exp(bof)
        if (FIRST > 0.5) {
          bio <- bio * day1
        }
        d/dt(depot) <- -ka * depot
        d/dt(central) <- ka * depot - (cl + q) / vc * central + q / vp * side
        d/dt(side) <- q / vc * central - q / vp * side
        f(depot) <- bio
        alag(depot) <- t_lag
        free <- 1000 * central / vc
        cp <- free * (1 + t_bmax * HCT / 100 / (free + t_kd))
        cp ~ prop(b)
        """,
    ),
    "phenytoin-yukawa1990": (
        ("e1", "e2"),
        """
        child <- ifelse(AGE < 15, 1, 0)
        vm <- t_vmax * (WT / 60)^t_wt_on_vmax * t_combined_on_vmax^AED / 24 * exp(e1)
        km <- t_km * t_child_on_km^child * t_combined_on_km^AED * exp(e2)
        v <- t_v * WT
        d/dt(depot) <- -t_ka * depot
        conc <- central / v
        d/dt(central) <- t_ka * depot - vm * conc / (km + conc)
        cp <- central / v
        cp ~ prop(b)
        """,
    ),
}


def block(names, matrix, level=""):
    cells = ", ".join(repr(float(matrix[i, j])) for i in range(len(matrix)) for j in range(i + 1))
    return f"    {' + '.join(names)} ~ c({cells}){level}"


def written(name, drug):
    """The drug as a function of nlmixr2, its numbers with all digits."""
    etas, body = MODELS[name]
    residual = drug.outputs[0].residual
    ini = [f"    t_{theta} <- {p.value!r}" for theta, p in drug.thetas.items() if f"t_{theta}" in body]
    ini += [f"    a <- {residual.a!r}"] if "add(a)" in body else []
    ini += [f"    b <- {residual.b!r}", block(etas, omega(drug))]
    if drug.occasion_etas:
        ini.append(block(("bof", "bok"), occasion_omega(drug), " | OCC"))
    return "one <- function() {\n  ini({\n" + "\n".join(ini) + "\n  })\n  model({" + body + "  })\n}\n"


@pytest.mark.long
@pytest.mark.parametrize("name", MODELS)
def test_a_built_in_drug_written_and_read_back_predicts_the_same(name, tmp_path):
    with jax.enable_x64(True):
        _, covariates, unit = beside.CASES[name]
        drug = load_drug(name)
        path = tmp_path / "run1.R"
        path.write_text(written(name, drug))
        path.with_suffix(".toml").write_text(beside.sidecar(covariates, unit).replace("outputs.y", "outputs.cp"))
        model = load_drug(path)
        np.testing.assert_allclose(omega(model), omega(drug), rtol=1e-12, atol=1e-15)
        rng = np.random.default_rng(4)
        eta, kappa = rng.normal(0.0, 0.3, len(drug.etas)), rng.normal(0.0, 0.3, len(drug.occasion_etas))
        route = drug.dosing.routes[0]
        dose = Dose(0.0, drug.dosing.usual_dose_mg, compartment=route.compartment, duration_h=route.duration_h)
        ours, theirs = beside.with_fine_steps(drug), beside.with_fine_steps(model)
        want = beside.predicted(ours, dose, {own: value for own, value, _ in covariates.values()}, eta, kappa)
        told = {column: value for column, (_, value, _) in covariates.items()}
        got = beside.predicted(theirs, dose, told, eta, kappa)
        np.testing.assert_allclose(got, want, rtol=1e-10)
        assert want.max() > 0


def test_a_clearance_beside_rate_constants_is_not_taken_for_one_compartment(tmp_path):
    text = written("gentamicin-staatz2005", load_drug("gentamicin-staatz2005"))
    (tmp_path / "m.R").write_text(text.replace("clearance", "cl"))
    with pytest.raises(ReadError, match="a clearance without an intercompartmental one, and k12, k21"):
        load_drug(tmp_path / "m.R")

"""Five built-in drugs, written as NONMEM text here and read back: the same individual predictions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.pkpd import Adaptive, Dose, every, make_covariates, make_regimen, occasion_omega, omega, predict
from rl_drug_dosage.registry import load_drug

TIMES = np.array([0.5, 1.0, 3.0, 8.0, 12.0, 20.0, 24.0, 47.0])


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def block(matrix):
    """$OMEGA BLOCK, all digits."""
    rows = [" ".join(repr(float(matrix[i, j])) for j in range(i + 1)) for i in range(len(matrix))]
    return f"$OMEGA BLOCK({len(matrix)})\n" + "\n".join(rows) + "\n"


def thetas(drug, *names):
    """$THETA with names as comments."""
    return "".join(f"$THETA {drug.thetas[name].value!r} ; {name}\n" for name in names)


def stream(title, columns, subroutines, pk, error, *numbers):
    """A control stream."""
    return "\n".join(
        [
            f"$PROBLEM {title}",
            f"$INPUT ID TIME AMT RATE CMT DV MDV EVID {columns}",
            "$DATA clinic.csv IGNORE=@",
            f"$SUBROUTINES {subroutines}",
            pk,
            f"$ERROR\n{error}",
            *numbers,
            "$ESTIMATION METHOD=1 INTERACTION",
        ]
    )


def vancomycin(drug):
    pk = """$PK
TVCL = THETA(1)*(CRCL/120)**THETA(5)*THETA(6)**DIAL
TVV1 = THETA(2)*WT/70*THETA(7)**DIAL
CL = TVCL*EXP(ETA(1))
V1 = TVV1*EXP(ETA(2))
Q  = THETA(3)
V2 = THETA(4)*EXP(ETA(3))
S1 = V1"""
    error = "IPRED = F\nY = IPRED*(1+EPS(1)) + EPS(2)"
    names = ("cl", "v1", "q2", "v2", "crcl_on_cl", "dialysis_on_cl", "dialysis_on_v1")
    return stream(
        "vancomycin",
        "CRCL WT DIAL",
        "ADVAN3 TRANS4",
        pk,
        error,
        thetas(drug, *names),
        block(omega(drug)),
        sigma(drug, 2),
    )


def sigma(drug, count):
    """Variances of the proportional and, if there are two, of the additive part."""
    residual = drug.outputs[0].residual
    b = f"$SIGMA {residual.b**2!r}"
    return b if count == 1 else f"{b}\n$SIGMA {residual.a**2!r}"


def amikacin(drug):
    pk = """$PK
CL = THETA(1)*(CRCL/82)**THETA(5)*EXP(ETA(1))
V  = THETA(2)*(WT/78)**THETA(6)*(PF/169)**THETA(7)*EXP(ETA(2))
VP = THETA(4)*EXP(ETA(3))
Q  = THETA(3)*EXP(ETA(4))
VSS = V + VP
S1 = V"""
    error = "W = SQRT(THETA(8)**2 + THETA(9)**2*F**2)\nY = F + W*EPS(1)"
    names = ("cl", "v1", "q2", "v2", "crcl_on_cl", "wt_on_v1", "pf_on_v1")
    residual = drug.outputs[0].residual
    sizes = f"$THETA {residual.a!r}\n$THETA {residual.b!r}"
    numbers = (thetas(drug, *names), sizes, block(omega(drug)), "$SIGMA 1 FIX")
    return stream("amikacin", "CRCL WT PF", "ADVAN3 TRANS3", pk, error, *numbers)


def gentamicin(drug):
    pk = """$PK
CL = THETA(1)*(1 + THETA(5)*(CRCL-CHANGE-63) + THETA(6)*CHANGE)*EXP(ETA(1))
V1 = THETA(2)*WT
Q  = THETA(3)
V2 = THETA(4)*WT*EXP(ETA(2))
K  = CL/V1
K12 = Q/V1
K21 = Q/V2
S1 = V1"""
    error = "Y = F + SQRT(SIGMA(1,1)*F**2 + SIGMA(2,2))*EPS(3)"
    residual = drug.outputs[0].residual
    sizes = f"$SIGMA {residual.b**2!r} FIX\n$SIGMA {residual.a**2!r} FIX\n$SIGMA 1 FIX"
    names = ("cl", "v1", "q2", "v2", "baseline_on_cl", "change_on_cl")
    numbers = (thetas(drug, *names), block(omega(drug)), sizes)
    return stream("gentamicin", "CRCL CHANGE WT", "ADVAN3 TRANS1", pk, error, *numbers)


def tacrolimus(drug):
    pk = """$PK
IF (OCC.EQ.1) THEN
  BOF = ETA(5)
  BOK = ETA(6)
ELSE
  BOF = ETA(7)
  BOK = ETA(8)
ENDIF
SIZE = FFM/60
CL = THETA(1)*SIZE**0.75*THETA(6)**CYP*EXP(ETA(1))
V2 = THETA(2)*SIZE*EXP(ETA(2))
Q  = THETA(3)*SIZE**0.75*EXP(ETA(3))
V3 = THETA(4)*SIZE
KA = THETA(5)*EXP(BOK)
ALAG1 = THETA(7)
BIO = (1 - THETA(8)*PRED/(THETA(9)+PRED))*THETA(10)**CYP*EXP(BOF)
DAY1 = THETA(11)*EXP(ETA(4))
F1 = BIO
IF (FIRST.GT.0.5) F1 = BIO*DAY1
BMAX = THETA(12)*HCT/100
KD = THETA(13)"""
    error = "CP = 1000*A(2)/V2\nIPRED = CP*(1 + BMAX/(CP+KD))\nY = IPRED + IPRED*EPS(1)"
    names = (
        *("cl", "v1", "q2", "v2", "ka", "expresser_on_cl", "lag", "prednisolone_max", "prednisolone_50"),
        *("expresser_on_f", "day_1_on_f", "bmax", "kd"),
    )
    within = block(occasion_omega(drug)) + "$OMEGA BLOCK(2) SAME\n"
    numbers = (thetas(drug, *names), block(omega(drug)), within, sigma(drug, 1))
    return stream("tacrolimus", "FFM CYP PRED HCT FIRST OCC", "ADVAN4 TRANS4", pk, error, *numbers)


def phenytoin(drug):
    pk = """$MODEL COMP=(DEPOT,DEFDOSE) COMP=(CENTRAL,DEFOBS)
$PK
CHILD = 0
IF (AGE.LT.15) CHILD = 1
VM = THETA(1)*(WT/60)**THETA(2)*THETA(3)**AED/24*EXP(ETA(1))
KM = THETA(4)*THETA(5)**CHILD*THETA(6)**AED*EXP(ETA(2))
V  = THETA(7)*WT
KA = THETA(8)
S2 = V
$DES
CONC = A(2)/V
ABSORBED = KA*A(1)
DADT(1) = -ABSORBED
DADT(2) = ABSORBED - VM*CONC/(KM + CONC)"""
    error = "Y = F*EXP(EPS(1))"
    names = ("vmax", "wt_on_vmax", "combined_on_vmax", "km", "child_on_km", "combined_on_km", "v", "ka")
    numbers = (thetas(drug, *names), block(omega(drug)), "$SIGMA 0.01")
    return stream("phenytoin", "AGE WT AED", "ADVAN13 TOL=9", pk, error, *numbers)


CRCL = {"CRCL": ("crcl_ml_per_min", 85.0, "mL/min"), "WT": ("wt_kg", 81.0, "kg")}
CASES = {
    "vancomycin-goti2018": (vancomycin, {**CRCL, "DIAL": ("dialysis", 1.0, "0/1")}, "mg/L"),
    "amikacin-burdet2015": (amikacin, {**CRCL, "PF": ("pf_ratio_mmhg", 220.0, "mmHg")}, "mg/L"),
    "gentamicin-staatz2005": (gentamicin, {**CRCL, "CHANGE": ("crcl_change_ml_per_min", 9.0, "mL/min")}, "mg/L"),
    "tacrolimus-storset2014": (
        tacrolimus,
        {
            "FFM": ("ffm_kg", 52.0, "kg"),
            "CYP": ("cyp3a5_expresser", 1.0, "0/1"),
            "PRED": ("prednisolone_mg_per_day", 15.0, "mg/day"),
            "HCT": ("hct_percent", 36.0, "%"),
            "FIRST": ("first_day", 1.0, "0/1"),
        },
        "ug/L",
    ),
    "phenytoin-yukawa1990": (
        phenytoin,
        {"AGE": ("age_y", 12.0, "y"), "WT": ("wt_kg", 41.0, "kg"), "AED": ("combined", 1.0, "0/1")},
        "mg/L",
    ),
}


def sidecar(covariates, unit):
    lines = ["[units]", 'time = "h"', 'dose = "mg"', "[outputs.y]", f'unit = "{unit}"']
    for column, (_, value, own) in covariates.items():
        lines += [f"[covariates.{column}]", f'unit = "{own}"', f"typical = {value}"]
    return "\n".join(lines)


def predicted(model, dose, covariates, eta, kappa):
    regimen = make_regimen(every(dose, 12.0, 2), model.structure)
    table = make_covariates(model, covariates)
    kappa = jnp.asarray(kappa)[None] if len(kappa) else None
    return np.asarray(predict(model, regimen, table, jnp.asarray(TIMES), jnp.asarray(eta), kappa))[:, 0]


def with_fine_steps(model):
    """The same method and the same steps for equations that are written in two ways."""
    from dataclasses import replace

    if not hasattr(model.structure, "with_method"):
        return model
    return replace(model, structure=model.structure.with_method(Adaptive(rtol=1e-12, atol=1e-14)))


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_a_built_in_drug_written_and_read_back_predicts_the_same(name, tmp_path):
    write, covariates, unit = CASES[name]
    drug = load_drug(name)
    path = tmp_path / "run1.mod"
    path.write_text(write(drug))
    path.with_suffix(".toml").write_text(sidecar(covariates, unit))
    model = load_drug(path)
    assert len(model.etas) == len(drug.etas)
    assert len(model.occasion_etas) == len(drug.occasion_etas)
    np.testing.assert_allclose(omega(model), omega(drug), rtol=1e-12, atol=1e-15)
    if drug.occasion_etas:
        np.testing.assert_allclose(occasion_omega(model), occasion_omega(drug), rtol=1e-12, atol=1e-15)
    rng = np.random.default_rng(3)
    eta, kappa = rng.normal(0.0, 0.3, len(drug.etas)), rng.normal(0.0, 0.3, len(drug.occasion_etas))
    route = drug.dosing.routes[0]
    dose = Dose(0.0, drug.dosing.usual_dose_mg, compartment=route.compartment, duration_h=route.duration_h)
    ours, theirs = with_fine_steps(drug), with_fine_steps(model)
    want = predicted(ours, dose, {own: value for own, value, _ in covariates.values()}, eta, kappa)
    got = predicted(theirs, dose, {column: value for column, (_, value, _) in covariates.items()}, eta, kappa)
    np.testing.assert_allclose(got, want, rtol=1e-10)
    assert want.max() > 0
    if name != "phenytoin-yukawa1990":
        residual = drug.outputs[0].residual
        assert model.outputs[0].residual.kind == ("combined2" if residual.a else "proportional")
        np.testing.assert_allclose(model.outputs[0].residual.b, residual.b, rtol=1e-12)
        np.testing.assert_allclose(model.outputs[0].residual.a, residual.a, rtol=1e-12)

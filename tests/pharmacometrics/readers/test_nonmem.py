"""NONMEM control streams of our own: what is read from each part, and what is refused, by line and column."""

import json
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.pharmacometrics.readers.bridge.model import drug_model
from rl_drug_dosage.pharmacometrics.readers.expressions import evaluate, names_in
from rl_drug_dosage.pharmacometrics.readers.nonmem.reader import read
from rl_drug_dosage.pharmacometrics.readers.sidecar import Sidecar, Units
from rl_drug_dosage.pharmacometrics.readers.written import ReadError
from rl_drug_dosage.pkpd import Dose, make_covariates, make_regimen, predict
from rl_drug_dosage.pkpd.bayes import fit_patients
from rl_drug_dosage.pkpd.nonmem_data import read_nonmem

REFERENCE = Path(__file__).parents[2] / "reference" / "pkpd"
HEAD = "$PROBLEM one compartment\n$INPUT ID TIME AMT DV WT OCC DVID CMT EVID\n$DATA d.csv IGNORE=@\n"
PK = "$SUBROUTINES ADVAN1 TRANS2\n$PK\nCL = THETA(1)*EXP(ETA(1))\nV = THETA(2)\nS1 = V\n"
NUMBERS = "$THETA (0,4) ; CL\n$THETA (0,70) ; V\n$OMEGA 0.2\n$SIGMA 0.04\n"
MG = Sidecar(units=Units("h", "mg", "mg/L"))


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def written(tmp_path):
    """A model from the text of a control stream."""

    def make(*parts, name="run1.mod"):
        path = tmp_path / name
        path.write_text("\n".join(parts))
        return read(path)

    return make


def standard(written, error="Y = F + F*EPS(1)", numbers=NUMBERS, pk=PK):
    return written(HEAD + pk, "$ERROR", error, numbers)


def value(model, tree, **values):
    known = {theta.name: theta.value for theta in model.thetas} | values
    return float(evaluate(tree, known))


def test_names_numbers_and_places(written):
    model = standard(written)
    assert [(t.name, t.value, t.label, t.line) for t in model.thetas] == [
        ("theta_1", 4.0, "CL", 12),
        ("theta_2", 70.0, "V", 13),
    ]
    assert [eta.name for eta in model.etas] == ["eta_1"]
    assert model.omega.tolist() == [[0.2]]
    assert model.compartments == ("central",)
    assert model.facts["description"] == "one compartment"
    assert model.facts["data"] == "d.csv"
    assert model.units == {}
    assert any("initial estimates" in remark for remark in model.remarks)


@pytest.mark.parametrize(
    ("formula", "centre"),
    [("(WT/70)**0.75", 70.0), ("(1+THETA(2)*(WT-65))", 65.0), ("WT/70", None), ("(WT/70)**2*(WT-60)", None)],
)
def test_a_covariate_is_typical_where_formulas_are_centred(written, formula, centre):
    model = standard(written, pk=PK.replace("THETA(1)*EXP", f"THETA(1)*{formula}*EXP"))
    assert [(c.name, c.reference) for c in model.covariates] == [("WT", centre)]


# Residual errors: kind, and the sizes at THETA(3) = 0.3, THETA(4) = 0.5
MORE = NUMBERS + "$THETA 0.3\n$THETA 0.5\n$SIGMA 0.09\n"
ERRORS = {
    "Y = F + EPS(1)": ("add", 0.2, None),
    "Y = F*(1 + EPS(1))": ("prop", None, 0.2),
    "Y = F + F*EPS(1) + EPS(2)": ("combined2", 0.3, 0.2),
    "IPRED = F\nW = THETA(3) + THETA(4)*IPRED\nY = IPRED + W*EPS(1)": ("combined1", 0.06, 0.1),
    "W = SQRT(THETA(3)**2 + THETA(4)**2*F*F)\nY = F + W*ERR(1)": ("combined2", 0.06, 0.1),
    "Y = F*EXP(EPS(1))": ("lnorm", 0.2, None),
    "Y = LOG(F) + EPS(1)": ("lnorm", 0.2, None),
    "IPRED = -5\nIF (F.GT.0) IPRED = LOG(F)\nY = IPRED + THETA(3)*EPS(1)": ("lnorm", 0.06, None),
    "W = F\nIF (W.EQ.0) W = 1\nY = F + W*EPS(1)": ("prop", None, 0.2),
    "IPRED = A(1)/V\nY = IPRED + IPRED**THETA(4)*EPS(1)": ("pow", None, 0.2),
    "Y = F + SQRT(F)*THETA(3)*EPS(1)": ("pow", None, 0.06),
    "Y = F*1000 + F*THETA(4)*EPS(1)": ("prop", None, 0.0001),
    "IPRED = LOG(F+0.00001)\nW = SQRT(THETA(3)**2 + (THETA(4)/F)**2)\nY = IPRED + W*EPS(1)": ("combined2", 0.1, 0.06),
}


@pytest.mark.parametrize("code", ERRORS)
def test_residual_errors(written, code):
    kind, additive, proportional = ERRORS[code]
    model = standard(written, code, MORE)
    error = model.outputs[0].error
    assert error.kind == kind
    for tree, size in ((error.additive, additive), (error.proportional, proportional)):
        if size is not None:
            assert value(model, tree) == pytest.approx(size, rel=1e-12)
    # Whatever the scale of Y, the output is a concentration.
    got = value(model, model.outputs[0].expr, central=140.0, V=70.0, S1=70.0)
    assert got == pytest.approx(2000.0 if "1000" in code else 2.0, rel=1e-4)


def test_effects_on_the_residual_error_are_left_out(written):
    numbers = NUMBERS.replace("$OMEGA 0.2", "$OMEGA 0.2\n$OMEGA 0.1")
    model = standard(written, "Y = F + F*EPS(1)*EXP(ETA(2))", numbers)
    assert [eta.name for eta in model.etas] == ["eta_1"]
    assert value(model, model.outputs[0].error.proportional) == pytest.approx(0.2)
    assert any("ETA(2) of the residual error is not read" in remark for remark in model.remarks)


def test_outputs_by_a_data_item(written):
    code = """IF (DVID.EQ.1) THEN
  Y = F + F*EPS(1)
ELSE
  Y = 100 - 10*F + EPS(2)
ENDIF"""
    model = standard(written, code, MORE)
    assert [(o.name, o.code, o.error.kind) for o in model.outputs] == [("y_dvid1", 1, "prop"), ("y_dvid2", 2, "add")]
    assert value(model, model.outputs[1].expr, central=140.0, V=70.0, S1=70.0) == pytest.approx(80.0)
    assert model.facts["measured_by"] == "DVID"


def test_f_is_the_content_of_the_compartment_that_is_measured(written):
    pk = "$SUBROUTINES ADVAN2 TRANS2\n$PK\nCL=THETA(1)\nV=THETA(2)\nKA=1\nS2=V\nS1=2\n"
    code = "IF (CMT.EQ.1) Y = F + EPS(1)\nIF (CMT.EQ.2) Y = F + F*EPS(1)"
    model = standard(written, code, pk=pk)
    assert [(o.code, sorted(names_in(o.expr))) for o in model.outputs] == [(1, ["depot"]), (2, ["S2", "central"])]


def test_likelihoods_below_quantification_are_left_out(written):
    code = """IF (BLQ.EQ.1) THEN
  F_FLAG = 1
  Y = PHI((0.5-F)/THETA(1))
ELSE
  F_FLAG = 0
  Y = F + EPS(1)
ENDIF"""
    model = written(HEAD.replace("OCC", "BLQ") + PK, "$ERROR", code, NUMBERS)
    assert [o.error.kind for o in model.outputs] == ["add"]
    assert any("CENS" in remark for remark in model.remarks)


def test_a_level_is_one_that_was_quantified(written):
    model = standard(written, "IF (DV.LT.0.5) Y = PHI((0.5-F)/0.1)\nIF (DV.GE.0.5) Y = F + EPS(1)")
    assert [o.error.kind for o in model.outputs] == ["add"]
    assert any("conditions on DV" in remark for remark in model.remarks)


IOV = {
    "conditions": "IOV = 0\nIF (OCC.EQ.1) IOV = ETA(2)\nIF (OCC.EQ.2) IOV = ETA(3)\nCL = THETA(1)*EXP(ETA(1)+IOV)",
    "indicators": "O1 = 0\nO2 = 0\nIF (OCC.EQ.1) O1 = 1\nIF (OCC.EQ.2) O2 = 1\n"
    "CL = THETA(1)*EXP(ETA(1) + O1*ETA(2) + O2*ETA(3))",
    "blocks": "IF (OCC.EQ.1) THEN\n IOV = ETA(2)\nELSE\n IOV = ETA(3)\nENDIF\nCL = THETA(1)*EXP(ETA(1)+IOV)",
    "replaced": "CL = THETA(1)*EXP(ETA(1)+ETA(OCC_CL))",
}


@pytest.mark.parametrize("way", IOV)
def test_effects_of_occasions_are_one(written, way):
    abbr = "$ABBR REPLACE ETA(OCC_CL)=ETA(2,3)\n"
    pk = f"{abbr}$SUBROUTINES ADVAN1 TRANS2\n$PK\n{IOV[way]}\nV = THETA(2)\nS1 = V\n"
    numbers = NUMBERS.replace("$OMEGA 0.2", "$OMEGA 0.2\n$OMEGA BLOCK(1) 0.05\n$OMEGA BLOCK(1) SAME")
    model = standard(written, numbers=numbers, pk=pk)
    assert [eta.name for eta in model.etas] == ["eta_1"]
    assert [eta.name for eta in model.occasion_etas] == ["eta_2"]
    assert model.occasion_omega.tolist() == [[0.05]]
    assert model.occasion == "OCC"
    assert "OCC" not in [c.name for c in model.covariates]


def test_equal_variances_without_occasions_stay_effects_of_the_subject(written):
    pk = PK.replace("V = THETA(2)", "V = THETA(2)*EXP(ETA(2))")
    model = standard(written, numbers=NUMBERS.replace("$OMEGA 0.2", "$OMEGA BLOCK(1) 0.2\n$OMEGA BLOCK(1) SAME"), pk=pk)
    assert [eta.name for eta in model.etas] == ["eta_1", "eta_2"]
    assert model.occasion_etas == ()


OMEGAS = {
    "$OMEGA 0.04 0.09": [[0.04, 0], [0, 0.09]],
    "$OMEGA DIAGONAL(2) 0.2 SD (0.3 SD)": [[0.04, 0], [0, 0.09]],
    "$OMEGA BLOCK(2) 0.04 0.01 0.09": [[0.04, 0.01], [0.01, 0.09]],
    "$OMEGA BLOCK(2) SD CORRELATION\n0.2\n0.5 0.3": [[0.04, 0.03], [0.03, 0.09]],
    "$OMEGA BLOCK(2) CORRELATION\n0.04\n0.5 0.09": [[0.04, 0.03], [0.03, 0.09]],
    "$OMEGA BLOCK(2) CHOLESKY\n0.2\n0.1 0.3": [[0.04, 0.02], [0.02, 0.1]],
    "$OMEGA BLOCK(2) VALUES(0.2,0.01)": [[0.2, 0.01], [0.01, 0.2]],
    "$OMEGA (0.04)x2": [[0.04, 0], [0, 0.04]],
    "$OMEGA STANDARD 0.2 0.3": [[0.04, 0], [0, 0.09]],
}


@pytest.mark.parametrize("record", OMEGAS)
def test_forms_of_omega(written, record):
    pk = PK.replace("V = THETA(2)", "V = THETA(2)*EXP(ETA(2))")
    model = standard(written, numbers=NUMBERS.replace("$OMEGA 0.2", record), pk=pk)
    np.testing.assert_allclose(model.omega, OMEGAS[record], rtol=1e-12)


THETAS = {
    "$THETA 4 70": (4.0, 70.0),
    "$THETA (0,4) (0,70,200)": (4.0, 70.0),
    "$THETA (0 4 10) 70 FIX": (4.0, 70.0),
    "$THETA (4 FIX) (-INF, 7.0D1, INF)": (4.0, 70.0),
    "$THETA CL=(0,4)\n$THETA V=70": (4.0, 70.0),
    "$THETA (4)x2": (4.0, 4.0),
}


@pytest.mark.parametrize("record", THETAS)
def test_forms_of_theta(written, record):
    numbers = f"{record}\n$OMEGA 0.2\n$SIGMA 0.04\n"
    assert tuple(t.value for t in standard(written, numbers=numbers).thetas) == THETAS[record]


def test_final_estimates_beside_the_file(written, tmp_path):
    head = " ITERATION    THETA1       THETA2       SIGMA(1,1)   OMEGA(1,1)   OBJ"
    (tmp_path / "run1.ext").write_text(
        f"TABLE NO.     1: First Order\n{head}\n 0 4 70 0.04 0.2 10\n -1000000000 4.5 68 0.05 0.3 9\n"
    )
    model = standard(written)
    assert [t.value for t in model.thetas] == [4.5, 68.0]
    assert model.omega.tolist() == [[0.3]]
    assert value(model, model.outputs[0].error.proportional) == pytest.approx(0.05**0.5)
    assert any("run1.ext" in remark for remark in model.remarks)
    assert [Path(file).name for file in model.files] == ["run1.mod", "run1.ext"]


def test_estimates_of_another_model_are_not_taken(written, tmp_path):
    head = " ITERATION    THETA1  SIGMA(1,1)   OMEGA(1,1)   OBJ"
    (tmp_path / "run1.ext").write_text(f"TABLE NO.     1: First Order\n{head}\n -1000000000 4.5 0.05 0.3 9\n")
    model = standard(written)
    assert [t.value for t in model.thetas] == [4.0, 70.0]
    assert any("it has 1 THETA" in remark for remark in model.remarks)


def test_final_estimates_of_a_listing(written, tmp_path):
    (tmp_path / "run1.lst").write_text(
        """ ****                 FINAL PARAMETER ESTIMATE           ****
 THETA - VECTOR OF FIXED EFFECTS PARAMETERS   *********
         TH 1      TH 2
         4.50E+00  6.80E+01
 OMEGA - COV MATRIX FOR RANDOM EFFECTS - ETAS  ********
         ETA1
 ETA1
+        3.00E-01
 SIGMA - COV MATRIX FOR RANDOM EFFECTS - EPSILONS  ****
         EPS1
 EPS1
+        5.00E-02
1
 OMEGA - CORR MATRIX FOR RANDOM EFFECTS - ETAS  *******
         ETA1
 ETA1
+        5.48E-01
"""
    )
    model = standard(written)
    assert [t.value for t in model.thetas] == [4.5, 68.0]
    assert model.omega.tolist() == [[0.3]]


# Numbers of NONMEM itself

ANCHORS = {"1cpt_iv": ("ADVAN1 TRANS2", 0), "1cpt_oral": ("ADVAN2 TRANS2", 1), "2cpt_iv": ("ADVAN3 TRANS4", 0)}
ANCHORS |= {"2cpt_oral": ("ADVAN4 TRANS4", 1), "3cpt_iv": ("ADVAN11 TRANS4", 0)}


def anchor(case):
    """A control stream for one of the cases, and its dose."""
    advan, depot = ANCHORS[case["model"]]
    given, central = case["dose"], depot + 1
    volume = "V" if case["model"].startswith("1") else f"V{central}"
    lines = [f"CL = {case['CL']}", f"{volume} = {case['V1']}", f"S{central} = {volume}"]
    for n in (2, 3):
        if f"Q{n}" in case:
            q = "Q" if case["model"].startswith("2") else f"Q{n + depot}"
            lines += [f"{q} = {case[f'Q{n}']}", f"V{n + depot} = {case[f'V{n}']}"]
    lines += [f"KA = {case['KA']}"] if depot else []
    lines += [f"F{central} = {case['F_central']}"] if "F_central" in case else []
    place = {"depot": 1, "central": central, "periph1": central + 1, "periph2": central + 2}[given["into"]]
    lines += [f"ALAG{place} = {given['lag']}"] if "lag" in given else []
    text = f"{HEAD}$SUBROUTINES {advan}\n$PK\n" + "\n".join(lines) + "\n$ERROR\nY = F + EPS(1)\n$SIGMA 1\n"
    return text, place - 1


@pytest.mark.long
def test_predictions_of_nonmem(tmp_path):
    """PRED of NONMEM's own runs, through the text of a control stream."""
    tried: set[str] = set()
    for i, case in enumerate(json.loads((REFERENCE / "nonmem_pred_anchors.json").read_text())["cases"]):
        given = case["dose"]
        kind = f"{case['model']} {'lag' in given}"
        # tests/pkpd/test_events.py has the others; a lag of an interval or more is refused.
        if kind in tried or given.get("lag", 0.0) >= given.get("ii", np.inf):
            continue
        text, place = anchor(case)
        path = tmp_path / f"run{i}.mod"
        path.write_text(text)
        model = drug_model(read(path), MG)
        into = model.structure.compartments[place]
        dose = Dose(
            given["t"], given["amt"], into, given.get("rate", 0), interval_h=given.get("ii", 0),
            steady_state=given.get("ss", 0),
        )  # fmt: skip
        times, want = np.array(case["pred"]).T
        after = jnp.ones(times.shape, dtype=bool)
        regimen, table = make_regimen([dose], model.structure), make_covariates(model, {})
        run = jax.jit(lambda r, c, t, a, model=model: predict(model, r, c, t, after_dose=a))
        got = run(regimen, table, jnp.asarray(times), after)[:, 0]
        printed = 3e-5 if "flatwt" in case["id"] else 2e-5 if "advan11" in case["id"] else 1e-10
        np.testing.assert_allclose(got, want, rtol=printed, err_msg=case["id"])
        tried.add(kind)
    assert len(tried) == 6


@pytest.mark.long
@pytest.mark.parametrize(
    ("subroutines", "pk"),
    [
        ("ADVAN4 TRANS1", "K=CL/VC\nK23=Q/VC\nK32=Q/VP"),
        ("ADVAN4 TRANS3", "V=VC\nVSS=VC+VP"),
        ("ADVAN4 TRANS4", "V2=VC\nV3=VP"),
        ("ADVAN4 TRANS5", "ALPHA=A1\nBETA=B1\nAOB=(A1-Q/VP)/(Q/VP-B1)"),
        ("ADVAN4 TRANS6", "ALPHA=A1\nBETA=B1\nK32=Q/VP"),
        ("ADVAN5 TRANS1\n$MODEL COMP=(DEPOT) COMP=(CENTRAL) COMP=(OTHER)", "K12=KA\nK20=CL/VC\nK23=Q/VC\nK32=Q/VP"),
        (
            "ADVAN13 TOL=9\n$MODEL NCOMP=3 COMP=(DEPOT) COMP=(CENTRAL,DEFOBS) COMP=OTHER",
            "$DES\nDADT(1)=-KA*A(1)\nFLUX=Q*(A(2)/VC-A(3)/VP)\nDADT(2)=KA*A(1)-CL/VC*A(2)-FLUX\nDADT(3)=FLUX",
        ),
    ],
)
def test_ways_to_write_two_compartments(tmp_path, subroutines, pk):
    """All TRANS of ADVAN4, a general linear model and equations are the same model."""
    given = "CL=5\nVC=50\nQ=3\nVP=80\nKA=1\n"
    sums = "S1=CL/VC+Q/VC+Q/VP\nS3=CL/VC*Q/VP\nA1=(S1+SQRT(S1*S1-4*S3))/2\nB1=S3/A1\nS2=VC\n"
    sums = sums.replace("S1", "SUM").replace("S3", "PROD")
    path = tmp_path / "run1.mod"
    path.write_text(f"{HEAD}$SUBROUTINES {subroutines}\n$PK\n{given}{sums}{pk}\n$ERROR\nY=F+EPS(1)\n$SIGMA 1")
    model = drug_model(read(path), MG)
    regimen = make_regimen([Dose(0.0, 100.0, model.structure.compartments[0])], model.structure)
    got = predict(model, regimen, make_covariates(model, {}), jnp.array([0.5, 2.0, 8.0, 24.0]))[:, 0]
    path.write_text(f"{HEAD}$SUBROUTINES ADVAN4 TRANS4\n$PK\n{given}V2=VC\nV3=VP\nS2=VC\n$ERROR\nY=F+EPS(1)\n$SIGMA 1")
    plain = drug_model(read(path), MG)
    regimen = make_regimen([Dose(0.0, 100.0, plain.structure.compartments[0])], plain.structure)
    want = predict(plain, regimen, make_covariates(plain, {}), jnp.array([0.5, 2.0, 8.0, 24.0]))[:, 0]
    np.testing.assert_allclose(got, want, rtol=1e-5 if "ADVAN13" in subroutines else 1e-9)


@pytest.mark.long
@pytest.mark.parametrize(
    ("subroutines", "equations"),
    [("ADVAN1 TRANS2", ""), ("ADVAN13 TOL=9\n$MODEL COMP=CENTRAL", "$DES\nDADT(1) = -CL/V*A(1)\n")],
)
def test_the_output_compartment_holds_what_is_eliminated(tmp_path, subroutines, equations):
    path = tmp_path / "run1.mod"
    pk = f"$SUBROUTINES {subroutines}\n$PK\nCL = 5\nV = 50\nF0 = 0.4\n{equations}"
    path.write_text(f"{HEAD}{pk}$ERROR\nY = A(2) + EPS(1)\n$SIGMA 1")
    model = drug_model(read(path), Sidecar(units=Units("h", "mg", "mg")))
    regimen = make_regimen([Dose(0.0, 100.0, model.structure.compartments[0])], model.structure)
    got = predict(model, regimen, make_covariates(model, {}), jnp.array([3.0, 24.0]))[:, 0]
    np.testing.assert_allclose(got, 40.0 * (1.0 - np.exp(-np.array([0.3, 2.4]))), rtol=1e-6)


@pytest.mark.long
def test_estimates_of_nonmem(tmp_path):
    """Individual effects of eight patients by NONMEM, from a control stream and the run's data."""
    path = tmp_path / "run001.mod"
    path.write_text(
        """$PROBLEM oral
$INPUT ID TIME EVID AMT CMT II ADDL MDV DV
$DATA data.csv IGNORE=@
$SUBROUTINES ADVAN2 TRANS2
$PK
CL = THETA(1)*EXP(ETA(1))
V  = THETA(2)*EXP(ETA(2))
KA = THETA(3)*EXP(ETA(3))
S2 = V
$ERROR
IPRED = F
W = IPRED
IF (W.EQ.0) W = 1
Y = IPRED + W*EPS(1)
$THETA 4 70 1
$OMEGA 0.2 0.2 0.2
$SIGMA 0.05
"""
    )
    model = drug_model(read(path), MG)
    patients = json.loads((REFERENCE / "nonmem_posthoc_oral_1cmt.json").read_text())
    lines = ["ID,TIME,EVID,AMT,CMT,II,ADDL,MDV,DV"]
    for i, one in enumerate(patients["patients"], start=1):
        rows = [(t, f"{i},{t},0,.,.,.,.,0,{y}") for t, y in one["levels"]]
        rows += [(t, f"{i},{t},1,{one['first_dose_mg']},1,{more},1,.") for t, more in ((0, "0,0"), (72, "24,6"))]
        lines += [row for _, row in sorted(rows)]
    table = tmp_path / "data.csv"
    table.write_text("\n".join(lines))
    model = drug_model(read(path), MG)
    data = read_nonmem(table, model)
    fits = fit_patients(model, data.patients)
    want = np.array([one["eta"] for one in patients["patients"]])
    np.testing.assert_allclose(np.stack([fit.estimate.eta for fit in fits]), want, atol=2e-6)


# What is refused

BAD = {
    "undefined variable": (PK.replace("V = THETA(2)", "V = THETA(2)*SIZE"), None, r":7:14: SIZE has no value"),
    "missing theta": (PK.replace("THETA(2)", "THETA(7)"), None, r":7:\d+: THETA\(7\), which is not there"),
    "no value": (None, NUMBERS.replace("(0,70)", "(0,,70)"), r":13:1: THETA\(2\) without a value"),
    "verbatim code": (PK + '"      V = V*2\n', None, r":9:1: verbatim code"),
    "a loop": (PK + "DO WHILE (V.LT.3)\nV = V + 1\nENDDO\n", None, r":9:1: a loop"),
    "a call": (PK + "CALL RANDOM(2,R)\n", None, r":9:1: CALL RANDOM"),
    "mtime": (PK + "MTIME(1) = 5\n", None, r":9:1: MTIME"),
    "unknown function": (PK + "Z = FOO(3)\n", None, r":9:5: FOO\(\.\.\.\)"),
    "unfinished": (PK + "Z = 3*\n", None, r":9:7: the end of the line"),
    "no end": (PK + "IF (WT.GT.3) THEN\nV = 2\n", None, r"IF \.\.\. THEN without ENDIF"),
    "not code": (PK + "Z := 3\n", None, r":9:3: ':= 3'"),
    "mixture": (PK + "$MIX\nNSPOP=2\n", None, r":9:1: \$MIX"),
    "another file": (PK + "$INCLUDE other.txt\n", None, r":9:1: \$INCLUDE"),
    "no such record": (PK + "$PARAMETERS 3\n", None, r":9:1: \$PARAMETERS"),
    "advan": (PK.replace("ADVAN1 ", "ADVAN16 "), None, r":4:1: ADVAN16"),
    "trans": (PK.replace("TRANS2", "TRANS4"), None, r":4:1: ADVAN1 with TRANS4"),
    "own subroutine": (PK.replace("TRANS2", "TRANS2 OTHER=my.f90"), None, r":4:1: OTHER=MY.F90"),
    "parameter of the TRANS": (PK.replace("CL =", "CLX ="), None, r":4:1: CL has no value in \$PK"),
    "amount": (PK + "F1 = 1 + AMT/100\n", None, r":9:10: the data item AMT"),
    "first record": (PK + "IF (NEWIND.NE.2) OLD = 0\nV = V + OLD\nOLD = V\n", None, r":9:5: NONMEM's variable NEWIND"),
    "first record, kept in $ERROR": (
        PK + "IF (NEWIND.NE.2) OLD = 0\nV = V + OLD\n",
        None,
        r":9:5: NONMEM's variable NEWI",
    ),
    "up to a time": (PK + "IF (TIME.LT.24) FACTOR = 2\nV = V*FACTOR\n", None, r":9:17: FACTOR has no value"),
    "not positive definite": (None, NUMBERS.replace("0.2", "BLOCK(2) 0.2 0.5 0.2"), r":14:1: \$OMEGA BLOCK\(2\) has"),
    "too few numbers": (None, NUMBERS.replace("0.2", "BLOCK(2) 0.2 0.5"), r":14:1: BLOCK\(2\) with 2 numbers"),
    "negative variance": (None, NUMBERS.replace("0.2", "-0.2"), r":14:8: a variance of -0.2"),
    "words for numbers": (None, NUMBERS.replace("(0,70)", "(0,seventy)"), r":13:11: 'SEVENTY'"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_read_is_refused_by_place(written, name):
    pk, numbers, message = BAD[name]
    kept = "\nOLD = 5*F" if "kept in" in name else ""
    with pytest.raises(ReadError, match=message) as caught:
        standard(written, f"Y = F + F*EPS(1){kept}", numbers or NUMBERS, pk or PK)
    text = str(caught.value)
    assert "\n" not in text
    assert "; supported: " in text


BAD_Y = {
    "IRES = DV - F": "Y has no value",
    "Y = F + DV*EPS(1)": "DV",
    "IF (DV.EQ.1) Y = 0.5\nIF (DV.EQ.0) Y = 0.3": "Y is a likelihood",
    "Y = F + SIN(F*EPS(1))": "inside of sin",
    "Y = F + LOG(F)*EPS(1)": "no known function of the prediction",
}


@pytest.mark.parametrize("code", BAD_Y)
def test_errors_that_are_not_supported_are_refused(written, code):
    with pytest.raises(ReadError, match=BAD_Y[code]):
        standard(written, code)


def doubling(count):
    lines = ["X0 = F"] + [f"X{i} = X{i - 1} + X{i - 1}" for i in range(1, count)]
    return "\n".join([*lines, f"Y = X{count - 1} + EPS(1)"])


HUGE = {
    "ten megabytes": HEAD + PK + "; nothing\n" * 1_000_000,
    "a long line": HEAD + PK + "V = " + "1+" * 500_000 + "1\n",
    "many brackets": HEAD + PK + "V = " + "(" * 1500 + "1" + ")" * 1500 + "\n$ERROR\nY=F+EPS(1)\n" + NUMBERS,
    "many signs": HEAD + PK + "V = " + "-" * 1500 + "1\n$ERROR\nY=F+EPS(1)\n" + NUMBERS,
    "a long sum": HEAD + PK + "V = 1" + "+1" * 1500 + "\n$ERROR\nY=F+EPS(1)\n" + NUMBERS,
    "many blocks": HEAD + PK + "IF (WT.GT.1) THEN\n" * 2000 + "V=2\n" + "ENDIF\n" * 2000 + "$ERROR\nY=F\n" + NUMBERS,
    "a formula that doubles": HEAD + PK + "$ERROR\n" + doubling(60) + "\n" + NUMBERS,
    "many values": HEAD + PK + "$ERROR\nY=F+EPS(1)\n$THETA (1)x999999999\n$OMEGA 1\n$SIGMA 1",
    "a large block": HEAD + PK + "$ERROR\nY=F+EPS(1)\n$THETA 1 1\n$OMEGA BLOCK(99999) 1\n$SIGMA 1",
    "many compartments": HEAD + PK.replace("ADVAN1 TRANS2", "ADVAN6\n$MODEL NCOMP=999999999") + "$ERROR\nY=F+EPS(1)",
    "many effects": HEAD + PK + "$ERROR\nY=F+EPS(1)\n$THETA 1 1\n" + "$OMEGA 1\n" * 40_000,
    "long words": HEAD + PK + "$ERROR\nY=F+EPS(1)\n$THETA 1\n" + ("A" * 4900 + "\n") * 75,
    "many statements": HEAD + PK + "IF (WT.GT.1) V = 2\n" * 19_000 + "$ERROR\nY=F+EPS(1)\n" + NUMBERS,
    "many words": HEAD + PK + ("(OBS" + "OBS" * 1600 + "\n") * 75 + "$ERROR\nY=F+EPS(1)\n" + NUMBERS,
    "not text": "\x00\x01\x02" * 1000,
    "nothing": "",
    "another language": "function() { system('rm -rf /') }",
}


@pytest.mark.parametrize("name", HUGE)
def test_input_of_any_size_is_refused_soon(tmp_path, name):
    path = tmp_path / "run1.mod"
    path.write_text(HUGE[name])
    start = time.process_time()
    with pytest.raises(ReadError) as caught:
        read(path)
    assert time.process_time() - start < 2.0
    assert len(str(caught.value)) < 2000


def test_what_is_kept_of_the_last_dose_is_a_covariate(written):
    pk = "$SUBROUTINES ADVAN6\n$MODEL COMP=(GUT) COMP=(CENTRAL)\n$PK\nIF (NEWIND.NE.2) TDOS = 0\n"
    pk += "IF (AMT.GT.0) THEN\n PD = AMT\n TDOS = TIME\nENDIF\nCL = THETA(1)\nV = THETA(2)\nS2 = V\nF1 = 0\n"
    pk += "$DES\nTAD = T - TDOS\nDADT(1) = PD*EXP(-TAD) - A(1)\nDADT(2) = A(1) - CL/V*A(2)\n"
    model = standard(written, pk=pk)
    assert sorted(c.name for c in model.covariates) == ["PD", "TDOS"]
    assert any("PD keeps something of earlier records (line 9)" in remark for remark in model.remarks)


@pytest.mark.parametrize(
    "code", ["FACTOR = 3\nIF (TIME.LT.24) FACTOR = 2", "IF (TIME.LT.24) FACTOR = 2\nIF (TIME.GE.24) FACTOR = 3"]
)
def test_a_value_for_every_time_needs_no_history(written, code):
    model = standard(written, pk=f"{PK}{code}\nV = V*FACTOR\n")
    steps = {}
    for statement in model.statements:
        if statement.kind == "value":
            steps[statement.target] = value(model, statement.expr, t=30.0, eta_1=0.0, **steps)
    assert steps["V"] == 210.0


def test_code_that_never_runs_is_not_looked_at(written):
    """Simulation blocks, output statements and declarations in verbatim code."""
    code = """"FIRST
" COMMON/PRCOMG/ IDUM1,IMAX
" IMAX=70000000
IF (ICALL.EQ.4) THEN
  CALL RANDOM(2,R)
  DO WHILE (R.GT.0.5)
    T(I) = TIME
  ENDDO
ENDIF
TAD = TIME - AMT
Y = F + F*EPS(1)"""
    assert standard(written, code).outputs[0].error.kind == "prop"

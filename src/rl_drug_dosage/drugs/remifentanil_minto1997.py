"""Remifentanil in adult volunteers, three compartments and an effect site (Minto 1997)."""

from jaxtyping import Array

from rl_drug_dosage.drugs.shared.anaesthesia import female_covariate, james_lean_body_mass_kg, uniform_adults
from rl_drug_dosage.pkpd import (
    DosingOptions,
    DrugModel,
    Eta,
    Mammillary,
    Output,
    Param,
    Residual,
    Route,
    Target,
    Values,
)

__all__ = ["DRUG"]

_TABLE = (
    "Minto 1997, covariate model, as transcribed identically in opentiva remifentanil.py, Python Anesthesia Simulator "
    "pk_models.py and CRAN package tci poppk_mods.R"
)
_CV = (
    "Minto 1997, as transcribed identically in CRAN package tci poppk_mods.R, Python Anesthesia Simulator pk_models.py"
)
_RANGE = (
    "Minto 1997 abstract: 65 adults (27 women), 20-85 y; weight and height are not in the abstract: limits unverified"
)


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """Linear in age (from 40 y) and lean body mass (James, from 55 kg)."""
    years = covariates["age_y"] - 40.0
    lean = james_lean_body_mass_kg(covariates["wt_kg"], covariates["height_cm"], covariates["female"]) - 55.0
    return {
        "cl": 60.0 * (theta["cl1"] + theta["age_on_cl1"] * years + theta["lbm_on_cl1"] * lean),
        "v1": theta["v1"] + theta["age_on_v1"] * years + theta["lbm_on_v1"] * lean,
        "q2": 60.0 * (theta["cl2"] + theta["age_on_cl2"] * years),
        "v2": theta["v2"] + theta["age_on_v2"] * years + theta["lbm_on_v2"] * lean,
        "q3": 60.0 * (theta["cl3"] + theta["age_on_cl3"] * years),
        "v3": theta["v3"],
        "ke0": 60.0 * (theta["ke0"] + theta["age_on_ke0"] * years),
    }


DRUG = DrugModel(
    name="remifentanil-minto1997",
    drug="remifentanil",
    title="Remifentanil in adult volunteers (Minto 1997)",
    citation=(
        "Minto CF, Schnider TW, Egan TD, Youngs E, Lemmens HJM, Gambus PL, Billard V, Hoke JF, Moore KHP, "
        "Hermann DJ, Muir KT, Mandema JW, Shafer SL. Influence of age and gender on the pharmacokinetics and "
        "pharmacodynamics of remifentanil. I. Model development. Anesthesiology 1997;86:10-23."
    ),
    doi="10.1097/00000542-199701000-00004",
    population="65 healthy adults (38 men, 27 women), 20-85 y, 1-8 ug/kg/min for 4-20 min, arterial samples",
    structure=Mammillary(peripherals=2, effect=True),
    thetas={
        "v1": Param(5.1, "L", _TABLE, "central volume at 40 y, lean body mass 55 kg"),
        "v2": Param(9.82, "L", _TABLE, "fast peripheral volume at 40 y, lean body mass 55 kg"),
        "v3": Param(5.42, "L", _TABLE, "slow peripheral volume"),
        "cl1": Param(2.6, "L/min", _TABLE, "elimination clearance at 40 y, lean body mass 55 kg"),
        "cl2": Param(2.05, "L/min", _TABLE, "clearance to the fast peripheral compartment at 40 y"),
        "cl3": Param(0.076, "L/min", _TABLE, "clearance to the slow peripheral compartment at 40 y"),
        "age_on_v1": Param(-0.0201, "L/y", _TABLE, "change of V1 per year"),
        "lbm_on_v1": Param(0.072, "L/kg", _TABLE, "change of V1 per kg of lean body mass"),
        "age_on_v2": Param(-0.0811, "L/y", _TABLE, "change of V2 per year"),
        "lbm_on_v2": Param(0.108, "L/kg", _TABLE, "change of V2 per kg of lean body mass"),
        "age_on_cl1": Param(-0.0162, "L/min/y", _TABLE, "change of CL1 per year"),
        "lbm_on_cl1": Param(0.0191, "L/min/kg", _TABLE, "change of CL1 per kg of lean body mass"),
        "age_on_cl2": Param(-0.0301, "L/min/y", _TABLE, "change of CL2 per year"),
        "age_on_cl3": Param(-0.00113, "L/min/y", _TABLE, "change of CL3 per year"),
        "ke0": Param(0.595, "1/min", _TABLE, "equilibration rate of the effect site at 40 y"),
        "age_on_ke0": Param(-0.007, "1/min/y", _TABLE, "change of ke0 per year"),
    },
    parameters=parameters,
    etas=(
        Eta("v1", Param(26.0, "%", _CV, "between-subject CV of V1"), kind="cv_approx"),
        Eta("v2", Param(29.0, "%", _CV, "between-subject CV of V2"), kind="cv_approx"),
        Eta("v3", Param(66.0, "%", _CV, "between-subject CV of V3"), kind="cv_approx"),
        Eta("cl", Param(14.0, "%", _CV, "between-subject CV of CL1"), kind="cv_approx"),
        Eta("q2", Param(36.0, "%", _CV, "between-subject CV of CL2"), kind="cv_approx"),
        Eta("q3", Param(41.0, "%", _CV, "between-subject CV of CL3"), kind="cv_approx"),
        Eta(
            "ke0",
            Param(68.0, "%", "Python Anesthesia Simulator pk_models.py", "between-subject CV of ke0", unverified=True),
            kind="cv_approx",
        ),
    ),
    covariates=(
        uniform_adults("age_y", "y", (20.0, 85.0), 40.0, (18.0, 70.0), _RANGE),
        female_covariate(_RANGE),
        uniform_adults("height_cm", "cm", (150.0, 200.0), 170.0, (150.0, 190.0), _RANGE),
        uniform_adults("wt_kg", "kg", (45.0, 110.0), 70.0, (50.0, 100.0), _RANGE),
    ),
    outputs=(
        Output(
            "effect_site", "ng/mL", None, lambda state, p: 1000.0 * state["effect"], "remifentanil at the effect site"
        ),
        Output(
            "concentration",
            "ng/mL",
            Residual(
                "lognormal",
                proportional=Param(
                    0.111308,
                    "1",
                    "Eleveld 2017 control stream in stanpumpR drugs_remifentanil.R, refit of the Minto data",
                    "residual SD of ln concentration",
                ),
            ),
            lambda state, p: 1000.0 * state["central"] / p["v1"],
            "remifentanil in arterial blood",
        ),
    ),
    targets=(
        Target(
            "effect_site",
            "value",
            2.0,
            4.0,
            "ng/mL",
            (
                "effect-site targets studied with propofol: Vanluchene ALG et al. Br J Anaesth 2004;93:645-654 (2 "
                "and 4 ng/mL)"
            ),
        ),
    ),
    dosing=DosingOptions(
        routes=(Route("10-s infusion step", "central", 10.0 / 3600.0), Route("intravenous bolus", "central", 0.0)),
        amounts_mg=tuple(step / 2000.0 for step in range(101)),
        intervals_h=(10.0 / 3600.0,),
        usual_dose_mg=0.0015,
        source=(
            "pump of 0.05 mg/mL at 0-360 mL/h set every 10 s; usual dose about 0.13 ug/kg/min at 70 kg; this "
            "project's choice"
        ),
    ),
    limits_of_use=(
        "adults; not for the obese: James lean body mass decreases above BMI 42 (men) and 35 (women)",
        "the spectral edge, also modelled in the paper, is left out: the transcriptions differ in the meaning of Emax",
    ),
    ambiguities=(
        (
            "CVs are read as sqrt(omega^2) (tci); Python Anesthesia Simulator reads them as exact, which for V3 "
            "gives 0.36 instead of 0.44"
        ),
        "the CV of ke0 is 68 % in Python Anesthesia Simulator and 60 % in tci",
    ),
    second_source="opentiva, Python Anesthesia Simulator and CRAN tci: the same thetas",
)

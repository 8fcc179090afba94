"""Tacrolimus in adults in the first three months after kidney transplantation, two compartments (Andrews 2019)."""

from jaxtyping import Array

from rl_drug_dosage.drugs.shared.molar_mass import MOLAR_MASSES
from rl_drug_dosage.drugs.shared.spoken import AGE
from rl_drug_dosage.pkpd import (
    Categorical,
    Covariate,
    DosingOptions,
    DrugModel,
    Eta,
    LogNormal,
    Mammillary,
    Normal,
    Output,
    Param,
    Residual,
    Route,
    Target,
    Values,
)

__all__ = ["DRUG"]

_TABLE_2 = "Andrews 2019 Table 2 'Final model', as transcribed in nlmixr2lib Andrews_2019_tacrolimus.R"
_TABLE_1 = "Andrews 2019 Table 1 (both centres), as transcribed in nlmixr2lib Andrews_2019_tacrolimus.R"
_CENTRE = (
    "typical value: centre in the control stream (Data S1); the virtual cohort spans the range over six standard "
    "deviations"
)


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL/F = 23.0 times powers of five covariates and two genotype factors; V1/F = 692 (LBM/58.94)^1.52."""
    cl = (
        theta["cl"]
        * theta["expresser_on_cl"] ** covariates["cyp3a5_expresser"]
        * theta["cyp3a4_22_on_cl"] ** covariates["cyp3a4_22"]
        * (covariates["age_y"] / 55.72) ** theta["age_on_cl"]
        * (covariates["alb_g_per_l"] / 42.0) ** theta["alb_on_cl"]
        * (covariates["bsa_m2"] / 1.93) ** theta["bsa_on_cl"]
        * (covariates["scr_umol_per_l"] / 134.98) ** theta["scr_on_cl"]
        * (covariates["hct_percent"] / 34.0) ** theta["hct_on_cl"]
    )
    return {
        "cl": cl,
        "v1": theta["v1"] * (covariates["lbm_kg"] / 58.94) ** theta["lbm_on_v1"],
        "q2": theta["q2"],
        "v2": theta["v2"],
        "ka": theta["ka"],
        "lag_depot": theta["lag"],
    }


def _whole_blood_ug_per_l(state: Values, p: Values) -> Array:
    return 1000.0 * state["central"] / p["v1"]


DRUG = DrugModel(
    name="tacrolimus-andrews2019",
    drug="tacrolimus",
    title="Tacrolimus in adults after kidney transplantation (Andrews 2019)",
    citation=(
        "Andrews LM, Hesselink DA, van Schaik RHN, van Gelder T, de Fijter JW, Lloberas N, Elens L, Moes DJAR, de "
        "Winter BCM. A population pharmacokinetic model to predict the individual starting dose of tacrolimus in "
        "adult renal transplant recipients. Br J Clin Pharmacol 2019;85(3):601-615."
    ),
    doi="10.1111/bcp.13838",
    population="337 adults in the first 3 months after kidney transplantation, 4,527 levels, Rotterdam and Leiden",
    molar_mass=MOLAR_MASSES["tacrolimus"],
    structure=Mammillary(peripherals=1, depot=True),
    thetas={
        "lag": Param(0.38, "h", _TABLE_2, "absorption lag"),
        "ka": Param(3.58, "1/h", _TABLE_2, "absorption rate constant"),
        "cl": Param(23.0, "L/h", _TABLE_2, "apparent clearance of the typical patient"),
        "v1": Param(692.0, "L", _TABLE_2, "apparent central volume at 58.94 kg of lean body mass"),
        "q2": Param(11.6, "L/h", _TABLE_2, "apparent intercompartmental clearance"),
        "v2": Param(5340.0, "L", _TABLE_2, "apparent peripheral volume"),
        "expresser_on_cl": Param(
            1.631, "1", "Andrews 2019 Equation 1 (nlmixr2lib)", "factor of CYP3A5*1 carriers on clearance"
        ),
        "cyp3a4_22_on_cl": Param(
            0.8, "1", "Andrews 2019 Equation 1 (nlmixr2lib)", "factor of CYP3A4*22 carriers on clearance"
        ),
        "age_on_cl": Param(-0.43, "1", _TABLE_2, "exponent of age / 55.72 years"),
        "alb_on_cl": Param(0.43, "1", _TABLE_2, "exponent of albumin / 42 g/L"),
        "bsa_on_cl": Param(0.88, "1", _TABLE_2, "exponent of body surface / 1.93 m2"),
        "scr_on_cl": Param(-0.14, "1", _TABLE_2, "exponent of serum creatinine / 134.98 umol/L"),
        "hct_on_cl": Param(-0.76, "1", _TABLE_2, "exponent of haematocrit / 34 %"),
        "lbm_on_v1": Param(1.52, "1", _TABLE_2, "exponent of lean body mass / 58.94 kg on central volume"),
    },
    parameters=parameters,
    etas=(
        Eta("cl", Param(38.6, "%", _TABLE_2, "between-subject CV of clearance"), kind="cv_exact"),
        Eta("v1", Param(49.2, "%", _TABLE_2, "between-subject CV of central volume"), kind="cv_exact"),
        Eta("v2", Param(53.0, "%", _TABLE_2, "between-subject CV of peripheral volume"), kind="cv_exact"),
        Eta("q2", Param(78.7, "%", _TABLE_2, "between-subject CV of intercompartmental clearance"), kind="cv_exact"),
    ),
    occasion_etas=(
        Eta(
            "cl", Param(13.6, "%", _TABLE_2, "inter-occasion CV of clearance; an occasion is a trough"), kind="cv_exact"
        ),
    ),
    covariates=(
        Covariate(
            name="age_y",
            unit="y",
            low=15.0,
            high=79.4,
            typical=55.72,
            source=f"{_TABLE_1}: 15.0-79.4; {_CENTRE}",
            meaning="age at transplantation",
            distribution=Normal(55.72, 10.7),
            column="AGE",
            aliases=AGE,
        ),
        Covariate(
            name="alb_g_per_l",
            unit="g/L",
            low=12.0,
            high=57.0,
            typical=42.0,
            source=f"{_TABLE_1}: 12-57; {_CENTRE}",
            meaning="serum albumin",
            distribution=Normal(42.0, 7.5),
            column="ALB",
        ),
        Covariate(
            name="bsa_m2",
            unit="m2",
            low=1.24,
            high=2.66,
            typical=1.93,
            source=f"{_TABLE_1}: 1.24-2.66; {_CENTRE}",
            meaning="body surface area",
            distribution=Normal(1.93, 0.24),
            column="BSA",
        ),
        Covariate(
            name="lbm_kg",
            unit="kg",
            low=33.1,
            high=85.3,
            typical=58.94,
            source=f"{_TABLE_1}: 33.1-85.3; {_CENTRE}, in proportion to body surface",
            meaning="lean body mass",
            distribution=Normal(lambda c: 58.94 * c["bsa_m2"] / 1.93, 4.7),
            column="LBM",
        ),
        Covariate(
            name="scr_umol_per_l",
            unit="umol/L",
            low=38.0,
            high=1885.0,
            typical=134.98,
            source=f"{_TABLE_1}: 38-1885; {_CENTRE}",
            meaning="serum creatinine",
            distribution=LogNormal(134.98, 0.65),
            column="SCR",
        ),
        Covariate(
            name="hct_percent",
            unit="%",
            low=15.0,
            high=80.0,
            typical=34.0,
            source=(
                f"{_TABLE_1}: 0.15-0.80 L/L; typical value: centre of Equation 1; the virtual cohort spans the lower "
                "half of the range over three standard deviations, since 80 % is an outlier"
            ),
            meaning="haematocrit",
            distribution=Normal(34.0, 6.3),
            column="HCT",
        ),
        Covariate(
            name="cyp3a5_expresser",
            unit="0/1",
            low=0.0,
            high=1.0,
            typical=0.0,
            source=f"{_TABLE_1}: 86 of 337",
            meaning="carries CYP3A5*1",
            distribution=Categorical((0.0, 1.0), (251 / 337, 86 / 337)),
            column="CYP3A5",
        ),
        Covariate(
            name="cyp3a4_22",
            unit="0/1",
            low=0.0,
            high=1.0,
            typical=0.0,
            source=f"{_TABLE_1}: 31 of 337",
            meaning="carries CYP3A4*22 (an unknown genotype counts as no)",
            distribution=Categorical((0.0, 1.0), (306 / 337, 31 / 337)),
            column="CYP3A4",
        ),
    ),
    outputs=(
        Output(
            name="concentration",
            unit="ug/L",
            residual=Residual(
                "proportional", proportional=Param(24.5, "%", _TABLE_2, "proportional residual SD, LC-MS/MS")
            ),
            value=_whole_blood_ug_per_l,
            auc_scale=1000.0,
            meaning="tacrolimus in whole blood by LC-MS/MS",
        ),
        Output(
            name="concentration_immunoassay",
            unit="ug/L",
            residual=Residual(
                "combined2",
                additive=Param(0.88, "ug/L", _TABLE_2, "additive residual SD, immunoassay"),
                proportional=Param(17.7, "%", _TABLE_2, "proportional residual SD, immunoassay"),
            ),
            value=_whole_blood_ug_per_l,
            auc_scale=1000.0,
            meaning="tacrolimus in whole blood by immunoassay",
        ),
    ),
    targets=(
        Target("concentration", "trough", 10.0, 15.0, "ug/L", "Andrews 2019, Rotterdam, weeks 1-2 (nlmixr2lib)"),
        Target("concentration", "trough", 8.0, 12.0, "ug/L", "Andrews 2019, Rotterdam, weeks 3-4 (nlmixr2lib)"),
        Target("concentration", "trough", 5.0, 10.0, "ug/L", "Andrews 2019, Rotterdam, after week 4 (nlmixr2lib)"),
    ),
    dosing=DosingOptions(
        routes=(Route("oral capsule", "depot"),),
        amounts_mg=tuple(0.5 * k for k in range(1, 31)),
        intervals_h=(12.0,),
        usual_dose_mg=7.5,
        source="Andrews 2019: 0.2 mg/kg a day in two doses, for 77 kg; 0.5 mg capsules",
    ),
    limits_of_use=(
        "adults in the first three months after kidney transplantation",
        "immediate-release capsules twice a day only",
    ),
    ambiguities=(
        "CVs are read as exact (nlmixr2lib); read as omega itself Q would have omega^2 = 0.619, not 0.482",
        (
            "Equation 1 rounds the centres of age and creatinine to 56 and 135; the control stream's 55.72 and "
            "134.98 are used"
        ),
        "the centre of lean body mass is given only in the control stream; its formula is not named",
        "Table 2 prints ka in L/h: a misprint for 1/h",
    ),
    second_source=(
        "no second transcription was read; effects stated in the Results (age 25 to 65: -34 %, surface 1.5 to 2.25: "
        "+43 %) agree"
    ),
)

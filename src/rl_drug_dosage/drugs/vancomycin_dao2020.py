"""Vancomycin in neonates, one compartment (Dao 2020)."""

from jaxtyping import Array

from rl_drug_dosage.drugs.shared.molar_mass import MOLAR_MASSES
from rl_drug_dosage.drugs.shared.spoken import WEIGHT
from rl_drug_dosage.pkpd import (
    Covariate,
    DosingOptions,
    DrugModel,
    Eta,
    LogNormal,
    Mammillary,
    Output,
    Param,
    Residual,
    Route,
    Target,
    Uniform,
    Values,
)

__all__ = ["DRUG"]

_TUCUXI = "Dao 2020, as transcribed by its first author in sotalya/tucuxi-drugs ch.tucuxi.vancomycin.dao2019.tdd"
_ABSTRACT = "Dao 2020, abstract"
_CHOICE = "typical value and virtual cohort: this project's choice"


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL = 0.273 WT^0.438 (54/SCR)^0.473 PMA^3.54 / (PMA^3.54 + 46.4^3.54); V = 0.628 WT; PMA in weeks."""
    mature = 1.0 / (1.0 + (theta["maturation_50"] / covariates["pma_weeks"]) ** theta["maturation_steepness"])
    renal = (54.0 / covariates["scr_umol_per_l"]) ** theta["scr_on_cl"]
    return {
        "cl": theta["cl"] * covariates["wt_kg"] ** theta["wt_on_cl"] * renal * mature,
        "v1": theta["v1"] * covariates["wt_kg"],
    }


DRUG = DrugModel(
    name="vancomycin-dao2020",
    drug="vancomycin",
    title="Vancomycin in neonates (Dao 2020)",
    citation=(
        "Dao K, Guidi M, Andre P, Giannoni E, Basterrechea S, Zhao W, Fuchs A, Pfister M, Buclin T, Csajka C. "
        "Optimisation of vancomycin exposure in neonates based on the best level of evidence. Pharmacol Res "
        "2020;154:104278 (online 2019)."
    ),
    doi="10.1016/j.phrs.2019.104278",
    population="405 neonates, 1,831 levels from routine monitoring, Lausanne",
    molar_mass=MOLAR_MASSES["vancomycin"],
    structure=Mammillary(),
    thetas={
        "cl": Param(0.273, "L/h", _TUCUXI, "mature clearance at 1 kg and creatinine 54 umol/L"),
        "wt_on_cl": Param(0.438, "1", _TUCUXI, "exponent of WT / 1 kg on clearance"),
        "scr_on_cl": Param(0.473, "1", _TUCUXI, "exponent of 54 umol/L over creatinine on clearance"),
        "maturation_50": Param(46.4, "weeks", _TUCUXI, "postmenstrual age at half maturation"),
        "maturation_steepness": Param(3.54, "1", _TUCUXI, "steepness of the maturation"),
        "v1": Param(0.628, "L/kg", _TUCUXI, "volume per kg of body weight"),
    },
    parameters=parameters,
    etas=(Eta("cl", Param(0.226, "1", _TUCUXI, "omega of log clearance"), kind="sd"),),
    covariates=(
        Covariate(
            name="pma_weeks",
            unit="weeks",
            low=24.0,
            high=69.0,
            typical=34.0,
            source=(
                "gestational age above 20 weeks and age up to 168 days are the domain of Tucuxi's file; limits within "
                f"it unverified; {_CHOICE}"
            ),
            meaning="postmenstrual age: gestational age at birth plus age since",
            distribution=Uniform(25.0, 44.0),
            column="PMA",
        ),
        Covariate(
            name="wt_kg",
            unit="kg",
            low=0.5,
            high=10.0,
            typical=2.0,
            source=f"up to 10 kg: domain of Tucuxi's file; lower limit unverified; {_CHOICE}",
            meaning="body weight",
            distribution=LogNormal(lambda drawn: 2.0 * (drawn["pma_weeks"] / 34.0) ** 3.0, 0.18),
            column="WT",
            aliases=WEIGHT,
        ),
        Covariate(
            name="scr_umol_per_l",
            unit="umol/L",
            low=9.0,
            high=250.0,
            typical=54.0,
            source=f"54 umol/L: centre of the formula; range unverified; {_CHOICE}",
            meaning="serum creatinine",
            distribution=LogNormal(54.0, 0.4),
            column="SCR",
        ),
    ),
    outputs=(
        Output(
            name="concentration",
            unit="mg/L",
            residual=Residual(
                "combined2",
                additive=Param(1.98, "mg/L", _TUCUXI, "additive residual standard deviation"),
                proportional=Param(0.236, "1", _TUCUXI, "proportional residual standard deviation"),
            ),
            meaning="vancomycin in plasma",
        ),
    ),
    targets=(
        Target("concentration", "auc24", 400.0, 700.0, "mg h/L", f"{_ABSTRACT}: AUC24 over MIC 400-700 h", aim=540.0),
        Target("concentration", "trough", 10.0, 20.0, "mg/L", f"{_ABSTRACT}: trough 10-20 mg/L"),
    ),
    dosing=DosingOptions(
        routes=(Route("1-h intravenous infusion", "central", 1.0),),
        amounts_mg=(
            *(float(x) for x in range(1, 21)),
            *(float(x) for x in range(22, 51, 2)),
            *(float(x) for x in range(55, 101, 5)),
            *(float(x) for x in range(110, 201, 10)),
        ),
        intervals_h=(12.0, 8.0, 18.0, 24.0, 6.0),
        usual_dose_mg=30.0,
        source=(
            "amounts, intervals and infusion of Tucuxi's file, 6 h added; 15 mg/kg at 2 kg is usual (this project's "
            "choice)"
        ),
    ),
    limits_of_use=("neonates and young infants up to 10 kg", "no dialysis, no extracorporeal circulation"),
    ambiguities=(
        (
            "the random effect of clearance enters as exp(eta): Tucuxi changed it in 2023, since the paper does not "
            "say whether it was proportional"
        ),
        "creatinine of 54 umol/L is 0.61 mg/dL in PKPDsim",
        "volume has no random effect: V varies with weight only",
    ),
    second_source=(
        "InsightRX/PKPDsim pk_vanco_dao.json5: all six fixed effects, omega^2 0.051076 = 0.226^2 and both errors "
        "equal; Tucuxi's NONMEM control stream for validation as well"
    ),
)

"""Docetaxel and neutrophils, Friberg chain (Kloft 2006 as used by Netterberg 2017) over Bruno's kinetics."""

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.pkpd import (
    Categorical,
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
    Values,
)
from rl_drug_dosage.pkpd.ode_models import friberg

__all__ = ["DRUG"]

_MODEL = (
    "DDMODEL00000224 control stream (values of Kloft 2006), as transcribed in nlmixr2lib Netterberg_2017_docetaxel.R"
)
_BRUNO = "Bruno 1996 (J Pharmacokinet Biopharm 24:153-172), as transcribed in radivot/myelo (friberg02, kloft06.R)"
_OZAWA = (
    "borrowed from Ozawa 2007 Table 2 (doi 10.1111/j.1349-7006.2007.00615.x), as transcribed in nlmixr2lib "
    "Ozawa_2007_docetaxel.R"
)
_COHORT = (
    "nlmixr2lib's virtual cohort (vignette Netterberg_2017_docetaxel); published ranges not found: limits unverified"
)


def _share(name: str, share: float, column: str, meaning: str) -> Covariate:
    return Covariate(
        name=name,
        unit="0/1",
        low=0.0,
        high=1.0,
        typical=0.0,
        source=_COHORT,
        meaning=meaning,
        distribution=Categorical((0.0, 1.0), (1.0 - share, share)),
        column=column,
    )


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """Baseline and slope with covariates; Bruno's rate constants as clearances and volumes; slope per mg/L."""
    deviation = covariates["aag_g_per_l"] - 1.34
    aag_on_circ0 = jnp.where(deviation > 0.0, theta["aag_above_on_circ0"], theta["aag_below_on_circ0"]) * deviation
    return {
        "cl": theta["k10"] * theta["v1"],
        "v1": theta["v1"],
        "q2": theta["k12"] * theta["v1"],
        "v2": theta["v1"] * theta["k12"] / theta["k21"],
        "q3": theta["k13"] * theta["v1"],
        "v3": theta["v1"] * theta["k13"] / theta["k31"],
        "circ0": theta["circ0"]
        * (1.0 + theta["female_on_circ0"] * covariates["female"])
        * (1.0 + theta["ecog_on_circ0"] * covariates["ecog_from_1"])
        * (1.0 + theta["prior_on_circ0"] * covariates["prior_therapy"])
        * (1.0 + aag_on_circ0),
        "mtt": theta["mtt"],
        "gamma": theta["gamma"],
        "slope": 1000.0 / theta["molar_mass"] * theta["slope"] * (1.0 + theta["aag_on_slope"] * deviation),
    }


DRUG = DrugModel(
    name="docetaxel-netterberg2017",
    drug="docetaxel",
    title="Docetaxel and neutropenia (Netterberg 2017, Kloft 2006)",
    citation=(
        "Netterberg I, Nielsen EI, Friberg LE, Karlsson MO. Model-based prediction of myelosuppression and "
        "recovery based on frequent neutrophil monitoring. Cancer Chemother Pharmacol 2017;80:343-353. "
        "Estimates: Kloft C, Wallin J, Henningsson A, Chatelut E, Karlsson MO. Population "
        "pharmacokinetic-pharmacodynamic model for neutropenia with patient subgroup identification: "
        "comparison across anticancer drugs. Clin Cancer Res 2006;12:5481-5490. Kinetics: Bruno R et al. J "
        "Pharmacokinet Biopharm 1996;24:153-172."
    ),
    doi="10.1007/s00280-017-3366-x",
    population="adults with cancer on docetaxel every 3 weeks (docetaxel arm of Kloft 2006; its size was not found)",
    structure=friberg(Mammillary(peripherals=2)),
    thetas={
        "v1": Param(7.4, "L", _BRUNO, "central volume"),
        "k10": Param(5.2, "1/h", _BRUNO, "elimination"),
        "k12": Param(1.06, "1/h", _BRUNO, "central to fast peripheral"),
        "k21": Param(1.51, "1/h", _BRUNO, "fast peripheral to central"),
        "k13": Param(1.26, "1/h", _BRUNO, "central to slow peripheral"),
        "k31": Param(0.084, "1/h", _BRUNO, "slow peripheral to central"),
        "circ0": Param(5.21965, "10^9/L", _MODEL, "neutrophils before therapy, men, ECOG 0, untreated, AAG 1.34 g/L"),
        "mtt": Param(84.1791, "h", _MODEL, "mean transit time from proliferating to circulating cells"),
        "slope": Param(15.5711, "L/umol", _MODEL, "inhibition of proliferation per umol/L of total docetaxel"),
        "gamma": Param(0.144543, "1", _MODEL, "exponent of the feedback"),
        "molar_mass": Param(808.0, "g/mol", _MODEL, "molar mass of docetaxel"),
        "aag_on_slope": Param(
            -0.350693, "L/g", _MODEL, "change of the slope per g/L of alpha-1 acid glycoprotein from 1.34"
        ),
        "prior_on_circ0": Param(-0.146837, "1", _MODEL, "change of the baseline after earlier anticancer therapy"),
        "ecog_on_circ0": Param(0.130406, "1", _MODEL, "change of the baseline at ECOG 1 or more"),
        "aag_below_on_circ0": Param(0.174677, "L/g", _MODEL, "change of the baseline per g/L of AAG up to 1.34"),
        "aag_above_on_circ0": Param(0.494618, "L/g", _MODEL, "change of the baseline per g/L of AAG above 1.34"),
        "female_on_circ0": Param(-0.121451, "1", _MODEL, "change of the baseline in women"),
    },
    parameters=parameters,
    etas=(
        Eta("circ0", Param(0.0639703, "1", _MODEL, "variance of ln baseline"), kind="var"),
        Eta("mtt", Param(0.0191785, "1", _MODEL, "variance of ln transit time"), kind="var"),
        Eta("slope", Param(0.128412, "1", _MODEL, "variance of ln slope"), kind="var"),
        Eta("cl", Param(39.9, "%", _OZAWA, "between-subject CV of clearance"), kind="cv_exact"),
        Eta("v1", Param(26.4, "%", _OZAWA, "between-subject CV of V1"), kind="cv_exact"),
    ),
    covariates=(
        _share("female", 0.5, "FEMALE", "sex: 0 male, 1 female"),
        _share("ecog_from_1", 0.3, "ECOG1", "ECOG performance status 1 or more"),
        _share("prior_therapy", 0.5, "PRIOR", "any previous anticancer therapy"),
        Covariate(
            name="aag_g_per_l",
            unit="g/L",
            low=0.51,
            high=2.54,
            typical=1.34,
            source=(
                "median 1.34 (DDMODEL00000224); range 0.51-2.41 in Ozawa 2007, one patient of the bundle has "
                f"2.54; drawn as in {_COHORT}"
            ),
            meaning="alpha-1 acid glycoprotein in serum",
            distribution=LogNormal(1.34, 0.4),
            column="AAG",
        ),
    ),
    outputs=(
        Output(
            "anc",
            "10^9/L",
            Residual("lognormal", proportional=Param(0.424093, "1", _MODEL, "residual sd of ln neutrophils")),
            lambda state, p: state["circ"],
            "absolute neutrophil count",
        ),
        Output(
            "concentration",
            "mg/L",
            Residual("proportional", proportional=Param(26.8, "%", _OZAWA, "residual CV")),
            meaning="total docetaxel in plasma",
        ),
    ),
    targets=(
        Target(
            "anc", "value", 0.5, None, "10^9/L", "below 0.5 is neutropenia of grade 4 (NCI common terminology criteria)"
        ),
    ),
    dosing=DosingOptions(
        routes=(Route("1-h intravenous infusion", "central", 1.0),),
        amounts_mg=tuple(float(amount) for amount in range(0, 241, 10)),
        intervals_h=(504.0,),
        usual_dose_mg=180.0,
        source=(
            "100 mg/m2 over 1 h every 3 weeks (label; Ozawa: 60 mg/m2 in Japan) at 1.8 m2, steps of 10 mg: this "
            "project's choice"
        ),
    ),
    limits_of_use=(
        "no growth factor support and no dexamethasone effect on neutrophils",
        (
            "inhibition is linear and unbounded: concentrations above 1 / slope (0.05 mg/L) make net proliferation "
            "negative"
        ),
        (
            "kinetics are those of a typical patient of about 1.8 m2: body size, liver function and AAG have no "
            "effect on clearance here"
        ),
    ),
    ambiguities=(
        (
            "Kloft 2006 took each patient's kinetics from Bruno's model; only its typical rate constants were "
            "found, so the variability of clearance and V1 and the residual error of levels are borrowed from Ozawa "
            "2007, which re-estimated that structure"
        ),
        (
            "radivot/myelo gives Kloft's docetaxel values as 5.3, 83.9 h, 14.5 L/umol and 0.144, without "
            "covariates; the values of the control stream are followed"
        ),
        "the paper gives gamma a variance of 0.0216; the control stream fixes it to 0, as does this file",
    ),
    second_source="radivot/myelo kloft06.R: same structure and kinetics, similar numbers; Ozawa 2007: similar kinetics",
)

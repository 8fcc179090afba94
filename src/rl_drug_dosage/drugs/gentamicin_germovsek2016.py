"""Gentamicin in neonates and infants, three compartments (Germovsek 2016)."""

from jaxtyping import Array

from rl_drug_dosage.drugs.shared.molar_mass import MOLAR_MASSES
from rl_drug_dosage.drugs.shared.spoken import WEIGHT
from rl_drug_dosage.pkpd import (
    Correlation,
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

_LST = "Germovsek 2016, NONMEM output of DDMODEL00000238, as transcribed in nlmixr2lib Germovsek_2016_gentamicin.R"
_MOD = "Germovsek 2016, control stream of DDMODEL00000238, as transcribed in nlmixr2lib Germovsek_2016_gentamicin.R"
_MEDIAN = "median of the data: simulated data of DDMODEL00000238 (nlmixr2lib); range from memory, unverified"
_CHOICE = "virtual cohort: this project's choice"


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL = 6.21 S^0.632 M B (SCR/usual)^-0.13; V1 = 26.5 S; V2 = 21.2 S; V3 = 148 S; Q = 2.15, 0.271 S^0.75; S = WT/70.

    M = PMA^3.33 / (PMA^3.33 + 55.4^3.33), PMA in weeks; B = PNA / (PNA + 1.70), PNA in days; the usual creatinine is
    166.48 - 2.8488 PMA umol/L.
    """
    pma, pna = covariates["pma_weeks"], covariates["pna_days"]
    size = covariates["wt_kg"] / 70.0
    mature = 1.0 / (1.0 + (theta["maturation_50"] / pma) ** theta["maturation_steepness"])
    born = pna / (pna + theta["pna_50"])
    usual = theta["usual_scr"] + theta["pma_on_scr"] * pma
    renal = (covariates["scr_umol_per_l"] / usual) ** theta["scr_on_cl"]
    exchange = size ** theta["wt_on_q"]
    return {
        "cl": theta["cl"] * size ** theta["wt_on_cl"] * mature * born * renal,
        "v1": theta["v1"] * size,
        "q2": theta["q2"] * exchange,
        "v2": theta["v2"] * size,
        "q3": theta["q3"] * exchange,
        "v3": theta["v3"] * size,
    }


DRUG = DrugModel(
    name="gentamicin-germovsek2016",
    drug="gentamicin",
    title="Gentamicin in neonates and infants (Germovsek 2016)",
    citation=(
        "Germovsek E, Kent A, Metsvaht T, Lutsar I, Klein N, Turner MA, Sharland M, Nielsen EI, Heath PT, Standing JF. "
        "Development and evaluation of a gentamicin pharmacokinetic model that facilitates opportunistic gentamicin "
        "therapeutic drug monitoring in neonates and infants. Antimicrob Agents Chemother 2016;60(8):4869-4877."
    ),
    doi="10.1128/AAC.00577-16",
    population="205 neonates and infants, 1,325 levels, three studies from Glasgow, Uppsala and Estonia",
    molar_mass=MOLAR_MASSES["gentamicin"],
    structure=Mammillary(peripherals=2),
    thetas={
        "cl": Param(6.21, "L/h", _LST, "clearance at 70 kg, mature, at the usual creatinine"),
        "v1": Param(26.5, "L", _LST, "central volume at 70 kg"),
        "q2": Param(2.15, "L/h", _LST, "clearance to the first peripheral compartment at 70 kg"),
        "v2": Param(21.2, "L", _LST, "first peripheral volume at 70 kg"),
        "q3": Param(0.271, "L/h", _LST, "clearance to the second peripheral compartment at 70 kg"),
        "v3": Param(148.0, "L", _LST, "second peripheral volume at 70 kg"),
        "maturation_50": Param(55.4, "weeks", f"{_LST} (fixed)", "postmenstrual age at half maturation"),
        "maturation_steepness": Param(3.33, "1", f"{_LST} (fixed)", "steepness of the maturation"),
        "pna_50": Param(1.70, "d", _LST, "postnatal age at half of the rise after birth"),
        "scr_on_cl": Param(-0.130, "1", _LST, "exponent of creatinine over the usual one on clearance"),
        "usual_scr": Param(166.48, "umol/L", _MOD, "usual creatinine, extrapolated to 0 weeks"),
        "pma_on_scr": Param(-2.8488, "umol/L/week", _MOD, "change of the usual creatinine per week of PMA"),
        "wt_on_cl": Param(0.632, "1", f"{_MOD} (fixed)", "exponent of WT / 70 kg on clearance"),
        "wt_on_q": Param(0.75, "1", f"{_MOD} (fixed)", "exponent of WT / 70 kg on intercompartmental clearances"),
    },
    parameters=parameters,
    etas=(
        Eta("cl", Param(0.175, "1", _LST, "variance of log clearance"), kind="var"),
        Eta("v1", Param(0.112, "1", _LST, "variance of log central volume"), kind="var"),
        Eta("v2", Param(0.132, "1", _LST, "variance of log first peripheral volume"), kind="var"),
        Eta("v3", Param(0.177, "1", _LST, "variance of log second peripheral volume"), kind="var"),
    ),
    correlations=(
        Correlation("cl", "v1", Param(0.116, "1", _LST, "covariance of log clearance and log volume"), kind="cov"),
    ),
    covariates=(
        Covariate(
            name="pma_weeks",
            unit="weeks",
            low=23.0,
            high=45.0,
            typical=33.0,
            source=f"{_MEDIAN}; {_CHOICE}",
            meaning="postmenstrual age: gestational age at birth plus age since",
            distribution=Uniform(25.0, 42.0),
            column="PMA",
        ),
        Covariate(
            name="pna_days",
            unit="d",
            low=0.5,
            high=66.0,
            typical=5.4,
            source=f"{_MEDIAN}; {_CHOICE}",
            meaning="age since birth",
            distribution=LogNormal(5.4, 0.8),
            column="PNA",
        ),
        Covariate(
            name="wt_kg",
            unit="kg",
            low=0.5,
            high=5.1,
            typical=2.12,
            source=f"{_MEDIAN}; {_CHOICE}, heavier with postmenstrual age around the median of 2.12 kg at 33 weeks",
            meaning="body weight",
            distribution=LogNormal(lambda drawn: 2.12 * (drawn["pma_weeks"] / 33.0) ** 3.0, 0.18),
            column="WT",
            aliases=WEIGHT,
        ),
        Covariate(
            name="scr_umol_per_l",
            unit="umol/L",
            low=8.0,
            high=200.0,
            typical=78.0,
            source=f"{_MEDIAN}; {_CHOICE}",
            meaning="serum creatinine; 166.48 - 2.8488 PMA where it is not known",
            distribution=LogNormal(lambda drawn: 166.48 - 2.8488 * drawn["pma_weeks"], 0.3),
            column="SCR",
        ),
    ),
    outputs=(
        Output(
            name="concentration",
            unit="mg/L",
            residual=Residual(
                "combined2",
                additive=Param(0.128, "mg/L", f"{_LST}: square root of SIGMA 0.0164", "additive residual SD"),
                proportional=Param(0.190, "1", f"{_LST}: square root of SIGMA 0.0360", "proportional residual SD"),
            ),
            meaning="gentamicin in plasma",
        ),
    ),
    targets=(
        Target(
            "concentration",
            "trough",
            None,
            2.0,
            "mg/L",
            "trough at most 2 mg/L (Bergenwall M et al. BMC Pediatr 2019;19:318, abstract: conventional target)",
        ),
        Target(
            "concentration",
            "peak",
            5.0,
            10.0,
            "mg/L",
            "peak 5-10 mg/L (Bergenwall M et al. BMC Pediatr 2019;19:318, abstract: conventional target)",
        ),
    ),
    dosing=DosingOptions(
        routes=(Route("30-min intravenous infusion", "central", 0.5), Route("5-min injection", "central", 1 / 12)),
        amounts_mg=(*(0.5 * x for x in range(2, 41)), *(float(x) for x in range(21, 36))),
        intervals_h=(36.0, 24.0, 48.0, 72.0),
        usual_dose_mg=8.5,
        source=(
            "4 mg/kg at 2.12 kg; extended intervals as in Bergenwall 2019; injections of 5 min in the simulated data "
            "of DDMODEL00000238; steps of 0.5 mg are this project's choice"
        ),
    ),
    limits_of_use=(
        "neonates and young infants; the usual creatinine falls to 0 at 58 weeks of postmenstrual age",
        "no therapeutic hypothermia, no indometacin or ibuprofen",
    ),
    ambiguities=(
        "age since birth of 0 gives a clearance of 0: at least half a day is asked for",
        "residual SDs are the square roots of the printed variances 0.0164 and 0.0360",
        "ranges of the covariates are not in the sources read",
    ),
    second_source=(
        "none besides nlmixr2lib, which was typed from the authors' NONMEM output in the DDMORE repository. Clearance "
        "and distribution volume of the typical neonate agree with two other populations: Thomson 1988 (0.053 L/h/kg, "
        "0.47 L/kg) and Narvey 2015 (0.043 L/h/kg, 0.58 L/kg)"
    ),
)

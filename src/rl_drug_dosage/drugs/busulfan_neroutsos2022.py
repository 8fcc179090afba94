"""Busulfan in children, two compartments, allometric in weight, without maturation (Neroutsos 2022)."""

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
    Values,
)

__all__ = ["DRUG"]

_LIB = "as transcribed in nlmixr2lib Neroutsos_2022_busulfan.R"
_TABLE_3 = f"Neroutsos 2022 Table 3, {_LIB}; the abstract agrees"
_ONLY_TABLE_3 = f"Neroutsos 2022 Table 3, {_LIB}"
_STREAM = f"Neroutsos 2022, control stream of the supplement, {_LIB}; the abstract agrees"
_TABLE_1 = f"Neroutsos 2022 Table 1, {_LIB}"


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL = 10.7 (WT/70)^0.75; V1 = 39.5 WT/70; Q = 4.68 (WT/70)^0.75; V2 = 17.5 WT/70."""
    size = covariates["wt_kg"] / 70.0
    exchange = size ** theta["wt_on_cl"]
    volume = size ** theta["wt_on_v"]
    return {
        "cl": theta["cl"] * exchange,
        "v1": theta["v1"] * volume,
        "q2": theta["q2"] * exchange,
        "v2": theta["v2"] * volume,
    }


DRUG = DrugModel(
    name="busulfan-neroutsos2022",
    drug="busulfan",
    title="Busulfan in children (Neroutsos 2022)",
    citation=(
        "Neroutsos E, Nalda-Molina R, Paisiou A, Zisaki K, Goussetis E, Spyridonidis A, Kitra V, Grafakos S, Valsami "
        "G, Dokoumetzidis A. Development of a population pharmacokinetic model of busulfan in children and evaluation "
        "of different sampling schedules for precision dosing. Pharmaceutics 2022;14(3):647."
    ),
    doi="10.3390/pharmaceutics14030647",
    population="76 children and adolescents (0.5-19 years, 7-104 kg), 596 levels, Agia Sofia Hospital, Athens",
    molar_mass=MOLAR_MASSES["busulfan"],
    structure=Mammillary(peripherals=1),
    thetas={
        "cl": Param(10.7, "L/h", _TABLE_3, "clearance at 70 kg"),
        "v1": Param(39.5, "L", _TABLE_3, "central volume at 70 kg"),
        "q2": Param(4.68, "L/h", _TABLE_3, "intercompartmental clearance at 70 kg"),
        "v2": Param(17.5, "L", _TABLE_3, "peripheral volume at 70 kg"),
        "wt_on_cl": Param(0.75, "1", _STREAM, "exponent of WT / 70 kg on clearances, fixed"),
        "wt_on_v": Param(1.0, "1", _STREAM, "exponent of WT / 70 kg on volumes, fixed"),
    },
    parameters=parameters,
    etas=(
        Eta("cl", Param(0.284, "1", _TABLE_3, "between-subject SD of ln CL"), kind="sd"),
        Eta("v1", Param(0.409, "1", _TABLE_3, "between-subject SD of ln V1"), kind="sd"),
    ),
    correlations=(
        Correlation("cl", "v1", Param(0.679, "1", _ONLY_TABLE_3, "correlation of ln CL and ln V1"), kind="corr"),
    ),
    occasion_etas=(Eta("cl", Param(0.105, "1", _TABLE_3, "inter-occasion SD of ln CL"), kind="sd"),),
    covariates=(
        Covariate(
            name="wt_kg",
            unit="kg",
            low=7.38,
            high=104.0,
            typical=30.6,
            source=(f"{_TABLE_1}: mean 30.6, SD 21.6, range 7.38-104; the cohort is log-normal with this mean and SD"),
            meaning="body weight",
            distribution=LogNormal(25.0, 0.636),
            column="WT",
            aliases=WEIGHT,
        ),
    ),
    outputs=(
        Output(
            name="concentration",
            unit="mg/L",
            residual=Residual(
                "proportional",
                proportional=Param(0.126, "1", _ONLY_TABLE_3, "proportional residual standard deviation"),
            ),
            meaning="busulfan in plasma",
        ),
    ),
    targets=(
        Target(
            "concentration",
            "auc_total",
            78.0,
            101.0,
            "mg h/L",
            "EBMT's window over the whole course, 78-101 mg h/L (Lawson R et al. Clin Pharmacokinet 2020, abstract)",
        ),
    ),
    dosing=DosingOptions(
        routes=(Route("2-h intravenous infusion", "central", 2.0), Route("3-h intravenous infusion", "central", 3.0)),
        amounts_mg=tuple(float(amount) for amount in range(2, 401, 2)),
        intervals_h=(6.0, 12.0, 24.0),
        usual_dose_mg=30.0,
        source=(
            f"Neroutsos 2022: 2-h infusions every 6 h, 0.95 mg/kg between 23 and 34 kg, {_LIB}; for 31 kg to the "
            "nearest 2 mg; the grid, and once or twice daily, are this project's choice"
        ),
    ),
    limits_of_use=(
        "children and adolescents before transplantation",
        "no change of clearance with age beyond weight, or in the course of treatment",
    ),
    ambiguities=(
        (
            "the syringe pump's lag of 5 to 40 min, supplied with the data and not estimated, is left out: it shifts "
            "an infusion and changes no area"
        ),
        "random effects are read as standard deviations on the log scale (nlmixr2lib); the abstract rounds them as CVs",
        "an occasion is a day with samples: the first and, for most, the second day",
    ),
    second_source="the paper's abstract: clearances, volumes, exponents, 28 and 41 % between, 11 % within patients",
)

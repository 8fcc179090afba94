"""Paclitaxel and leukocytes, the original Friberg chain (Friberg 2002)."""

from jaxtyping import Array

from rl_drug_dosage.drugs.shared.molar_mass import MOLAR_MASSES
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
from rl_drug_dosage.pkpd.ode_models import friberg

__all__ = ["DRUG"]

_MODEL = (
    "DDMODEL00000186 (Friberg 2002, paclitaxel and leukocytes), as transcribed in nlmixr2lib Friberg_2002_paclitaxel.R"
)
_MEDIAN = (
    "about the median of the individual values in DDMODEL00000186's simulated data set, as described in nlmixr2lib"
)


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """Convert the slope from per umol/L to per mg/L; everything else is unchanged."""
    return {
        "cl": theta["cl"],
        "v1": theta["v1"],
        "q2": theta["q2"],
        "v2": theta["v2"],
        "circ0": theta["circ0"],
        "mtt": theta["mtt"],
        "gamma": theta["gamma"],
        "slope": 1000.0 / theta["molar_mass"] * theta["slope"],
    }


DRUG = DrugModel(
    name="paclitaxel-friberg2002",
    drug="paclitaxel",
    title="Paclitaxel and leukopenia (Friberg 2002)",
    citation=(
        "Friberg LE, Henningsson A, Maas H, Nguyen L, Karlsson MO. Model of chemotherapy-induced "
        "myelosuppression with parameter consistency across drugs. J Clin Oncol 2002;20:4713-4721."
    ),
    doi="10.1200/JCO.2002.02.140",
    population="about 45 adults with cancer, 3-h infusions over several courses",
    molar_mass=MOLAR_MASSES["paclitaxel"],
    structure=friberg(Mammillary(peripherals=1)),
    thetas={
        "cl": Param(285.0, "L/h", _MEDIAN, "clearance", unverified=True),
        "v1": Param(290.0, "L", _MEDIAN, "central volume", unverified=True),
        "v2": Param(995.0, "L", _MEDIAN, "peripheral volume", unverified=True),
        "q2": Param(204.0, "L/h", _MODEL, "intercompartmental clearance, fixed"),
        "circ0": Param(7.21, "10^9/L", _MODEL, "leukocytes before therapy"),
        "mtt": Param(124.0, "h", _MODEL, "mean transit time from proliferating to circulating cells"),
        "slope": Param(28.9, "L/umol", _MODEL, "inhibition of proliferation per umol/L"),
        "gamma": Param(0.239, "1", _MODEL, "exponent of the feedback"),
        "molar_mass": Param(853.9, "g/mol", _MODEL, "molar mass of paclitaxel"),
    },
    parameters=parameters,
    etas=(
        Eta(
            "cl",
            Param(
                0.28,
                "1",
                "not published: ln(540 / 160) over the 4.4 standard deviations that 46 normal values span on average; "
                "individual clearances of DDMODEL00000186, 160-540 L/h in 46 subjects, as described in nlmixr2lib",
                "SD of ln CL",
                unverified=True,
            ),
            kind="sd",
        ),
        Eta("circ0", Param(0.107, "1", _MODEL, "variance of ln baseline"), kind="var"),
        Eta("mtt", Param(0.0296, "1", _MODEL, "variance of ln transit time"), kind="var"),
        Eta("slope", Param(0.176, "1", _MODEL, "variance of ln slope"), kind="var"),
    ),
    covariates=(),
    outputs=(
        Output(
            "leukocytes",
            "10^9/L",
            Residual("proportional", proportional=Param(0.286, "1", _MODEL, "residual SD, as a fraction")),
            lambda state, p: state["circ"],
            "circulating leukocytes",
        ),
        Output("concentration", "mg/L", None, meaning="paclitaxel that drives the effect, presumably unbound"),
    ),
    targets=(
        Target(
            "leukocytes",
            "value",
            1.0,
            None,
            "10^9/L",
            "below 1.0 is leukopenia of grade 4 (NCI common terminology criteria)",
        ),
    ),
    dosing=DosingOptions(
        routes=(Route("3-h intravenous infusion", "central", 3.0),),
        amounts_mg=tuple(float(amount) for amount in range(0, 451, 10)),
        intervals_h=(504.0,),
        usual_dose_mg=320.0,
        source=(
            "3-h infusions of about 160-450 mg in DDMODEL00000186; every 3 weeks and steps of 10 mg: this "
            "project's choice"
        ),
    ),
    limits_of_use=(
        (
            "individual kinetics were an input of the analysis: the typical values are approximate, the spread of "
            "clearance comes from a range, and volumes have none"
        ),
        "leukocytes, not neutrophils",
        "no growth factor support; inhibition is linear and unbounded",
    ),
    ambiguities=(
        (
            "a clearance of 285 L/h is more than ten times that of total paclitaxel, so the driving concentration "
            "is presumably unbound; the sources that were read do not say so"
        ),
        "the refit in the repository gives 123 h, 28.7 L/umol and 0.238; the published 124, 28.9 and 0.239 are used",
    ),
    second_source="the Friberg example of nlmixr (same 7.21, 124 h, 28.9); no second source for the kinetics",
)

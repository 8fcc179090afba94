"""Ciclosporin in adults after stem cell transplantation, two compartments (Wilhelm 2012)."""

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

__all__ = ["DRUG"]

_TABLE_3 = "Wilhelm 2012 Table 3, as transcribed in nlmixr2lib Wilhelm_2012_ciclosporin.R"
_METHODS = "Wilhelm 2012 Methods, as transcribed in nlmixr2lib Wilhelm_2012_ciclosporin.R"


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL = 21.9; V1 = 16.6; Q = 24.2; V2 = 59.0; ka = 0.280; F = 0.710; lag 0.440 h. No covariates were retained."""
    return {
        "cl": theta["cl"],
        "v1": theta["v1"],
        "q2": theta["q2"],
        "v2": theta["v2"],
        "ka": theta["ka"],
        "f_depot": theta["f"],
        "lag_depot": theta["lag"],
    }


def _cv(parameter: str, percent: float, meaning: str) -> Eta:
    return Eta(parameter, Param(percent, "%", _TABLE_3, f"between-subject CV of {meaning}"), kind="cv_exact")


DRUG = DrugModel(
    name="ciclosporin-wilhelm2012",
    drug="ciclosporin",
    title="Ciclosporin in adults after stem cell transplantation (Wilhelm 2012)",
    citation=(
        "Wilhelm AJ, de Graaf P, Veldkamp AI, Janssen JJWM, Huijgens PC, Swart EL. Population pharmacokinetics of "
        "ciclosporin in haematopoietic allogeneic stem cell transplantation with emphasis on limited sampling "
        "strategy. Br J Clin Pharmacol 2012;73(4):553-563 (online 2011)."
    ),
    doi="10.1111/j.1365-2125.2011.04116.x",
    population=(
        "20 adults (37-66 years, 53-110 kg) after allogeneic stem cell transplantation, all on fluconazole, Amsterdam"
    ),
    molar_mass=MOLAR_MASSES["ciclosporin"],
    structure=Mammillary(peripherals=1, depot=True),
    thetas={
        "cl": Param(21.9, "L/h", f"Wilhelm 2012, abstract; {_TABLE_3}", "clearance from whole blood"),
        "v1": Param(16.6, "L", _TABLE_3, "central volume"),
        "q2": Param(24.2, "L/h", _TABLE_3, "intercompartmental clearance"),
        "v2": Param(59.0, "L", _TABLE_3, "peripheral volume"),
        "ka": Param(0.280, "1/h", _TABLE_3, "absorption from capsules"),
        "f": Param(0.710, "1", _TABLE_3, "oral bioavailability"),
        "lag": Param(0.440, "h", _TABLE_3, "lag of absorption"),
    },
    parameters=parameters,
    etas=(
        _cv("cl", 22.2, "clearance"),
        _cv("v1", 26.9, "central volume"),
        _cv("q2", 28.2, "intercompartmental clearance"),
        _cv("v2", 30.6, "peripheral volume"),
        _cv("ka", 43.8, "absorption"),
        _cv("f_depot", 25.0, "bioavailability"),
        _cv("lag_depot", 18.1, "lag"),
    ),
    covariates=(),
    outputs=(
        Output(
            name="concentration",
            unit="ug/L",
            residual=Residual(
                "combined2",
                additive=Param(65.0, "ug/L", _TABLE_3, "additive residual standard deviation"),
                proportional=Param(8.8, "%", _TABLE_3, "proportional residual standard deviation"),
            ),
            value=lambda state, p: 1000.0 * state["central"] / p["v1"],
            meaning="ciclosporin in whole blood by immunoassay",
            auc_scale=1000.0,
        ),
    ),
    targets=(
        Target("concentration", "trough", 200.0, 400.0, "ug/L", f"trough the patients were dosed to: {_METHODS}"),
    ),
    dosing=DosingOptions(
        routes=(Route("capsule (microemulsion)", "depot"), Route("3-h intravenous infusion", "central", 3.0)),
        amounts_mg=tuple(float(amount) for amount in range(25, 501, 25)),
        intervals_h=(12.0, 8.0, 24.0),
        usual_dose_mg=225.0,
        source=(
            f"2.5 mg/kg by vein, then 2.77 mg/kg by mouth twice a day ({_METHODS}), at the median of 84 kg; steps of "
            "the 25-mg capsule"
        ),
    ),
    limits_of_use=(
        "20 adults, all on fluconazole, which slows CYP3A4",
        "weight, body surface and co-medication were tested and found without effect: not for children",
        "fluorescence polarisation immunoassay, which reads some metabolites",
    ),
    ambiguities=(
        "V1 is 18.3 L and the CV of clearance 21 % in the abstract, 16.6 L and 22.2 % in Table 3, which is followed",
        "the full covariance matrix was estimated but not printed: random effects are independent here",
        "CVs are read as exact, since the Methods say log-normal; the error as variances added",
    ),
    second_source="abstract: clearance 21.9 L/h with a CV of 21 %, two compartments, first-order absorption with a lag",
)

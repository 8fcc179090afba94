"""The codes that a FHIR bundle is read by: LOINC for what was measured, UCUM for units, SNOMED CT and RxNorm for drugs.

LOINC codes and their display names are as found in public code lists (MIMIC's d_labitems, MIRACUM's mapping of German
laboratory codes, open catalogues of hospital laboratories), not checked against LOINC's own release. A code that is not
here is named in the notes of the history, and not read.
"""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["LOINC", "RXNORM", "SNOMED_ROUTES", "UCUM", "Coded"]


@dataclass(frozen=True)
class Coded:
    """What a LOINC code means here.

    Args:
        display: LOINC's long common name.
        covariate: the key in a patient file; empty for a level.
        drug: the first word of the drug's name, for a level of the drug; ``"warfarin"`` for INR.
        output: the model's output; empty: its first.
    """

    display: str
    covariate: str = ""
    drug: str = ""
    output: str = ""


_IN_SERUM = "[Mass/volume] in Serum or Plasma"

LOINC: Mapping[str, Coded] = {
    "29463-7": Coded("Body weight", covariate="weight"),
    "8302-2": Coded("Body height", covariate="height"),
    "2160-0": Coded(f"Creatinine {_IN_SERUM}", covariate="creatinine"),
    "38483-4": Coded("Creatinine [Mass/volume] in Blood", covariate="creatinine"),
    "14682-9": Coded("Creatinine [Moles/volume] in Serum or Plasma", covariate="creatinine"),
    "2164-2": Coded("Creatinine renal clearance in 24 hour Urine and Serum or Plasma", covariate="crcl"),
    "35591-7": Coded("Creatinine renal clearance predicted by Cockcroft-Gault formula", covariate="crcl"),
    "1751-7": Coded(f"Albumin {_IN_SERUM}", covariate="albumin"),
    "4544-3": Coded("Hematocrit [Volume Fraction] of Blood by Automated count", covariate="hematocrit"),
    "20578-1": Coded(f"Vancomycin {_IN_SERUM}", drug="vancomycin"),
    "4090-7": Coded(f"Vancomycin {_IN_SERUM} --peak", drug="vancomycin"),
    "4092-3": Coded(f"Vancomycin {_IN_SERUM} --trough", drug="vancomycin"),
    "35668-3": Coded(f"Gentamicin {_IN_SERUM}", drug="gentamicin"),
    "3663-2": Coded(f"Gentamicin {_IN_SERUM} --peak", drug="gentamicin"),
    "3665-7": Coded(f"Gentamicin {_IN_SERUM} --trough", drug="gentamicin"),
    "35670-9": Coded(f"Tobramycin {_IN_SERUM}", drug="tobramycin"),
    "4057-6": Coded(f"Tobramycin {_IN_SERUM} --peak", drug="tobramycin"),
    "4059-2": Coded(f"Tobramycin {_IN_SERUM} --trough", drug="tobramycin"),
    "35669-1": Coded(f"Amikacin {_IN_SERUM}", drug="amikacin"),
    "11253-2": Coded("Tacrolimus [Mass/volume] in Blood", drug="tacrolimus"),
    "3520-4": Coded("Cyclosporine [Mass/volume] in Blood", drug="ciclosporin"),
    "10535-3": Coded(f"Digoxin {_IN_SERUM}", drug="digoxin"),
    "3968-5": Coded(f"Phenytoin {_IN_SERUM}", drug="phenytoin"),
    "38370-3": Coded(f"Voriconazole {_IN_SERUM}", drug="voriconazole"),
    "39803-2": Coded(f"inFLIXimab {_IN_SERUM}", drug="infliximab"),
    "14836-1": Coded("Methotrexate [Moles/volume] in Serum or Plasma", drug="methotrexate"),
    "6301-6": Coded("INR in Platelet poor plasma by Coagulation assay", drug="warfarin", output="inr"),
}
"""LOINC code -> meaning."""

UCUM: Mapping[str, str] = {
    **{
        unit: unit for unit in ("kg", "g", "mg", "ug", "ng", "mol", "mmol", "umol", "nmol", "cm", "m", "m2", "h", "min")
    },
    **{unit: unit for unit in ("mg/L", "ug/L", "ng/L", "g/L", "mg/dL", "g/dL", "mg/mL", "ug/mL", "ng/mL", "ug/dL")},
    **{
        unit: unit for unit in ("mmol/L", "umol/L", "nmol/L", "mL/min", "L/h", "kPa", "%", "1", "mg/h", "g/h", "mg/min")
    },
    "mL/min/{1.73_m2}": "mL/min/1.73m2",
    "mL/min/1.73.m2": "mL/min/1.73m2",
    "[lb_av]": "lb",
    "[oz_av]": "oz",
    "[in_i]": "in",
    "[ft_i]": "ft",
    "[IU]": "IU",
    "[iU]": "IU",
    "U": "IU",
    "[IU]/L": "IU/L",
    "[iU]/L": "IU/L",
    "U/L": "IU/L",
    "[IU]/mL": "IU/mL",
    "[iU]/mL": "IU/mL",
    "{INR}": "1",
    "L/L": "1",
    "a": "y",
    "mo": "months",
    "wk": "weeks",
    "d": "days",
    "s": "s",
    "mm[Hg]": "mmHg",
    "10*9/L": "10^9/L",
    "10*3/uL": "10^3/uL",
}
"""UCUM code -> the unit as a patient file writes it. From the Unified Code for Units of Measure, ucum.org."""

SNOMED_ROUTES: Mapping[str, str] = {"26643006": "oral", "47625008": "intravenous"}
"""SNOMED CT: oral route, intravenous route."""

RXNORM: Mapping[str, str] = {"11124": "vancomycin"}
"""RxNorm ingredient -> first word of the drug's name, as read in a public viewer of records; other drugs go by text."""

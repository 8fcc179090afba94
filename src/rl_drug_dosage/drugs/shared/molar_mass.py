"""Molar masses of what laboratories measure, for levels in mmol/L, µmol/L and nmol/L.

Each is the sum of the standard atomic weights (IUPAC, conventional values of 2021) over the molecular formula, which is
that of the free base or acid: what is measured carries no counter-ion.
"""

import re
from collections.abc import Mapping

from rl_drug_dosage.pkpd import Param

__all__ = ["MOLAR_MASSES", "molar_mass_of"]

_ATOMIC_WEIGHTS = {"C": 12.011, "Cl": 35.45, "F": 18.998, "H": 1.008, "N": 14.007, "O": 15.999, "S": 32.06}


def molar_mass_of(formula: str) -> float:
    """g/mol of a molecular formula, ``"C6H12O6"``, rounded to 0.01."""
    parts = re.findall(r"([A-Z][a-z]?)(\d*)", formula)
    return round(sum(_ATOMIC_WEIGHTS[element] * int(count or 1) for element, count in parts), 2)


def _mass(formula: str, source: str, meaning: str = "") -> Param:
    return Param(molar_mass_of(formula), "g/mol", f"{formula}: {source}", meaning or "molar mass")


MOLAR_MASSES: Mapping[str, Param] = {
    "amikacin": _mass("C22H43N5O13", "Kucers' The Use of Antibiotics, chapter 54 (585.6)"),
    "busulfan": _mass("C6H14O6S2", "USP 35 (246.30)"),
    "cefepime": _mass("C19H24N6O5S2", "DrugBank (480.561)"),
    "ciclosporin": _mass("C62H111N11O12", "PubChem CID 5284373 (1202.6)"),
    "digoxin": _mass("C41H64O14", "PubChem CID 2724385 (780.9)"),
    "gentamicin": _mass(
        "C21H43N5O7",
        "DrugBank DB00798 (477.6). Gentamicin is a mixture of C1, C2 and C1a, 477, 463 and 449 g/mol (Kucers, chapter "
        "52); the usual factor of 2.09 µmol/mg (ASHP, therapeutic ranges in SI units) is that of C1",
        "molar mass of gentamicin C1, by which laboratories convert",
    ),
    "glucose": _mass("C6H12O6", "molecular formula of D-glucose"),
    "imatinib": _mass("C29H31N7O", "PubChem CID 5291 (493.6)"),
    "linezolid": _mass("C16H20FN3O4", "PubChem CID 441401 (337.35)"),
    "meropenem": _mass("C17H25N3O5S", "DrugBank (383.463)"),
    "methotrexate": _mass("C20H22N8O5", "molecular formula (454.44, as in the model's control stream)"),
    "mycophenolic acid": _mass("C17H20O6", "DrugBank (320.3371)", "molar mass of mycophenolic acid, which is measured"),
    "paclitaxel": _mass("C47H51NO14", "molecular formula (853.9, as in the model's control stream)"),
    "phenytoin": _mass("C15H12N2O2", "ASHP, therapeutic ranges in SI units (3.964 µmol/mg)"),
    "piperacillin": _mass("C23H27N5O7S", "DrugBank (517.555)"),
    "tacrolimus": _mass(
        "C44H69NO12",
        "DrugBank (804.0182), PubChem CID 445643. ASHP's factor of 1.217 µmol/mg belongs to the monohydrate, 822 g/mol",
        "molar mass of anhydrous tacrolimus",
    ),
    "tobramycin": _mass("C18H37N5O9", "Merck Index, as quoted (467.5)"),
    "vancomycin": _mass("C66H75Cl2N9O24", "USP 35 (1449.25)"),
    "voriconazole": _mass("C16H14F3N5O", "Vfend, prescribing information (349.3)"),
}
"""By substance. One that is not here has no levels in moles."""

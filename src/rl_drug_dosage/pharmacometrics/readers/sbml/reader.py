"""Reader of SBML models through libsbml: compartments, species, parameters, rules, reactions; no random effects.

Contents of the differential equations are amounts of species. Where a formula of the file reads a species, it reads a
concentration unless the file says ``hasOnlySubstanceUnits``, as the specification has it. Events, algebraic rules,
delays, fast reactions and required packages are refused by the id of their element. Time, dose and concentration have
the units that the file declares; where it declares none, they are asked for.
"""

from pathlib import Path
from typing import Any

from rl_drug_dosage.pharmacometrics.readers.sbml.guard import guard
from rl_drug_dosage.pharmacometrics.readers.sbml.model import written_model
from rl_drug_dosage.pharmacometrics.readers.sbml.parts import flatten, guard_parts
from rl_drug_dosage.pharmacometrics.readers.source_text import Place, read_text, refused
from rl_drug_dosage.pharmacometrics.readers.written import ReadError, WrittenModel

__all__ = ["read"]

_PACKAGES = ("comp", "distrib", "l3v2extendedmath")
"""Packages that may be required: models in models, uncertainties, and further functions. What a formula reads of a
distribution is refused where it stands."""


def read(path: Path) -> WrittenModel:
    """Read an SBML file of Level 1, 2 or 3.

    Args:
        path: an ``.xml`` or ``.sbml`` file.

    Raises:
        ReadError: by file, line and column: no SBML, an inconsistent file, or something that is not supported; or
            libsbml is not installed.
    """
    text = read_text(path)
    guard(str(path), text)
    libsbml = _libsbml(path)
    document = libsbml.readSBMLFromString(text)
    _refuse_errors(str(path), document, libsbml)
    for plugin in range(document.getNumPlugins()):
        package = document.getPlugin(plugin).getPackageName()
        # In Level 2, layouts are annotations that are called required.
        if document.getLevel() >= 3 and package not in _PACKAGES and document.getPkgRequired(package):
            came = f"package {package!r}, which changes what the model means"
            raise refused(str(path), Place(1, 1), came, f"SBML with {', '.join(_PACKAGES)}", "leave it out")
    guard_parts(str(path), document)
    if document.getModel() is None:
        raise refused(str(path), Place(1, 1), "SBML without a model", "a model", "add it")
    for category in (
        libsbml.LIBSBML_CAT_UNITS_CONSISTENCY,
        libsbml.LIBSBML_CAT_MODELING_PRACTICE,
        libsbml.LIBSBML_CAT_SBO_CONSISTENCY,
        libsbml.LIBSBML_CAT_OVERDETERMINED_MODEL,
    ):
        document.setConsistencyChecks(category, False)
    document.checkConsistency()
    _refuse_errors(str(path), document, libsbml)
    flatten(str(path), document, libsbml)
    return written_model(str(path), path.stem, document.getModel(), libsbml)


def _libsbml(path: Path) -> Any:
    try:
        import libsbml
    except ImportError:
        raise ReadError(
            f"{path} is SBML, which is read by python-libsbml, and that is not installed: install the extra 'sbml' "
            "(pip install 'rl-drug-dosage[sbml]')"
        ) from None
    return libsbml


def _refuse_errors(path: str, document: Any, libsbml: Any) -> None:
    for i in range(document.getNumErrors()):
        error = document.getError(i)
        if error.getSeverity() >= libsbml.LIBSBML_SEV_ERROR:
            came = " ".join(error.getShortMessage().split()) or "an error"
            words = " ".join(error.getMessage().split())
            place = Place(max(error.getLine(), 1), max(error.getColumn(), 1))
            raise refused(path, place, f"{came}: {words[:300]}", "valid SBML", "correct the file")

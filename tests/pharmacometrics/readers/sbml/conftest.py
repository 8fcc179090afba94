"""What the tests of this reader share: small SBML files; `statement_values` lies in the folder above."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

CORE = "http://www.sbml.org/sbml/level3/version1/core"
HEAD = f'<?xml version="1.0" encoding="UTF-8"?>\n<sbml xmlns="{CORE}" level="3" version="1">\n'
LISTS = (
    "FunctionDefinitions", "UnitDefinitions", "Compartments", "Species", "Parameters", "InitialAssignments", "Rules",
    "Constraints", "Reactions", "Events",
)  # fmt: skip


def _formula(written: str) -> str:
    """MathML of a formula in libsbml's own words."""
    libsbml = pytest.importorskip("libsbml")
    tree = libsbml.parseL3Formula(written)
    assert tree is not None, written
    text = libsbml.writeMathMLToString(tree)
    return str(text).split("?>", 1)[1].strip()


def _reaction(name: str, law: str, takes: str = "", gives: str = "", more: str = "", reads: str = "") -> str:
    """``takes`` and ``gives``: species, with a number before it if it is not 1."""

    def side(kind: str, words: str) -> str:
        refs = ""
        for word in words.split():
            count, _, species = word.rpartition("*")
            refs += f'<speciesReference species="{species}" stoichiometry="{count or 1}" constant="true"/>'
        return f"<listOf{kind}>{refs}</listOf{kind}>" if refs else ""

    modifiers = "".join(f'<modifierSpeciesReference species="{name}"/>' for name in reads.split())
    modifiers = f"<listOfModifiers>{modifiers}</listOfModifiers>" if modifiers else ""
    local = f"<listOfLocalParameters>{more}</listOfLocalParameters>" if more else ""
    return (
        f'<reaction id="{name}" reversible="false" fast="false">{side("Reactants", takes)}{side("Products", gives)}'
        f"{modifiers}<kineticLaw>{_formula(law)}{local}</kineticLaw></reaction>"
    )


def _species(name: str, volume: str = "V", **given: str) -> str:
    flags = {
        "hasOnlySubstanceUnits": "false", "boundaryCondition": "false", "constant": "false", "compartment": volume,
    } | given  # fmt: skip
    return f'<species id="{name}" ' + " ".join(f'{key}="{value}"' for key, value in flags.items()) + "/>"


def _parameter(name: str, value: float | None, *, constant: bool = True, units: str = "") -> str:
    number = "" if value is None else f'value="{value}" '
    return f'<parameter id="{name}" {number}{units}constant="{str(constant).lower()}"/>'


class Written:
    """Words of a small file."""

    formula = staticmethod(_formula)
    reaction = staticmethod(_reaction)
    species = staticmethod(_species)
    parameter = staticmethod(_parameter)

    @staticmethod
    def rule(kind: str, name: str, formula: str) -> str:
        return f'<{kind}Rule variable="{name}">{_formula(formula)}</{kind}Rule>'

    @staticmethod
    def initial(name: str, formula: str) -> str:
        return f'<initialAssignment symbol="{name}">{_formula(formula)}</initialAssignment>'

    @staticmethod
    def function(name: str, arguments: str, formula: str) -> str:
        body = _formula(f"lambda({arguments}, {formula})")
        return f'<functionDefinition id="{name}">{body}</functionDefinition>'

    @staticmethod
    def compartment(name: str = "V", size: float | None = 2.0, *, constant: bool = True, dimensions: int = 3) -> str:
        given = "" if size is None else f'size="{size}" '
        return f'<compartment id="{name}" {given}spatialDimensions="{dimensions}" constant="{str(constant).lower()}"/>'


@pytest.fixture
def w() -> Written:
    pytest.importorskip("libsbml")
    return Written()


@pytest.fixture
def sbml(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file of lists: ``sbml(Species=..., Reactions=...)``."""

    def write(model: str = 'id="own"', **lists: str) -> Path:
        body = "\n".join(f"<listOf{name}>{lists[name]}</listOf{name}>" for name in LISTS if lists.get(name))
        path = tmp_path / "own.xml"
        path.write_text(f"{HEAD}<model {model}>\n{body}\n</model></sbml>")
        return path

    return write


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)

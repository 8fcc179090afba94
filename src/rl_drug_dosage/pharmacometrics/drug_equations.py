"""The equations of a drug model, from its structure and from its own functions."""

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterable
from typing import Any

from rl_drug_dosage.pharmacometrics.readers.bridge.callables import FromFile
from rl_drug_dosage.pkpd import DrugModel, LinearSystem, Mammillary, OdeSystem

__all__ = ["equations"]


def equations(model: DrugModel) -> Iterable[str]:
    """Lines of text, in the names that the drug file uses."""
    structure = model.structure
    if isinstance(structure, Mammillary):
        yield from _mammillary(structure)
    elif isinstance(structure, LinearSystem):
        yield f"dx/dt = A x over {', '.join(structure.compartments)}, by matrix exponential"
        yield from _explained(structure.matrix)
    elif isinstance(structure, OdeSystem):
        if structure.pk is not None:
            yield from _mammillary(structure.pk)
        yield f"{'then, ' if structure.pk else ''}by numerical integration, over {', '.join(structure.states)}:"
        yield from _explained(structure.rhs)
    yield from ("", "Typical parameters (mg, L, h):")
    yield from _explained(model.parameters)
    if model.finish is not DrugModel.finish:
        yield from ("", "After the random effects:")
        yield from _explained(model.finish)
    typical = ", ".join(f"{name} {value:.4g}" for name, value in model.typical().items())
    yield from ("", f"Typical patient: {typical}")


def _mammillary(structure: Mammillary) -> Iterable[str]:
    """The differential equations that the closed form solves."""
    names = [f"peripheral{i}" for i in range(1, structure.peripherals + 1)]
    inflow = ["ka depot"] if structure.depot else []
    if structure.depot:
        yield "d depot/dt = -ka depot"
    inflow += [f"q{i}/v{i} {name}" for i, name in enumerate(names, start=2)]
    outflow = " + ".join(["cl/v1", *(f"q{i}/v1" for i in range(2, structure.peripherals + 2))])
    outflow = f"({outflow})" if names else outflow
    yield f"d central/dt = {' + '.join(inflow)}{' ' if inflow else ''}-{' ' if inflow else ''}{outflow} central"
    for i, name in enumerate(names, start=2):
        yield f"d {name}/dt = q{i}/v1 central - q{i}/v{i} {name}"
    if structure.effect:
        yield "d effect/dt = ke0 (central/v1 - effect)"


def _explained(function: Callable[..., Any]) -> Iterable[str]:
    """What a function says of itself, and then exactly: its own lines."""
    if isinstance(function, FromFile):
        yield from function.lines()
        return
    yield from _doc(function)
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except OSError:  # installed without sources
        return
    node = ast.parse(source).body[0]
    assert isinstance(node, ast.FunctionDef)
    body = node.body[1:] if ast.get_docstring(node) else node.body
    lines = source.splitlines()[body[0].lineno - 1 : node.end_lineno]
    yield from textwrap.indent(textwrap.dedent("\n".join(lines)), "    ").splitlines()


def _doc(function: Callable[..., Any]) -> list[str]:
    """A function's docstring; of an inner function without one, that of the function that makes it."""
    text = inspect.getdoc(function)
    if text is None:
        maker = getattr(sys.modules[function.__module__], function.__qualname__.partition(".")[0], None)
        text = inspect.getdoc(maker) if maker is not None else None
    return [line.replace("`", "") for line in (text or "").splitlines() if line.strip()]

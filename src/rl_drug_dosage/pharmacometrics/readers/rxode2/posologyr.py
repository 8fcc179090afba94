"""Models of posologyr in its older form: an R list with the mini model, theta, omega, sigma and the residual error."""

from collections.abc import Mapping

import numpy as np

from rl_drug_dosage.pharmacometrics.readers.expressions import Name, Num
from rl_drug_dosage.pharmacometrics.readers.rxode2.constants import constant
from rl_drug_dosage.pharmacometrics.readers.rxode2.ini import Ini, read_ini
from rl_drug_dosage.pharmacometrics.readers.rxode2.model import Statements
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_nodes import Node
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_tokens import Source
from rl_drug_dosage.pharmacometrics.readers.written import Number, WrittenError, WrittenOutput

__all__ = ["add_errors", "posologyr_ini", "posologyr_parts"]

_SUM = "f*sigma[2]+sigma[1]"
_SQUARES = "f^2*sigma[2]^2+sigma[1]^2"
_MATRIX = "diag(%*%(%*%(dv,sigma),t(dv)))"
_SUPPORTED = "a list of posologyr has ppk_model, theta = c(...), omega = lotri({...}), sigma = c(...) and error_model"


def posologyr_parts(node: Node) -> Mapping[str, Node] | None:
    """The parts of ``list(ppk_model = ..., theta = ...)`` by name; None for another list."""
    if not node.is_call("list") or not {"ppk_model", "theta"} <= set(node.names):
        return None
    return dict(zip(node.names, node.args, strict=True))


def posologyr_ini(parts: Mapping[str, Node], source: Source) -> Ini:
    """Typical values and random effects.

    Raises:
        ReadError: numbers that are written in another way.
    """
    theta = parts["theta"]
    if not theta.is_call("c") or not all(theta.names):
        raise source.refused(theta.place, "theta is no vector with names", _SUPPORTED)
    ini = _effects(parts, "omega", source)
    ini.thetas = [
        Number(name, constant(arg, source, {}), arg.line) for name, arg in zip(theta.names, theta.args, strict=True)
    ]
    within = _effects(parts, "pi_matrix", source)
    ini.occasion_etas, ini.occasion_omega = within.etas, within.omega
    ini.occasion = "OCC" if within.etas else ""
    ini.remarks += within.remarks
    return ini


def _effects(parts: Mapping[str, Node], name: str, source: Source) -> Ini:
    node = parts.get(name)
    if node is None:
        return Ini()
    if not (node.is_call("lotri") and node.args and node.args[0].kind == "block"):
        raise source.refused(node.place, f"{name} is no lotri({{...}})", _SUPPORTED)
    return read_ini(node.args[0], source, {})


def add_errors(parts: Mapping[str, Node], statements: Statements, source: Source) -> None:
    """The outputs with residual errors: Cc, or those that ``error_model`` names."""
    models, sigmas = parts.get("error_model"), parts.get("sigma")
    if models is None or sigmas is None:
        return
    if models.is_call("list"):
        sizes = dict(zip(sigmas.names, sigmas.args, strict=True))
        pairs = [(name, model, sizes.get(name)) for name, model in zip(models.names, models.args, strict=True)]
    else:
        pairs = [("Cc", models, sigmas)]
    assigned = {assign.target for assign in statements.assigns if assign.kind == "value"}
    for code, (name, model, sigma) in enumerate(pairs, start=1):
        error = None if sigma is None else _error(model, sigma, source)
        if error is None:
            statements.remarks.append(f"line {model.line}: the error of {name} is not understood, and is left out")
        if name in assigned or name in statements.compartments:
            output = WrittenOutput(name, Name(name), model.line, error, code=code if len(pairs) > 1 else 0)
            statements.outputs.append(output)


def _error(model: Node, sigma: Node, source: Source) -> WrittenError | None:
    if model.kind != "function":
        return None
    body = model.args[0].args if model.args[0].kind == "block" else model.args
    known: dict[str, str] = {}
    result = ""
    for statement in body:
        if statement.is_call("<-", "=") and statement.args[0].kind == "name":
            known[statement.args[0].text] = _spelled(statement.args[1], known)
        else:
            result = _spelled(statement.args[0] if statement.is_call("return") else statement, known)
    if result == f"sqrt({_MATRIX})".replace("dv", known.get("dv", "dv")) and sigma.is_call("lotri"):
        part = read_ini(sigma.args[0], source, {}).omega
        if part.shape == (2, 2) and part[0, 1] == 0:
            return WrittenError("combined2", Num(float(np.sqrt(part[1, 1]))), Num(float(np.sqrt(part[0, 0]))))
        return None
    kinds = {_SUM: "combined1", f"sqrt({_SQUARES})": "combined2"}
    if result not in kinds or not sigma.is_call("c") or len(sigma.args) != 2:
        return None
    add, prop = (Num(constant(arg, source, {})) for arg in sigma.args)
    return WrittenError("combined1" if kinds[result] == "combined1" else "combined2", add, prop)


def _spelled(node: Node, known: Mapping[str, str]) -> str:
    """Code in one spelling: sums and products in the order of the alphabet, known variables written out."""
    if node.kind == "name":
        return known.get(node.text, node.text)
    parts = [_spelled(arg, known) for arg in node.args]
    if node.kind == "apply":
        return f"{parts[0]}[{','.join(parts[1:])}]"
    if node.is_call("+", "*") and len(parts) == 2:
        return node.text.join(sorted(parts))
    if node.is_call("^"):
        return "^".join(parts)
    return f"{node.text}({','.join(parts)})" if node.kind == "call" else node.text

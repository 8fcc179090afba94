"""Models of rxode2 and nlmixr2: an R function with ``ini({...})`` and ``model({...})``, or ``rxode2({...})``.

The file is parsed, never evaluated: R is not needed, and nothing of the file is executed.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Expr, Name, Num, names_in, walk
from rl_drug_dosage.pharmacometrics.readers.rxode2.expressions import FUNCTION_NAMES
from rl_drug_dosage.pharmacometrics.readers.rxode2.facts import Said, centres, read_facts
from rl_drug_dosage.pharmacometrics.readers.rxode2.ini import Ini, read_ini
from rl_drug_dosage.pharmacometrics.readers.rxode2.model import UNDOSED, Statements, read_statements
from rl_drug_dosage.pharmacometrics.readers.rxode2.posologyr import add_errors, posologyr_ini, posologyr_parts
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_nodes import Node, walk_nodes
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_syntax import parse
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_tokens import Source, read_source
from rl_drug_dosage.pharmacometrics.readers.written import (
    Assign,
    Number,
    ReadError,
    WrittenCovariate,
    WrittenModel,
    WrittenOutput,
)

__all__ = ["models_in", "read"]

_MINI = frozenset({"rxode2", "RxODE", "rxode", "rxODE"})


@dataclass(frozen=True)
class _Found:
    """A model in a file: its name, and where its parts are."""

    name: str
    node: Node
    ini: Node | None
    model: Node
    facts: tuple[Node, ...]
    source: Source
    parts: Mapping[str, Node] | None = None
    """Of a list of posologyr."""


def read(path: Path, name: str = "") -> WrittenModel:
    """The model of an R file.

    Args:
        path: of the file.
        name: of the model, where the file has several.

    Raises:
        ReadError: the file is not R code, has no model or several, or a statement that is not supported; with line
            and column.
    """
    source = read_source(path)
    try:
        tree, source = parse(source)
        found = _chosen(list(_models(tree, source)), source, name)
        return _written(found, path)
    except RecursionError as error:  # a caller that is deep in calls itself
        raise ReadError(f"{path}:1:1: the nesting is too deep: give parts of formulas names of their own") from error


def models_in(path: Path) -> tuple[str, ...]:
    """The names of the models in an R file.

    Raises:
        ReadError: the file is not R code.
    """
    tree, source = parse(read_source(path))
    return tuple(found.name for found in _models(tree, source))


def _chosen(found: list[_Found], source: Source, name: str) -> _Found:
    if name:
        found = [model for model in found if model.name == name] or found
    if not found:
        raise source.refused(
            (1, 1),
            "no model in this R code",
            "a model is a function() with ini({...}) and model({...}), or rxode2({...})",
        )
    if len(found) > 1 or (name and found[0].name != name):
        names = ", ".join(f"{model.name or 'one without a name'} (line {model.node.line})" for model in found)
        raise ReadError(
            f"{source.path}:{found[-1].node.line}:1: the file has the models {names}: leave one of them in it"
        )
    return found[0]


def _models(tree: Node, source: Source) -> Iterator[_Found]:
    """Every function with a model block, and every rxode2({...}) outside of them."""
    inside: set[int] = set()
    for node in walk_nodes(tree):
        if id(node) in inside:
            continue
        name = ""
        if node.is_call("<-", "=") and node.args[0].kind in {"name", "string"}:
            name, value = node.args[0].text, node.args[1]
        else:
            value = node
        found = _model(name, value, source)
        if found is not None:
            inside.update(id(part) for part in walk_nodes(node))
            yield found


def _model(name: str, node: Node, source: Source) -> _Found | None:
    """The model that a value is; None if it is something else."""
    if node.kind == "function" and node.args[0].kind == "block":
        return _function(name, node, source)
    if node.is_call(*_MINI) and node.args:
        body = node.args[node.names.index("model") if "model" in node.names else 0]
        if body.kind == "block":
            return _Found(name, node, None, body, (), source)
        if body.kind == "string":
            inner, commented = parse(Source(source.path, body.text, {}), (body.line, body.column + 1))
            return _Found(name, node, None, inner, (), commented)
        return _model(name, body, source) if body.kind == "function" else None
    parts = posologyr_parts(node)
    found = None if parts is None else _model(name, parts["ppk_model"], source)
    return None if found is None else replace(found, node=node, parts=parts)


def _function(name: str, node: Node, source: Source) -> _Found | None:
    statements = node.args[0].args
    ini = [part for part in statements if part.is_call("ini") and part.args]
    model = [part for part in statements if part.is_call("model") and part.args]
    if not model:
        return None
    if len(model) > 1 or len(ini) > 1:
        second = (model if len(model) > 1 else ini)[1]
        raise source.refused(second.place, f"a second {second.text}()", "a model function has one ini and one model")
    for part in (*ini, *model):
        if part.args[0].kind != "block":
            raise source.refused(part.place, f"{part.text}() without braces", f"write {part.text}({{...}})")
    facts = tuple(part for part in statements if part not in (*ini, *model))
    return _Found(name, node, ini[0].args[0] if ini else None, model[0].args[0], facts, source)


def _written(found: _Found, path: Path) -> WrittenModel:
    said = read_facts(found.facts, found.source)
    ini = read_ini(found.ini, found.source, said.constants) if found.ini else Ini()
    if found.parts is not None:
        ini = posologyr_ini(found.parts, found.source)
    parameters = [n.name for n in (*ini.thetas, *ini.etas, *ini.occasion_etas)]
    statements = read_statements(found.model, found.source, parameters)
    if found.parts is not None:
        add_errors(found.parts, statements, found.source)
    elif found.ini is None:
        _constants_to_thetas(ini, statements, found.source)
        parameters = [n.name for n in ini.thetas]
    covariates = _covariates(found, said, statements, parameters)
    outputs, remarks = _outputs(found, statements)
    return WrittenModel(
        format="rxode2",
        path=str(path),
        name=found.name or path.stem,
        thetas=_with_own_units(ini.thetas, statements),
        etas=tuple(ini.etas),
        omega=ini.omega,
        statements=tuple(statements.assigns),
        compartments=tuple(statements.compartments),
        outputs=outputs,
        covariates=covariates,
        occasion_etas=tuple(ini.occasion_etas),
        occasion_omega=ini.occasion_omega,
        occasion=ini.occasion,
        dosed=tuple(name for name in said.dosed if name in statements.compartments),
        last_doses=tuple(statements.last_doses),
        units=said.units,
        facts=said.facts,
        remarks=(*ini.remarks, *statements.remarks, *remarks),
        files=(str(path),),
    )


def _constants_to_thetas(ini: Ini, statements: Statements, source: Source) -> None:
    """Without ini, a variable that is a number and has no other value is a parameter."""
    count: dict[str, int] = {}
    for assign in statements.assigns:
        if assign.kind == "value":
            count[assign.target] = count.get(assign.target, 0) + 1
    kept = []
    for assign in statements.assigns:
        if assign.kind == "value" and isinstance(assign.expr, Num) and count[assign.target] == 1:
            label = source.comments.get(assign.line, "")
            ini.thetas.append(Number(assign.target, assign.expr.value, assign.line, label))
        else:
            kept.append(assign)
    statements.assigns = kept


def _with_own_units(thetas: list[Number], statements: Statements) -> tuple[Number, ...]:
    """Without the unit of a label that means the back-transformed value: "Clearance (L/h)" of ``exp(lcl)``."""
    transformed: set[str] = set()
    for assign in statements.assigns:
        for part in walk(assign.expr):
            if isinstance(part, Call) and part.function in {"exp", "expit", "phi"}:
                transformed |= names_in(part)
    return tuple(replace(n, unit="") if n.unit and n.name in transformed else n for n in thetas)


def _reads(statements: Statements) -> Iterator[tuple[Expr, int, str]]:
    """What is computed, in order: the expression, its line, and the variable that has a value then."""
    for assign in statements.assigns:
        yield assign.expr, assign.line, assign.target if assign.kind == "value" else ""
    for output in statements.outputs:
        yield output.expr, output.line, ""
        error = output.error
        for size in (error.additive, error.proportional, error.power) if error else ():
            if size is not None:
                yield size, output.line, ""


def _covariates(
    found: _Found, said: Said, statements: Statements, parameters: list[str]
) -> tuple[WrittenCovariate, ...]:
    """Names that are read and have no value: columns of the data."""
    known = {*parameters, *statements.compartments, "t"}
    later = {assign.target: assign.line for assign in reversed(statements.assigns) if assign.kind == "value"}
    names: dict[str, int] = {}
    for expr, line, target in _reads(statements):
        for name in sorted(names_in(expr) - known - names.keys()):
            if not name.startswith("_"):
                names[name] = line
                if name in FUNCTION_NAMES:
                    statements.remarks.append(
                        f"line {line}: {name!r} is a function, but is read like a column of data here"
                    )
                if name in later:
                    statements.remarks.append(
                        f"line {line}: {name!r} is read before line {later[name]} assigns it, and "
                        "is taken from the data here"
                    )
                elif said.covariates and name not in said.covariates:
                    _refuse_slip(found, name, [*known, *said.covariates])
                    statements.remarks.append(
                        f"line {line}: {name!r} is taken from the data; covariateData does not have it"
                    )
        known.add(target)
    centre = centres(statements.assigns, names)
    described = {name: said.covariates.get(name, WrittenCovariate(name, line=line)) for name, line in names.items()}
    return tuple(
        c if c.reference is not None else replace(c, reference=centre.get(name)) for name, c in described.items()
    )


def _place(found: _Found, name: str) -> tuple[int, int]:
    """Where the model reads a name first."""
    nodes = walk_nodes(found.model)
    return next((part for part in nodes if part.kind == "name" and part.text == name), found.model).place


def _refuse_slip(found: _Found, name: str, known: list[str]) -> None:
    """Refuse a name without a value that is spelt almost like one that has one."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
    if near:
        raise found.source.refused(
            _place(found, name),
            f"{name!r} has no value: it is neither in ini nor assigned nor in covariateData",
            f"did you mean {near[0]!r}? Otherwise describe it in covariateData",
        )


def _outputs(found: _Found, statements: Statements) -> tuple[tuple[WrittenOutput, ...], tuple[str, ...]]:
    """The outputs; without residual errors, the variables that depend on compartments."""
    if statements.outputs:
        return tuple(statements.outputs), ()
    real = [name for name in statements.compartments if name != UNDOSED]
    moving = set(real) or {"t"}
    named: dict[str, Assign] = {}
    for assign in statements.assigns:
        if assign.kind == "value" and names_in(assign.expr) & moving:
            moving.add(assign.target)
            if not assign.target.startswith("_"):
                named[assign.target] = assign
    used = {name for assign in statements.assigns if assign.kind != "value" for name in names_in(assign.expr)}
    others = [a.target for a in statements.assigns if a.kind == "value" and not a.target.startswith("_")]
    shown = [name for name in named if name not in used] or list(named) or real or list(dict.fromkeys(others))
    if not shown:
        raise found.source.refused(
            found.model.place, "nothing is predicted", "a model has compartments, d/dt(x) or linCmt(), and cp ~ add(a)"
        )
    lines: Mapping[str, int] = {name: assign.line for name, assign in named.items()}
    outputs = tuple(WrittenOutput(name, Name(name), lines.get(name, found.model.line)) for name in shown)
    names = ", ".join(shown)
    return outputs, (f"no output has a residual error; {names} can be simulated, not estimated",)

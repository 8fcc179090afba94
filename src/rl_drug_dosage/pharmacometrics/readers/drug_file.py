"""A drug file in Python, made of a model that was read from somebody else's file.

The file stands on its own: statements become functions of `jax.numpy`, each number names its line, and predictions are
those of the model it was made of.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from rl_drug_dosage.pharmacometrics.readers._python_text import (
    Code,
    Lines,
    Rebuilt,
    dictionary,
    identifier,
    quoted,
    rendered,
    tidied,
)
from rl_drug_dosage.pharmacometrics.readers.bridge.callables import (
    CLOCK,
    Individual,
    Matrix,
    Moment,
    Slopes,
    Start,
    Typical,
    Value,
)
from rl_drug_dosage.pharmacometrics.readers.bridge.statements import TIME, Program, single_assignment
from rl_drug_dosage.pharmacometrics.readers.written import WrittenModel
from rl_drug_dosage.pkpd import DrugModel, LinearSystem, OdeSystem

__all__ = ["drug_file"]

_CLASSES = (
    "Adaptive",
    "Arrival",
    "Categorical",
    "Correlation",
    "Covariate",
    "DosingOptions",
    "DrugModel",
    "Eta",
    "Fixed",
    "LinearSystem",
    "LogNormal",
    "Mammillary",
    "Normal",
    "OdeSystem",
    "Output",
    "Param",
    "Residual",
    "Route",
    "Target",
    "Uniform",
    "Values",
)


def drug_file(model: DrugModel, written: WrittenModel) -> str:
    """The text of a drug file.

    Args:
        model: that `bridge.drug_model` made.
        written: what it was made of.
    """
    return _Writer(model, written).text()


class _Writer:
    def __init__(self, model: DrugModel, written: WrittenModel) -> None:
        self.model, self.file = model, Path(written.path).name
        self.lines = {step.name: step.line for step in single_assignment(written).steps}
        self.functions: list[str] = []

    def text(self) -> str:
        """All of it."""
        model = self.model
        changes: dict[str, Any] = {"structure": self.structure(), "parameters": Code("parameters")}
        self.parameters(model.parameters)  # type: ignore[arg-type]
        if self.finish(model.finish):  # type: ignore[arg-type]
            changes["finish"] = Code("finish")
        changes["outputs"] = tuple(self.output(i) for i in range(len(model.outputs)))
        rows = []
        for each in fields(DrugModel):
            value = changes.get(each.name, getattr(model, each.name))
            if value == () and each.name not in {"etas", "covariates", "targets"}:
                continue
            if (each.name == "second_source" and value == "") or (each.name == "molar_mass" and value is None):
                continue
            if each.name == "finish" and "finish" not in changes:
                continue
            rows.append(f"    {each.name}={rendered(value, 4, len(each.name) + 2)},\n")
        drug = f"DRUG = DrugModel(\n{''.join(rows)})\n"
        body = "\n\n".join(self.functions) + "\n\n" + drug
        return f"{self.head(body)}\n\n{body}"

    def head(self, body: str) -> str:
        """Docstring and imports."""
        title = re.sub(r"[^\w ,.:;()%/+-]", " ", self.model.title)
        title = " ".join(title.split())[:100].rstrip(" .")
        used = [name for name in _CLASSES if re.search(rf"\b{name}\b", body)]
        imports = ["import jax"] if "jax.nn" in body else []
        imports += ["import jax.numpy as jnp"] if "jnp." in body else []
        imports += ["from jax.scipy.special import gammaln"] if "gammaln(" in body else []
        imports += ["from jax.scipy.stats import norm"] if "norm." in body else []
        imports += ["from jaxtyping import Array"]
        names = "".join(f"    {name},\n" for name in used)
        return (
            f'"""{title}.\n\nWritten by `rl-drug-dosage import {_plain(self.file)}`.\n'
            'Numbers are those of that file, with its lines; units are those of its formulas.\n"""\n\n'
            + "\n".join(imports)
            + f'\n\nfrom rl_drug_dosage.pkpd import (\n{names})\n\n__all__ = ["DRUG"]\n'
        )

    # Functions

    def define(self, name: str, arguments: str, answer: str, doc: str, body: Iterable[str]) -> Code:
        """Add a function."""
        code = "\n".join(f"    {line}" for line in body)
        self.functions.append(f'def {name}({arguments}) -> {answer}:\n    """{doc}"""\n{code}\n')
        return Code(name)

    def parameters(self, typical: Typical) -> None:
        """``parameters``."""
        reads = {name: _item("theta", name) for name in self.model.thetas}
        reads |= {name: _item("covariates", key) for name, key in typical.covariates}
        lines = self.body(typical.program, reads, zeros=typical.effects)
        entries = {name: lines.read(name) for name in typical.names}
        entries |= dict.fromkeys(typical.helpers, "jnp.zeros(())")
        entries |= {_passed(name): reads[name] for name in typical.thetas}
        doc = f"Typical parameters, as in {_plain(self.file)}."
        code = [*lines.code, dictionary(entries, 4, "return ")]
        self.define("parameters", "theta: Values, covariates: Values", "dict[str, Array]", doc, code)

    def finish(self, individual: Individual) -> bool:
        """``finish``, where it does something."""
        same = all(name == key for name, key in individual.out)
        if same and not individual.program.steps and not individual.helpers and not individual.thetas:
            given = {name for name, _ in individual.out}
            if given == set(self.model.parameters.names) and not individual.covariates:  # type: ignore[attr-defined]
                return False
        reads = {name: _item("p", name) for name in (*individual.fixed, *individual.helpers)}
        reads |= {name: _item("p", _passed(name)) for name in individual.thetas}
        reads |= {name: _item("covariates", key) for name, key in individual.covariates}
        lines = self.body(individual.program, reads, zeros=individual.effects)
        entries = {key: lines.read(name) for name, key in individual.out}
        doc = "What the structure and the outputs read, after the random effects."
        code = [*lines.code, dictionary(entries, 4, "return ")]
        self.define("finish", "p: Values, covariates: Values", "dict[str, Array]", doc, code)
        return True

    def structure(self) -> Any:
        """The structure, with its functions."""
        structure = self.model.structure
        if isinstance(structure, LinearSystem):
            return Rebuilt(structure, {"matrix": self.matrix(structure.matrix)})  # type: ignore[arg-type]
        if isinstance(structure, OdeSystem):
            changes = {"rhs": self.rhs(structure.rhs)}  # type: ignore[arg-type]
            if structure.start is not None:
                changes["start"] = self.start(structure.start)  # type: ignore[arg-type]
            return Rebuilt(structure, changes)
        return structure

    def matrix(self, matrix: Matrix) -> Code:
        """``matrix`` of a `LinearSystem`."""
        lines = self.body(matrix.program, {name: _item("p", key) for name, key in matrix.p})
        code = [*lines.code, f"a = jnp.zeros(({matrix.size}, {matrix.size}))"]
        for row, column, name in matrix.entries:
            rate = lines.read(name) + ("" if matrix.unit_h == 1.0 else f" / {matrix.unit_h!r}")
            code.append(f"a = a.at[{row}, {column}].set({rate})")
        return self.define("matrix", "p: Values", "Array", "Rates between the compartments, 1/h.", [*code, "return a"])

    def rhs(self, slopes: Slopes) -> Code:
        """``rhs`` of an `OdeSystem`."""
        moment = slopes.moment
        driver = self.model.structure.pk  # type: ignore[attr-defined]
        lines = self.body(moment.program, self.moment(moment, "x", "t", driver.compartments if driver else ()))
        per_h = 1.0 / (moment.per_mg * moment.unit_h)
        entries = {state: lines.read(name, per_h) for state, name in slopes.slopes}
        entries |= dict.fromkeys(slopes.still, "jnp.zeros(())")
        entries |= {CLOCK: "jnp.ones(())"} if slopes.clock else {}
        code = [*lines.code, dictionary(entries, 4, "return ")]
        arguments = "t: Array, x: Values, p: Values, pk: Values"
        return self.define("rhs", arguments, "dict[str, Array]", "Derivatives, per hour, of contents in mg.", code)

    def start(self, start: Start) -> Code:
        """``start`` of an `OdeSystem`."""
        scale = "" if start.per_mg == 1.0 else f" / {start.per_mg!r}"
        entries = {state: _item("p", key) + scale for state, key in start.states}
        code = [dictionary(entries, 4, "return ")]
        return self.define("start", "p: Values", "dict[str, Array]", "Contents before the first dose, mg.", code)

    def output(self, index: int) -> Any:
        """An output, with its function."""
        output = self.model.outputs[index]
        value: Any = output.value
        assert isinstance(value, Value)
        lines = self.body(value.moment.program, self.moment(value.moment, "state", f'state["{CLOCK}"]'))
        name = identifier(f"{output.name}_of", {str(i): f[4 : f.index("(")] for i, f in enumerate(self.functions)})
        doc = f"{_plain(output.name)}, in {_plain(output.unit)}."
        code = [*lines.code, f"return {lines.read(value.name)}"]
        return Rebuilt(output, {"value": self.define(name, "state: Values, p: Values", "Array", doc, code)})

    def body(self, program: Program, reads: Mapping[str, str], zeros: Iterable[str] = ()) -> Lines:
        """The statements of a program."""
        zeros = tuple(zeros)
        lines = Lines({**reads, **dict.fromkeys(zeros, "jnp.zeros(())")}, self.lines)
        for name, expr in program.steps:
            lines.assign(name, tidied(expr, zeros))
        return lines

    def moment(self, moment: Moment, contents: str, time: str, driver: tuple[str, ...] = ()) -> dict[str, str]:
        """What the statements of a moment read."""
        scale = "" if moment.per_mg == 1.0 else f" * {moment.per_mg!r}"
        reads = {name: _item("pk" if own in driver else contents, own) + scale for name, own in moment.compartments}
        reads |= {name: _item("p", key) for name, key in moment.p}
        reads[TIME] = time if moment.unit_h == 1.0 else f"{time} / {moment.unit_h!r}"
        return reads


def _plain(text: str) -> str:
    """A text inside a docstring."""
    return re.sub(r"[^\w ,.:;()%/^+-]", "_", text)


def _passed(name: str) -> str:
    return f"theta_{name}"


def _item(mapping: str, key: str) -> str:
    return f"{mapping}[{quoted(key)}]"

"""Reader of PKPDsim models: a JSON5 file with C-like code for parameters and differential equations.

What PKPDsim does is kept: random effects multiply the parameters that are not listed in ``fixed``, in their order;
``kappa_X`` is an occasion's effect with the standard deviation ``iov.cv.X``; errors ``prop`` and ``add`` are
independent standard deviations; compartments start empty unless ``state_init`` fills them; numbers of compartments in ``obs`` and
``dose`` begin at 1. The file names no unit of time, dose or concentration, so they are asked for.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rl_drug_dosage.pharmacometrics.readers.c_code import Code, Rules, read_code
from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Expr, Name, Num, call, names_in
from rl_drug_dosage.pharmacometrics.readers.json5_text import Node, parse
from rl_drug_dosage.pharmacometrics.readers.pkpdsim_structures import ode_code_of
from rl_drug_dosage.pharmacometrics.readers.source_text import Place, read_text, refused
from rl_drug_dosage.pharmacometrics.readers.written import (
    Assign,
    AssignKind,
    Number,
    WrittenCovariate,
    WrittenError,
    WrittenModel,
    WrittenOutput,
)

__all__ = ["read"]

_LARGEST_BYTES = 1_000_000
_MOST_COMPARTMENTS = 200
_NAME = re.compile(r"[A-Za-z_]\w*")
_UNSUPPORTED = {
    "times": "use t in ode_code",
    "doses": "a model whose parameters depend on the dose is not read: give them as a covariate",
    "prv_dose": "a model whose parameters depend on the dose is not read: give the dose as a covariate",
    "t_prv_dose": "a model that depends on the time of the dose is not read: use t in ode_code",
    "dose_type": "a model that depends on the kind of dose is not read: use a covariate",
    "dose_cmt": "a model that depends on the kind of dose is not read: use a covariate",
    "conc": "name the concentration in a variable",
    "rate": "PKPDsim adds infusions itself: leave it out",
}
_REFUSED = {
    "mixture": "mixtures of groups: make the group a covariate",
    "func": "an R function: write it as ode_code",
}


def read(path: Path) -> WrittenModel:
    """Read a PKPDsim model.

    Args:
        path: a ``.json5`` or ``.json`` file.

    Raises:
        ReadError: by file, line and column: no JSON5, no PKPDsim model, or something that is not supported.
    """
    root = parse(str(path), read_text(path, _LARGEST_BYTES))
    return _Model(str(path), root).written(path.stem)


class _Model:
    """One file, read part by part; the parts check each other's names."""

    def __init__(self, path: str, root: Node) -> None:
        self.path, self.root = path, root
        self.remarks: list[str] = []
        if not isinstance(root.value, dict):
            raise self.wrong(root, root.kind(), "a PKPDsim model, an object { ... }")
        self.parts: dict[str, Node] = root.value
        for name, remedy in _REFUSED.items():
            if name in self.parts and self.parts[name].value:
                raise self.wrong(self.parts[name], repr(name), "models without it", f"not read are {remedy}")
        self.parameters = self.read_parameters()
        self.covariates = self.read_covariates()
        self.contents = self.read_contents()
        self.omega, self.varied = self.read_omega()
        self.occasion = self.read_occasions()

    def wrong(self, node: Node, came: str, supported: str, remedy: str = "correct the file") -> Exception:
        return refused(self.path, node.place, came, supported, remedy)

    # Plain parts

    def part(self, name: str, kind: type, default: Any) -> Any:
        """A part of the file by its kind; null and a missing part are the default."""
        node = self.parts.get(name)
        if node is None or node.value is None:
            return default
        if kind is dict and isinstance(node.value, list) and not node.value:
            return default
        if not isinstance(node.value, kind):
            words: dict[type, str] = {dict: "an object", list: "a list", str: "a text"}
            raise self.wrong(node, f"{name} is {node.kind()}", words[kind])
        return node.value

    def number(self, node: Node, what: str) -> float:
        value = node.value
        if not isinstance(value, float) or not math.isfinite(value):
            came = f"{value}" if isinstance(value, float) else node.kind()
            raise self.wrong(node, f"{what} is {came}", "a finite number")
        return value

    def text(self, node: Node, what: str) -> str:
        if not isinstance(node.value, str):
            raise self.wrong(node, f"{what} is {node.kind()}", "a text")
        return node.value

    def listed(self, node: Node | None) -> list[Node]:
        """A list, or one value in place of a list of one."""
        if node is None or node.value is None:
            return []
        return node.value if isinstance(node.value, list) else [node]

    def named(self, name: str, node: Node, what: str) -> str:
        if not _NAME.fullmatch(name):
            raise self.wrong(node, f"the {what} {name!r}", "letters, digits and _", "rename it")
        return name

    def read_parameters(self) -> dict[str, Number]:
        units = self.part("units", dict, {})
        found: dict[str, Number] = {}
        for name, node in self.part("parameters", dict, {}).items():
            self.named(name, node, "parameter")
            unit = self.text(units[name], f"units.{name}") if name in units else ""
            found[name] = Number(name, self.number(node, f"parameters.{name}"), node.place.line, unit=unit)
        if not found:
            raise self.wrong(self.parts.get("parameters", self.root), "no parameters", "{name: value, ...}", "add them")
        fixed = self.listed(self.parts.get("fixed"))
        for node in fixed:
            name = self.text(node, "fixed")
            if name not in found:
                raise self.wrong(node, f"fixed names {name!r}", ", ".join(found))
        self.fixed = {node.value for node in fixed}
        return found

    def read_covariates(self) -> tuple[WrittenCovariate, ...]:
        node = self.parts.get("covariates")
        if node is None or not node.value:
            return ()
        if isinstance(node.value, dict):
            given = list(node.value.items())
        else:
            given = [(self.text(each, "covariates"), each) for each in self.listed(node)]
        found: list[WrittenCovariate] = []
        for name, each in given:
            self.named(name, each, "covariate")
            if name in self.parameters or name in {c.name for c in found}:
                raise self.wrong(each, f"covariate {name!r}", "a name that nothing else has", "rename it")
            facts = {}
            if isinstance(each.value, dict):
                facts = {key: str(part.value) for key, part in each.value.items() if _is_plain(part)}
            unit, meaning = facts.pop("unit", facts.pop("units", "")), facts.pop("description", "")
            found.append(WrittenCovariate(name, unit, meaning, line=each.place.line, facts=facts))
        return tuple(found)

    def read_contents(self) -> tuple[str, ...]:
        """Names of the compartments: cmt1, cmt2, ... as ``obs`` and ``dose`` count them."""
        node = self.parts.get("n_comp")
        if node is None:
            code = self.parts.get("ode_code")
            text = code.value if code is not None and isinstance(code.value, str) else ""
            count = 1.0 + max((int(n[:6]) for n in re.findall(r"dAdt\s*\[\s*(\d+)", text)), default=-1)
            if not count:
                count = float(len(self.structure()[1]))
            node = code or self.root
        else:
            count = self.number(node, "n_comp")
        if count != int(count) or not 1 <= count <= _MOST_COMPARTMENTS:
            raise self.wrong(node, f"{count:g} compartments", f"1 to {_MOST_COMPARTMENTS}")
        taken = {*self.parameters, *(c.name for c in self.covariates)}
        stem = "cmt" if not any(name.startswith("cmt") for name in taken) else "compartment"
        return tuple(f"{stem}{i + 1}" for i in range(int(count)))

    # Random effects

    def read_omega(self) -> tuple[np.ndarray, list[str]]:
        """The covariance, and the parameters that it belongs to: those that are not fixed, in the file's order."""
        free = [name for name in self.parameters if name not in self.fixed]
        node = self.parts.get("omega_matrix")
        iiv = self.part("iiv", dict, {})
        if node is None or not node.value:
            return self.omega_of_iiv(iiv, free)
        triangle = [self.number(each, "omega_matrix") for each in self.listed(node)]
        size = int((math.sqrt(8 * len(triangle) + 1) - 1) / 2)
        if size * (size + 1) // 2 != len(triangle):
            raise self.wrong(node, f"omega_matrix of {len(triangle)} numbers", "a lower triangle: 1, 3, 6, 10, ...")
        if size > len(free):
            came = f"omega_matrix of {size} rows, and {len(free)} parameters that are not fixed"
            raise self.wrong(node, came, "at most one row for each of them", "correct the matrix, or `fixed`")
        omega = np.zeros((size, size))
        omega[np.tril_indices(size)] = triangle
        omega = omega + np.tril(omega, -1).T
        if not np.linalg.eigvalsh(omega).min() > 0:
            smallest = np.linalg.eigvalsh(omega).min()
            came = f"omega_matrix with the smallest eigenvalue {smallest:.3g}"
            raise self.wrong(
                node, came, "a positive definite matrix", "leave out the effects of variance 0, or correct it"
            )
        self.compare_with_iiv(iiv, omega, free)
        return omega, free[:size]

    def omega_of_iiv(self, iiv: Mapping[str, Node], free: list[str]) -> tuple[np.ndarray, list[str]]:
        varied = []
        sizes = []
        for name, node in iiv.items():
            if name not in free:
                raise self.wrong(node, f"iiv names {name!r}", ", ".join(free), "name a parameter that is not fixed")
            if (size := self.number(node, f"iiv.{name}")) > 0:
                varied.append(name)
                sizes.append(size)
        if varied:
            self.remarks.append("no omega_matrix: variances are the squares of iiv, without correlations")
        return np.diag(np.square(sizes)) if sizes else np.zeros((0, 0)), varied

    def compare_with_iiv(self, iiv: Mapping[str, Node], omega: np.ndarray, free: list[str]) -> None:
        """A standard deviation printed beside the matrix that contradicts it is a slip in one of them."""
        for name, node in iiv.items():
            if name not in free[: len(omega)] or not isinstance(node.value, float):
                continue
            variance = omega[free.index(name), free.index(name)]
            exact = math.log1p(node.value**2)
            if not any(math.isclose(variance, size, rel_tol=0.02) for size in (node.value**2, exact)):
                self.remarks.append(
                    f"line {node.place.line}: iiv of {name} is {node.value:g}, and omega_matrix has the variance "
                    f"{variance:g}, a standard deviation of {math.sqrt(variance):.4g}: the matrix is used"
                )

    def read_occasions(self) -> dict[str, Number]:
        """kappa_X -> its variance."""
        iov = self.part("iov", dict, {})
        if not iov or ("use" in iov and iov["use"].value is False):
            return {}
        cv = iov.get("cv")
        if cv is None or not isinstance(cv.value, dict):
            raise self.wrong(self.parts["iov"], "iov without cv", "iov: {cv: {CL: 0.1}, n_bins: 3}")
        found = {}
        for name, node in cv.value.items():
            size = self.number(node, f"iov.cv.{name}")
            if size < 0:
                raise self.wrong(node, f"iov.cv.{name} is {size:g}", "a standard deviation, 0 or more")
            self.named(name, node, "parameter")
            found[f"kappa_{name}"] = Number(f"kappa_{name}", size**2, node.place.line, "squared iov.cv")
        return found

    # Code

    def structure(self) -> tuple[str, tuple[str, ...]]:
        """Equations of a structure that is given by its name in place of ode_code, and its compartments."""
        misc = self.part("misc", dict, {})
        node = self.parts.get("implementation") or misc.get("model_type")
        named = "" if node is None else self.text(node, "model_type")
        variables = {each.value for each in self.listed(self.parts.get("variables"))}
        found = ode_code_of(named, {*self.parameters, *variables})
        if isinstance(found, str):
            raise self.wrong(
                node or self.root, f"no ode_code, and {found}", "ode_code, or a structure's name", "add it"
            )
        return found

    def code(self, name: str, assigns: frozenset[AssignKind], before: list[Assign]) -> tuple[Assign, ...]:
        node = self.parts.get(name)
        if node is None or node.value is None:
            return ()
        text = self.text(node, name)
        # PKPDsim counts from 1 everywhere but in ode_code, unless a 0 shows that the author did not.
        first = 0 if name == "ode_code" or re.search(r"\bA\s*\[\s*0\s*\]", text) else 1
        return self.statements(text, node.lines, first, assigns, before)

    def statements(
        self, text: str, lines: tuple[Place, ...], first: int, assigns: frozenset[AssignKind], before: list[Assign]
    ) -> tuple[Assign, ...]:
        again = "PKPDsim would change it again at every event: use a variable of another name"
        kept = dict.fromkeys(self.parameters, again) | {c.name: again for c in self.covariates}
        kept |= dict.fromkeys(self.occasion, "it is an effect between occasions")
        kept |= {"t": "it is the time", "scale": "it is obs.scale"}
        kept |= dict.fromkeys(self.contents, "it is the name of a compartment: rename the variable")
        renamed = {name: f"{name}_patient" for name in self.varied}
        rules = Rules(self.contents, first, assigns, renamed, kept, _UNSUPPORTED)
        done = frozenset((each.target, each.kind) for each in before)
        found: Code = read_code(self.path, text, lines or (Place(1, 1),), rules, done)
        self.remarks += found.remarks
        return found.statements

    def expression(self, node: Node, what: str) -> Expr:
        """A number, or an expression in a text."""
        if not isinstance(node.value, str):
            return Num(self.number(node, what))
        if re.search(r"[;\n{}]", node.value):
            raise self.wrong(node, f"{what} with more than an expression", "an expression")
        start = Place(node.lines[0].line, node.lines[0].column - 4)
        found = self.statements(f"x_ = {node.value}", (start,), 1, frozenset(), [])
        return found[0].expr

    def all_statements(self) -> list[Assign]:
        found = [
            Assign(f"{name}_patient", call("*", name, call("exp", f"eta_{name}")), self.parameters[name].line)
            for name in self.varied
        ]
        found += self.code("pk_code", frozenset(), found)
        found += self.code("dose_code", frozenset(), found)
        ode = self.code("ode_code", frozenset({"derivative"}), found)
        if not ode:
            text, _ = self.structure()
            ode = self.statements(
                text, tuple(self.root.place for _ in text.split("\n")), 0, frozenset({"derivative"}), found
            )
        if any("scale" in names_in(each.expr) for each in ode):
            obs = self.part("obs", dict, {})
            scales = self.listed(obs.get("scale"))
            if len(scales) != 1:
                raise self.wrong(
                    self.parts.get("obs", self.root), "ode_code reads scale", "one obs.scale", "write it out"
                )
            found.append(Assign("scale", self.expression(scales[0], "obs.scale"), scales[0].place.line))
        found += ode
        found += self.code("state_init", frozenset({"start"}), found)
        found += self.dosing()
        self.check_names(found)
        return found

    def dosing(self) -> Iterator[Assign]:
        """Bioavailability and lag of each compartment."""
        dose = self.part("dose", dict, {})
        for name in ("duplicate", "duration_scale"):
            if name in dose and dose[name].value:
                raise self.wrong(dose[name], f"dose.{name}", "cmt, bioav", "leave it out, or give the doses so")
        kinds: tuple[tuple[str, AssignKind, Node | None, float], ...] = (
            ("dose.bioav", "bioavailability", dose.get("bioav"), 1.0),
            ("lagtime", "lag", self.parts.get("lagtime"), 0.0),
        )
        for what, kind, node, default in kinds:
            given = self.listed(node)
            if len(given) > len(self.contents):
                raise self.wrong(given[-1], f"{what} of {len(given)} compartments", f"up to {len(self.contents)}")
            for compartment, each in zip(self.contents, given, strict=False):
                if each.value in ("NULL", "undefined"):
                    continue
                expr = self.expression(each, what)
                if expr != Num(default):
                    yield Assign(compartment, expr, each.place.line, kind)

    def check_names(self, statements: list[Assign]) -> None:
        """Every name that is read has a value by then, and every compartment has an equation."""
        known = {"t", *self.contents, *self.parameters, *(c.name for c in self.covariates), *self.occasion}
        known |= {f"eta_{name}" for name in self.varied}
        read: set[str] = set()
        for each in statements:
            names = {name for name in names_in(each.expr) if not name.startswith("_")}
            for name in sorted(names - known):
                came = f"{name!r} is read before it has a value"
                if name.startswith("kappa_"):
                    came = f"{name!r} is read, and iov.cv has no {name.removeprefix('kappa_')}"
                supported = "parameters, covariates, t, variables that have a value"
                raise refused(self.path, Place(each.line, 1), came, supported, "give it a value, or correct the name")
            read |= names
            if each.kind == "value":
                known.add(each.target)
        self.known, self.read = known, read
        derived = {each.target for each in statements if each.kind == "derivative"}
        for i, name in enumerate(self.contents):
            if name not in derived:
                node = self.parts.get("n_comp", self.root)
                raise self.wrong(node, f"no dAdt[{i}]", f"one for each of {len(self.contents)} compartments", "add it")

    # Outputs

    def outputs(self) -> tuple[WrittenOutput, ...]:
        obs = self.part("obs", dict, {})
        variables = self.listed(obs.get("variable"))
        if variables and "scale" in obs and obs["scale"].value not in (None, 1.0):
            raise self.wrong(obs["scale"], "obs with scale and variable", "one of them", "leave one out")
        unit = self.text(obs["unit"], "obs.unit") if "unit" in obs else ""
        found: list[tuple[str, Expr, Node]] = []
        for each in variables:
            name = self.text(each, "obs.variable")
            if name not in self.known:
                raise self.wrong(each, f"obs.variable {name!r}", "a variable that the code gives a value to")
            found.append((name, Name(name), each))
        if not found:
            found = list(self.observed(obs))
        if len({name for name, _, _ in found}) < len(found):
            raise self.wrong(self.parts.get("obs", self.root), "an output twice", "each once", "leave one out")
        errors = [self.error(i, len(found)) for i in range(len(found))]
        for _, expr, node in found:
            if unknown := sorted(names_in(expr) - self.known):
                raise self.wrong(node, f"obs reads {unknown[0]!r}", "parameters, covariates, variables")
            self.read |= names_in(expr)
        return tuple(
            WrittenOutput(name, expr, node.place.line, errors[i], unit, i + 1)
            for i, (name, expr, node) in enumerate(found)
        )

    def observed(self, obs: Mapping[str, Node]) -> Iterator[tuple[str, Expr, Node]]:
        """Amounts over their scales."""
        cmts = self.listed(obs.get("cmt")) or [Node(1.0, self.root.place)]
        scales = self.listed(obs.get("scale")) or [Node(1.0, self.root.place)]
        if len(scales) not in {1, len(cmts)}:
            raise self.wrong(scales[0], f"{len(scales)} obs.scale for {len(cmts)} obs.cmt", "one, or one each")
        for i, cmt in enumerate(cmts):
            scale = scales[i if len(scales) > 1 else 0]
            name = "concentration" if len(cmts) == 1 else f"concentration_{i + 1}"
            yield name, Call("/", (Name(self.compartment(cmt, "obs.cmt")), self.expression(scale, "obs.scale"))), scale

    def compartment(self, node: Node, what: str) -> str:
        number = self.number(node, what)
        if number != int(number) or not 1 <= number <= len(self.contents):
            raise self.wrong(node, f"{what} is {number:g}", f"1 to {len(self.contents)}")
        return self.contents[int(number) - 1]

    def error(self, i: int, outputs: int) -> WrittenError | None:
        """``prop`` and ``add`` are independent; with ``ltbs`` the error is additive on the log scale."""
        ruv = self.part("ruv", dict, {})
        sizes: dict[str, Expr] = {}
        for name in ("prop", "add", "exp"):
            given = self.listed(ruv.get(name))
            if not given:
                continue
            node = given[min(i, len(given) - 1)]
            value = self.number(node, f"ruv.{name}")
            if value < 0:
                raise self.wrong(node, f"ruv.{name} is {value:g}", "a standard deviation, 0 or more")
            if value:
                key = f"ruv_{name}" if outputs == 1 else f"ruv_{name}_{i + 1}"
                self.errors[key] = Number(key, value, node.place.line, f"ruv.{name}")
                sizes[name] = Name(key)
        ltbs = self.parts.get("ltbs")
        if ltbs is not None and ltbs.value is True:
            if "prop" in sizes:
                raise self.wrong(ltbs, "ltbs with a proportional error", "ltbs with ruv.add alone", "leave one out")
            sizes = {"exp": sizes["add"]} if "add" in sizes else sizes
        if not sizes:
            self.remarks.append("no residual error: levels cannot be fitted")
            return None
        if "exp" in sizes:
            if len(sizes) > 1:
                raise self.wrong(self.parts["ruv"], "ruv.exp with another error", "exp alone, or prop and add")
            return WrittenError("lnorm", additive=sizes["exp"])
        if len(sizes) == 2:
            return WrittenError("combined2", additive=sizes["add"], proportional=sizes["prop"])
        if "prop" in sizes:
            return WrittenError("prop", proportional=sizes["prop"])
        return WrittenError("add", additive=sizes["add"])

    # The whole

    def written(self, stem: str) -> WrittenModel:
        self.errors: dict[str, Number] = {}
        statements = self.all_statements()
        outputs = self.outputs()
        for kappa in [name for name, number in self.occasion.items() if name not in self.read or not number.value]:
            if kappa not in self.read:
                self.remarks.append(f"iov.cv has {kappa.removeprefix('kappa_')}, and the code does not read {kappa}")
        kappas = [number for name, number in self.occasion.items() if name in self.read]
        thetas = {
            name: Number(name, n.value, n.line, n.label, n.unit, name in self.fixed)
            for name, n in self.parameters.items()
        }
        for name, number in thetas.items():
            if name not in self.read:
                self.remarks.append(f"line {number.line}: parameter {name} is not read by the code")
        dose = self.part("dose", dict, {})
        misc = self.part("misc", dict, {})
        if "init_parameter" in misc and misc["init_parameter"].value is True:
            self.remarks.append("PKPDsim can start from a level before the first dose (TDM_INIT); here it starts empty")
        etas = tuple(
            Number(f"eta_{name}", float(self.omega[i, i]), self.parts.get("omega_matrix", self.root).place.line)
            for i, name in enumerate(self.varied)
        )
        given = self.parts.get("id")
        return WrittenModel(
            format="PKPDsim",
            path=self.path,
            name=self.text(given, "id") if given is not None else stem,
            thetas=(*thetas.values(), *self.errors.values()),
            etas=etas,
            omega=self.omega,
            statements=tuple(statements),
            compartments=self.contents,
            outputs=outputs,
            covariates=self.covariates,
            occasion_etas=tuple(kappas),
            occasion_omega=np.diag([kappa.value for kappa in kappas]) if kappas else np.zeros((0, 0)),
            dosed=tuple(dict.fromkeys(self.compartment(node, "dose.cmt") for node in self.listed(dose.get("cmt")))),
            facts=dict(self.facts()),
            remarks=tuple(dict.fromkeys(self.remarks)),
            files=(self.path,),
        )

    def facts(self) -> Iterator[tuple[str, str]]:
        """What the file says in words."""
        for name in ("description", "version"):
            if name in self.parts and _is_plain(self.parts[name]):
                yield name, str(self.parts[name].value)
        references = [each.value for each in self.listed(self.parts.get("references")) if isinstance(each.value, dict)]
        for name, key in (("reference", "ref"), ("url", "url")):
            found = [str(each[key].value) for each in references if key in each and _is_plain(each[key])]
            if found:
                yield name, "; ".join(found)
        comments = [str(each.value) for each in self.listed(self.parts.get("comments")) if _is_plain(each)]
        if comments:
            yield "comments", " ".join(comments)
        for name, inner in (("development", None), ("iov", "bins"), ("misc", "model_type"), ("cmt_mapping", None)):
            node = self.parts.get(name)
            if inner and node is not None and isinstance(node.value, dict):
                node = node.value.get(inner)
            if node is not None and node.value:
                key = {"iov": "occasions", "misc": "structure", "development": "population"}.get(name, name)
                yield key, json.dumps(_bare(node), ensure_ascii=False).strip('"')


def _is_plain(node: Node) -> bool:
    return isinstance(node.value, str | float | bool)


def _bare(node: Node) -> Any:
    """The value without places."""
    if isinstance(node.value, dict):
        return {name: _bare(each) for name, each in node.value.items()}
    if isinstance(node.value, list):
        return [_bare(each) for each in node.value]
    return node.value

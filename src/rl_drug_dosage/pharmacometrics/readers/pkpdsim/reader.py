"""Reader of PKPDsim models: a JSON5 file with C-like code for parameters and differential equations.

What PKPDsim does is kept: random effects multiply the parameters that are not listed in ``fixed``, in their order;
``kappa_X`` is an occasion's effect with the standard deviation ``iov.cv.X``; errors ``prop`` and ``add`` are
independent standard deviations; compartments start empty unless ``state_init`` fills them; numbers of compartments in
``obs`` and ``dose`` begin at 1. The file names no unit of time, dose or concentration, so they are asked for.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from rl_drug_dosage.pharmacometrics.readers.pkpdsim.code import Statements, contents_of
from rl_drug_dosage.pharmacometrics.readers.pkpdsim.effects import between_subjects, kappas
from rl_drug_dosage.pharmacometrics.readers.pkpdsim.json5_text import parse
from rl_drug_dosage.pharmacometrics.readers.pkpdsim.outputs import Outputs
from rl_drug_dosage.pharmacometrics.readers.pkpdsim.values import Parts, bare, is_plain
from rl_drug_dosage.pharmacometrics.readers.source_text import read_text
from rl_drug_dosage.pharmacometrics.readers.written import Number, WrittenModel

__all__ = ["read"]

_LARGEST_BYTES = 1_000_000
_REFUSED = {
    "mixture": "mixtures of groups are not read: make the group a covariate",
    "func": "R functions are not read: write it as ode_code",
}


def read(path: Path) -> WrittenModel:
    """Read a PKPDsim model.

    Args:
        path: a ``.json5`` or ``.json`` file.

    Raises:
        ReadError: by file, line and column: no JSON5, no PKPDsim model, or something that is not supported.
    """
    parts = Parts(str(path), parse(str(path), read_text(path, _LARGEST_BYTES)))
    for name, remedy in _REFUSED.items():
        if name in parts.all and parts.all[name].value:
            raise parts.wrong(parts.all[name], repr(name), "models without it", remedy)
    parameters = parts.parameters()
    covariates = parts.covariates(parameters)
    contents = contents_of(parts, frozenset(parameters) | {c.name for c in covariates})
    between, occasions = between_subjects(parts, parameters), kappas(parts)
    code = Statements(parts, parameters, covariates, between.varied, occasions, contents)
    statements = code.all()
    observed = Outputs(parts, code)
    outputs = observed.all()
    within = [number for name, number in occasions.items() if name in code.read]
    remarks = [*between.remarks, *code.remarks, *observed.remarks, *_unread(parts, parameters, occasions, code)]
    given = parts.all.get("id")
    return WrittenModel(
        format="PKPDsim",
        path=str(path),
        name=path.stem if given is None else parts.text(given, "id"),
        thetas=(*parameters.values(), *observed.sizes.values()),
        etas=tuple(
            Number(f"eta_{name}", float(between.omega[i, i]), between.line) for i, name in enumerate(between.varied)
        ),
        omega=between.omega,
        statements=tuple(statements),
        compartments=contents,
        outputs=outputs,
        covariates=covariates,
        occasion_etas=tuple(within),
        occasion_omega=np.diag([kappa.value for kappa in within]) if within else np.zeros((0, 0)),
        dosed=observed.dosed(),
        facts=dict(_facts(parts)),
        remarks=tuple(dict.fromkeys(remarks)),
        files=(str(path),),
    )


def _unread(
    parts: Parts, parameters: Mapping[str, Number], occasions: Mapping[str, Number], code: Statements
) -> Iterator[str]:
    """What stands in the file and has no effect here."""
    for name, number in parameters.items():
        if name not in code.read:
            yield f"line {number.line}: parameter {name} is not read by the code"
    for name, number in occasions.items():
        if name not in code.read:
            yield f"line {number.line}: iov.cv has {name.removeprefix('kappa_')}, and the code does not read {name}"
    starts = parts.inner("misc", "init_parameter")
    if starts is not None and starts.value is True:
        yield "PKPDsim can start from a level before the first dose (TDM_INIT); here compartments start empty"


def _facts(parts: Parts) -> Iterator[tuple[str, str]]:
    """What the file says in words."""
    for name in ("description", "version"):
        if name in parts.all and is_plain(parts.all[name]):
            yield name, str(parts.all[name].value)
    references = [each.value for each in parts.listed(parts.all.get("references")) if isinstance(each.value, dict)]
    for name, key in (("reference", "ref"), ("url", "url")):
        if found := [str(each[key].value) for each in references if key in each and is_plain(each[key])]:
            yield name, "; ".join(found)
    if comments := [str(each.value) for each in parts.listed(parts.all.get("comments")) if is_plain(each)]:
        yield "comments", " ".join(comments)
    kept = {
        "population": parts.all.get("development"),
        "occasions": parts.inner("iov", "bins"),
        "structure": parts.inner("misc", "model_type"),
        "cmt_mapping": parts.all.get("cmt_mapping"),
    }
    for name, node in kept.items():
        if node is not None and node.value:
            yield name, json.dumps(bare(node), ensure_ascii=False).strip('"')

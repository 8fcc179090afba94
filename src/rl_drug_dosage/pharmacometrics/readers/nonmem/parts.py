"""A NONMEM control stream, its code parsed and its numbers read, before it becomes a model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rl_drug_dosage.pharmacometrics.readers.expressions import Expr, Name, Num
from rl_drug_dosage.pharmacometrics.readers.nonmem.code import Statement, parse_code
from rl_drug_dosage.pharmacometrics.readers.nonmem.compartments import Compartments, compartments_of
from rl_drug_dosage.pharmacometrics.readers.nonmem.estimates import read_estimates, with_estimates
from rl_drug_dosage.pharmacometrics.readers.nonmem.expression import replacements
from rl_drug_dosage.pharmacometrics.readers.nonmem.history import (
    kept_from_records,
    on_first_records,
    within_quantification,
)
from rl_drug_dosage.pharmacometrics.readers.nonmem.inputs import (
    Inputs,
    read_inputs,
    read_replacements,
)
from rl_drug_dosage.pharmacometrics.readers.nonmem.numbers import labels_of, read_thetas
from rl_drug_dosage.pharmacometrics.readers.nonmem.occasions import Occasions, occasions_of
from rl_drug_dosage.pharmacometrics.readers.nonmem.omega import Effects, read_effects
from rl_drug_dosage.pharmacometrics.readers.nonmem.records import Stream, read_stream
from rl_drug_dosage.pharmacometrics.readers.nonmem.statements import flattened, names_of
from rl_drug_dosage.pharmacometrics.readers.written import (
    Number,
)

__all__ = ["CALLS", "Parts", "parts_of"]

CALLS: Mapping[str, Num] = {
    "ICALL": Num(2.0),
    "A_0FLG": Num(1.0),
    "COMACT": Num(0.0),
    "IREP": Num(1.0),
    "NPDE_MODE": Num(0.0),
}
"""Values of NONMEM's own variables while it predicts."""
_NOTHING = "nothing"
"""The compartment of a model without compartments; it stays empty."""


@dataclass
class Parts:
    """What has been read so far."""

    stream: Stream
    inputs: Inputs
    pk: tuple[Statement, ...]
    des: tuple[Statement, ...]
    error: tuple[Statement, ...]
    compartments: Compartments
    thetas: tuple[Number, ...]
    omega: Effects
    sigma: Effects
    kept: dict[str, int] = field(default_factory=dict)
    occasions: Occasions = field(default_factory=Occasions)
    remarks: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)


def parts_of(path: Path) -> Parts:
    """Read a control stream, and the final estimates beside it.

    Raises:
        ReadError: what is not read, by line and column.
    """
    stream = read_stream(path)
    names = read_replacements(stream)
    for word, base, record in (
        ("THETA", "theta", "THETA"),
        ("ETA", "eta", "OMEGA"),
        ("EPS", "eps", "SIGMA"),
        ("ERR", "eps", "SIGMA"),
    ):
        for label, place in labels_of(stream, record).items():
            names.setdefault((word, label), Name(f"{base}_{place}"))
    replace_names = replacements(names)
    pk, des, error = (parse_code(stream, stream.all(name), replace_names) for name in ("PK", "DES", "ERROR"))
    remarks = list(stream.remarks)
    if stream.all("PRED"):
        error = (*error, *parse_code(stream, stream.all("PRED"), replace_names))
        remarks.append("$PRED: no compartments, so that doses have no effect but through data items")
    given = {name: names_of(block)[1] for name, block in (("pk", pk), ("des", des), ("error", error))}
    pk, first = on_first_records(pk, given["des"] | given["error"])
    error, also = on_first_records(error, given["pk"] | given["des"])
    if first or also:
        remarks.append("values that are set on a patient's first record (NEWIND) are set on every one")
    inputs = read_inputs(stream)
    pk, kept = kept_from_records(pk, inputs.columns, given["des"] | given["error"])
    inputs.columns.update(kept)
    level = ["DV", *(name for name, own in inputs.synonyms.items() if own == "DV")]
    error, on_levels = within_quantification(error, level)
    if on_levels:
        remarks.append("conditions on DV hold as for a level within the limits of quantification")
    assigned = names_of(pk)[1]
    own = (
        Compartments(0, 1, (_NOTHING,))
        if stream.all("PRED")
        else compartments_of(stream, assigned, names_of((*pk, *error))[0])
    )
    parts = Parts(
        stream,
        inputs,
        pk,
        des,
        error,
        own,
        read_thetas(stream),
        read_effects(stream, "OMEGA"),
        read_effects(stream, "SIGMA"),
        kept=kept,
        remarks=remarks,
        files=[str(path)],
    )
    _take_estimates(parts, path)
    _require_covariances(parts)
    _take_facts(parts)
    parts.occasions = _occasions(parts)
    return parts


def _take_estimates(parts: Parts, path: Path) -> None:
    estimates = read_estimates(path)
    if estimates is None:
        parts.remarks.append("no .ext or .lst beside it: the numbers are the file's initial estimates")
        return
    new = with_estimates(estimates, parts.thetas, parts.omega, parts.sigma)
    if isinstance(new, str):
        parts.remarks += [new, "the numbers are the file's initial estimates"]
        return
    parts.thetas, parts.omega, parts.sigma = new
    parts.files.append(str(estimates.file))
    parts.remarks.append(f"the numbers are the final estimates in {estimates.file.name}")


def _require_covariances(parts: Parts) -> None:
    for what, effects in (("OMEGA", parts.omega), ("SIGMA", parts.sigma)):
        for line, own in effects.blocks:
            block = effects.covariance[np.ix_(own, own)]
            smallest = float(np.linalg.eigvalsh(block).min()) if np.isfinite(block).all() else -1.0
            # A block of zeros is an effect that is switched off.
            if block.any() and smallest < -1e-6 * float(np.abs(np.diag(block)).max()):
                parts.stream.refuse(
                    f"${what} BLOCK({len(own)}) has the eigenvalue {smallest:.3g}",
                    "covariance matrices (no eigenvalue below 0)",
                    "correct it",
                    line,
                )


def _take_facts(parts: Parts) -> None:
    stream = parts.stream
    problem = next((record.text.strip() for record in stream.all("PROBLEM")), "")
    if problem:
        parts.facts["description"] = " ".join(problem.split())
    data = next((word for word, _ in stream.words("DATA") if word not in {"(", ")", "=", ","}), "")
    if data:
        parts.facts["data"] = data.strip("\"'")
    if parts.compartments.advan:
        parts.facts["subroutines"] = f"ADVAN{parts.compartments.advan} TRANS{parts.compartments.trans}"


def _occasions(parts: Parts) -> Occasions:
    chains = [[f"eta_{i + 1}" for i in chain] for chain in parts.omega.same]
    blocks = (parts.pk, parts.des, parts.error)

    def flatten(constants: Mapping[str, Num]) -> list[tuple[str, Expr]]:
        found = flattened(parts.stream, blocks, {**CALLS, **constants})
        return [(one.target, one.expr) for one in found.statements]

    return occasions_of(chains, blocks, frozenset(parts.inputs.columns), flatten) if chains else Occasions()

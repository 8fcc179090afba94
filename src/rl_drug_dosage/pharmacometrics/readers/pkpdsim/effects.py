"""Random effects of a PKPDsim file: between subjects, and between occasions of one subject."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rl_drug_dosage.pharmacometrics.readers.pkpdsim.json5_text import Node
from rl_drug_dosage.pharmacometrics.readers.pkpdsim.values import Parts
from rl_drug_dosage.pharmacometrics.readers.written import Number

__all__ = ["Between", "between_subjects", "kappas"]

_ROUNDED = 0.02
"""Relative difference of a variance that a rounded standard deviation explains."""
_LARGEST_SD = 1e6


@dataclass(frozen=True)
class Between:
    """The covariance, the parameters that it belongs to, the line, and what to warn about."""

    omega: np.ndarray
    varied: tuple[str, ...]
    line: int
    remarks: tuple[str, ...] = ()


def between_subjects(parts: Parts, parameters: Mapping[str, Number]) -> Between:
    """``omega_matrix`` belongs to the parameters that are not fixed, in the file's order.

    Raises:
        ReadError: no lower triangle, more rows than such parameters, not positive definite.
    """
    free = [name for name, number in parameters.items() if not number.fixed]
    node = parts.all.get("omega_matrix")
    iiv: Mapping[str, Node] = parts.part("iiv", dict, {})
    if node is None or not node.value:
        return _of_iiv(parts, iiv, free)
    triangle = [parts.number(each, "omega_matrix") for each in parts.listed(node)]
    size = int((math.sqrt(8 * len(triangle) + 1) - 1) / 2)
    if size * (size + 1) // 2 != len(triangle):
        raise parts.wrong(node, f"omega_matrix of {len(triangle)} numbers", "a lower triangle: 1, 3, 6, 10, ...")
    if size > len(free):
        came = f"omega_matrix of {size} rows, and {len(free)} parameters that are not fixed"
        raise parts.wrong(node, came, "at most one row for each of them", "correct the matrix, or `fixed`")
    omega = np.zeros((size, size))
    omega[np.tril_indices(size)] = triangle
    omega = omega + np.tril(omega, -1).T
    smallest = np.linalg.eigvalsh(omega).min()
    if not smallest > 0:
        came = f"omega_matrix with the smallest eigenvalue {smallest:.3g}"
        remedy = "put parameters without an effect into `fixed`, or correct the matrix"
        raise parts.wrong(node, came, "a positive definite matrix", remedy)
    return Between(omega, tuple(free[:size]), node.place.line, _contradicted(iiv, omega, free))


def _of_iiv(parts: Parts, iiv: Mapping[str, Node], free: list[str]) -> Between:
    sizes = {}
    for name, node in iiv.items():
        if name not in free:
            allowed = ", ".join(free) or "none"
            raise parts.wrong(node, f"iiv names {name!r}", allowed, "name a parameter that is not fixed")
        if (size := parts.number(node, f"iiv.{name}")) > 0:
            sizes[name] = size
    if not sizes:
        return Between(np.zeros((0, 0)), (), parts.root.place.line)
    remark = "no omega_matrix: variances are the squares of iiv, without correlations"
    omega = np.diag(np.square(list(sizes.values())))
    return Between(omega, tuple(sizes), parts.at("iiv").place.line, (remark,))


def _contradicted(iiv: Mapping[str, Node], omega: np.ndarray, free: list[str]) -> tuple[str, ...]:
    """A standard deviation printed beside the matrix that contradicts it is a slip in one of them."""
    found = []
    for name, node in iiv.items():
        if name not in free[: len(omega)] or not isinstance(node.value, float):
            continue
        variance, square = omega[free.index(name), free.index(name)], node.value * node.value
        if not any(math.isclose(variance, size, rel_tol=_ROUNDED) for size in (square, math.log1p(square))):
            found.append(
                f"line {node.place.line}: iiv of {name} is {node.value:g}, and omega_matrix has the variance "
                f"{variance:g}, a standard deviation of {math.sqrt(variance):.4g}: the matrix is used"
            )
    return tuple(found)


def kappas(parts: Parts) -> dict[str, Number]:
    """Variances of the effects between occasions, by the names that the code reads: ``kappa_CL``.

    Raises:
        ReadError: ``iov`` without ``cv``, or a negative one.
    """
    iov = parts.part("iov", dict, {})
    if not iov or ("use" in iov and iov["use"].value is False):
        return {}
    cv = iov.get("cv")
    if cv is None or not isinstance(cv.value, dict):
        raise parts.wrong(parts.at("iov"), "iov without cv", "iov: {cv: {CL: 0.1}, n_bins: 3}")
    found = {}
    for name, node in cv.value.items():
        size = parts.number(node, f"iov.cv.{name}")
        if not 0 <= size <= _LARGEST_SD:
            raise parts.wrong(node, f"iov.cv.{name} is {size:g}", f"a standard deviation from 0 to {_LARGEST_SD:g}")
        own = f"kappa_{parts.named(name, node, 'parameter')}"
        found[own] = Number(own, size**2, node.place.line, "squared iov.cv")
    return found

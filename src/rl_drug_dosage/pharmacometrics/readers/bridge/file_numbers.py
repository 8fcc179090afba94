"""Numbers of a written model: parameters, and random effects with their covariances."""

import math
from collections.abc import Sequence

import numpy as np

from rl_drug_dosage.pharmacometrics.readers.bridge.effects import Effect
from rl_drug_dosage.pharmacometrics.readers.bridge.said import Said
from rl_drug_dosage.pharmacometrics.readers.bridge.units import tidy
from rl_drug_dosage.pharmacometrics.readers.written import Number, ReadError
from rl_drug_dosage.pkpd import Correlation, Eta, Param
from rl_drug_dosage.pkpd.parameter_units import NOT_STATED, fits_name
from rl_drug_dosage.pkpd.units import is_known_unit

__all__ = ["Numbers"]


class Numbers:
    """Numbers with their lines; none is verified, since a file is no publication.

    Args:
        said: by the file and its sidecar.
        reads: names of random effects that anything depends on.
    """

    def __init__(self, said: Said, reads: frozenset[str]) -> None:
        self.said, self.reads = said, reads

    def param(self, number: Number, unit: str = "") -> Param:
        """A number with its line; a unit that does not fit its name is told as a part of its meaning."""
        said = unit or tidy(number.unit)
        meaning = number.label or number.name
        if number.fixed:
            meaning += ", fixed"
        if not is_known_unit(said) or fits_name(number.name, said):
            meaning, said = f"{meaning} [{said}]" if said else meaning, NOT_STATED
        return Param(float(number.value), said, self.said.source(number.line), meaning, unverified=True)

    def _kept(self, effects: Sequence[Effect]) -> dict[str, Effect]:
        """The effects that anything depends on."""
        for effect in effects:
            if effect.is_helper and effect.eta not in self.reads:
                self.said.remarks.append(f"{effect.eta} enters no prediction: it is left out")
        return {e.eta: e for e in effects if not e.is_helper or e.eta in self.reads}

    def etas(self, effects: Sequence[Effect], numbers: Sequence[Number]) -> tuple[Eta, ...]:
        """Random effects, those without variance left out.

        Raises:
            ReadError: a negative variance.
        """
        kept = self._kept(effects)
        for number in numbers:
            if not number.value >= 0:
                at = f"{self.said.written.path}:{number.line}"
                came = f"the variance of {number.name} is {number.value:g}"
                raise ReadError(f"{at}: {came}; allowed: 0 or more; correct it")
        return tuple(
            Eta(kept[n.name].parameter, self.param(n, "1"), kind="var", form=kept[n.name].form)
            for n in numbers
            if n.name in kept
        )

    def correlations(
        self, effects: Sequence[Effect], numbers: Sequence[Number], omega: np.ndarray
    ) -> tuple[Correlation, ...]:
        """Covariances of the random effects that are left.

        Raises:
            ReadError: a matrix that is singular or not positive definite.
        """
        by_name = {e.eta: e for e in effects if not e.is_helper or e.eta in self.reads}
        at = [i for i, n in enumerate(numbers) if n.name in by_name]
        whole = np.asarray(omega, float).reshape(len(numbers), len(numbers))
        part = whole[np.ix_(at, at)]
        if at and not (np.isfinite(part).all() and np.linalg.eigvalsh(_scaled_to_one(part)).min() > 1e-10):
            names = ", ".join(numbers[i].name for i in at)
            raise ReadError(
                f"{self.said.written.path}:{numbers[at[0]].line}: the covariance matrix of {names} is singular or not "
                "positive definite; correct the variances and covariances, or fix a variance to 0"
            )
        found = []
        for i in at:
            for j in at:
                if j < i and whole[i, j] != 0:
                    first, second = numbers[j].name, numbers[i].name
                    what = f"covariance of {first} and {second}"
                    size = Param(float(whole[i, j]), "1", self.said.source(numbers[i].line), what, unverified=True)
                    found.append(Correlation(by_name[first].parameter, by_name[second].parameter, size, kind="cov"))
        return tuple(found)


def _scaled_to_one(matrix: np.ndarray) -> np.ndarray:
    """A covariance matrix as correlations."""
    sd = np.sqrt(np.abs(np.diag(matrix)))
    scaled: np.ndarray = matrix / np.where(sd > 0, sd, math.nan)[:, None] / np.where(sd > 0, sd, math.nan)
    return np.nan_to_num(scaled, nan=0.0)

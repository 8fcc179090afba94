"""What is recommended for one patient, and everything behind it: a value that prints, saves and shows itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from rl_drug_dosage.bedside.history import PatientHistory
from rl_drug_dosage.bedside.moments import moment
from rl_drug_dosage.bedside.regimens import Row
from rl_drug_dosage.bedside.sampling import Sampling
from rl_drug_dosage.bedside.windows import Option
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.utils.arguments import checked
from rl_drug_dosage.utils.files import atomic_write, prepare_folder
from rl_drug_dosage.utils.words import lasting

__all__ = ["FORMAT", "INTENDED_USE", "Curve", "Parameter", "PolicyResult", "Recommendation", "option_words"]

INTENDED_USE = "For research and education only; nothing here is meant to treat a patient."

FORMAT = 1
"""Of `Recommendation.to_dict`; it grows when a name changes its meaning."""


@dataclass(frozen=True)
class Curve:
    """Predictions of one output, without residual error.

    Args:
        output, unit: what.
        time_h: hours, as the history counts them.
        estimate: of the most probable model's point estimate.
        bands: 5th, 25th, 50th, 75th and 95th percentile.
    """

    output: str
    unit: str
    time_h: Float[np.ndarray, "time"]
    estimate: Float[np.ndarray, "time"]
    bands: Float[np.ndarray, "5 time"]


@dataclass(frozen=True)
class PolicyResult:
    """One policy's recommendation and what it would lead to, by the same posterior.

    Args:
        name: of the policy.
        words: dose and interval as people write them; empty where it abstains.
        row: the regimen and its probabilities; None where there is none to forecast.
        curve: past and future; None likewise.
        notes: how the history was mapped, and what is unusual.
        abstains: why it recommends nothing.
    """

    name: str
    words: str
    row: Row | None
    curve: Curve | None
    notes: tuple[str, ...] = ()
    abstains: str = ""


@dataclass(frozen=True)
class Parameter:
    """One estimated parameter of the most probable model: the patient's, a typical patient's, and how far apart."""

    name: str
    unit: str
    value: float
    typical: float
    sds: float


@dataclass(frozen=True, repr=False)
class Recommendation:
    """One patient's answer.

    Args:
        history: what was told.
        drug: generic name.
        start_h, horizon_h: when the next dose is due, and how far ahead the interval that counts ends.
        quantity, unit: the metric of the first window.
        targets: the windows in words.
        harms: names of the harms.
        policies: best Bayesian dosing first.
        rows: alternatives, best first.
        sampling: when the next level would tell most; None where nothing can be measured.
        weights: posterior probability of every model.
        effective: proposals that each model's draws rest on.
        parameters: of the most probable model.
        curves: every measured output under the recommended regimen.
        reasons, warnings, notes: sentences.
        contradicted: no model can explain the levels.
        window: of a first target that is a level, for the figure.
        amounts_mg, intervals_h: of the label, within the limits.
    """

    history: PatientHistory
    drug: str
    start_h: float
    horizon_h: float
    quantity: str
    unit: str
    targets: tuple[str, ...]
    harms: tuple[str, ...]
    policies: tuple[PolicyResult, ...]
    rows: tuple[Row, ...]
    sampling: Sampling | None
    weights: Mapping[str, float]
    effective: Mapping[str, float]
    parameters: tuple[Parameter, ...]
    curves: tuple[Curve, ...]
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    contradicted: bool
    window: tuple[float | None, float | None] | None = None
    amounts_mg: tuple[float, ...] = ()
    intervals_h: tuple[float, ...] = ()

    @property
    def title(self) -> str:
        """One line."""
        who = f"{self.history.name}: " if self.history.name else ""
        return f"{who}{self.drug}, next dose {self.when(self.start_h)}"

    @property
    def best(self) -> PolicyResult:
        """The policy whose dose counts: Bayesian dosing, or the label where the levels contradict every model."""
        return next((p for p in self.policies if p.row is not None and not p.abstains), self.policies[0])

    @property
    def dose_mg(self) -> float | None:
        """Amount of the recommended dose; None where nothing is recommended."""
        return None if self.best.row is None else self.best.row.option.amount_mg

    @property
    def interval_h(self) -> float | None:
        """Its interval."""
        return None if self.best.row is None else self.best.row.option.interval_h

    def when(self, hours: float) -> str:
        """A time as the history counts it: by the clock where it has an origin."""
        return f"at {moment(self.history, hours)}"

    def text(self) -> str:
        """The answer as plain text."""
        from rl_drug_dosage.bedside.words import text_of

        return text_of(self)

    def to_dict(self) -> dict[str, Any]:
        """The answer as values for JSON; what is not finite is None."""
        from rl_drug_dosage.bedside.record import record_of

        return record_of(self)

    def html(self) -> str:
        """A complete document that needs no network."""
        from rl_drug_dosage.bedside.sheet import sheet_html

        return sheet_html(self)

    @checked
    def save(self, path: str | Path) -> Path:
        """Write ``.html``, ``.pdf``, ``.json`` or ``.txt``.

        Raises:
            ConfigError: another suffix.
            OutputError: the file cannot be written.
        """
        path = Path(path)
        match path.suffix.lower():
            case ".html" | ".htm":
                data = self.html().encode()
            case ".pdf":
                from rl_drug_dosage.bedside.plots import sheet_pdf

                data = sheet_pdf(self)
            case ".json":
                data = json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"
            case ".txt":
                data = self.text().encode() + b"\n"
            case other:
                raise ConfigError(
                    f"cannot save as {other or path.name!r}; allowed: .html, .pdf, .json, .txt; change it"
                )
        prepare_folder(path.parent, [path.name])
        atomic_write(path, data)
        return path

    def __repr__(self) -> str:
        return f"<Recommendation: {self.title}, {self.best.words or 'nothing'}>"

    def _repr_html_(self) -> str:
        from rl_drug_dosage.bedside.sheet import fragment

        return fragment(self)


def option_words(option: Option) -> str:
    """A regimen as people write it."""
    if option.amount_mg == 0:
        return "no drug"
    over = f" over {option.duration_h:.3g} h" if option.duration_h else ""
    return f"{option.amount_mg:g} mg{over} every {lasting(option.interval_h)}"

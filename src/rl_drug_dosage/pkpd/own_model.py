"""The short form of a drug model: name, structure, typical values, variances and error in some fifteen lines.

It makes a `DrugModel` like a drug file does. Everything has a unit; a source may be left out and is then "own", which
`check` and reports show. See `rl_drug_dosage.own_model`.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast, get_args

from jaxtyping import Array

from rl_drug_dosage.pkpd._errors import DrugModelError
from rl_drug_dosage.pkpd.description import (
    Correlation,
    DosingOptions,
    Eta,
    EtaKind,
    Metric,
    Output,
    Param,
    Residual,
    Route,
    Target,
    Values,
    central_concentration,
)
from rl_drug_dosage.pkpd.linear import Mammillary
from rl_drug_dosage.pkpd.model import DrugModel
from rl_drug_dosage.pkpd.own_covariates import own_covariate
from rl_drug_dosage.pkpd.parameter_units import engine_factor, parameter_unit
from rl_drug_dosage.pkpd.units import metric_unit, per_mg_per_l, same_dimension
from rl_drug_dosage.utils.typed_fields import typed_fields

__all__ = ["OwnModel"]

_STRUCTURE = re.compile(r"([123])cmt((?: (?:iv|oral|effect))+)")
_STRUCTURES = "'1cmt iv', '2cmt oral', '3cmt iv effect', '1cmt iv oral' and the like"
_MEANINGS = {
    "cl": "clearance", "v1": "central volume", "q2": "flow to the first peripheral compartment",
    "v2": "first peripheral volume", "q3": "flow to the second peripheral compartment",
    "v3": "second peripheral volume", "ka": "absorption rate", "ke0": "rate of the effect compartment",
}  # fmt: skip
_SIZES: Mapping[str, EtaKind] = {"%": "cv_exact", "var": "var", "sd": "sd"}
_ERRORS = ("additive", "proportional", "lognormal", "kind")


@dataclass(frozen=True)
class _Scaled:
    """Multiplies the central concentration; a value, so that equal models share programs."""

    factor: float

    def __call__(self, state: Values, p: Values) -> Array:
        return central_concentration(state, p) * self.factor


@dataclass(frozen=True)
class _Parameters:
    """Typical values in engine units, then what the model's own function changes."""

    factors: tuple[tuple[str, float], ...]
    own: Callable[[Values, Values], Values] | None

    def __call__(self, theta: Values, covariates: Values) -> dict[str, Array]:
        given = {name: theta[name] * factor for name, factor in self.factors}
        if self.own is None:
            return given
        changed: Any = self.own({**theta, **given}, covariates)
        # Any other answer is refused where the model is made.
        return {**given, **changed} if isinstance(changed, Mapping) else changed


@typed_fields(DrugModelError)
@dataclass(frozen=True)
class OwnModel:
    """What the short form says; `rl_drug_dosage.own_model` describes the fields."""

    name: str
    structure: str | Mammillary
    thetas: Mapping[str, Any]
    omegas: Mapping[Any, Any] = field(default_factory=dict)
    error: Mapping[str, Any] | None = None
    covariates: Mapping[str, Any] = field(default_factory=dict)
    parameters: Callable[..., Any] | None = None
    concentration: str = "mg/L"
    infusion_h: float = 0.0
    doses_mg: tuple[float, ...] = ()
    intervals_h: tuple[float, ...] = ()
    usual_dose_mg: float | None = None
    targets: Mapping[str, Any] = field(default_factory=dict)
    source: str = "own"

    def model(self) -> DrugModel:
        """The drug model.

        Raises:
            DrugModelError, CovariateError: by the name of the entry: what came, what is allowed, what to do.
        """
        structure, routes = self._structure()
        thetas = {name: self._theta(name, given) for name, given in self.thetas.items()}
        found = tuple(own_covariate(name, given, self.source) for name, given in self.covariates.items())
        scale = per_mg_per_l(self.concentration)
        if scale is None:
            raise self._wrong("concentration", repr(self.concentration), "a mass in a volume, such as mg/L, ug/L")
        parameters = _Parameters(tuple(self._factors(thetas)), self.parameters)
        self._complete(structure, thetas)
        return DrugModel(
            name=self.name,
            drug=self.name.partition("-")[0],
            title=f"{self.name}, own model",
            citation="own",
            doi="own",
            population="own",
            second_source="own",
            structure=structure,
            thetas=thetas,
            parameters=parameters,
            etas=tuple(self._etas()),
            correlations=tuple(self._correlations()),
            covariates=found,
            outputs=(
                Output(
                    "concentration",
                    self.concentration,
                    self._residual(),
                    central_concentration if scale == 1.0 else _Scaled(scale),
                    f"{self.name} in plasma",
                    scale,
                ),
            ),
            targets=tuple(self._targets()),
            dosing=self._dosing(routes),
            limits_of_use=("own model: for the patients whose data it was made of",),
        )

    def _wrong(self, at: str, came: str, allowed: str, remedy: str = "correct it") -> DrugModelError:
        return DrugModelError(f"own model {self.name!r}: {at} is {came}; allowed: {allowed}; {remedy}")

    def _structure(self) -> tuple[Mammillary, tuple[Route, ...]]:
        infusion = Route(f"{self.infusion_h:g}-h infusion" if self.infusion_h else "bolus", "central", self.infusion_h)
        if isinstance(self.structure, Mammillary):
            oral = (Route("oral", "depot"),) if self.structure.depot else ()
            return self.structure, (*oral, infusion)
        match = _STRUCTURE.fullmatch(" ".join(self.structure.split()))
        words = match[2].split() if match else []
        if match is None or len(words) != len(set(words)) or not {"iv", "oral"} & set(words):
            raise self._wrong("structure", repr(self.structure), _STRUCTURES)
        routes = {"iv": infusion, "oral": Route("oral", "depot")}
        found = Mammillary(int(match[1]) - 1, depot="oral" in words, effect="effect" in words)
        return found, tuple(routes[word] for word in words if word in routes)

    # Numbers

    def _param(self, at: str, given: Any, unit: str, meaning: str) -> Param:
        """A number, (number, unit), (number, unit, source) or a Param; ``unit`` is that of a number alone."""
        if isinstance(given, Param):
            return given
        parts = tuple(given) if isinstance(given, tuple | list) else (given, unit)
        texts = all(isinstance(part, str) for part in parts[1:])
        if not 2 <= len(parts) <= 3 or isinstance(parts[0], bool | str) or not texts:
            raise self._wrong(at, repr(given), "a number, (number, unit) or (number, unit, source)")
        try:
            value = float(parts[0])
        except (TypeError, ValueError):
            raise self._wrong(at, repr(given), "a number, (number, unit) or (number, unit, source)") from None
        return Param(value, parts[1], parts[2] if len(parts) > 2 else self.source, meaning)

    def _theta(self, name: str, given: Any) -> Param:
        asked = parameter_unit(name)
        if asked not in {"", "1"} and not isinstance(given, tuple | list | Param):
            raise self._wrong(f"thetas.{name}", repr(given), f"a number with its unit, such as ({given!r}, {asked!r})")
        return self._param(f"thetas.{name}", given, "1", _MEANINGS.get(name, name.replace("_", " ")))

    def _factors(self, thetas: Mapping[str, Param]) -> Iterator[tuple[str, float]]:
        """Factors to engine units of the parameters that the engine reads."""
        for name, theta in thetas.items():
            asked = parameter_unit(name)
            if not asked:
                continue
            if asked == "1":
                yield name, 0.01 if theta.unit == "%" else 1.0
                continue
            factor = engine_factor(theta.unit) if same_dimension(theta.unit, asked) else None
            if factor is None and self.parameters is None:
                remedy = f"convert it, or give `parameters`, a function that makes {asked} of it"
                raise self._wrong(f"thetas.{name}", f"in {theta.unit!r}", f"{asked} or a multiple of it", remedy)
            yield name, 1.0 if factor is None else factor

    def _complete(self, structure: Mammillary, thetas: Mapping[str, Param]) -> None:
        missing = [name for name in structure.parameters if name not in thetas]
        if missing and self.parameters is None:
            near = difflib.get_close_matches(missing[0], list(thetas), n=1)
            hint = f"; did you mean it by {near[0]!r}?" if near else ""
            came = f"without {', '.join(missing)}{hint}"
            allowed = f"{', '.join(structure.parameters)} for {self.structure}"
            raise self._wrong("thetas", came, allowed, "add it, or return it from `parameters`")

    def _etas(self) -> Iterator[Eta]:
        for key, given in self.omegas.items():
            if isinstance(key, tuple):
                continue
            if not isinstance(key, str):
                raise self._wrong("omegas", f"with the key {key!r}", "the name of a parameter, or a pair of names")
            value, kind = self._size(f"omegas.{key}", given, "var", ("var", "sd", "%"))
            unit = "%" if kind == "%" else "1"
            what = f"between-subject variability of {_MEANINGS.get(key, key)}"
            yield Eta(key, Param(value, unit, self.source, what), kind=_SIZES[kind])

    def _correlations(self) -> Iterator[Correlation]:
        for key, given in self.omegas.items():
            if not isinstance(key, tuple):
                continue
            at = f"omegas.{key}"
            if len(key) != 2 or key[0] == key[1] or not all(name in self.omegas for name in key):
                raise self._wrong(at, "no pair of effects", "two names that `omegas` has a variance of")
            value, kind = self._size(at, given, "cov", ("cov", "corr"))
            size = Param(value, "1", self.source, f"{kind} of {key[0]} and {key[1]}")
            yield Correlation(key[0], key[1], size, kind="corr" if kind == "corr" else "cov")

    def _size(self, at: str, given: Any, alone: str, kinds: Sequence[str]) -> tuple[float, str]:
        """The size of a random effect and how it is meant; a number alone is a variance, as in NONMEM."""
        number = self._param(at, given, alone, at)
        if number.unit not in kinds:
            allowed = f"a {alone} alone, or (number, {' or '.join(map(repr, kinds))})"
            raise self._wrong(at, repr(given), allowed)
        return number.value, number.unit

    # Output, doses

    def _residual(self) -> Residual | None:
        if self.error is None:
            return None
        for name in self.error:
            if name not in _ERRORS:
                raise self._wrong("error", f"with {name!r}", ", ".join(_ERRORS))
        sizes = {
            name: self._param(
                f"error.{name}", given, self.concentration if name == "additive" else "1", f"{name} error"
            )
            for name, given in self.error.items()
            if name != "kind"
        }
        both = {"additive", "proportional"} <= set(sizes)
        kind = str(self.error.get("kind", "combined2" if both else next(iter(sizes), "")))
        if "lognormal" in sizes and len(sizes) == 1 and kind == "lognormal":
            return Residual("lognormal", proportional=sizes["lognormal"])
        allowed = {"combined1", "combined2"} if both else {"additive", "proportional"} & set(sizes)
        if "lognormal" in sizes or kind not in allowed:
            words = "additive, proportional, both of them (kind combined1 or combined2), or lognormal alone"
            raise self._wrong("error", repr(dict(self.error)), words)
        return Residual(kind, sizes.get("additive"), sizes.get("proportional"))  # type: ignore[arg-type]

    def _targets(self) -> Iterator[Target]:
        for metric, window in self.targets.items():
            if metric not in get_args(Metric):
                raise self._wrong("targets", f"with {metric!r}", ", ".join(get_args(Metric)))
            if not isinstance(window, tuple | list) or len(window) != 2:
                raise self._wrong(f"targets.{metric}", repr(window), "(low, high), None for an open edge")
            unit = metric_unit(metric, self.concentration)
            yield Target("concentration", cast("Metric", metric), window[0], window[1], unit, self.source)

    def _dosing(self, routes: tuple[Route, ...]) -> DosingOptions:
        if not self.doses_mg and not self.intervals_h and self.usual_dose_mg is None:
            return DosingOptions(routes, (), (), 0.0, self.source)
        if not self.doses_mg or not self.intervals_h:
            given = "doses_mg" if self.doses_mg else "intervals_h" if self.intervals_h else "usual_dose_mg"
            allowed = "doses_mg and intervals_h together, with usual_dose_mg if it is not the middle one"
            raise self._wrong("dosing", f"{given} without the rest", allowed)
        usual = self.doses_mg[len(self.doses_mg) // 2] if self.usual_dose_mg is None else self.usual_dose_mg
        return DosingOptions(routes, tuple(map(float, self.doses_mg)), self.intervals_h, usual, self.source)

"""From a model as its authors wrote it to a `DrugModel`: units, random effects, structure, outputs, residual errors.

Numbers keep the file's scale and lines. Contents are kept in mg and times in h by one factor each; everything else is
computed by the file's own statements, in its own units. Imported numbers count as unverified: reading a file is no
comparison with its paper.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pharmacometrics.readers import _units
from rl_drug_dosage.pharmacometrics.readers._effects import Effect, effects_of
from rl_drug_dosage.pharmacometrics.readers._errors_of import residual_of
from rl_drug_dosage.pharmacometrics.readers._linear import AffineForms
from rl_drug_dosage.pharmacometrics.readers._statements import Steps, output_name, single_assignment
from rl_drug_dosage.pharmacometrics.readers._structure import Parts, Scales, make_parts
from rl_drug_dosage.pharmacometrics.readers.expressions import Name, Num, names_in
from rl_drug_dosage.pharmacometrics.readers.sidecar import (
    CovariateWords,
    MissingWordsError,
    OutputWords,
    Sidecar,
    Wanted,
    unknown_names,
)
from rl_drug_dosage.pharmacometrics.readers.written import Number, ReadError, WrittenCovariate, WrittenModel
from rl_drug_dosage.pkpd import (
    Correlation,
    Covariate,
    DosingOptions,
    DrugModel,
    Eta,
    Fixed,
    Output,
    Param,
    Route,
    Target,
)
from rl_drug_dosage.pkpd.covariate import RESERVED_TITLES
from rl_drug_dosage.pkpd.parameter_units import NOT_STATED, fits_name

__all__ = ["drug_model"]

_VOLUMES_L = 0.02, 30_000.0
"""Central volumes outside these bounds, this project's own, are asked about: a unit may be off by a factor of 1000."""


def drug_model(written: WrittenModel, sidecar: Sidecar | None = None) -> DrugModel:
    """The drug model of a file and its sidecar.

    Args:
        written: what the file says.
        sidecar: what was said beside it.

    Raises:
        ReadError: something that the engine cannot do, by line.
        MissingWordsError: everything at once that neither of the two says and the model needs.
        DrugModelError: parts that do not fit together.
    """
    return _Bridge(written, sidecar or Sidecar()).model()


class _Bridge:
    """One model, while it is made."""

    def __init__(self, written: WrittenModel, sidecar: Sidecar) -> None:
        self.written, self.sidecar = written, sidecar
        self.wanted: list[Wanted] = []
        self.remarks: list[str] = list(written.remarks)
        known = {"covariates": [c.name for c in written.covariates], "outputs": [o.name for o in written.outputs]}
        unknown_names(sidecar, Path(written.path).name, known)
        if not written.outputs:
            raise ReadError(f"{written.path}: nothing is predicted; supported: models with at least one output; add it")
        self.steps: Steps = single_assignment(written)
        self.forms = AffineForms(self.steps, written.compartments)
        self.zero = frozenset(e.name for e in (*written.etas, *written.occasion_etas) if e.value == 0)

    def model(self) -> DrugModel:
        """All of it."""
        w, said = self.written, self.sidecar
        scales = Scales(self._amount(), self._hours())
        covariates = self._covariates()
        units = [self._output_unit(i) for i in range(len(w.outputs))]
        if self.wanted:
            raise MissingWordsError(w.path, self.wanted)
        between, within = effects_of(
            self.steps,
            [e.name for e in w.etas if e.name not in self.zero],
            [e.name for e in w.occasion_etas if e.name not in self.zero],
        )
        ignored = [Effect(name, name, "additive", is_helper=True) for name in sorted(self.zero)]
        mass = said.units.molar_mass_g_per_mol
        parts = make_parts(
            w,
            self.steps,
            [*between, *within, *ignored],
            self.zero,
            scales,
            [_units.per_mg_l(unit, mass) for unit in units],
            {file: c.name for file, c in covariates.items()},
            {file: c.typical for file, c in covariates.items()},
        )
        texts = self._texts()
        made = DrugModel(
            **texts,
            structure=parts.structure,
            thetas={n.name: self._param(n) for n in w.thetas},
            parameters=parts.typical,
            etas=self._etas(between, w.etas, parts),
            covariates=tuple(covariates.values()),
            outputs=self._outputs(parts, units, covariates),
            targets=tuple(self._target(target) for target in said.targets),
            dosing=self._dosing(parts),
            correlations=self._correlations(between, w.etas, w.omega, parts),
            occasion_etas=self._etas(within, w.occasion_etas, parts),
            occasion_correlations=self._correlations(within, w.occasion_etas, w.occasion_omega, parts),
            finish=parts.individual,
            limits_of_use=(*said.limits_of_use, *self._limits(covariates)),
            ambiguities=tuple(self.remarks),
            second_source=said.second_source,
        )
        self._ask_about_volume(made, parts, units)
        return made

    def _texts(self) -> dict[str, str]:
        w, said = self.written, self.sidecar
        name = re.sub(r"[^a-z0-9]+", "-", w.name.lower()).strip("-") or "model"
        file = Path(w.path).name

        def text(own: str, *facts: str) -> str:
            return own or next((w.facts[fact] for fact in facts if w.facts.get(fact)), "")

        return {
            "name": name,
            "drug": text(said.drug, "drug") or name,
            "title": " ".join((text(said.title, "title", "description") or f"{name}, read from {file}").split()),
            "citation": text(said.citation, "citation", "reference") or f"{w.format} file {file}",
            "doi": text(said.doi, "doi"),
            "population": text(said.population, "population") or NOT_STATED,
        }

    # Units

    def _said(self, what: str) -> str:
        return getattr(self.sidecar.units, what) or self.written.units.get(what, "")

    def _hours(self) -> float:
        unit = self._said("time")
        found = _units.hours(unit)
        if found is None:
            came = f"; the file says {unit!r}" if unit else ""
            self.wanted.append(Wanted("units", "time", f'of rates and times: "h", "min", "day" or "week"{came}'))
        return found or 1.0

    def _amount(self) -> float:
        """How many of the file's units 1 mg is."""
        unit, said = self._said("dose"), self.sidecar.units
        if said.mg_per_dose_unit is not None:
            return 1.0 / said.mg_per_dose_unit
        if (mass := _units.amount_per_mg(unit)) is not None:
            return mass
        if (moles := _units.moles_per_mg(unit)) is not None:
            if said.molar_mass_g_per_mol is None:
                what = f"a number: g/mol of the drug, whose doses the file has in {unit}"
                self.wanted.append(Wanted("units", "molar_mass_g_per_mol", what))
            return moles / (said.molar_mass_g_per_mol or 1.0)
        if unit:
            what = f"a number: how many mg one {unit} is (1 to count each as 1 mg in doses and data)"
            self.wanted.append(Wanted("units", "mg_per_dose_unit", what))
        else:
            self.wanted.append(Wanted("units", "dose", 'of doses: "mg", "g", "ug", "ng", "nmol", "IU" ...'))
        return 1.0

    def _output_unit(self, index: int) -> str:
        output = self.written.outputs[index]
        said = self.sidecar.outputs.get(output.name, OutputWords())
        unit = said.unit or output.unit
        if not unit and (len(self.written.outputs) == 1 or self._is_concentration(index)):
            unit = self._said("concentration")
        if not unit:
            what = f'of {output.name}: "mg/L", "ng/mL", "%", "1" where it has none'
            self.wanted.append(Wanted(f"outputs.{_key(output.name)}", "unit", what))
        return _units.tidy(unit)

    def _is_concentration(self, index: int) -> bool:
        """Whether an output is the content of one compartment over something: the unit of concentrations is its own."""
        form = self.forms.of(Name(output_name(index)))
        if form is None or form.constant != Num(0.0) or len(form.coefficients) != 1:
            return False
        (factor,) = form.coefficients.values()
        return not isinstance(factor, Num)

    def _ask_about_volume(self, model: DrugModel, parts: Parts, units: Sequence[str]) -> None:
        """A central volume that no drug has comes from units that do not fit; where a sidecar names them, it counts."""
        for i in parts.auc_scale:
            output = self.written.outputs[i]
            if self.sidecar.outputs.get(output.name, OutputWords()).unit or self.sidecar.units.concentration:
                return
            with jax.enable_x64(True):
                volume = model.typical().get("v1", 1.0)
            if _VOLUMES_L[0] <= volume <= _VOLUMES_L[1]:
                return
            what = (
                f"of {output.name} as the file computes it; {units[i]} with doses in {self._said('dose')} makes the "
                f"central volume {volume:.3g} L. If that is right, write {units[i]}"
            )
            raise MissingWordsError(self.written.path, [Wanted(f"outputs.{_key(output.name)}", "unit", what)])

    # Numbers

    def _source(self, line: int) -> str:
        file = Path(self.written.path).name
        return f"{file}, line {line}" if line else file

    def _param(self, number: Number, unit: str = "") -> Param:
        said = unit or number.unit
        meaning = number.label or number.name
        if number.fixed:
            meaning += ", fixed"
        if not said or fits_name(number.name, said):
            meaning, said = f"{meaning} [{said}]" if said else meaning, NOT_STATED
        return Param(number.value, said, self._source(number.line), meaning, unverified=True)

    def _kept(self, effects: Sequence[Effect], parts: Parts) -> dict[str, Effect]:
        """The effects that anything depends on."""
        for effect in effects:
            if effect.is_helper and effect.eta not in parts.reads:
                self.remarks.append(f"{effect.eta} enters no prediction: it is left out")
        return {e.eta: e for e in effects if not e.is_helper or e.eta in parts.reads}

    def _etas(self, effects: Sequence[Effect], numbers: Sequence[Number], parts: Parts) -> tuple[Eta, ...]:
        kept = self._kept(effects, parts)
        for number in numbers:
            if not number.value >= 0:
                raise ReadError(
                    f"{self.written.path}:{number.line}: the variance of {number.name} is {number.value:g}; allowed: 0 "
                    "or more; correct it"
                )
        return tuple(
            Eta(kept[n.name].parameter, self._param(n, "1"), kind="var", form=kept[n.name].form)
            for n in numbers
            if n.name in kept
        )

    def _correlations(
        self, effects: Sequence[Effect], numbers: Sequence[Number], omega: np.ndarray, parts: Parts
    ) -> tuple[Correlation, ...]:
        by_name = {e.eta: e for e in effects if not e.is_helper or e.eta in parts.reads}
        at = [i for i, n in enumerate(numbers) if n.name in by_name]
        whole = np.asarray(omega, float).reshape(len(numbers), len(numbers))
        part = whole[np.ix_(at, at)]
        if at and not (np.isfinite(part).all() and np.linalg.eigvalsh(_scaled_to_one(part)).min() > 1e-10):
            names = ", ".join(numbers[i].name for i in at)
            raise ReadError(
                f"{self.written.path}:{numbers[at[0]].line}: the covariance matrix of {names} is singular or not "
                "positive definite; correct the variances and covariances, or fix a variance to 0"
            )
        found = []
        for i in at:
            for j in at:
                if j < i and whole[i, j] != 0:
                    first, second = numbers[j].name, numbers[i].name
                    what = f"covariance of {first} and {second}"
                    size = Param(float(whole[i, j]), "1", self._source(numbers[i].line), what, unverified=True)
                    found.append(Correlation(by_name[first].parameter, by_name[second].parameter, size, kind="cov"))
        return tuple(found)

    # Covariates

    def _covariates(self) -> dict[str, Covariate]:
        """By the names of the file; only those that anything depends on."""
        roots = [output_name(i) for i in range(len(self.written.outputs))]
        roots += self.steps.properties.values()
        read = {n for step in self.steps.needed(roots) for n in names_in(step.expr)}
        found = {}
        for written in self.written.covariates:
            if written.name in read and (covariate := self._covariate(written)) is not None:
                found[written.name] = covariate
        return found

    def _covariate(self, written: WrittenCovariate) -> Covariate | None:
        said = self.sidecar.covariates.get(written.name, CovariateWords())
        table, called = f"covariates.{_key(written.name)}", written.meaning or written.name
        unit = _units.category(said.unit or written.unit)
        if not said.unit and written.facts.get("type") == "binary":
            unit = "0/1"
        typical = written.reference if said.typical is None else said.typical
        column = said.column or written.name
        before = len(self.wanted)
        if not unit:
            self.wanted.append(Wanted(table, "unit", f'of {called}: "kg", "y", "0/1", "1" where it has none'))
        if typical is None:
            self.wanted.append(Wanted(table, "typical", f"a number: {called} of a typical patient"))
        if column.strip().upper() in RESERVED_TITLES:
            what = f"{column} is a column that data files have for something else: its title in yours"
            self.wanted.append(Wanted(table, "column", what))
        if typical is None or len(self.wanted) > before:
            return None
        # A name that data files have for something else gives way to that of the column.
        name = said.name or (column if written.name.strip().upper() in RESERVED_TITLES else written.name)
        low, high = (0.0, 1.0) if unit == "0/1" else (-math.inf, math.inf)
        where = self._source(written.line)
        if self.sidecar.path is not None and written.name in self.sidecar.covariates:
            where = f"{self.sidecar.path.name}; {where}"
        return Covariate(
            name=name,
            unit=unit,
            low=low if said.low is None else said.low,
            high=high if said.high is None else said.high,
            typical=typical,
            source=said.source or where,
            meaning=said.meaning or called,
            distribution=said.distribution or Fixed(typical),
            column=column,
            words=said.words,
            aliases=said.aliases,
        )

    def _limits(self, covariates: dict[str, Covariate]) -> list[str]:
        file = Path(self.written.path).name
        found = [f"read from {file}, not compared with its publication"]
        fixed = [
            f"{c.name} = {c.typical:g} {c.unit}".removesuffix(" 1").removesuffix(" 0/1")
            for name, c in covariates.items()
            if self.sidecar.covariates.get(name, CovariateWords()).distribution is None
        ]
        if fixed:
            found.append(f"no distribution is stated of {', '.join(fixed)}: virtual patients all have this value")
        return found

    # Outputs and doses

    def _outputs(self, parts: Parts, units: Sequence[str], covariates: dict[str, Covariate]) -> tuple[Output, ...]:
        found = []
        for i, output in enumerate(self.written.outputs):
            said = self.sidecar.outputs.get(output.name, OutputWords())
            residual = residual_of(self.written, self.steps, output, units[i], said.residual, covariates, self._source)
            meaning = said.meaning or output.name
            found.append(Output(said.name or output.name, units[i], residual, parts.values[i], meaning, parts.auc_scale.get(i)))
        return tuple(found)

    def _target(self, target: Target) -> Target:
        outputs = self.sidecar.outputs
        names = [outputs.get(o.name, OutputWords()).name or o.name for o in self.written.outputs]
        if target.output not in names:
            file = self.sidecar.path.name if self.sidecar.path else "the sidecar"
            raise ConfigError(f"{file}: a target on {target.output!r}; allowed: {', '.join(names)}; correct it")
        return target

    def _dosing(self, parts: Parts) -> DosingOptions:
        said, names = self.sidecar.dosing, parts.names
        first = self.sidecar.compartment
        if first and first not in names:
            file = self.sidecar.path.name if self.sidecar.path else "the sidecar"
            raise ConfigError(f"{file}: compartment is {first!r}; allowed: {', '.join(names)}; correct it")
        if said is not None:
            routes = tuple(replace(r, compartment=names.get(r.compartment, r.compartment)) for r in said.routes)
            return replace(said, routes=routes)
        order = dict.fromkeys((*([first] if first else []), *self.written.dosed, *names))
        routes = tuple(Route(f"into {c}", names[c], 0.0) for c in order if c in names)
        return DosingOptions(routes, (), (), 0.0, f"{Path(self.written.path).name} names no doses")


def _scaled_to_one(matrix: np.ndarray) -> np.ndarray:
    """A covariance matrix as correlations."""
    sd = np.sqrt(np.abs(np.diag(matrix)))
    scaled: np.ndarray = matrix / np.where(sd > 0, sd, math.nan)[:, None] / np.where(sd > 0, sd, math.nan)
    return np.nan_to_num(scaled, nan=0.0)


def _key(name: str) -> str:
    """A name as a TOML key."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"'


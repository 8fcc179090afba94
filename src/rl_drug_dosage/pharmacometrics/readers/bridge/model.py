"""From a model as its authors wrote it to a `DrugModel`: units, random effects, structure, outputs, residual errors.

Numbers keep the file's scale and lines. Contents are kept in mg and times in h by one factor each; everything else is
computed by the file's own statements, in its own units. Imported numbers count as unverified: reading a file is no
comparison with its paper.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pharmacometrics.readers.bridge import units as _units
from rl_drug_dosage.pharmacometrics.readers.bridge.arrivals import hidden_in
from rl_drug_dosage.pharmacometrics.readers.bridge.effects import Effect, effects_of
from rl_drug_dosage.pharmacometrics.readers.bridge.file_covariates import covariates_of, limits_of
from rl_drug_dosage.pharmacometrics.readers.bridge.file_errors import residual_of
from rl_drug_dosage.pharmacometrics.readers.bridge.file_numbers import Numbers
from rl_drug_dosage.pharmacometrics.readers.bridge.file_units import FileUnits
from rl_drug_dosage.pharmacometrics.readers.bridge.first_compartment import ask_for_compartment
from rl_drug_dosage.pharmacometrics.readers.bridge.parts import Parts, Scales
from rl_drug_dosage.pharmacometrics.readers.bridge.said import Said
from rl_drug_dosage.pharmacometrics.readers.bridge.statements import Steps, single_assignment
from rl_drug_dosage.pharmacometrics.readers.bridge.structure import PartsMaker
from rl_drug_dosage.pharmacometrics.readers.sidecar import (
    MissingWordsError,
    Sidecar,
    unknown_names,
)
from rl_drug_dosage.pharmacometrics.readers.written import ReadError, WrittenModel
from rl_drug_dosage.pkpd import (
    Covariate,
    DosingOptions,
    DrugModel,
    Output,
    Param,
    Route,
    Target,
)
from rl_drug_dosage.pkpd.parameter_units import NOT_STATED

__all__ = ["drug_model"]


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
        self.said = Said(written, sidecar)
        known = {"covariates": [c.name for c in written.covariates], "outputs": [o.name for o in written.outputs]}
        unknown_names(sidecar, Path(written.path).name, known)
        if not written.outputs:
            raise ReadError(f"{written.path}: nothing is predicted; supported: models with at least one output; add it")
        self.steps: Steps = single_assignment(written)
        self.units = FileUnits(self.said, self.steps)
        self.zero = frozenset(e.name for e in (*written.etas, *written.occasion_etas) if e.value == 0)

    def model(self) -> DrugModel:
        """All of it."""
        w, said = self.written, self.sidecar
        scales = Scales(self.units.per_mg(), self.units.hours())
        covariates = covariates_of(self.said, self.steps)
        units = [self.units.of_output(i) for i in range(len(w.outputs))]
        ask_for_compartment(self.said)
        if self.said.wanted:
            raise MissingWordsError(w.path, self.said.wanted)
        between, within = effects_of(
            self.steps,
            [e.name for e in w.etas if e.name not in self.zero],
            [e.name for e in w.occasion_etas if e.name not in self.zero],
        )
        ignored = [Effect(name, name, "additive", is_helper=True) for name in sorted(self.zero)]
        mass = said.units.molar_mass_g_per_mol
        parts = PartsMaker(
            w,
            self.steps,
            [*between, *within, *ignored],
            self.zero,
            scales,
            [_units.per_mg_l(unit, mass) for unit in units],
            {file: c.name for file, c in covariates.items()},
            {file: c.typical for file, c in covariates.items()},
        ).parts()
        numbers = Numbers(self.said, parts.reads)
        made = DrugModel(
            **self._texts(),
            structure=parts.structure,
            thetas={n.name: numbers.param(n) for n in w.thetas},
            parameters=parts.typical,
            etas=numbers.etas(between, w.etas),
            covariates=tuple(covariates.values()),
            outputs=self._outputs(parts, units, covariates),
            targets=tuple(self._target(target) for target in said.targets),
            dosing=self._dosing(parts),
            correlations=numbers.correlations(between, w.etas, w.omega),
            occasion_etas=numbers.etas(within, w.occasion_etas),
            occasion_correlations=numbers.correlations(within, w.occasion_etas, w.occasion_omega),
            finish=parts.individual,
            limits_of_use=(*said.limits_of_use, *limits_of(self.said, covariates)),
            ambiguities=tuple(self.said.remarks),
            second_source=said.second_source,
            molar_mass=None if mass is None else Param(mass, "g/mol", "the model's sidecar file", "molar mass"),
        )
        self.units.check_volume(made, parts.auc_scale, units)
        return made

    def _texts(self) -> dict[str, str]:
        w, said = self.written, self.sidecar
        name = re.sub(r"[^a-z0-9]+", "-", w.name.lower()).strip("-") or "model"
        file = self.said.file

        def text(own: str, *facts: str) -> str:
            return own or next((w.facts[fact] for fact in facts if w.facts.get(fact)), "")

        return {
            "name": name,
            "drug": text(said.drug, "drug") or name,
            "title": " ".join((text(said.title, "title", "description") or f"{name}, read from {file}").split()),
            "citation": text(said.citation, "citation", "reference") or NOT_STATED,
            "doi": text(said.doi, "doi"),
            "population": text(said.population, "population") or NOT_STATED,
        }

    # Outputs and doses

    def _outputs(self, parts: Parts, units: Sequence[str], covariates: dict[str, Covariate]) -> tuple[Output, ...]:
        found = []
        for i, output in enumerate(self.written.outputs):
            said = self.said.output(output.name)
            residual = residual_of(
                self.written, self.steps, output, units[i], said.residual, covariates, self.said.source
            )
            meaning = said.meaning or output.name
            found.append(
                Output(said.name or output.name, units[i], residual, parts.values[i], meaning, parts.auc_scale.get(i))
            )
        return tuple(found)

    def _target(self, target: Target) -> Target:
        names = [self.said.output(o.name).name or o.name for o in self.written.outputs]
        if target.output not in names:
            raise ConfigError(
                f"{self.said.beside}: a target on {target.output!r}; allowed: {', '.join(names)}; correct it"
            )
        return target

    def _dosing(self, parts: Parts) -> DosingOptions:
        said, names = self.sidecar.dosing, parts.names
        first = self.sidecar.compartment
        if first and first not in names:
            raise ConfigError(f"{self.said.beside}: compartment is {first!r}; allowed: {', '.join(names)}; correct it")
        if said is not None:
            routes = tuple(replace(r, compartment=names.get(r.compartment, r.compartment)) for r in said.routes)
            return replace(said, routes=routes)
        order = dict.fromkeys((*([first] if first else []), *self.written.dosed, *names))
        hidden = hidden_in(self.written)
        routes = tuple(Route(f"into {c}", names[c], 0.0) for c in order if c in names and c not in hidden)
        return DosingOptions(routes, (), (), 0.0, f"{self.said.file} names no doses")

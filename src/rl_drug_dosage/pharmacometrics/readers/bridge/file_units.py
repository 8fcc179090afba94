"""The units of a model file in those of the engine, and whether they can be right."""

import math
import re
from collections.abc import Iterable, Sequence

import jax

from rl_drug_dosage.pharmacometrics.readers.bridge import units as _units
from rl_drug_dosage.pharmacometrics.readers.bridge.linear import AffineForms
from rl_drug_dosage.pharmacometrics.readers.bridge.said import Said, toml_key
from rl_drug_dosage.pharmacometrics.readers.bridge.statements import Steps, output_name
from rl_drug_dosage.pharmacometrics.readers.expressions import Name, Num
from rl_drug_dosage.pharmacometrics.readers.sidecar import MissingWordsError, Wanted
from rl_drug_dosage.pkpd import DrugModel

__all__ = ["FileUnits"]

_VOLUMES_L = 0.1, 10_000.0
"""Central volumes outside these bounds, this project's own, are asked about: a unit may be off by a factor of 1000."""
_IN_LITRES = re.compile(r"[(\[]\s*L\s*[)\]]")
_SAME = 0.15
"""Decades: a typical patient's volume may differ from the number by what covariates make of it."""


class FileUnits:
    """Units of a file; what is not said is asked for.

    Args:
        said: by the file and its sidecar.
        steps: the statements.
    """

    def __init__(self, said: Said, steps: Steps) -> None:
        self.said = said
        self.forms = AffineForms(steps, said.written.compartments)

    def hours(self) -> float:
        """The length of the file's unit of time."""
        unit = self.said.unit("time")
        found = _units.hours(unit)
        if found is None:
            came = f"; the file says {unit!r}" if unit else ""
            self.said.want("units", "time", f'of rates and times: "h", "min", "day" or "week"{came}')
        return found or 1.0

    def per_mg(self) -> float:
        """How many of the file's units 1 mg is."""
        unit, told = self.said.unit("dose"), self.said.sidecar.units
        if told.mg_per_dose_unit is not None:
            return 1.0 / told.mg_per_dose_unit
        if (mass := _units.amount_per_mg(unit)) is not None:
            return mass
        if (moles := _units.moles_per_mg(unit)) is not None:
            if told.molar_mass_g_per_mol is None:
                what = f"a number: g/mol of the drug, whose doses the file has in {unit}"
                self.said.want("units", "molar_mass_g_per_mol", what)
            return moles / (told.molar_mass_g_per_mol or 1.0)
        if unit:
            what = f"a number: how many mg one {unit} is; 1 to give doses in {unit} wherever mg are asked for"
            self.said.want("units", "mg_per_dose_unit", what)
        else:
            self.said.want("units", "dose", 'of doses: "mg", "g", "ug", "ng", "nmol", "IU" ...')
        return 1.0

    def of_output(self, index: int) -> str:
        """The unit of an output: its own, or that of concentrations where it is one."""
        output = self.said.written.outputs[index]
        unit = self.said.output(output.name).unit or output.unit
        if not unit and (len(self.said.written.outputs) == 1 or self._is_concentration(index)):
            unit = self.said.unit("concentration")
        if not unit:
            what = f'of {output.name}: "mg/L", "ng/mL", "%", "1" where it has none'
            self.said.want(f"outputs.{toml_key(output.name)}", "unit", what)
        return _units.tidy(unit)

    def _is_concentration(self, index: int) -> bool:
        """Whether an output is the content of one compartment over something: the unit of concentrations is its own."""
        form = self.forms.of(Name(output_name(index)))
        if form is None or form.constant != Num(0.0) or len(form.coefficients) != 1:
            return False
        (factor,) = form.coefficients.values()
        return not isinstance(factor, Num)

    def _contradicts(self, volume: float) -> bool:
        """Whether a number that the file has in L is a thousandth, or a thousand times, of this volume."""
        for number in self.said.written.thetas:
            if number.unit == "L" or _IN_LITRES.search(number.label):
                scales = [number.value, math.exp(min(number.value, 50.0))]
                if any(s > 0 and abs(abs(math.log10(volume / s)) - 3.0) < _SAME for s in scales):
                    return True
        return False

    def check_volume(self, model: DrugModel, scaled: Iterable[int], units: Sequence[str]) -> None:
        """A central volume that no drug has comes from units that do not fit; where a sidecar names them, it counts."""
        for i in scaled:
            output = self.said.written.outputs[i]
            if self.said.output(output.name).unit or self.said.sidecar.units.concentration:
                return
            with jax.enable_x64(True):
                volume = model.typical().get("v1", 1.0)
            if _VOLUMES_L[0] <= volume <= _VOLUMES_L[1] and not self._contradicts(volume):
                return
            what = (
                f"of {output.name} as the file computes it; {units[i]} with doses in {self.said.unit('dose')} makes "
                f"the central volume {volume:.3g} L. If that is right, write {units[i]}"
            )
            raise MissingWordsError(self.said.written.path, [Wanted(f"outputs.{toml_key(output.name)}", "unit", what)])

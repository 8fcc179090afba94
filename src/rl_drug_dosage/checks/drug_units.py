"""Whether a drug model converts its published numbers to the engine's units."""

import math
from collections.abc import Iterable

from rl_drug_dosage.checks.report import Finding, check, doubt
from rl_drug_dosage.pkpd import DrugModel, parameter_unit
from rl_drug_dosage.pkpd.parameter_units import engine_factor
from rl_drug_dosage.pkpd.units import same_unit

__all__ = ["typical_values_are_converted"]


@check("thetas")
def typical_values_are_converted(drug: DrugModel) -> Iterable[Finding]:
    """A theta with the name of a parameter, in another scale of its unit, is nearer to the parameter as it stands.

    The effects of covariates on a typical patient are small beside such a factor.
    """
    typical = drug.typical()
    for name, theta in drug.thetas.items():
        unit, value = parameter_unit(name), typical.get(name, 0.0)
        if unit in {"", "1"} or same_unit(theta.unit, unit) or not (value > 0 and theta.value > 0):
            continue
        factor, ratio = engine_factor(theta.unit), value / theta.value
        same = math.isclose(ratio, 1.0, rel_tol=1e-5)
        if same if factor is None else abs(math.log(ratio)) < abs(math.log(ratio / factor)):
            came = f"{theta.value:g} {theta.unit}, and parameters gives {value:g} {unit} for the typical patient"
            allowed = f"a number in {unit}" if factor is None else f"about {theta.value * factor:.4g} {unit}"
            yield doubt(f"thetas.{name}.unit", came, allowed, "convert it in `parameters`")

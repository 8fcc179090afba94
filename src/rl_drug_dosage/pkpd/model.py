'''A published model as a value, `DrugModel`: start here to write a drug file.

A drug file is `drugs/<name>.py` with one attribute, ``DRUG = DrugModel(...)``. It contains the published numbers with
unit and source, one function that computes a typical patient from them and the covariates, and notes on the model's
limits. The engine does the rest.

    from rl_drug_dosage.pkpd import (Categorical, Covariate, DosingOptions, DrugModel, Eta, LogNormal, Mammillary,
                                     Normal, Output, Param, Residual, Route, Target)

    def parameters(theta, covariates):
        """Typical parameters, in engine units, of a patient with these covariates (one time, scalars)."""
        cl = theta["cl"] * (covariates["crcl_ml_per_min"] / 120.0) ** theta["crcl_on_cl"]
        return {"cl": cl, "v1": theta["v1"] * covariates["wt_kg"] / 70.0, "q2": theta["q"], "v2": theta["v2"]}

    DRUG = DrugModel(
        name="toyamycin-doe2020",                     # file toyamycin_doe2020.py
        drug="toyamycin", title="Toyamycin in adults (Doe 2020)",
        citation="Doe J. Title. Journal 2020;1:2-3.", doi="10.1000/xyz", population="412 adults, 38 centres",
        structure=Mammillary(peripherals=1),
        thetas={"cl": Param(4.5, "L/h", "Table 2", "clearance at CRCL 120 mL/min"), ...},
        parameters=parameters,
        etas=(Eta("cl", Param(39.8, "%", "Table 2", "between-subject variability of CL"), kind="cv_exact"), ...),
        correlations=(Correlation("cl", "v1", Param(0.3, "1", "Table 2", "..."), kind="corr"),),
        occasion_etas=(),                             # same type: inter-occasion variability
        covariates=(Covariate("wt_kg", "kg", 40, 150, 70, "Table 1", "body weight", Normal(80, 18), column="WT"), ...),
        outputs=(Output("concentration", "mg/L", Residual("combined1", additive=..., proportional=...)),),
        targets=(Target("concentration", "auc24", 400, 600, "mg h/L", "2020 consensus guideline"),),
        dosing=DosingOptions((Route("1-h infusion", "central", 1.0),), (250, 500, 750), (12, 24, 8), 500, "label"),
        limits_of_use=("not for children",), ambiguities=("what the sources disagree on, which was followed, and why",),
    )

See `drugs/vancomycin_goti2018.py` for a real example. A `Route` with ``max_rate_mg_per_h`` infuses large doses for
longer.

**Engine units**: mg, L, h, kg; clearances L/h, rate constants 1/h, concentrations mg/L. Thetas keep the units of the
source; `parameters` converts them. Everything in `parameters`, `finish`, output functions and right-hand sides
must be written with `jax.numpy` and without Python ``if`` on values (use ``jnp.where``).

**Reserved parameter names**, read by the engine from what `parameters` returns:

| name | unit | meaning |
|---|---|---|
| ``cl`` ``v1`` | L/h, L | clearance and central volume (`Mammillary`) |
| ``q2`` ``v2`` ``q3`` ``v3`` | L/h, L | first and second peripheral compartment |
| ``ka`` | 1/h | absorption from the depot |
| ``ke0`` | 1/h | effect compartment, holding a concentration: d Ce/dt = ke0 (C - Ce) |
| ``f_<compartment>`` | 1 | bioavailability of doses into that compartment (1 when absent) |
| ``lag_<compartment>`` | h | lag of doses into that compartment (0 when absent) |
| ``duration_<compartment>`` | h | modelled duration (NONMEM RATE = -2): every dose there becomes an infusion |

**Structures** (field ``structure``):
`Mammillary(peripherals, depot, effect)` compartments ``depot?, central, peripheral1?, peripheral2?, effect?``,
closed form; `LinearSystem(names, matrix, required)` any dx/dt = A(p) x, by matrix exponential (for example a chain of
equal absorption transits); `OdeSystem(states, rhs, required, start, pk, doses_into)` anything else:
``rhs(t, x, p, pk) -> {state: derivative}`` over named states; with ``pk=Mammillary(...)`` the linear PK stays exact and
the argument ``pk`` holds its contents plus ``pk["concentration"]`` in mg/L.
`pkpd.ode_models` has the usual right-hand sides, `pkpd.links` Emax, sigmoid, INR and BIS.

**Random effects** multiply (or shift) an entry of the dictionary that `parameters` returns, named by
``Eta.parameter``; an occasion eta is added to the eta of the same name. If an effect acts elsewhere (shared between
parameters, inside a rate constant), return a helper entry (``"f_size": 1.0``), put the `Eta` on it, and compute the
engine's parameters in ``finish(p, covariates) -> p``, which runs after the random effects.

**Time**: a model with time-dependent parameters declares a covariate (``time_h``, ``post_op_day``), and the patient's
covariate table has a record at each change. With NOCB a record's values apply up to and including its time.

**Outputs** read compartment contents and individual parameters: ``lambda state, p: 1000 * state["central"] / p["v1"]``.
Targets, figures and dose search use the first output by default.

**Unverified numbers** are marked ``Param(..., unverified=True)``. No number is invented.
'''

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.pkpd._errors import CovariateError, DrugModelError
from rl_drug_dosage.pkpd.description import Correlation, Covariate, DosingOptions, Eta, Output, Param, Target, Values
from rl_drug_dosage.pkpd.faults import drug_faults
from rl_drug_dosage.pkpd.structure import Structure
from rl_drug_dosage.utils.by_value import ByValue
from rl_drug_dosage.utils.typed_fields import typed_fields

__all__ = ["DrugModel"]


def _keep(p: Values, covariates: Values) -> Values:
    return p


@typed_fields(DrugModelError)
@dataclass(frozen=True, eq=False)
class DrugModel(ByValue):
    """One published model. Compared by value, so that equal models share their compiled programs.

    Args:
        name: public name, the file's name with hyphens.
        drug: generic name of the drug.
        title, citation, doi, population: shown at the top of the model page.
        structure: compartments and how they are propagated.
        thetas: published typical values.
        parameters: (thetas, covariates) -> typical parameters in engine units; the module docstring gives the names.
        etas, correlations: between-subject variability.
        occasion_etas, occasion_correlations: inter-occasion variability, one draw per occasion.
        finish: runs on the individual parameters after the random effects.
        covariates, outputs, targets, dosing: see their classes.
        limits_of_use, ambiguities: sentences for `info` and the model page.
        second_source: where a second, independent transcription was read, and whether it agrees.
        molar_mass: g/mol of what is measured as concentration, for levels in moles; None: such levels are refused. A
            drug that is counted in IU has a theta in IU/mg (or mg/U) instead.

    Raises:
        DrugModelError: inconsistent parts, by the name of the field: an eta on a parameter that is not returned, a
            missing parameter of the structure, a route into an unknown compartment, an empty or unsorted dose grid, a
            unit that does not fit, two covariates of one name, a function that does not answer with numbers.
    """

    name: str
    drug: str
    title: str
    citation: str
    doi: str
    population: str
    structure: Structure
    thetas: Mapping[str, Param]
    parameters: Callable[[Values, Values], Values]
    etas: tuple[Eta, ...]
    covariates: tuple[Covariate, ...]
    outputs: tuple[Output, ...]
    targets: tuple[Target, ...]
    dosing: DosingOptions
    correlations: tuple[Correlation, ...] = ()
    occasion_etas: tuple[Eta, ...] = ()
    occasion_correlations: tuple[Correlation, ...] = ()
    finish: Callable[[Values, Values], Values] = field(default=_keep)
    limits_of_use: tuple[str, ...] = ()
    ambiguities: tuple[str, ...] = ()
    second_source: str = ""
    molar_mass: Param | None = None

    def __post_init__(self) -> None:
        for fault in drug_faults(self):
            raise DrugModelError(f"drug {self.name!r}: {fault.came}; allowed: {fault.allowed}; {fault.remedy}")

    def numbers(self) -> Iterator[tuple[str, Param]]:
        """Every published number, with its place."""
        yield from ((f"thetas.{name}", p) for name, p in self.thetas.items())
        for group in ("etas", "occasion_etas", "correlations", "occasion_correlations"):
            yield from ((f"{group}[{i}].size", each.size) for i, each in enumerate(getattr(self, group)))
        for i, output in enumerate(self.outputs):
            for part in ("additive", "proportional", "power") if output.residual else ():
                if (p := getattr(output.residual, part)) is not None:
                    yield f"outputs[{i}].residual.{part}", p
        if self.molar_mass is not None:
            yield "molar_mass", self.molar_mass

    def _typical_covariates(self) -> dict[str, Array]:
        return {covariate.name: jnp.asarray(covariate.typical, dtype=float) for covariate in self.covariates}

    def theta_values(self) -> dict[str, Any]:
        """The thetas as plain numbers, in the source's units."""
        return {name: param.value for name, param in self.thetas.items()}

    def typical(self, **covariates: float) -> dict[str, float]:
        """Parameters of a patient without random effects; covariates that are not given have their typical values."""
        unknown = sorted(set(covariates) - {covariate.name for covariate in self.covariates})
        if unknown:
            known = [covariate.name for covariate in self.covariates]
            raise CovariateError(f"unknown covariate {unknown[0]!r} for {self.name}: known are {known}")
        given = {name: jnp.asarray(value, dtype=float) for name, value in covariates.items()}
        values = {**self._typical_covariates(), **given}
        return {k: float(v) for k, v in self.finish(self.parameters(self.theta_values(), values), values).items()}

    def undosed(self, output: str) -> float:
        """An output of the typical patient before the first dose."""
        p = {name: jnp.asarray(value) for name, value in self.typical().items()}
        state = self.structure.contents(self.structure.initial(p))
        return float(self.outputs[self.output_index(output)].value(state, p))

    def output_index(self, name: str) -> int:
        """Position of an output.

        Raises:
            DrugModelError: no output has this name.
        """
        names = [output.name for output in self.outputs]
        if name not in names:
            raise DrugModelError(f"drug {self.name!r} has no output {name!r}: it has {names}")
        return names.index(name)

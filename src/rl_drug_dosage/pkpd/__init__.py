"""The pharmacology engine: published models simulated exactly, estimated and dosed.

`model` shows how to write a drug file, `bayes` estimates and searches doses.
"""

from rl_drug_dosage.pkpd._errors import CovariateError, DrugModelError, ObservationError, RegimenError, SolverError
from rl_drug_dosage.pkpd.cohort import CohortChunk, simulate_cohort
from rl_drug_dosage.pkpd.covariates import (
    Covariates,
    draw_covariates,
    make_covariates,
    no_covariates,
    outside_range,
    stack_covariates,
)
from rl_drug_dosage.pkpd.description import (
    Correlation,
    Covariate,
    DosingOptions,
    Eta,
    Output,
    Param,
    Residual,
    Route,
    Target,
    Values,
    central_concentration,
    plain_number,
)
from rl_drug_dosage.pkpd.distributions import Categorical, Derived, Fixed, LogNormal, Normal, Resampled, Uniform
from rl_drug_dosage.pkpd.grid import GridPropagator, chunks, course_on_grid, grid_propagator
from rl_drug_dosage.pkpd.last_dose import Arrival
from rl_drug_dosage.pkpd.linear import LinearSystem, Mammillary
from rl_drug_dosage.pkpd.model import DrugModel
from rl_drug_dosage.pkpd.ode import Adaptive, FixedStep, OdeSystem, choose_step
from rl_drug_dosage.pkpd.parameter_units import parameter_unit
from rl_drug_dosage.pkpd.population import (
    Patient,
    draw_patient,
    draw_patients,
    individual_parameters,
    occasion_omega,
    omega,
)
from rl_drug_dosage.pkpd.regimen import Dose, Regimen, every, make_regimen, stack_regimens
from rl_drug_dosage.pkpd.residual import (
    Levels,
    add_residual,
    make_levels,
    refuse_levels_before_doses,
    stack_levels,
)
from rl_drug_dosage.pkpd.simulate import Solution, outputs_of, predict, solve
from rl_drug_dosage.pkpd.sound import check_parameters, check_typical_parameters
from rl_drug_dosage.pkpd.steady_state import check_delivery
from rl_drug_dosage.pkpd.structure import Structure

__all__ = [
    "Adaptive",
    "Arrival",
    "Categorical",
    "CohortChunk",
    "Correlation",
    "Covariate",
    "CovariateError",
    "Covariates",
    "Derived",
    "Dose",
    "DosingOptions",
    "DrugModel",
    "DrugModelError",
    "Eta",
    "Fixed",
    "FixedStep",
    "GridPropagator",
    "Levels",
    "LinearSystem",
    "LogNormal",
    "Mammillary",
    "Normal",
    "ObservationError",
    "OdeSystem",
    "Output",
    "Param",
    "Patient",
    "Regimen",
    "RegimenError",
    "Resampled",
    "Residual",
    "Route",
    "Solution",
    "SolverError",
    "Structure",
    "Target",
    "Uniform",
    "Values",
    "add_residual",
    "central_concentration",
    "check_delivery",
    "check_parameters",
    "check_typical_parameters",
    "choose_step",
    "chunks",
    "course_on_grid",
    "draw_covariates",
    "draw_patient",
    "draw_patients",
    "every",
    "grid_propagator",
    "individual_parameters",
    "make_covariates",
    "make_levels",
    "make_regimen",
    "no_covariates",
    "occasion_omega",
    "omega",
    "outputs_of",
    "outside_range",
    "parameter_unit",
    "plain_number",
    "predict",
    "refuse_levels_before_doses",
    "simulate_cohort",
    "solve",
    "stack_covariates",
    "stack_levels",
    "stack_regimens",
]

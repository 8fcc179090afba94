"""Bayesian estimation of one patient's parameters, and dose search under what is known.

`objective` states what is maximised, `map` how, `posterior` gives draws, `dose` searches, `patients` fits data.
"""

from rl_drug_dosage.pkpd.bayes.dose import DoseFound, RegimenChoice, attains, choose_regimen, exposure, reach, with_dose
from rl_drug_dosage.pkpd.bayes.map import Estimate, map_estimate, map_estimates
from rl_drug_dosage.pkpd.bayes.objective import Curvature, make_objective, prior_covariance, split_latent
from rl_drug_dosage.pkpd.bayes.patients import Fitted, PatientData, fit_patients
from rl_drug_dosage.pkpd.bayes.posterior import (
    Posterior,
    importance_posterior,
    laplace_covariance,
    laplace_posterior,
    point_posterior,
)
from rl_drug_dosage.pkpd.bayes.prior import flattened
from rl_drug_dosage.pkpd.bayes.regimens import Candidate, Draws, Search, Way, prepare_search
from rl_drug_dosage.pkpd.bayes.starts import StartLevel, start_from_levels

__all__ = [
    "Candidate",
    "Curvature",
    "DoseFound",
    "Draws",
    "Estimate",
    "Fitted",
    "PatientData",
    "Posterior",
    "RegimenChoice",
    "Search",
    "StartLevel",
    "Way",
    "attains",
    "choose_regimen",
    "exposure",
    "fit_patients",
    "flattened",
    "importance_posterior",
    "laplace_covariance",
    "laplace_posterior",
    "make_objective",
    "map_estimate",
    "map_estimates",
    "point_posterior",
    "prepare_search",
    "prior_covariance",
    "reach",
    "split_latent",
    "start_from_levels",
    "with_dose",
]

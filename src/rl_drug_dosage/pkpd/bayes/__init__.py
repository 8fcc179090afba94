"""Bayesian estimation of one patient's parameters, and dose search under what is known.

`objective` states what is maximised, `map` how, `posterior`, `library` and `nuts` give draws, `evidence` compares
models, `dose` searches, `patients` fits data.
"""

from rl_drug_dosage.pkpd.bayes.dose import DoseFound, RegimenChoice, attains, choose_regimen, exposure, reach, with_dose
from rl_drug_dosage.pkpd.bayes.evidence import laplace_log_evidence, model_weights
from rl_drug_dosage.pkpd.bayes.library import Library, draw_library, learn, resampled, weighed
from rl_drug_dosage.pkpd.bayes.library_patient import library_posterior, make_log_likelihoods, prior_factor
from rl_drug_dosage.pkpd.bayes.map import Estimate, fit_many, map_estimate, map_estimates
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
    "Library",
    "PatientData",
    "Posterior",
    "RegimenChoice",
    "Search",
    "StartLevel",
    "Way",
    "attains",
    "choose_regimen",
    "draw_library",
    "exposure",
    "fit_many",
    "fit_patients",
    "flattened",
    "importance_posterior",
    "laplace_covariance",
    "laplace_log_evidence",
    "laplace_posterior",
    "learn",
    "library_posterior",
    "make_log_likelihoods",
    "make_objective",
    "map_estimate",
    "map_estimates",
    "model_weights",
    "point_posterior",
    "prepare_search",
    "prior_covariance",
    "prior_factor",
    "reach",
    "resampled",
    "split_latent",
    "start_from_levels",
    "weighed",
    "with_dose",
]

"""Estimate the parameters of patients in a NONMEM-style file, and lay the result out as tables and figures.

Intervals are 90 %. From the Laplace posterior, with z the random effects, C their covariance at the estimate and p an
individual parameter: p exp(+- 1.645 s), s^2 = g' C g, g = d ln p / dz, which is exact for log-normal random effects. From the resampled
posterior: the 5th and 95th percentile of p over the draws.
"""

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.evaluation.estimation_plots import Course, save_figures
from rl_drug_dosage.pkpd import Covariates, DrugModel, Levels, Regimen, individual_parameters, make_regimen, predict
from rl_drug_dosage.pkpd import stack_covariates, stack_levels, stack_regimens
from rl_drug_dosage.pkpd.bayes import Estimate, Fitted, fit_patients, importance_posterior
from rl_drug_dosage.pkpd.nonmem_data import NonmemData, read_nonmem
from rl_drug_dosage.pkpd.residual import residual_moments
from rl_drug_dosage.utils.files import atomic_write
from rl_drug_dosage.utils.plugins import load

__all__ = ["Estimation", "EstimationOptions", "ParameterRow", "PatientResult", "estimate"]

_HALF_WIDTH = 1.6448536269514722
"""95th percentile of the standard normal."""
_FEW = 100.0
"""Effective draws below which resampling is to be distrusted."""
_SHOWN = 12
"""Patients whose course is drawn."""
_POINTS = 241

_UNITS = (("cl", "L/h"), ("q", "L/h"), ("v", "L"), ("lag_", "h"), ("duration_", "h"), ("f_", "1"))
_RESERVED = {"cl": "L/h", "v1": "L", "q2": "L/h", "v2": "L", "q3": "L/h", "v3": "L", "ka": "1/h", "ke0": "1/h"}

"""What a pharmacometrician asks of a drug model: simulate a cohort, estimate patients, read its page."""

from rl_drug_dosage.utils.lazy import lazily

__all__ = [
    "DoseOptions",
    "DoseSearch",
    "Estimation",
    "EstimationOptions",
    "ModelValidation",
    "Simulation",
    "SimulationOptions",
    "ValidationOptions",
    "drug_page",
    "estimate",
    "search_doses",
    "simulate",
    "validate_model",
]

__getattr__ = lazily(
    __name__,
    {
        "Simulation": "simulation",
        "SimulationOptions": "simulation",
        "simulate": "simulation",
        "DoseOptions": "dose_search",
        "DoseSearch": "dose_search",
        "search_doses": "dose_search",
        "Estimation": "estimation",
        "EstimationOptions": "estimation",
        "estimate": "estimation",
        "drug_page": "drug_page",
        "ModelValidation": "validation",
        "ValidationOptions": "validation",
        "validate_model": "validation",
    },
)

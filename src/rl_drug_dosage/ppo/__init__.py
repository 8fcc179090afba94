"""Proximal policy optimisation: networks, loss, learner, model file. Knows no environment and no patient."""

from rl_drug_dosage.utils.lazy import lazily

__all__ = [
    "POLICIES",
    "ActorCritic",
    "Learner",
    "LearnerSettings",
    "Model",
    "PpoPolicy",
    "Rates",
    "Rollout",
    "load_model",
    "save_model",
    "to_action",
]

__getattr__ = lazily(
    __name__,
    {
        "POLICIES": "distribution",
        "to_action": "distribution",
        "Learner": "learner",
        "LearnerSettings": "learner",
        "Rates": "learner",
        "Rollout": "learner",
        "Model": "model_file",
        "load_model": "model_file",
        "save_model": "model_file",
        "ActorCritic": "networks",
        "PpoPolicy": "policy",
    },
)

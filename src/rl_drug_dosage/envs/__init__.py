"""Reinforcement-learning environments: pure functions, and Gymnasium interfaces. ``<name>_v<n>.py`` defines ``ENV``."""

from rl_drug_dosage.utils.lazy import lazily

__all__ = ["Axis", "DrugDoseEnv", "Env", "FunctionalEnv", "Step", "Window", "find_env", "make_env", "make_vector_env"]

__getattr__ = lazily(
    __name__,
    {
        "DrugDoseEnv": "faces",
        "make_env": "faces",
        "make_vector_env": "faces",
        "Axis": "functional",
        "Env": "functional",
        "FunctionalEnv": "functional",
        "Step": "functional",
        "Window": "functional",
        "find_env": "catalog",
    },
)

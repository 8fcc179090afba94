"""Hyper-parameter search: many trainings of one task in one process, each with other values of some settings."""

from rl_drug_dosage.utils.lazy import lazily

__all__ = ["SweepOptions", "SweepResult", "read_space", "sweep"]

__getattr__ = lazily(__name__, {"SweepOptions": "run", "sweep": "run", "SweepResult": "result", "read_space": "space"})

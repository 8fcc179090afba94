"""Training runs: configuration, collectors, the loop, checkpoints, and evaluation during and after."""

from rl_drug_dosage.utils.lazy import lazily

__all__ = [
    "PRESETS",
    "Evaluation",
    "EvaluationOptions",
    "RunOptions",
    "RunResult",
    "TrainConfig",
    "resume",
    "train",
]

__getattr__ = lazily(
    __name__,
    {
        "PRESETS": "config",
        "RunOptions": "config",
        "TrainConfig": "config",
        "Evaluation": "evaluate",
        "EvaluationOptions": "evaluate",
        "RunResult": "run_result",
        "resume": "trainer",
        "train": "trainer",
    },
)

"""Explains a trained policy: dose curves, and a dosing table with its fidelity."""

from rl_drug_dosage.utils.lazy import lazily

__all__ = ["ExplainOptions", "Explanation", "explain", "write_explanation"]

__getattr__ = lazily(
    __name__,
    {
        "ExplainOptions": "explanation",
        "Explanation": "explanation",
        "explain": "explanation",
        "write_explanation": "files",
    },
)

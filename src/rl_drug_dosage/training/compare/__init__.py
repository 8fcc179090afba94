"""Training runs side by side: curves, final results, a paired trial of their policies, and what differed."""

from rl_drug_dosage.utils.lazy import lazily

__all__ = ["CompareOptions", "Comparison", "compare"]

__getattr__ = lazily(__name__, {"CompareOptions": "comparison", "Comparison": "comparison", "compare": "comparison"})

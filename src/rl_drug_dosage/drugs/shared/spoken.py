"""What people write for covariates that many drug files have: sexes in words, other names of age and size."""

from collections.abc import Mapping

__all__ = ["AGE", "HEIGHT", "SEX_WORDS", "WEIGHT"]

AGE = ("age_years",)
HEIGHT = ("height",)
WEIGHT = ("weight", "weight_kg")
SEX_WORDS: Mapping[str, float] = {"female": 1.0, "f": 1.0, "male": 0.0, "m": 0.0}
"""Of a covariate that is 1 in women."""

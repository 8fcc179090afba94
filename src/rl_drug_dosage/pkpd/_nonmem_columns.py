"""Titles of the columns that NONMEM-style files have besides covariates."""

__all__ = ["ALIASES", "COLUMNS", "RESERVED_TITLES", "WEIGHTS"]

ALIASES = {"CONC": "DV", "OUTPUT": "DVID"}
WEIGHTS = {"W": "DV_WEIGHT", "WEIGHT": "DV_WEIGHT"}
"""Titles that a covariate may have instead."""
COLUMNS = (
    "ID", "TIME", "AMT", "RATE", "DUR", "II", "ADDL", "SS", "CMT", "EVID", "DV", "MDV", "CENS", "LLOQ", "ULOQ",
    "DV_WEIGHT", "DVID", "OCC", "DATE", "DAT1", "DAT2", "DAT3",
)  # fmt: skip
RESERVED_TITLES = frozenset({*COLUMNS, *ALIASES, "TAD", "IPRED"})
"""No covariate is called so: they are read as something else, or `simulate` writes them."""

"""What drug models of infliximab share: the window of troughs."""

from rl_drug_dosage.pkpd import Target

__all__ = ["TROUGH_TARGET"]

TROUGH_TARGET = Target(
    "concentration",
    "trough",
    5.0,
    10.0,
    "mg/L",
    "InsightRX/mipdtrial vignettes/infliximab_interval_adaptation.Rmd",
)

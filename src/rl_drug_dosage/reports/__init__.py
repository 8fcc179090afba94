"""A benchmark's record as one HTML page that opens without a network."""

from rl_drug_dosage.utils.lazy import lazily

__all__ = ["report_html"]

__getattr__ = lazily(
    __name__,
    {"report_html": "page"},
)

"""The HTML report of a benchmark: one page that needs no network."""

from rl_drug_dosage.utils.lazy import lazily

__all__ = ["report_html"]

__getattr__ = lazily(
    __name__,
    {"report_html": "page"},
)

"""The page in the browser, and its interface for machines: a server of this machine alone.

For research and education only; nothing here is meant to treat a patient.
"""

from rl_drug_dosage.utils.lazy import lazily

__all__ = ["Settings", "make_app", "openapi", "serve"]

__getattr__ = lazily(
    __name__,
    {"Settings": "settings", "make_app": "app", "openapi": "description", "serve": "running"},
)

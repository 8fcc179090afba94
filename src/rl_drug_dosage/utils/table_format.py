"""CSV or Parquet: what a large table is written as. Parquet needs pyarrow, which nothing else here does."""

import importlib
from typing import Any

from rl_drug_dosage.errors import ConfigError, DependencyError

__all__ = ["FORMATS", "check_format", "pyarrow"]

FORMATS = ("csv", "parquet")


def check_format(name: str) -> None:
    """Refuse a format that is unknown, or that needs a package that is not there.

    Raises:
        ConfigError: neither csv nor parquet.
        DependencyError: Parquet without pyarrow.
    """
    if name not in FORMATS:
        raise ConfigError(f"--format must be one of {', '.join(FORMATS)}, not {name!r}")
    if name == "parquet":
        pyarrow()


def pyarrow() -> tuple[Any, Any]:
    """The packages ``pyarrow`` and ``pyarrow.parquet``.

    Raises:
        DependencyError: they are not installed.
    """
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise DependencyError.of("--format parquet", "pyarrow", "parquet", "use --format csv") from None

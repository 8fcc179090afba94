"""Base class of the results of the Python API: plot, table, files, notebook display."""

import abc
import html
import importlib.util
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Result", "figure_of_size", "png_bytes"]

_ROWS = 12


class Result(abc.ABC):
    """A result. Nothing has been written unless ``output_dir`` was given."""

    @property
    @abc.abstractmethod
    def title(self) -> str:
        """One-line description."""

    @abc.abstractmethod
    def columns(self) -> dict[str, np.ndarray]:
        """The table of `to_frame`: name with unit -> values, all of the same length."""

    @abc.abstractmethod
    def plot(self) -> "Figure":
        """Plot the result as a Matplotlib figure."""

    @abc.abstractmethod
    def save(self, folder: str | Path) -> tuple[Path, ...]:
        """Write the same files as the command into a folder, created if missing; return their paths.

        Raises:
            OutputError: a file cannot be written.
        """

    def to_frame(self) -> Any:
        """The table, as a pandas DataFrame if pandas is installed, otherwise as a dict of NumPy arrays."""
        columns = self.columns()
        if importlib.util.find_spec("pandas") is None:
            return columns
        import pandas as pd  # type: ignore[import-not-found, import-untyped, unused-ignore]

        return pd.DataFrame(columns)

    def __repr__(self) -> str:
        # The default of a dataclass would print every array.
        return f"<{type(self).__name__}: {self.title}>"

    def _summary(self) -> Mapping[str, np.ndarray]:
        """The columns shown in a notebook."""
        return self.columns()

    def _repr_html_(self) -> str:
        columns = self._summary()
        rows = list(zip(*(np.asarray(c).tolist() for c in columns.values()), strict=True))
        head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
        body = "".join(f"<tr>{''.join(f'<td>{_cell(v)}</td>' for v in row)}</tr>" for row in rows[:_ROWS])
        more = (
            f"<p>{_ROWS} of {len(rows):,} rows; <code>to_frame()</code> has them all.</p>" if len(rows) > _ROWS else ""
        )
        caption = f"<caption>{html.escape(self.title)}</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.4g}"
    return html.escape("" if value is None else str(value))


def png_bytes(figure: Any, *, dpi: float | None = None) -> bytes:
    """A figure as PNG. Without the library's version in the metadata, identical pictures have identical bytes.

    Args:
        figure: of matplotlib.
        dpi: dots per inch; None: the figure's own.
    """
    buffer = io.BytesIO()
    how = {"pil_kwargs": {"compress_level": 1}, "metadata": {"Software": None}}
    figure.savefig(buffer, format="png", dpi="figure" if dpi is None else dpi, **how)
    return buffer.getvalue()


def figure_of_size(width: float, height: float) -> Any:
    """A figure without a window; size in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure

"""The figures of an evaluation shade a window on an axis of its own quantity only."""

import numpy as np
import pytest

from rl_drug_dosage.envs.functional import Axis, Quantity, Window
from rl_drug_dosage.training import plots
from rl_drug_dosage.training.episodes import Episodes

AXES = {
    "time": Axis("time", "decisions"),
    "concentration": Axis("concentration", "mg/L", "at the end of each interval"),
    "dose": Axis("dose", "mg"),
}
AUC24 = Window(400.0, 600.0, Quantity("concentration", "auc24", "mg h/L"))
TROUGH = Window(10.0, 15.0, Quantity("concentration", "trough", "mg/L"), earlier=((2, 12.0, 20.0),))


def made(windows, count=1):
    rng = np.random.default_rng(1)
    steps = 5
    valid = np.ones((count, steps), bool)
    values = rng.uniform(5, 20, (count, steps + 1))
    metrics = rng.uniform(300, 700, (len(windows), count, steps))
    dose = rng.uniform(500, 1500, (count, steps))
    return Episodes(values, dose, dose, valid, valid, AXES, windows, metrics)


@pytest.fixture
def figures(monkeypatch, tmp_path):
    """The three figures by name, as objects."""

    def draw(episodes):
        found = {}
        monkeypatch.setattr(plots, "_save", lambda figure, path: found.setdefault(path.stem, figure))
        plots.save_plots(episodes, tmp_path, "made")
        return found

    return draw


def shaded(axes):
    """(low, high) of every green band, whichever way it was drawn, across or along."""
    found = []
    for band in (*axes.patches, *axes.collections):
        color = band.get_facecolor()
        color = color[0] if np.ndim(color) == 2 and len(color) else color
        if len(color) == 4 and np.allclose(color[:3], (44 / 255, 160 / 255, 44 / 255)):
            path = band.get_path() if hasattr(band, "get_path") else band.get_paths()[0]
            points = band.get_transform().transform(path.vertices) if hasattr(band, "get_path") else None
            data = axes.transData.inverted().transform(points) if points is not None else path.vertices
            found.append((round(float(data[:, 1].min()), 6), round(float(data[:, 1].max()), 6)))
    return sorted(found)


@pytest.mark.parametrize("count", [1, 20])
def test_an_auc_is_not_shaded_on_an_axis_of_levels(figures, count):
    """It has axes of its own below, with its window, its unit and what each interval had."""
    found = figures(made((AUC24,), count))
    above, below = found["rollout_concentration"].axes
    assert shaded(above) == []
    assert shaded(below) == [(400.0, 600.0)]
    assert above.get_ylabel() == "concentration (mg/L)"
    assert below.get_ylabel() == "AUC24 (mg h/L)"
    scatter = found["concentration_vs_dose"].axes[0]
    assert scatter.patches == [] or not list(scatter.patches)
    assert scatter.get_legend() is None


def test_a_trough_that_changes_is_drawn_in_steps(figures):
    """On the course itself: the edges of the first two intervals, then the others; and no further panel."""
    (axes,) = figures(made((TROUGH,)))["rollout_concentration"].axes
    assert shaded(axes) == [(10.0, 15.0), (12.0, 20.0)]
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == ["concentration at the end of each interval", "trough target"]


def test_each_window_has_its_place(figures):
    """A trough on the course, an area below."""
    above, below = figures(made((AUC24, TROUGH)))["rollout_concentration"].axes
    assert shaded(above) == [(10.0, 15.0), (12.0, 20.0)]
    assert shaded(below) == [(400.0, 600.0)]


def test_labels_lie_inside_the_figure(figures):
    """Long names fold; nothing is cut at the edge."""
    nadir = Window(1.0, 4.0, Quantity("leukocytes", "nadir", "10^9/L"))
    for figure in figures(made((nadir, AUC24), 20)).values():
        figure.canvas.draw()
        box = figure.get_tightbbox()
        assert box.x0 >= 0
        assert box.x1 <= figure.get_figwidth()


def test_the_data_has_the_metric_last():
    """The columns that were there stay, in their order; what the concentration does not show comes after them."""
    columns = made((AUC24, TROUGH)).columns
    assert list(columns) == [
        "episode", "time_decisions", "concentration_mg_per_l", "dose_mg", "next_concentration_mg_per_l", "reward",
        "in_range", "auc24_mg_h_per_l",
    ]  # fmt: skip
    assert len({len(column) for column in columns.values()}) == 1

"""The picture behind ``render_mode="rgb_array"``: the course of one episode so far."""

import numpy as np

from rl_drug_dosage.envs.functional import FunctionalEnv

__all__ = ["draw_course"]


def draw_course(env: FunctionalEnv, concentration: np.ndarray, dose: np.ndarray) -> np.ndarray:
    """Draw the concentration with its window above the doses.

    Args:
        env: for the window, the horizon, names and units.
        concentration: ``[n + 1]``, from the start on.
        dose: ``[n]``.

    Returns:
        ``uint8 [480, 640, 3]``.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.8), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    window, axes = env.window, env.axes
    upper.axhspan(window.low, window.high, color="tab:green", alpha=0.15, label="therapeutic window")
    upper.plot(np.arange(concentration.size), concentration, color="tab:blue", label="concentration")
    upper.set_xlim(0, env.horizon)
    upper.set_ylim(0, max(1.5 * window.high, 1.05 * np.nanmax(concentration, initial=0.0)))
    upper.set_ylabel(axes["concentration"].label)
    upper.legend(loc="upper right")
    # a dose given at the start of step t acts during it
    lower.bar(np.arange(dose.size), dose, align="edge", color="tab:orange")
    lower.set_ylim(0, float(env.action_bounds[1].max()))
    lower.set_ylabel(axes["dose"].label)
    lower.set_xlabel(axes["time"].label)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()

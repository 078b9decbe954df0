"""All figures, drawn from the CSV files of a run folder and from nothing else.

Identical files give identical bytes: no dates, fixed SVG ids. `Figure` objects are drawn without pyplot: no window, no
backend to choose, no global state.
"""

from bench.report.figures.draw import PLOTS, draw_all

__all__ = ["PLOTS", "draw_all"]

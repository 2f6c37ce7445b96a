"""What changed between two processings."""

from __future__ import annotations

import numpy as np
from bokeh.models import Span
from bokeh.plotting import figure
from numpy.typing import ArrayLike

from lsst_commtools.qa.comparison import Change, Comparison
from lsst_commtools.qa.figures.style import make_figure
from lsst_commtools.qa.statistics import finite

__all__ = ["difference_histogram"]

_COLOURS = {Change.BETTER: "#0072B2", Change.WORSE: "#D55E00"}
_BINS = 30


def difference_histogram(a: ArrayLike, b: ArrayLike, comparison: Comparison) -> figure:
    """Draw how the magnitude of a metric changed from detector image to detector image.

    Parameters
    ----------
    a, b
        Values of the same detector images, shape (n,).
    comparison
        Verdict, told in the title.

    Returns
    -------
    bokeh.plotting.figure
        Histogram of |b| - |a|, with its median; to the left is better.
    """
    change = finite(np.abs(np.asarray(b, dtype=np.float64)) - np.abs(np.asarray(a, dtype=np.float64)))
    words = f"{comparison.metric}: {comparison.change}, {comparison.significance:+.1f} sigma of {comparison.n_pairs}"
    plot = make_figure(words, f"|B| - |A| of {comparison.metric}", "detector images", width=380, height=300)
    plot.output_backend = "canvas"
    if not change.size:
        return plot
    low, high = np.percentile(change, [1.0, 99.0])
    count, edges = np.histogram(change, bins=_BINS, range=(low, high) if high > low else None)
    colour = _COLOURS.get(comparison.change, "#999999")
    plot.quad(left=edges[:-1], right=edges[1:], bottom=0, top=count, fill_color=colour, line_color="white")
    plot.add_layout(Span(location=0.0, dimension="height", line_color="black"))
    plot.add_layout(
        Span(location=comparison.difference, dimension="height", line_color="black", line_dash="dashed")
    )
    return plot

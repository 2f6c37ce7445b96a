"""``commtools qa compare``: two processings of the same visits."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lsst_commtools.cli.output import Context
from lsst_commtools.cli.qa_ellipticity import read_stars
from lsst_commtools.errors import NotFoundError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["command"]


@click.command("compare")
@click.argument("a")
@click.argument("b")
@click.option("--repository", help="Butler repository, of which A and B are collections.")
@click.option("--dataset", default="star_table", show_default=True, help="Dataset type of the star tables.")
@click.option(
    "--columns", type=click.Path(path_type=Path), help="YAML that maps our names to the tables' columns."
)
@click.pass_obj
def command(
    context: Context, a: str, b: str, repository: str | None, dataset: str, columns: Path | None
) -> int:
    """Compare A with B, star tables (or folders of parquet, or collections) of the same visits, metric by metric.

    Exit code 1 if a metric got worse or nothing could be compared.
    """
    from lsst_commtools.qa.columns import read_column_map
    from lsst_commtools.qa.comparison import Change, compare_figures, figures_of_survey

    column_map = read_column_map(columns) if columns else None
    first, second = (
        figures_of_survey(read_stars([side], repository, dataset, column_map)) for side in (a, b)
    )
    common = _in_common(first, second)
    found = compare_figures(first, second)
    document = {"n_pairs": common, "comparisons": [c.to_dict() for c in found]}
    rows = [
        (c.metric, c.n_pairs, _number(c.a), _number(c.b), _number(c.significance), c.change, c.reason)
        for c in found
    ]
    context.emit_table(document, rows, ("metric", "pairs", "A", "B", "sigma", "change", "why"))
    return (
        1
        if all(c.change is Change.UNKNOWN for c in found) or any(c.change is Change.WORSE for c in found)
        else 0
    )


def _in_common(first: pd.DataFrame, second: pd.DataFrame) -> int:
    common = len(first.index.intersection(second.index))
    if not common:
        raise NotFoundError("A and B have no detector image of the same visit.")
    return common


def _number(value: float) -> str:
    return f"{value:.4g}" if not math.isnan(value) else "unknown"

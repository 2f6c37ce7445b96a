"""Star tables out of a Butler: all detectors of a visit as one table."""

from __future__ import annotations

from typing import Any

import numpy as np

from lsst_commtools.errors import NotFoundError
from lsst_commtools.qa.columns import ColumnMap
from lsst_commtools.qa.readers import RawTable, raw_table
from lsst_commtools.qa.tables import StarTable, make_star_table

__all__ = ["read_visit"]


def read_visit(
    butler: Any,
    visit: int,
    *,
    dataset_type: str = "star_table",
    column_map: ColumnMap | None = None,
    **data_id: Any,
) -> StarTable:
    """Read the star tables of a visit.

    Parameters
    ----------
    butler
        ``lsst.daf.butler.Butler`` with default collections.
    visit
        Visit.
    dataset_type
        Tables of stars, one for each detector (or one for the visit): our ``star_table``, or LSST's source tables.
    column_map
        Where our quantities are; by default the map that fits the columns.
    **data_id
        Other parts of the data id, such as the instrument.

    Returns
    -------
    StarTable
        Stars of all detectors that have a table.

    Raises
    ------
    NotFoundError
        If there is none.
    TableError
        If a table lacks what the map names.
    """
    found = butler.query_datasets(dataset_type, visit=visit, explain=False, **data_id)
    tables = [raw_table(butler.get(reference)) for reference in found]
    if not tables:
        raise NotFoundError(f"The repository has no {dataset_type} of visit {visit}.")
    filled = [table for table in tables if table.n_rows] or tables[:1]
    names = [name for name in filled[0].columns if all(name in table.columns for table in filled)]
    joined = {name: np.concatenate([table.columns[name] for table in filled]) for name in names}
    raw = RawTable(joined, filled[0].units, sum(table.n_rows for table in filled))
    return make_star_table(raw, column_map, name=f"{dataset_type} of visit {visit}")

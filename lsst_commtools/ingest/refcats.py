"""Reference catalogues into a repository: shards of an HTM pixelisation, one dataset each."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lsst_commtools.errors import NotFoundError, TableError
from lsst_commtools.ingest.repository import DEFAULT_REFCAT, REFCATS

if TYPE_CHECKING:
    from astropy.table import Table
    from lsst.daf.butler import Butler

__all__ = ["ingest_refcat"]

_LEVEL = 7
_FIRST_ID, _LAST_ID = 8 * 4**_LEVEL, 16 * 4**_LEVEL - 1
_COLUMNS = ("id", "coord_ra", "coord_dec")
_ID = re.compile(r"(?<!\d)(\d{6})\.fits", re.ASCII)


def ingest_refcat(butler: Butler, paths: Iterable[str | Path], name: str = DEFAULT_REFCAT) -> int:
    """Store the shards of a reference catalogue; those that are there stay.

    Parameters
    ----------
    butler
        Writeable client.
    paths
        FITS shards in LSST's format, named by their HTM 7 id (``189584.fits``), or folders of such.
    name
        Dataset type; its run is ``refcats/<name>``, a member of the chain ``refcats``.

    Returns
    -------
    int
        How many were stored.

    Raises
    ------
    NotFoundError
        If there is no shard.
    TableError
        If one cannot be read, lacks columns, or holds stars that lie outside its trixel.
    """
    from lsst.daf.butler import CollectionType, DatasetType

    shards = _find(paths)
    dataset_type = DatasetType(name, butler.dimensions.conform(["htm7"]), "ArrowAstropy")
    butler.registry.registerDatasetType(dataset_type)
    run = f"{REFCATS}/{name}"
    with butler.transaction():  # see register_instrument
        butler.collections.register(run, CollectionType.RUN)
    if run not in butler.collections.get_info(REFCATS).children:
        butler.collections.extend_chain(REFCATS, run)
    there = {
        ref.dataId["htm7"]
        for ref in butler.query_datasets(
            dataset_type, collections=run, find_first=False, explain=False, limit=None
        )
    }
    missing = {htm7: path for htm7, path in shards.items() if htm7 not in there}
    tables = {htm7: _read(path, htm7) for htm7, path in missing.items()}
    with butler.transaction():
        for htm7, table in tables.items():
            butler.put(table, dataset_type, htm7=htm7, run=run)
    return len(tables)


def _find(paths: Iterable[str | Path]) -> dict[int, Path]:
    shards: dict[int, Path] = {}
    for path in map(Path, paths):
        for file in sorted(path.glob("*.fits")) if path.is_dir() else [path]:
            match = _ID.search(file.name)
            number = int(match[1]) if match else 0
            if _FIRST_ID <= number <= _LAST_ID and file.is_file():
                shards[number] = file
            elif not path.is_dir():
                raise TableError(
                    f"{file} is no shard of a reference catalogue.",
                    advice=f"Its name must end in an HTM 7 id, {_FIRST_ID} to {_LAST_ID}, and .fits.",
                )
    if not shards:
        raise NotFoundError(
            "There is no shard of a reference catalogue.", advice="Shards are named <HTM 7 id>.fits."
        )
    return shards


def _read(path: Path, htm7: int) -> Table:
    from astropy.table import Table
    from lsst.sphgeom import HtmPixelization, LonLat, UnitVector3d

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # units of other catalogues that astropy does not know
            table = Table.read(path, format="fits", hdu=1)
    except Exception as error:
        raise TableError(f"{path.name} cannot be read as a FITS table: {error}.") from error
    absent = [column for column in _COLUMNS if column not in table.colnames]
    if absent:
        raise TableError(f"{path.name} lacks the columns {', '.join(absent)} of a reference catalogue.")
    ra, dec = np.asarray(table["coord_ra"], float), np.asarray(table["coord_dec"], float)
    if not (np.isfinite(ra).all() and np.isfinite(dec).all()):
        raise TableError(f"{path.name} holds stars without position.")
    # Two are enough to notice a wrong file name or degrees for radians.
    for k in {0, len(table) - 1} if len(table) else ():
        if HtmPixelization(_LEVEL).index(UnitVector3d(LonLat.fromRadians(ra[k], dec[k]))) != htm7:
            raise TableError(
                f"{path.name} holds stars outside the trixel {htm7}; positions must be in radians."
            )
    return _native(table)


def _native(table: Table) -> Table:
    """FITS columns are big-endian; Arrow takes only the machine's own order."""
    from astropy.table import Column, Table

    columns = []
    for name in table.colnames:
        column = table[name]
        values = np.asarray(column)
        native = values.astype(values.dtype.newbyteorder("="), copy=False)
        columns.append(Column(native, name=name, unit=column.unit, description=column.description))
    return Table(columns)

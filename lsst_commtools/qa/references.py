"""Reference catalogues: Gaia's columns, LSST's reference catalogue format, or positions in the star table itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsst_commtools.errors import TableError
from lsst_commtools.qa.columns import ColumnMap, Entry
from lsst_commtools.qa.motion import apply_proper_motion
from lsst_commtools.qa.readers import read_table
from lsst_commtools.qa.tables import StarTable, TableReader

__all__ = ["ReferenceStars", "read_references"]

_LSST_REFCAT = {
    "ref_pm_ra_mas_yr": Entry(("pm_ra",), unit="rad/yr"),
    "ref_pm_dec_mas_yr": Entry(("pm_dec",), unit="rad/yr"),
    "ref_epoch": Entry(("epoch",), unit="mjd"),
    "ref_mag": Entry(("phot_g_mean_flux",), unit="njy"),
}
_GAIA = {
    "ref_ra": Entry(("ra", "RA_ICRS")),
    "ref_dec": Entry(("dec", "DE_ICRS")),
    "ref_pm_ra_mas_yr": Entry(("pmra",)),
    "ref_pm_dec_mas_yr": Entry(("pmdec", "pmde")),
    "ref_epoch": Entry(("ref_epoch", "epoch")),
    "ref_mag": Entry(("phot_g_mean_mag", "gmag")),
}
_NAMES = ("ref_ra", "ref_dec", "ref_pm_ra_mas_yr", "ref_pm_dec_mas_yr", "ref_epoch", "ref_mag")


@dataclass(frozen=True, eq=False)
class ReferenceStars:
    """Reference stars, each at its own epoch.

    Parameters
    ----------
    ra_deg, dec_deg
        Positions at ``epoch_jyear``, shape (n,).
    pm_ra_mas_yr, pm_dec_mas_yr
        Proper motions, the first with cos(dec); NaN where unknown.
    epoch_jyear
        Julian years; NaN where unknown.
    mag
        Magnitudes; NaN where unknown.
    """

    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    pm_ra_mas_yr: NDArray[np.float64]
    pm_dec_mas_yr: NDArray[np.float64]
    epoch_jyear: NDArray[np.float64]
    mag: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ra_deg)

    @property
    def can_move(self) -> bool:
        """Whether proper motions and epochs are known."""
        return bool(np.any(np.isfinite(self.pm_ra_mas_yr) & np.isfinite(self.epoch_jyear)))

    def at(self, epoch_jyear: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Move the stars to an epoch; stars without proper motion or epoch stay.

        Parameters
        ----------
        epoch_jyear
            Julian year, a number or shape (n,); NaN moves nothing.

        Returns
        -------
        ra_deg, dec_deg
            Shape (n,).
        """
        target = np.broadcast_to(np.asarray(epoch_jyear, dtype=np.float64), self.ra_deg.shape)
        known = np.isfinite(self.epoch_jyear) & np.isfinite(target)
        start = np.where(known, self.epoch_jyear, 2000.0)
        return apply_proper_motion(
            self.ra_deg,
            self.dec_deg,
            self.pm_ra_mas_yr,
            self.pm_dec_mas_yr,
            start,
            np.where(known, target, 2000.0),
        )

    @classmethod
    def from_table(cls, table: StarTable) -> ReferenceStars:
        """Take the references that a star table carries, one for each row.

        Parameters
        ----------
        table
            With ``ref_ra`` and ``ref_dec``.

        Returns
        -------
        ReferenceStars
            As many as the table has rows.
        """
        missing = np.full(len(table), np.nan)
        return cls(*(table.columns.get(name, missing) for name in _NAMES))


def read_references(paths: Iterable[Path], mag: Entry | None = None) -> ReferenceStars:
    """Read reference catalogues and join them; empty ones are fine.

    Parameters
    ----------
    paths
        Files: LSST reference catalogue shards, or tables with Gaia's names.
    mag
        Cut on the reference magnitude.

    Returns
    -------
    ReferenceStars
        Their stars with positions.

    Raises
    ------
    NotFoundError
        If a file is not there.
    TableError
        If one is no reference catalogue.
    """
    parts = [_read(path) for path in paths]
    joined = ReferenceStars(
        *(
            np.concatenate([getattr(part, name) for part in parts]) if parts else np.empty(0)
            for name in ReferenceStars.__dataclass_fields__
        )
    )
    keep = np.isfinite(joined.ra_deg) & np.isfinite(joined.dec_deg)
    if mag is not None:
        keep &= joined.mag >= (-np.inf if mag.minimum is None else mag.minimum)
        keep &= joined.mag <= (np.inf if mag.maximum is None else mag.maximum)
    return ReferenceStars(*(getattr(joined, name)[keep] for name in ReferenceStars.__dataclass_fields__))


def _read(path: Path) -> ReferenceStars:
    raw = read_table(path)
    lower = {column.lower() for column in raw.columns}
    if {"coord_ra", "coord_dec"} <= set(raw.columns):
        unit = raw.units.get("coord_ra", "rad")
        position = {"ref_ra": Entry(("coord_ra",), unit=unit), "ref_dec": Entry(("coord_dec",), unit=unit)}
        column_map = ColumnMap("LSST reference catalogue", {**position, **_LSST_REFCAT})
    elif {"ra", "dec"} <= lower or {"ra_icrs", "de_icrs"} <= lower:
        column_map = ColumnMap("Gaia", _GAIA, ignore_case=True)
    else:
        raise TableError(
            f"{path} is no reference catalogue: it has no positions.",
            advice="Known are LSST's format (coord_ra, coord_dec) and Gaia's (ra, dec, pmra, pmdec).",
        )
    columns = TableReader(raw, column_map, str(path), strict=False).read()[0]
    return ReferenceStars.from_table(StarTable(columns, n_rows=raw.n_rows))

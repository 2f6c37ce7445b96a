"""Figures of single objects, per coordinate: repeatability, and distance from the reference catalogue.

Each object has one reference declination, so that RA* = RA cos(Dec) holds no error in declination.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.qa.limits import Limit
from lsst_commtools.qa.match import match_sky
from lsst_commtools.qa.references import ReferenceStars
from lsst_commtools.qa.repeatability.measurement import Measurement
from lsst_commtools.qa.repeatability.objects import ObjectSet
from lsst_commtools.qa.repeatability.tally import Tally
from lsst_commtools.qa.repeatability.tiles import TileStore
from lsst_commtools.qa.statistics import mad, median

__all__ = ["CoordinateSums", "offsets_mas"]

_MATCH_RADIUS_ARCSEC = 1.0
_MAS = 180.0 / np.pi * 3.6e6
_MEDIAN_OVER_MEAN = (
    1.2533141373155003  # sqrt(pi / 2): error of a median to that of a mean, normal distribution
)
_NAMES = ("RA", "Dec")


def offsets_mas(
    ra_deg: NDArray[np.float64],
    dec_deg: NDArray[np.float64],
    ra0_deg: NDArray[np.float64],
    dec0_deg: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Give small offsets of positions from others, on the plane that touches the sky at the latter.

    Parameters
    ----------
    ra_deg, dec_deg, ra0_deg, dec0_deg
        Shape (n,).

    Returns
    -------
    numpy.ndarray
        East and north, shape (2, n).
    """
    delta, dec, dec0 = (np.radians(v) for v in (ra_deg - ra0_deg, dec_deg, dec0_deg))
    versine = 2.0 * np.sin(0.5 * delta) ** 2
    east = np.cos(dec) * np.sin(delta)
    north = np.sin(dec - dec0) + np.sin(dec0) * np.cos(dec) * versine
    return np.stack([east, north]) * _MAS


class CoordinateSums:
    """Sums over objects.

    Parameters
    ----------
    references
        Reference catalogue, where there is one.
    visit_epochs
        Visit to Julian year.
    """

    def __init__(self, references: ReferenceStars | None, visit_epochs: Mapping[int, float]) -> None:
        self.references, self.visit_epochs = references, visit_epochs
        self.std_mas = (Tally(), Tally())
        self.offsets: list[NDArray[np.float32]] = []
        self.n_moved = 0

    @property
    def offset_mas(self) -> NDArray[np.float32]:
        """Measured minus reference position of each matched object, east and north, shape (2, n)."""
        return np.concatenate(self.offsets, axis=1) if self.offsets else np.empty((2, 0), np.float32)

    def measure(self, store: TileStore, folder: Path) -> TileStore:
        """Add all objects.

        Parameters
        ----------
        store
            Tiles.
        folder
            Where tiles without proper motions are written, if they do not stay in memory.

        Returns
        -------
        TileStore
            The objects without their known proper motions.
        """
        moves = self.references is not None and self.references.can_move and bool(self.visit_epochs)
        place = None
        if store.folder is not None and moves:
            place = folder / "at-rest"
            place.mkdir()
        still = TileStore(place) if moves else store
        for objects in store:
            rested = self._add(objects)
            if moves:
                still.add(rested)
        if moves:
            still.n_duplicates, still.duplicate, still.n_stray = (
                store.n_duplicates,
                store.duplicate,
                store.n_stray,
            )
        return still

    def _add(self, objects: ObjectSet) -> ObjectSet:
        if self.references is not None:
            objects = self._compare(objects, self.references)
        counts, owner = objects.n_visits, objects.owner
        several = counts >= 2
        for tally, values in zip(self.std_mas, (objects.east_mas, objects.north_mas), strict=True):
            mean = np.bincount(owner, values, len(objects)) / counts
            squares = np.bincount(owner, (values - mean[owner]) ** 2, len(objects))
            std = np.sqrt(squares[several] / (counts[several] - 1)).astype(np.float32)
            tally.add(std, objects.group[several])
        return objects

    def _compare(self, objects: ObjectSet, references: ReferenceStars) -> ObjectSet:
        """Take proper motions out, and note the offsets from the reference, both at the objects' mean epochs."""
        years = np.array([self.visit_epochs.get(int(v), np.nan) for v in np.unique(objects.visit)])
        year = years[np.searchsorted(np.unique(objects.visit), objects.visit)]
        owner, counts = objects.owner, objects.n_visits
        mean_year = np.bincount(owner, year, len(objects)) / counts
        overall = median(mean_year)
        ra, dec = references.at(overall)
        index, partner, _ = match_sky(objects.ra_deg, objects.dec_deg, ra, dec, _MATCH_RADIUS_ARCSEC)
        if not len(index):
            return objects
        mean = np.stack(
            [np.bincount(owner, v, len(objects)) / counts for v in (objects.east_mas, objects.north_mas)]
        )
        motion = np.zeros((2, len(objects)))
        motion[:, index] = np.nan_to_num(
            [references.pm_ra_mas_yr[partner], references.pm_dec_mas_yr[partner]]
        )
        since = np.nan_to_num(year - mean_year[owner])
        offset = (
            offsets_mas(objects.ra_deg[index], objects.dec_deg[index], ra[partner], dec[partner])
            + mean[:, index]
        )
        offset -= motion[:, index] * np.nan_to_num(mean_year[index] - overall)
        self.offsets.append(offset.astype(np.float32))
        known = np.isfinite(references.epoch_jyear[partner]) & motion[:, index].any(axis=0)
        self.n_moved += int((known & np.isfinite(mean_year[index])).sum())
        east, north = (
            (v - motion[k][owner] * since).astype(np.float32)
            for k, v in enumerate((objects.east_mas, objects.north_mas))
        )
        return ObjectSet(
            objects.ra_deg, objects.dec_deg, objects.start, objects.visit, east, north, objects.key,
            objects.n_duplicates, objects.duplicate, objects.n_stray,
        )  # fmt: skip

    def measurements(self, limits: Mapping[str, Limit], trouble: str) -> dict[str, Measurement]:
        """Give the figures.

        Parameters
        ----------
        limits
            Requirements.
        trouble
            Why nothing can be measured; empty where it can.

        Returns
        -------
        dict
            AA1, dmL2AstroErr_RA, dmL2AstroErr_Dec.
        """
        measured = {"AA1": self._absolute(limits["AA1_mas"], trouble)}
        for name, tally in zip(_NAMES, self.std_mas, strict=True):
            why = trouble or ("" if tally.n else "no object was seen in 2 visits")
            measured[f"dmL2AstroErr_{name}"] = (
                Measurement.unknown("mas", None, why)
                if why
                else Measurement(tally.quantile(0.5), tally.quantile_error(0.5), "mas", tally.n)
            )
        return measured

    def _absolute(self, limit: Limit, trouble: str) -> Measurement:
        offset = self.offset_mas
        n = offset.shape[1]
        if trouble or not n:
            no_match = "no object matches the reference catalogue"
            return Measurement.unknown(
                "mas",
                limit,
                trouble or (no_match if self.references is not None else "no reference catalogue was given"),
            )
        middle = [median(values) for values in offset]
        scatter = [mad(values) for values in offset]
        errors = [_MEDIAN_OVER_MEAN * s / np.sqrt(n) for s in scatter]
        worse = int(abs(middle[1]) > abs(middle[0]))
        parts = {
            f"{name}_{kind}": value
            for kind, values in (("offset_mas", middle), ("error_mas", errors), ("sigma_mad_mas", scatter))
            for name, value in zip(("ra", "dec"), values, strict=True)
        }
        return Measurement(abs(middle[worse]), float(errors[worse]), "mas", n, limit, parts=parts)

"""WCS against WCS: detectors against their neighbours, the first solution against the last, visits over a night."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.errors import DataError
from lsst_commtools.qa.projection import mean_direction, sky_to_tangent
from lsst_commtools.qa.statistics import median
from lsst_commtools.qa.wcs import WcsFit

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CornerDistance", "WcsShift", "corner_distances", "night_drift", "wcs_shift"]

_GRID = 5


@dataclass(frozen=True)
class CornerDistance:
    """How far apart two neighbouring detectors lie on the sky.

    Parameters
    ----------
    detector1, detector2
        Their numbers.
    distance_arcsec
        On the sky, between the two corners that face each other.
    expected_arcsec
        From the camera's geometry and the plate scale of all detectors.
    """

    detector1: int
    detector2: int
    distance_arcsec: float
    expected_arcsec: float

    @property
    def excess_arcsec(self) -> float:
        """Distance minus what is expected: a WCS that is off shows against all its neighbours."""
        return self.distance_arcsec - self.expected_arcsec


def corner_distances(
    sky_corners: Mapping[int, NDArray[np.float64]],
    focal_corners_mm: Mapping[int, NDArray[np.float64]],
    *,
    largest_gap_mm: float = 5.0,
) -> tuple[CornerDistance, ...]:
    """Compare the WCS of neighbouring detectors by the distances of their corners.

    Parameters
    ----------
    sky_corners
        Detector to RA and Dec of its corners in degrees by its WCS, shape (corners, 2).
    focal_corners_mm
        Detector to the same corners on the focal plane, shape (corners, 2).
    largest_gap_mm
        Corners nearer than this to each other face each other.

    Returns
    -------
    tuple of CornerDistance
        One for each pair of facing corners, by detector number.

    Raises
    ------
    DataError
        If no two detectors with a WCS face each other.
    """
    detectors = sorted(d for d in sky_corners if d in focal_corners_mm and np.isfinite(sky_corners[d]).all())
    if not detectors:
        raise DataError("No detector has a WCS.")
    sky = np.stack([sky_corners[d] for d in detectors])
    plane = np.stack(
        sky_to_tangent(sky[..., 0], sky[..., 1], mean_direction(sky[..., 0].ravel(), sky[..., 1].ravel())),
        axis=-1,
    )
    focal = np.stack([focal_corners_mm[d] for d in detectors])
    scale = _plate_scale(plane, focal)
    found = []
    for i, first in enumerate(detectors):
        for j in range(i + 1, len(detectors)):
            gap = np.linalg.norm(focal[i][:, None] - focal[j][None], axis=-1)
            for a, b in np.argwhere(gap <= largest_gap_mm):
                distance = float(np.linalg.norm(plane[i, a] - plane[j, b]))
                found.append(CornerDistance(first, detectors[j], distance, float(gap[a, b]) * scale))
    if not found:
        raise DataError("No two detectors with a WCS face each other.")
    return tuple(found)


def _plate_scale(plane: NDArray[np.float64], focal: NDArray[np.float64]) -> float:
    """Give arcsec per mm: the median over detectors of the length of a diagonal, so that one bad WCS does not count."""
    on_sky = np.linalg.norm(plane[:, 0] - plane[:, 2], axis=-1)
    return median(on_sky / np.linalg.norm(focal[:, 0] - focal[:, 2], axis=-1))


@dataclass(frozen=True)
class WcsShift:
    """How a solution moved.

    Parameters
    ----------
    east_arcsec, north_arcsec
        Median shift over the detector.
    largest_arcsec
        Largest shift.
    scale_ppm, rotation_arcsec
        Change of the pixel scale, and of the position angle of +y (north to east).
    """

    east_arcsec: float
    north_arcsec: float
    largest_arcsec: float
    scale_ppm: float
    rotation_arcsec: float


def wcs_shift(initial: WcsFit, final: WcsFit) -> WcsShift:
    """Compare two solutions of one detector on a grid of pixels where the final one holds.

    Parameters
    ----------
    initial, final
        Solutions.

    Returns
    -------
    WcsShift
        Final minus initial.
    """
    x_min, x_max, y_min, y_max = final.bounds
    x, y = (
        a.ravel() for a in np.meshgrid(np.linspace(x_min, x_max, _GRID), np.linspace(y_min, y_max, _GRID))
    )
    before, after = initial.pixel_to_sky(x, y), final.pixel_to_sky(x, y)
    centre = mean_direction(*after)
    east, north = (
        b - a for a, b in zip(sky_to_tangent(*before, centre), sky_to_tangent(*after, centre), strict=True)
    )
    turn = (final.rotation_deg - initial.rotation_deg + 180.0) % 360.0 - 180.0
    return WcsShift(
        median(east),
        median(north),
        float(np.hypot(east, north).max()),
        1e6 * (final.pixel_scale_arcsec / initial.pixel_scale_arcsec - 1.0),
        3600.0 * turn,
    )


def night_drift(
    summaries: pd.DataFrame, *, scale: str = "field_pixel_scale_arcsec", rotation: str = "field_rotation_deg"
) -> pd.DataFrame:
    """Give scale and rotation of each visit against the median of the night, from visit summaries.

    Parameters
    ----------
    summaries
        One row for each detector of each visit: ``visit``, pixel scale, rotation; names are parameters, since
        pipelines differ.
    scale, rotation
        Columns, arcsec and degrees.

    Returns
    -------
    pandas.DataFrame
        ``visit``, ``scale_ppm``, ``rotation_arcsec``, by visit; NaN where a visit has no WCS. A rotation that changes
        because the camera was turned shows as well.
    """
    import pandas as pd

    angles = np.radians(summaries[rotation])
    visits = summaries.assign(sine=np.sin(angles), cosine=np.cos(angles)).groupby("visit", sort=True)
    scales = visits[scale].median()
    turned = np.degrees(np.arctan2(visits["sine"].mean().to_numpy(), visits["cosine"].mean().to_numpy()))
    known = turned[np.isfinite(turned)]
    relative = (turned - (known[0] if known.size else np.nan) + 180.0) % 360.0 - 180.0
    return pd.DataFrame(
        {
            "visit": scales.index.to_numpy(),
            "scale_ppm": 1e6 * (scales.to_numpy() / median(scales) - 1.0),
            "rotation_arcsec": 3600.0 * (relative - median(relative)),
        }
    )

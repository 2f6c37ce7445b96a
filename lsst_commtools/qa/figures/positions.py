"""Where stars are drawn: on the sky around the field's centre, or in the focal plane."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lsst_commtools.instrument.cameras import PIXEL_MM, Camera
from lsst_commtools.qa.projection import mean_direction, sky_to_tangent

__all__ = ["with_focal_plane", "with_sky_plane"]


def with_sky_plane(stars: pd.DataFrame, ra: str = "ra", dec: str = "dec") -> pd.DataFrame:
    """Add positions on the plane that touches the sky at the middle of the stars.

    Parameters
    ----------
    stars
        With sky positions in degrees.
    ra, dec
        Their columns.

    Returns
    -------
    pandas.DataFrame
        With ``xi_arcmin`` (east) and ``eta_arcmin`` (north).
    """
    ra_deg, dec_deg = stars[ra].to_numpy(np.float64), stars[dec].to_numpy(np.float64)
    good = np.isfinite(ra_deg) & np.isfinite(dec_deg)
    if not good.any():
        return stars.assign(xi_arcmin=np.nan, eta_arcmin=np.nan)
    xi, eta = sky_to_tangent(ra_deg, dec_deg, mean_direction(ra_deg[good], dec_deg[good]))
    return stars.assign(xi_arcmin=xi / 60.0, eta_arcmin=eta / 60.0)


def with_focal_plane(
    stars: pd.DataFrame, camera: Camera, shape: tuple[int, int] | None = None
) -> pd.DataFrame:
    """Add positions in the focal plane.

    Parameters
    ----------
    stars
        With ``detector``, ``x`` and ``y``.
    camera
        Where its detectors are.
    shape
        Rows and columns of the assembled images, if they are only the middle of the detectors.

    Returns
    -------
    pandas.DataFrame
        With ``x_mm`` and ``y_mm``; NaN for detectors that the camera has not.
    """
    centres = {
        d.id: (d.x_mm, d.y_mm, *((d.columns, d.rows) if shape is None else (shape[1], shape[0])))
        for d in camera.detectors
    }
    missing = (np.nan,) * 4
    placed = np.array([centres.get(int(number), missing) for number in stars["detector"]]).reshape(-1, 4)
    x, y = stars["x"].to_numpy(np.float64), stars["y"].to_numpy(np.float64)
    return stars.assign(
        x_mm=placed[:, 0] + (x - (placed[:, 2] - 1) / 2) * PIXEL_MM,
        y_mm=placed[:, 1] + (y - (placed[:, 3] - 1) / 2) * PIXEL_MM,
    )

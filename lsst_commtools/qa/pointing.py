"""Where the telescope looked against where it was told to look: along azimuth and elevation, and a model of it.

The model has TPOINT's geometrical terms (Wallace 1994), with the sign of "solved minus told"; A is the azimuth from
north to east, E the elevation::

    azimuth on the sky = IA cos E + CA + NPAE sin E + AN sin A sin E + AW cos A sin E
    elevation          = IE + AN cos A - AW sin A + TF cos E
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsst_commtools.qa.frames import RUBIN_LATITUDE_DEG
from lsst_commtools.qa.statistics import MAD_TO_SIGMA

__all__ = ["PointingModel", "azimuth_deg", "fit_pointing_model", "to_horizon"]

Array = NDArray[np.float64]
_TERMS = ("IA", "IE", "AN", "AW", "CA", "TF", "NPAE")
_FIRST_TO_GO = ("NPAE", "TF", "CA", "AW", "AN")
_LEAST_VISITS = 6
_WORST_CONDITION = 30.0
_CLIP_SIGMA = 5.0


@dataclass(frozen=True, eq=False)
class PointingModel:
    """Terms of a pointing model, and what they leave.

    Parameters
    ----------
    terms_arcsec, errors_arcsec
        Term to value and standard error; only the terms that the visits tell apart.
    left_out
        Terms that these visits cannot tell from the others.
    az_residual_arcsec, el_residual_arcsec
        Offset minus model along azimuth (on the sky) and elevation, shape (n,); NaN where there was no offset.
    used
        Visits that gave the fit, shape (n,).
    """

    terms_arcsec: Mapping[str, float]
    errors_arcsec: Mapping[str, float]
    left_out: tuple[str, ...]
    az_residual_arcsec: Array
    el_residual_arcsec: Array
    used: NDArray[np.bool_]

    @property
    def rms_arcsec(self) -> float:
        """Root mean square, over the visits used, of the distance that the model leaves."""
        squares = self.az_residual_arcsec[self.used] ** 2 + self.el_residual_arcsec[self.used] ** 2
        return float(np.sqrt(squares.mean()))


def azimuth_deg(
    ra_deg: ArrayLike, dec_deg: ArrayLike, lst_deg: ArrayLike, latitude_deg: float = RUBIN_LATITUDE_DEG
) -> Array:
    """Give the azimuth, from north to east.

    Parameters
    ----------
    ra_deg, dec_deg, lst_deg, latitude_deg
        As for `frames.altitude_deg`.

    Returns
    -------
    numpy.ndarray
        Degrees, 0 to 360.
    """
    hour = np.radians(np.asarray(lst_deg, np.float64) - np.asarray(ra_deg, np.float64))
    dec, latitude = np.radians(np.asarray(dec_deg, np.float64)), np.radians(latitude_deg)
    north = np.sin(dec) * np.cos(latitude) - np.cos(dec) * np.cos(hour) * np.sin(latitude)
    return np.asarray(np.degrees(np.arctan2(-np.cos(dec) * np.sin(hour), north)) % 360.0)


def to_horizon(east: ArrayLike, north: ArrayLike, parallactic_deg: ArrayLike) -> tuple[Array, Array]:
    """Turn offsets on the sky to the horizon's axes.

    Parameters
    ----------
    east, north
        Offsets.
    parallactic_deg
        Of `frames.parallactic_angle_deg`.

    Returns
    -------
    azimuth, elevation
        Offsets towards larger azimuth (on the sky, with cos E in it) and larger elevation.
    """
    angle = np.radians(np.asarray(parallactic_deg, np.float64))
    e, n = np.asarray(east, np.float64), np.asarray(north, np.float64)
    return n * np.sin(angle) - e * np.cos(angle), e * np.sin(angle) + n * np.cos(angle)


def fit_pointing_model(
    azimuth: ArrayLike, altitude: ArrayLike, az_arcsec: ArrayLike, el_arcsec: ArrayLike
) -> PointingModel | None:
    """Fit the model to the offsets of a night's visits.

    Parameters
    ----------
    azimuth, altitude
        Of each visit in degrees, shape (n,).
    az_arcsec, el_arcsec
        Solved minus told, along azimuth (on the sky) and elevation, shape (n,).

    Returns
    -------
    PointingModel or None
        None where fewer than six visits have an offset. Visits beyond 5 robust sigma are left out of the fit once.
    """
    sky = np.stack([np.asarray(v, np.float64) for v in (azimuth, altitude)])
    offset = np.stack([np.asarray(v, np.float64) for v in (az_arcsec, el_arcsec)])
    used = np.asarray(np.isfinite(sky).all(axis=0) & np.isfinite(offset).all(axis=0))
    if used.sum() < _LEAST_VISITS:
        return None
    design = _design(*np.radians(sky))
    terms = _distinct(design[:, used])
    columns = [_TERMS.index(name) for name in terms]
    values, _ = _solve(design[:, used][..., columns], offset[:, used])
    residual = offset - design[..., columns] @ values
    width = _CLIP_SIGMA * MAD_TO_SIGMA * np.median(np.abs(residual[:, used]), axis=1)
    near = np.asarray(used & (np.abs(residual) <= np.maximum(width, 1e-6)[:, None]).all(axis=0))
    if near.sum() >= _LEAST_VISITS:
        used = near
    values, errors = _solve(design[:, used][..., columns], offset[:, used])
    residual = offset - design[..., columns] @ values
    return PointingModel(
        dict(zip(terms, values.tolist(), strict=True)),
        dict(zip(terms, errors.tolist(), strict=True)),
        tuple(name for name in _TERMS if name not in terms),
        residual[0],
        residual[1],
        used,
    )


def _design(azimuth_rad: Array, altitude_rad: Array) -> Array:
    """Give what each term adds along azimuth and elevation, shape (2, n, terms)."""
    cos_a, sin_a, cos_e, sin_e = (f(v) for v in (azimuth_rad, altitude_rad) for f in (np.cos, np.sin))
    one, zero = np.ones_like(cos_a), np.zeros_like(cos_a)
    along_az = [cos_e, zero, sin_a * sin_e, cos_a * sin_e, one, zero, sin_e]
    along_el = [zero, one, cos_a, -sin_a, zero, cos_e, zero]
    return np.stack([np.stack(along_az, axis=-1), np.stack(along_el, axis=-1)])


def _distinct(design: Array) -> tuple[str, ...]:
    """Leave out terms until the visits tell the others apart; the two zero points stay."""
    terms = list(_TERMS)
    for name in _FIRST_TO_GO:
        part = design[..., [_TERMS.index(t) for t in terms]].reshape(-1, len(terms))
        if len(part) > len(terms) and np.linalg.cond(part / np.linalg.norm(part, axis=0)) <= _WORST_CONDITION:
            break
        terms.remove(name)
    return tuple(terms)


def _solve(design: Array, offset: Array) -> tuple[Array, Array]:
    matrix, values = design.reshape(-1, design.shape[-1]), offset.ravel()
    solution = np.linalg.lstsq(matrix, values, rcond=None)[0]
    freedom = max(len(values) - matrix.shape[1], 1)
    variance = float(((values - matrix @ solution) ** 2).sum()) / freedom
    errors = np.sqrt(variance * np.diag(np.linalg.pinv(matrix.T @ matrix)))
    return np.asarray(solution), np.asarray(errors)

"""Astrometric fit of one detector: TAN and a polynomial by linear least squares, exported as TAN-SIP.

The reference stars are projected onto the tangent plane once, and the polynomial from pixels to that plane is linear in
its coefficients, so that no iteration over them is needed (`astropy.wcs.utils.fit_wcs_from_points` iterates over
all). SIP is the same polynomial with the linear part taken out (Shupe et al. 2005).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsst_commtools.errors import DataError, InputError
from lsst_commtools.qa.polynomials import LeastSquares, design_matrix, exponents, n_terms, solve, translate
from lsst_commtools.qa.projection import direction_of, tangent_to_sky, unit_vectors, vectors_to_tangent
from lsst_commtools.qa.statistics import clip_mask

if TYPE_CHECKING:
    from astropy.io.fits import Header
    from astropy.wcs import WCS

__all__ = ["WcsFit", "fit_tan_polynomial"]

Array = NDArray[np.float64]
_FLOOR_ARCSEC = 1e-6
_CENTRED_ARCSEC = 1e-7
_INVERSE_GRID = 24
_MAX_ORDER = 9
_MAX_RECENTRINGS = 20


@dataclass(frozen=True, eq=False)
class WcsFit:
    """Astrometric solution of one detector.

    Parameters
    ----------
    order
        Highest total power; 1 is plain TAN.
    crval
        RA and Dec of the tangent point in degrees.
    crpix
        Zero-based pixel of the tangent point.
    scale
        Pixels that make one unit of the polynomial's variables.
    coefficients
        Shape (terms, 2), arcsec: xi and eta as polynomials of (x, y - crpix) / scale, the constant zero.
    bounds
        x_min, x_max, y_min, y_max in pixels, where the fit holds.
    used
        Stars that gave the fit, after clipping, shape (n,).
    ra_residual_mas, dec_residual_mas
        Measured minus reference on the tangent plane, for all stars, shape (n,); NaN where there is none.
    """

    order: int
    crval: tuple[float, float]
    crpix: tuple[float, float]
    scale: float
    coefficients: NDArray[Any]
    bounds: tuple[float, float, float, float]
    used: NDArray[np.bool_]
    ra_residual_mas: Array
    dec_residual_mas: Array

    @property
    def n_used(self) -> int:
        """Number of stars that gave the fit."""
        return int(self.used.sum())

    @property
    def degrees_of_freedom(self) -> int:
        """Stars used minus terms, per coordinate."""
        return self.n_used - n_terms(self.order)

    @property
    def cd_deg(self) -> Array:
        """CD matrix at the tangent point, degrees per pixel, shape (2, 2)."""
        return np.asarray(self.coefficients[1:3].T / (3600.0 * self.scale))

    @property
    def pixel_scale_arcsec(self) -> float:
        """Root of the area of a pixel at the tangent point."""
        return float(np.sqrt(abs(np.linalg.det(self.cd_deg))) * 3600.0)

    @property
    def rotation_deg(self) -> float:
        """Position angle of +y, from north to east, in (-180, 180]."""
        return float(np.degrees(np.arctan2(self.cd_deg[0, 1], self.cd_deg[1, 1])))

    def pixel_to_tangent(self, x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
        """Give positions on the tangent plane.

        Parameters
        ----------
        x, y
            Zero-based pixels, shape (n,).

        Returns
        -------
        xi_arcsec, eta_arcsec
            East and north of ``crval``.
        """
        u = (np.atleast_1d(np.asarray(x, dtype=np.float64)) - self.crpix[0]) / self.scale
        v = (np.atleast_1d(np.asarray(y, dtype=np.float64)) - self.crpix[1]) / self.scale
        plane = design_matrix(u, v, self.order) @ self.coefficients
        return plane[:, 0], plane[:, 1]

    def pixel_to_sky(self, x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
        """Give positions on the sky.

        Parameters
        ----------
        x, y
            Zero-based pixels, shape (n,).

        Returns
        -------
        ra_deg, dec_deg
            ICRS if the reference was.
        """
        return tangent_to_sky(*self.pixel_to_tangent(x, y), self.crval)

    def header(self) -> Header:
        """Give the solution as a FITS header, TAN-SIP with inverse polynomials (plain TAN at order 1).

        Returns
        -------
        astropy.io.fits.Header
            Keywords of the celestial WCS.
        """
        from astropy.io.fits import Header

        suffix = "-SIP" if self.order > 1 else ""
        header = Header()
        header["WCSAXES"] = 2
        for axis, name in enumerate(("RA---TAN", "DEC--TAN"), start=1):
            header[f"CTYPE{axis}"] = name + suffix
            header[f"CUNIT{axis}"] = "deg"
            header[f"CRVAL{axis}"] = self.crval[axis - 1]
            header[f"CRPIX{axis}"] = self.crpix[axis - 1] + 1.0
        for (row, column), value in np.ndenumerate(self.cd_deg):
            header[f"CD{row + 1}_{column + 1}"] = float(value)
        header["RADESYS"] = "ICRS"
        if self.order > 1:
            forward, inverse_order = _sip_forward(self), min(self.order + 2, _MAX_ORDER)
            header.update(_sip_cards(("A", "B"), forward, self.order, self.scale))
            inverse = _sip_inverse(self, forward, inverse_order)
            header.update(_sip_cards(("AP", "BP"), inverse, inverse_order, self.scale))
        return header

    def to_wcs(self) -> WCS:
        """Give the solution as astropy's WCS.

        Returns
        -------
        astropy.wcs.WCS
            Of the same transformation.
        """
        from astropy.wcs import WCS

        return WCS(self.header())


def _sip_forward(fit: WcsFit) -> Array:
    """Coefficients of SIP's A and B in pixels, shape (terms, 2), for offsets from crpix in units of the scale."""
    coefficients = np.linalg.solve(fit.cd_deg, fit.coefficients.T / 3600.0).T
    coefficients[:3] = 0.0
    return np.asarray(coefficients)


def _sip_inverse(fit: WcsFit, forward: Array, order: int) -> Array:
    """Coefficients of SIP's AP and BP likewise, by least squares on a grid over the detector."""
    x_min, x_max, y_min, y_max = fit.bounds
    grid = np.meshgrid(np.linspace(x_min, x_max, _INVERSE_GRID), np.linspace(y_min, y_max, _INVERSE_GRID))
    offset = np.stack([grid[0].ravel() - fit.crpix[0], grid[1].ravel() - fit.crpix[1]]) / fit.scale
    shift = design_matrix(offset[0], offset[1], fit.order) @ forward
    linear = offset + shift.T / fit.scale
    middle = linear.mean(axis=1)
    matrix = design_matrix(linear[0] - middle[0], linear[1] - middle[1], order)
    return translate(solve(matrix, -shift, what="inverse SIP polynomial"), (-middle[0], -middle[1]), order)


def _sip_cards(letters: tuple[str, str], coefficients: Array, order: int, scale: float) -> dict[str, float]:
    """Name the coefficients for a header, in powers of pixels."""
    cards: dict[str, float] = {}
    for k, letter in enumerate(letters):
        cards[f"{letter}_ORDER"] = order
        for (p, q), value in zip(exponents(order), coefficients[:, k], strict=True):
            if value != 0.0:
                cards[f"{letter}_{p}_{q}"] = float(value) / scale ** (p + q)
    return cards


def fit_tan_polynomial(
    x: ArrayLike,
    y: ArrayLike,
    ra_deg: ArrayLike,
    dec_deg: ArrayLike,
    *,
    order: int = 3,
    crval: tuple[float, float] | None = None,
    crpix: tuple[float, float] | None = None,
    clip_sigma: float | None = 3.0,
    max_iterations: int = 5,
    weights: ArrayLike | None = None,
) -> WcsFit:
    """Fit pixel positions to positions on the sky.

    Parameters
    ----------
    x, y
        Zero-based pixels of stars, shape (n,). Rows with a value that is not finite are left out.
    ra_deg, dec_deg
        Their reference positions at the epoch of the exposure, shape (n,).
    order
        Highest total power of the polynomial, 1 to 9 (SIP's limit); 1 is plain TAN.
    crval
        Tangent point, RA and Dec in degrees, which stays where it is; ``crpix`` is then found. By default the tangent
        point is what lies at ``crpix``.
    crpix
        Zero-based pixel of the tangent point; by default the middle of the stars.
    clip_sigma
        Stars further than this many robust sigma from the median in either coordinate are dropped; None drops none.
    max_iterations
        At most this many rounds of clipping.
    weights
        Weight of each star, 1 / sigma^2, shape (n,).

    Returns
    -------
    WcsFit
        The solution.

    Raises
    ------
    InputError
        If the order is none that SIP has, or both ``crval`` and ``crpix`` are given.
    DataError
        If the stars do not determine the fit.
    """
    if not 1 <= order <= _MAX_ORDER:
        raise InputError(f"The order of the WCS must be 1 to 9, not {order}.")
    if crval is not None and crpix is not None:
        raise InputError("Give crval or crpix, not both: the other one follows from the stars.")
    px, py, ra, dec = (np.asarray(v, dtype=np.float64) for v in (x, y, ra_deg, dec_deg))
    weight = None if weights is None else np.asarray(weights, dtype=np.float64)
    good = np.isfinite(px) & np.isfinite(py) & np.isfinite(ra) & np.isfinite(dec)
    if weight is not None:
        good &= np.isfinite(weight) & (weight > 0)
    if good.sum() < n_terms(order):
        raise DataError(
            f"A WCS of order {order} needs at least {n_terms(order)} stars, but {int(good.sum())} are usable.",
            advice="Lower the order of the fit.",
        )
    bounds = (float(px[good].min()), float(px[good].max()), float(py[good].min()), float(py[good].max()))
    rows = np.flatnonzero(good)
    stars = _Stars(
        px[rows], py[rows], ra[rows], dec[rows], None if weight is None else weight[rows], order, bounds
    )
    centre = direction_of(stars.vectors.sum(axis=0)) if crval is None else crval
    coefficients = _fit_clipped(stars, stars.plane(centre), clip_sigma, max_iterations)
    if crval is None:
        pixel = stars.middle if crpix is None else crpix
        centre, coefficients = _move_centre(stars, pixel, centre, coefficients)
    else:
        pixel = _root(stars, coefficients)
    residual = stars.squares.matrix @ coefficients - stars.plane(centre)
    coefficients = stars.about(pixel, coefficients)
    coefficients[0] = 0.0
    residuals = np.full((2, px.size), np.nan)
    residuals[:, rows] = residual.T * 1e3
    used = np.zeros(px.size, dtype=bool)
    used[rows[stars.squares.rows]] = True
    return WcsFit(order, centre, pixel, stars.scale, coefficients, bounds, used, residuals[0], residuals[1])


class _Stars:
    """The usable stars, and the polynomial's terms at them: variables run from -1 to 1 over the stars."""

    def __init__(
        self,
        x: Array,
        y: Array,
        ra: Array,
        dec: Array,
        weight: Array | None,
        order: int,
        bounds: tuple[float, float, float, float],
    ) -> None:
        self.middle = (0.5 * (bounds[0] + bounds[1]), 0.5 * (bounds[2] + bounds[3]))
        self.scale = max(bounds[1] - bounds[0], bounds[3] - bounds[2], 1.0) / 2.0
        self.order, self.vectors = order, unit_vectors(ra, dec)
        matrix = design_matrix((x - self.middle[0]) / self.scale, (y - self.middle[1]) / self.scale, order)
        self.squares = LeastSquares(matrix, weight, what="WCS")

    def plane(self, centre: tuple[float, float]) -> Array:
        """Give the reference positions on the plane that touches the sky at a point, shape (n, 2)."""
        plane = vectors_to_tangent(self.vectors, centre)
        if not np.isfinite(plane).all():
            raise DataError(
                "Reference stars lie more than 90 degrees from each other: they are not one field."
            )
        return plane

    def about(self, pixel: tuple[float, float], coefficients: Array) -> Array:
        """Expand the polynomial about another pixel."""
        offset = ((pixel[0] - self.middle[0]) / self.scale, (pixel[1] - self.middle[1]) / self.scale)
        return translate(coefficients, offset, self.order)


def _fit_clipped(stars: _Stars, plane: Array, sigma: float | None, max_iterations: int) -> Array:
    """Fit and clip until nothing changes; the rows that are left stay chosen."""
    squares = stars.squares
    coefficients = squares.solve(plane)
    for _ in range(max_iterations if sigma is not None else 0):
        kept = clip_mask(squares.matrix @ coefficients - plane, squares.rows, sigma or 0.0, _FLOOR_ARCSEC)
        if np.array_equal(kept, squares.rows) or kept.sum() < n_terms(stars.order):
            break
        squares.select(kept)
        coefficients = squares.solve(plane)
    return coefficients


def _move_centre(
    stars: _Stars, pixel: tuple[float, float], centre: tuple[float, float], coefficients: Array
) -> tuple[tuple[float, float], Array]:
    """Move the tangent point to where a pixel looks, and fit again, until the polynomial vanishes there."""
    for _ in range(_MAX_RECENTRINGS):
        constant = stars.about(pixel, coefficients)[0]
        if math.hypot(*constant) < _CENTRED_ARCSEC:
            break
        moved_ra, moved_dec = tangent_to_sky(constant[0], constant[1], centre)
        centre = (float(moved_ra), float(moved_dec))
        coefficients = stars.squares.solve(stars.plane(centre))
    return centre, coefficients


def _root(stars: _Stars, coefficients: Array) -> tuple[float, float]:
    """Find the pixel at the tangent point by Newton's method."""
    offset = np.zeros(2)
    for _ in range(_MAX_RECENTRINGS):
        local = translate(coefficients, (offset[0], offset[1]), stars.order)
        if np.hypot(*local[0]) < _CENTRED_ARCSEC:
            break
        offset = offset - np.linalg.solve(local[1:3].T, local[0])
    else:
        raise DataError("The tangent point is too far from the stars for this order of the fit.")
    return float(stars.middle[0] + offset[0] * stars.scale), float(stars.middle[1] + offset[1] * stars.scale)

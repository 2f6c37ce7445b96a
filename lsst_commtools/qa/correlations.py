"""Correlations of PSF ellipticity: rho statistics, and the residual correlations of the science requirements.

Pairs are always of one visit: residuals of two visits are independent, and their pairs would only dilute. All sums
are exact where that is affordable, otherwise TreeCorr's (Jarvis, Bernstein & Jain 2004), with its accuracy beside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.qa.frames import local_north_deg, rotate_ellipticity
from lsst_commtools.qa.projection import mean_direction, unit_vectors
from lsst_commtools.qa.rho_kernel import sum_pairs
from lsst_commtools.qa.workers import Here, Workers

__all__ = [
    "EXACT_STARS",
    "FAR_ARCMIN",
    "NEAR_ARCMIN",
    "Correlation",
    "PairMeans",
    "StarShapes",
    "residual_correlations",
    "rho_statistics",
]

Array = NDArray[np.float64]

EXACT_STARS = 50_000
"""Visits of up to so many stars are correlated pair by pair: half a minute; TreeCorr's bin_slop 0.05 takes longer."""

NEAR_ARCMIN, FAR_ARCMIN = 1.0, 5.0
"""TE1 and TE3 are of pairs up to 1 arcmin, TE2 and TE4 of pairs from 5 arcmin (LPM-17)."""

_COARSE_SLOP = 0.05  # moves a bin by up to 0.5 sigma (12 000 stars); 0.2 by 0.9 sigma in half the time
_CLOSEST_ARCMIN = 1e-4
_ARCMIN = np.pi / 180.0 / 60.0
_RANGE_ARCMIN = (0.5, 300.0)
_BIN_SIZE = 0.1
_RHO_FIELDS: Mapping[str, tuple[int, int]] = {
    "rho1": (1, 1), "rho2": (0, 1), "rho3": (2, 2), "rho4": (1, 2), "rho5": (0, 2),
}  # fmt: skip
"""Of which two fields each is: 0 is e, 1 is de, 2 is e dT/T."""


@dataclass(frozen=True, eq=False)
class StarShapes:
    """Stars of one visit with their PSF model, in the axes of the field (`qa.frames`), all finite.

    Parameters
    ----------
    ra_deg, dec_deg
        Shape (n,).
    e1, e2
        Distortion of the stars, shape (n,).
    de1, de2
        Distortion of star minus model, shape (n,).
    g1, g2, dg1, dg2
        The same as shear.
    dt_over_t
        (T_star - T_model) / T_star, shape (n,).
    """

    ra_deg: Array
    dec_deg: Array
    e1: Array
    e2: Array
    de1: Array
    de2: Array
    g1: Array
    g2: Array
    dg1: Array
    dg2: Array
    dt_over_t: Array

    def __len__(self) -> int:
        return len(self.ra_deg)


@dataclass(frozen=True)
class PairMeans:
    """Means over the pairs of one visit in one range of separations.

    Parameters
    ----------
    e1, e2, ex
        <de1 de1>, <de2 de2>, <de1 de2>; NaN where there are no pairs.
    errors
        Of the three, from the scatter of the residuals alone.
    n_pairs
        Pairs, each once.
    """

    e1: float
    e2: float
    ex: float
    errors: tuple[float, float, float]
    n_pairs: int


@dataclass(frozen=True, eq=False)
class Correlation:
    """A correlation as a function of separation.

    Parameters
    ----------
    theta_arcmin
        Mean separation in each bin (of the logarithm), shape (bins,).
    xi
        Real part of xi+; NaN where there are no pairs.
    sigma
        From the scatter of the shapes alone.
    n_pairs
        Pairs in each bin, each once.
    bin_slop
        TreeCorr's accuracy; 0 is exact.
    """

    theta_arcmin: Array
    xi: Array
    sigma: Array
    n_pairs: Array
    bin_slop: float

    def to_dict(self) -> dict[str, Any]:
        """Give the correlation for JSON, with the bins that have pairs."""
        full = self.n_pairs > 0
        return {
            "theta_arcmin": self.theta_arcmin[full].tolist(),
            "xi": self.xi[full].tolist(),
            "sigma": self.sigma[full].tolist(),
            "n_pairs": self.n_pairs[full].astype(np.int64).tolist(),
            "bin_slop": self.bin_slop,
        }


def _position(shapes: StarShapes) -> dict[str, Any]:
    return {"ra": shapes.ra_deg, "dec": shapes.dec_deg, "ra_units": "deg", "dec_units": "deg"}


def residual_correlations(shapes: StarShapes) -> tuple[PairMeans, PairMeans]:
    """Correlate the residual ellipticities of one visit over its whole field, exactly.

    The mean over all pairs follows from the sums over stars; so only the near pairs are visited, and the far ones are
    the rest. E1 and E2 depend on the axes, which are those of the field's middle.

    Parameters
    ----------
    shapes
        Stars.

    Returns
    -------
    near, far
        Of pairs up to 1 arcmin, and from 5 arcmin on.
    """
    first, second = shapes.de1, shapes.de2
    products = ((first, first), (second, second), (first, second))
    near = _near_sums(shapes, NEAR_ARCMIN)
    below = _near_sums(shapes, FAR_ARCMIN)
    n = len(shapes)
    sums = [0.5 * (a.sum() * b.sum() - (a * b).sum()) for a, b in products]
    far = (0.5 * n * (n - 1) - below[0], [s - b for s, b in zip(sums, below[1], strict=True)])
    power = [float(np.sqrt(np.mean(a**2) * np.mean(b**2))) if n else float("nan") for a, b in products]
    return _means(*near, power), _means(*far, power)


def _near_sums(shapes: StarShapes, limit_arcmin: float) -> tuple[float, list[float]]:
    """Count the pairs that are nearer than a limit, and sum de1 de1, de2 de2 and de1 de2 over them."""
    import treecorr

    if len(shapes) < 2:
        return 0.0, [0.0, 0.0, 0.0]
    catalogs = [treecorr.Catalog(k=k, **_position(shapes)) for k in (shapes.de1, shapes.de2)]
    sums, n_pairs = [], 0.0
    for one, other in ((0, None), (1, None), (0, 1)):
        kk = treecorr.KKCorrelation(
            min_sep=_CLOSEST_ARCMIN, max_sep=limit_arcmin, nbins=1, sep_units="arcmin", bin_slop=0
        )
        kk.process(catalogs[one], None if other is None else catalogs[other])
        # A correlation of two catalogues counts each pair twice, one way and the other.
        pairs = float(kk.npairs[0]) * (1.0 if other is None else 0.5)
        n_pairs = pairs
        sums.append(float(kk.xi[0]) * pairs if pairs else 0.0)
    return n_pairs, sums


def _means(n_pairs: float, sums: Sequence[float], power: Sequence[float]) -> PairMeans:
    if n_pairs < 1:
        nothing = float("nan")
        return PairMeans(nothing, nothing, nothing, (nothing,) * 3, 0)
    root = float(np.sqrt(n_pairs))
    e1, e2, ex = (float(s) / n_pairs for s in sums)
    # Of the cross term both orders are summed, which halves its variance.
    errors = (power[0] / root, power[1] / root, power[2] / (root * np.sqrt(2.0)))
    return PairMeans(e1, e2, ex, (errors[0], errors[1], float(errors[2])), round(n_pairs))


def rho_statistics(
    visits: Sequence[StarShapes], *, bin_slop: float | None = None, workers: Workers | None = None
) -> dict[str, Correlation]:
    """Compute rho 1 to 5 (Rowe 2010, Jarvis et al. 2016) over the pairs of each visit.

    With e the shear of the star, de that of star minus model, and dT/T = (T_star - T_model) / T_star:
    rho1 = <de* de>, rho2 = <e* de>, rho3 = <(e dT/T)* (e dT/T)>, rho4 = <de* (e dT/T)>, rho5 = <e* (e dT/T)>.

    Parameters
    ----------
    visits
        Stars of each visit.
    bin_slop
        TreeCorr's accuracy; by default 0 where no visit has more than `EXACT_STARS` stars, otherwise 0.05.
    workers
        Who correlates the visits; by default this process. The figures are the same, whoever does it.

    Returns
    -------
    dict
        ``rho1`` to ``rho5``, 0.5 to 300 arcmin in bins of 0.1 in the logarithm. Empty if no visit has two stars.

    Raises
    ------
    ServiceError
        If the workers are lost.
    """
    usable = [shapes for shapes in visits if len(shapes) > 1]
    if not usable:
        return {}
    most = max(len(shapes) for shapes in usable)
    slop = bin_slop if bin_slop is not None else (0.0 if most <= EXACT_STARS else _COARSE_SLOP)
    pieces = ((shapes, slop) for shapes in usable)
    sums = list((workers or Here()).map(_correlate_visit, pieces))
    xi, pairs, logs, squares = (
        sum(getattr(s, name) for s in sums) for name in ("xi", "pairs", "logs", "squares")
    )
    power = squares / sum(s.n_values for s in sums)
    return {
        name: _finished(xi[k], pairs, logs, float(power[one] * power[other]), slop, cross=one != other)
        for k, (name, (one, other)) in enumerate(_RHO_FIELDS.items())
    }


@dataclass(frozen=True, eq=False)
class _VisitSums:
    """Sums over the pairs of a visit: xi+ of each rho, (5, bins); pairs and log of the separation, (bins,).

    And of e, de and e dT/T the sum of squares, (3,), with the number of values.
    """

    xi: Array
    pairs: Array
    logs: Array
    squares: Array
    n_values: int


def _correlate_visit(piece: tuple[StarShapes, float]) -> _VisitSums:
    """Sum up the pairs of one visit."""
    shapes, bin_slop = piece
    fields = _rho_fields(shapes)
    squares = (fields.real**2 + fields.imag**2).sum(axis=1)
    if bin_slop == 0.0:
        ra, dec = np.radians(shapes.ra_deg), np.radians(shapes.dec_deg)
        trig = np.stack([np.cos(ra), np.sin(ra), np.cos(dec), np.sin(dec)], axis=1)
        sums = sum_pairs(unit_vectors(shapes.ra_deg, shapes.dec_deg), trig, fields, _edges_arcmin() * _ARCMIN)
    else:
        sums = _sum_by_tree(shapes, fields, bin_slop)
    return _VisitSums(*sums, squares, 2 * len(shapes))


def _edges_arcmin() -> Array:
    n_bins = int(np.ceil(np.log(_RANGE_ARCMIN[1] / _RANGE_ARCMIN[0]) / _BIN_SIZE))
    return np.geomspace(*_RANGE_ARCMIN, n_bins + 1)


def _rho_fields(shapes: StarShapes) -> NDArray[np.complex128]:
    """Give e, de and e dT/T as shear along each star's own east and north, shape (3, n)."""
    turn = local_north_deg(shapes.ra_deg, mean_direction(shapes.ra_deg, shapes.dec_deg))
    star = (shapes.g1, shapes.g2)
    size = (shapes.g1 * shapes.dt_over_t, shapes.g2 * shapes.dt_over_t)
    made = [rotate_ellipticity(*g, turn) for g in (star, (shapes.dg1, shapes.dg2), size)]
    return np.stack([g1 + 1j * g2 for g1, g2 in made])


def _sum_by_tree(
    shapes: StarShapes, fields: NDArray[np.complex128], bin_slop: float
) -> tuple[Array, Array, Array]:
    """Sum up by TreeCorr, which takes far pairs of groups of stars as one."""
    import treecorr

    # TreeCorr sees the sky from inside, +x to the west. With the other sense the mean shear of a field near the pole
    # does not correlate with itself.
    catalogs = [treecorr.Catalog(g1=g.real, g2=-g.imag, **_position(shapes)) for g in fields]
    xi, pairs, logs = [], np.empty(0), np.empty(0)
    for one, other in _RHO_FIELDS.values():
        gg = treecorr.GGCorrelation(
            min_sep=_RANGE_ARCMIN[0], max_sep=_RANGE_ARCMIN[1], bin_size=_BIN_SIZE, sep_units="arcmin",
            bin_slop=bin_slop,
        )  # fmt: skip
        gg.process(catalogs[one], None if one == other else catalogs[other], finalize=False)
        # A correlation of two catalogues counts each pair twice, one way and the other.
        share = 1.0 if one == other else 0.5
        xi.append(share * np.asarray(gg.xip))
        pairs, logs = share * np.asarray(gg.npairs), share * np.asarray(gg.meanlogr)
    return np.stack(xi), pairs, logs


def _finished(
    xi: Array, pairs: Array, logs: Array, power: float, bin_slop: float, *, cross: bool
) -> Correlation:
    """Divide the sums by the numbers of pairs. The error is that of shapes without any correlation."""
    full = pairs > 0
    number = np.where(full, pairs, np.nan)
    edges = _edges_arcmin()
    return Correlation(
        np.where(full, np.exp(logs / number) / _ARCMIN, np.sqrt(edges[1:] * edges[:-1])),
        xi / number,
        np.sqrt(2.0 * power / (number * (2.0 if cross else 1.0))),
        pairs,
        bin_slop,
    )

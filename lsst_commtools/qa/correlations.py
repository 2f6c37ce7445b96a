"""Correlations of PSF ellipticity: rho statistics, and the residual correlations of the science requirements.

Pairs are always of one visit: residuals of two visits are independent, and their pairs would only dilute. All sums
are TreeCorr's (Jarvis, Bernstein & Jain 2004). With ``bin_slop`` and ``angle_slop`` 0 it takes every pair by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.qa.frames import local_north_deg, rotate_ellipticity
from lsst_commtools.qa.projection import mean_direction
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

EXACT_STARS = 10_000
"""Visits of up to so many stars are correlated pair by pair, which takes some seconds for each correlation."""

NEAR_ARCMIN, FAR_ARCMIN = 1.0, 5.0
"""TE1 and TE3 are of pairs up to 1 arcmin, TE2 and TE4 of pairs from 5 arcmin (LPM-17)."""

_COARSE_SLOP = 0.05  # moves a bin by up to 0.5 sigma (12 000 stars); 0.2 by 0.9 sigma in half the time
_CLOSEST_ARCMIN = 1e-4
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
    total: _VisitSums | None = None
    for sums in (workers or Here()).map(_correlate_visit, ((shapes, slop) for shapes in usable)):
        total = sums if total is None else total.plus(sums)
    return {} if total is None else total.correlations(slop)


@dataclass(frozen=True, eq=False)
class _VisitSums:
    """TreeCorr's unfinished sums, and of each field the sum of squares and the number of values."""

    sums: Mapping[str, Any]
    squares: Array
    n_values: int

    def plus(self, other: _VisitSums) -> _VisitSums:
        for name, one in self.sums.items():
            one += other.sums[name]  # noqa: PLW2901  # TreeCorr adds in place
        return _VisitSums(self.sums, self.squares + other.squares, self.n_values + other.n_values)

    def correlations(self, bin_slop: float) -> dict[str, Correlation]:
        power = self.squares / self.n_values
        return {name: _finished(gg, power, _RHO_FIELDS[name], bin_slop) for name, gg in self.sums.items()}


def _correlate_visit(piece: tuple[StarShapes, float]) -> _VisitSums:
    """Sum up the pairs of one visit."""
    import treecorr

    shapes, bin_slop = piece
    catalogs = _rho_catalogs(shapes)
    sums = {}
    for name, (one, other) in _RHO_FIELDS.items():
        gg = treecorr.GGCorrelation(
            min_sep=_RANGE_ARCMIN[0], max_sep=_RANGE_ARCMIN[1], bin_size=_BIN_SIZE, sep_units="arcmin",
            bin_slop=bin_slop, **({"angle_slop": 0.0} if bin_slop == 0.0 else {}),
        )  # fmt: skip
        gg.process(catalogs[one], None if one == other else catalogs[other], finalize=False)
        sums[name] = gg
    squares = np.array([np.sum(parts.g1**2 + parts.g2**2) for parts in catalogs])
    return _VisitSums(sums, squares, 2 * len(shapes))


def _rho_catalogs(shapes: StarShapes) -> tuple[Any, Any, Any]:
    """Make catalogues of e, de and e dT/T in each star's own axes, with TreeCorr's sense of g2."""
    import treecorr

    turn = local_north_deg(shapes.ra_deg, mean_direction(shapes.ra_deg, shapes.dec_deg))
    star = (shapes.g1, shapes.g2)
    size = (shapes.g1 * shapes.dt_over_t, shapes.g2 * shapes.dt_over_t)
    made = []
    for g1, g2 in (star, (shapes.dg1, shapes.dg2), size):
        local1, local2 = rotate_ellipticity(g1, g2, turn)
        # TreeCorr sees the sky from inside, +x to the west. With the other sense the mean shear of a field near the
        # pole does not correlate with itself.
        made.append(treecorr.Catalog(g1=local1, g2=-local2, **_position(shapes)))
    return made[0], made[1], made[2]


def _finished(gg: Any, power: Array, fields: tuple[int, int], bin_slop: float) -> Correlation:
    """Divide the sums by the numbers of pairs."""
    one, other = fields
    gg.finalize(float(power[one]), float(power[other]))
    twice = 1.0 if one == other else 2.0
    full = np.asarray(gg.npairs) > 0
    return Correlation(
        np.where(full, np.exp(gg.meanlogr), gg.rnom),
        np.where(full, gg.xip, np.nan),
        np.where(full, np.sqrt(gg.varxip), np.nan),
        np.asarray(gg.npairs) / twice,
        bin_slop,
    )

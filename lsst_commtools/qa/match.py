"""Matching of star catalogues: by position on the sky, and by pattern where the pointing is off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsst_commtools.errors import DataError
from lsst_commtools.qa.projection import unit_vectors

__all__ = ["PatternMatch", "match_pattern", "match_sky"]

_RADIANS_PER_ARCSEC = np.pi / 180.0 / 3600.0
_GRID_FROM = 30_000
_CHANCE = 1e-3
Index = NDArray[np.int64]


def match_sky(
    ra1_deg: ArrayLike, dec1_deg: ArrayLike, ra2_deg: ArrayLike, dec2_deg: ArrayLike, radius_arcsec: float
) -> tuple[Index, Index, NDArray[np.float64]]:
    """Match two catalogues: pairs of which each is the other's nearest, within a radius.

    Small catalogues go through a k-d tree, large ones through a grid in compiled code, which takes a second to load;
    the answer is the same.

    Parameters
    ----------
    ra1_deg, dec1_deg
        First catalogue, shape (n,). Positions that are not finite match nothing.
    ra2_deg, dec2_deg
        Second catalogue, shape (m,).
    radius_arcsec
        Largest separation, at most some degrees.

    Returns
    -------
    index1, index2
        Rows of the two catalogues, shape (pairs,), by rising ``index1``.
    separation_arcsec
        Shape (pairs,).
    """
    vectors1, vectors2 = unit_vectors(ra1_deg, dec1_deg), unit_vectors(ra2_deg, dec2_deg)
    rows1, rows2 = (np.flatnonzero(np.isfinite(v).all(axis=1)) for v in (vectors1, vectors2))
    if not rows1.size or not rows2.size:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    if rows1.size < len(vectors1):
        vectors1 = vectors1[rows1]
    if rows2.size < len(vectors2):
        vectors2 = vectors2[rows2]
    limit = 2.0 * np.sin(0.5 * radius_arcsec * _RADIANS_PER_ARCSEC)
    nearest = _mutual_nearest_tree
    if max(rows1.size, rows2.size) >= _GRID_FROM:
        nearest = _compiled() or nearest
    index1, index2, chord = nearest(vectors1, vectors2, limit)
    separation = 2.0 * np.arcsin(0.5 * chord) / _RADIANS_PER_ARCSEC
    return rows1[index1], rows2[index2], separation


def _compiled() -> Callable[..., Any] | None:
    """Load the compiled grid; numba refuses where it can write its cache neither beside the package nor at home."""
    try:
        from lsst_commtools.qa.matchgrid import mutual_nearest
    except RuntimeError:
        return None
    return mutual_nearest


def _mutual_nearest_tree(
    points1: NDArray[Any], points2: NDArray[Any], limit: float
) -> tuple[Index, Index, NDArray[np.float64]]:
    """Pairs of mutual nearest neighbours within a distance, points of any dimension."""
    from scipy.spatial import cKDTree

    bound = np.nextafter(limit, np.inf)
    tree1, tree2 = cKDTree(points1), cKDTree(points2)
    distance, nearest2 = tree2.query(points1, distance_upper_bound=bound)
    rows1 = np.flatnonzero(np.isfinite(distance))
    _, back = tree1.query(points2[nearest2[rows1]], distance_upper_bound=bound)
    index1 = rows1[back == rows1]
    return index1.astype(np.int64), nearest2[index1].astype(np.int64), distance[index1]


@dataclass(frozen=True, eq=False)
class PatternMatch:
    """How measured stars lie on the reference: rotate about the origin, then shift.

    Parameters
    ----------
    dx_arcsec, dy_arcsec
        Shift from measured to reference.
    rotation_deg
        Rotation from measured to reference, counterclockwise from x to y.
    index, reference_index
        Matched rows, shape (pairs,).
    rms_arcsec
        Scatter of the matched pairs, per coordinate.
    """

    dx_arcsec: float
    dy_arcsec: float
    rotation_deg: float
    index: Index
    reference_index: Index
    rms_arcsec: float

    def apply(
        self, x_arcsec: ArrayLike, y_arcsec: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Move measured positions onto the reference.

        Parameters
        ----------
        x_arcsec, y_arcsec
            Measured positions.

        Returns
        -------
        x_arcsec, y_arcsec
            The same in the frame of the reference.
        """
        moved = _rotate(
            np.stack([np.asarray(x_arcsec), np.asarray(y_arcsec)]), float(np.radians(self.rotation_deg))
        )
        return moved[0] + self.dx_arcsec, moved[1] + self.dy_arcsec


def _rotate(points: NDArray[Any], angle: float) -> NDArray[np.float64]:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cos * points[0] - sin * points[1], sin * points[0] + cos * points[1]])


def match_pattern(
    x_arcsec: ArrayLike,
    y_arcsec: ArrayLike,
    reference_x_arcsec: ArrayLike,
    reference_y_arcsec: ArrayLike,
    *,
    max_shift_arcsec: float = 60.0,
    max_rotation_deg: float = 0.5,
    tolerance_arcsec: float = 1.0,
    max_stars: int = 200,
) -> PatternMatch:
    """Find shift and small rotation between measured and reference stars in one tangent plane.

    The differences of all pairs are counted in cells as wide as the tolerance: the true shift piles up there, false
    pairs spread evenly. The best cell is refined by least squares on the pairs that then match.

    Parameters
    ----------
    x_arcsec, y_arcsec
        Measured stars in the tangent plane, brightest first, shape (n,).
    reference_x_arcsec, reference_y_arcsec
        Reference stars, brightest first, shape (m,).
    max_shift_arcsec, max_rotation_deg
        Largest offsets that are tried.
    tolerance_arcsec
        Cell of the count, and largest distance of a matched pair.
    max_stars
        So many of the brightest of each take part in the search; all take part in the final match.

    Returns
    -------
    PatternMatch
        The offset and the matched pairs.

    Raises
    ------
    DataError
        If no shift stands out from chance.
    """
    measured = np.stack([np.asarray(x_arcsec, dtype=np.float64), np.asarray(y_arcsec, dtype=np.float64)])
    reference = np.stack(
        [np.asarray(reference_x_arcsec, dtype=np.float64), np.asarray(reference_y_arcsec, dtype=np.float64)]
    )
    bright, bright_reference = measured[:, :max_stars], reference[:, : 2 * max_stars]
    if min(bright.shape[1], bright_reference.shape[1]) < 3:
        raise DataError("A pattern match needs at least three measured and three reference stars.")
    field = float(np.hypot(*bright).max())
    step = tolerance_arcsec / max(field, tolerance_arcsec)
    n_steps = int(np.ceil(np.radians(max_rotation_deg) / step))
    angles = step * np.arange(-n_steps, n_steps + 1)
    votes = [
        _vote(_rotate(bright, float(a)), bright_reference, max_shift_arcsec, tolerance_arcsec) for a in angles
    ]
    best = int(np.argmax([v[0] for v in votes]))
    count, expected, shift = votes[best]
    if not _stands_out(count, expected, angles.size * (2.0 * max_shift_arcsec / tolerance_arcsec) ** 2):
        raise DataError(
            f"No shift within {max_shift_arcsec:g} arcsec brings measured and reference stars together.",
            advice="Pointing, rotation or pixel scale may be further off, or the field may be wrong.",
        )
    return _refine(measured, reference, float(angles[best]), shift, tolerance_arcsec)


def _vote(
    measured: NDArray[Any], reference: NDArray[Any], max_shift: float, tolerance: float
) -> tuple[float, float, NDArray[np.float64]]:
    """Count pair differences in cells; give the best count in 2 x 2 cells, the count by chance, and the shift."""
    dx = (reference[0][None, :] - measured[0][:, None]).ravel()
    dy = (reference[1][None, :] - measured[1][:, None]).ravel()
    near = (np.abs(dx) <= max_shift) & (np.abs(dy) <= max_shift)
    n_cells = max(int(np.ceil(2.0 * max_shift / tolerance)), 2)
    cell_x = np.minimum(((dx[near] + max_shift) / tolerance).astype(np.int64), n_cells - 1)
    cell_y = np.minimum(((dy[near] + max_shift) / tolerance).astype(np.int64), n_cells - 1)
    counts = np.bincount(cell_x * n_cells + cell_y, minlength=n_cells**2).reshape(n_cells, n_cells)
    blocks = counts[:-1, :-1] + counts[1:, :-1] + counts[:-1, 1:] + counts[1:, 1:]
    row, column = np.unravel_index(int(np.argmax(blocks)), blocks.shape)
    corner = np.array([row, column]) * tolerance - max_shift
    inside = (
        (dx >= corner[0])
        & (dx < corner[0] + 2 * tolerance)
        & (dy >= corner[1])
        & (dy < corner[1] + 2 * tolerance)
    )
    shift = np.array([np.median(dx[inside]), np.median(dy[inside])]) if inside.any() else corner + tolerance
    return float(blocks[row, column]), 4.0 * float(near.sum()) / n_cells**2, shift


def _stands_out(count: float, expected: float, trials: float) -> bool:
    """Say whether a count is unlikely by chance in so many trials (Chernoff's bound on the Poisson tail)."""
    if count < 3 or count <= expected:
        return False
    log_chance = count - expected - count * np.log(count / max(expected, 1e-3))
    return bool(log_chance + np.log(trials) < np.log(_CHANCE))


def _refine(
    measured: NDArray[Any], reference: NDArray[Any], angle: float, shift: NDArray[Any], tolerance: float
) -> PatternMatch:
    for _ in range(4):
        moved = _rotate(measured, angle) + shift[:, None]
        index, reference_index, _ = _mutual_nearest_tree(moved.T, reference.T, tolerance)
        if index.size < 3:
            raise DataError("Fewer than three stars match after the shift was found.")
        a, b = measured[:, index], reference[:, reference_index]
        mean_a, mean_b = a.mean(axis=1), b.mean(axis=1)
        (ax, ay), (bx, by) = a - mean_a[:, None], b - mean_b[:, None]
        angle = float(np.arctan2(np.sum(ax * by - ay * bx), np.sum(ax * bx + ay * by)))
        shift = mean_b - _rotate(mean_a, angle)
    moved = _rotate(measured, angle) + shift[:, None]
    residual = reference[:, reference_index] - moved[:, index]
    return PatternMatch(
        float(shift[0]),
        float(shift[1]),
        float(np.degrees(angle)),
        index,
        reference_index,
        float(np.sqrt(np.mean(residual**2))),
    )

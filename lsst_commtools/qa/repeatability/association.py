"""Objects from positions alone, for tables without object ids."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.qa.match import match_sky

__all__ = ["ASSOCIATION_RADIUS_ARCSEC", "associate"]

ASSOCIATION_RADIUS_ARCSEC = 0.5


def associate(
    visit: NDArray[np.int64],
    ra_deg: NDArray[np.float64],
    dec_deg: NDArray[np.float64],
    radius_arcsec: float = ASSOCIATION_RADIUS_ARCSEC,
) -> NDArray[np.int64]:
    """Join measurements of different visits to objects: pairs of mutual nearest, visit after visit.

    What lies within the radius of an object without being its partner cannot be told from it: the rows of such an
    object are left out, so that blends and rows that stand twice in a visit give no figure.

    Parameters
    ----------
    visit
        Shape (n,).
    ra_deg, dec_deg
        Measured positions.
    radius_arcsec
        Largest distance from an object's first position.

    Returns
    -------
    numpy.ndarray
        Number of each row's object, shape (n,); -1 where it is ambiguous.
    """
    key = np.full(len(visit), -1, np.int64)
    object_ra, object_dec = np.empty(0), np.empty(0)
    ambiguous = np.empty(0, bool)
    order = np.argsort(visit, kind="stable")
    visits, begin = np.unique(visit[order], return_index=True)
    for rows in np.split(order, begin[1:]) if len(visits) else []:
        index, partner, _ = match_sky(ra_deg[rows], dec_deg[rows], object_ra, object_dec, radius_arcsec)
        key[rows[index]] = partner
        fresh = np.ones(len(rows), bool)
        fresh[index] = False
        new = rows[fresh]
        key[new] = len(object_ra) + np.arange(len(new))
        object_ra = np.concatenate([object_ra, ra_deg[new]])
        object_dec = np.concatenate([object_dec, dec_deg[new]])
        ambiguous = np.concatenate([ambiguous, np.zeros(len(new), bool)])
    ambiguous[_crowded(object_ra, object_dec, radius_arcsec)] = True
    return np.where(ambiguous[key], -1, key) if len(key) else key


def _crowded(
    ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64], radius_arcsec: float
) -> NDArray[np.int64]:
    """Objects that have another within the radius."""
    from scipy.spatial import cKDTree

    from lsst_commtools.qa.projection import unit_vectors

    if len(ra_deg) < 2:
        return np.empty(0, np.int64)
    tree = cKDTree(unit_vectors(ra_deg, dec_deg))
    pairs = tree.query_pairs(2.0 * np.sin(np.radians(radius_arcsec / 3600.0) / 2.0), output_type="ndarray")
    return np.unique(pairs)

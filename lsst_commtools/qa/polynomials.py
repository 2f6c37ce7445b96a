"""Polynomials in two variables: design matrix and least squares, shared by the WCS and the PSF model."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.errors import DataError

__all__ = ["design_matrix", "exponents", "n_terms", "solve", "translate"]

_CONDITION_LIMIT = 1e-13


@functools.cache
def exponents(order: int) -> tuple[tuple[int, int], ...]:
    """List the exponents (p, q) of u^p v^q up to a total order, constant first.

    Parameters
    ----------
    order
        Highest total power.

    Returns
    -------
    tuple
        Pairs (p, q), by total power and then falling p.
    """
    return tuple((total - q, q) for total in range(order + 1) for q in range(total + 1))


def n_terms(order: int) -> int:
    """Count the terms of a full polynomial of this order.

    Parameters
    ----------
    order
        Highest total power.

    Returns
    -------
    int
        (order + 1)(order + 2) / 2.
    """
    return (order + 1) * (order + 2) // 2


def design_matrix(u: NDArray[Any], v: NDArray[Any], order: int) -> NDArray[np.float64]:
    """Evaluate all terms.

    Parameters
    ----------
    u, v
        Coordinates, shape (n,), scaled to about [-1, 1].
    order
        Highest total power.

    Returns
    -------
    numpy.ndarray
        Shape (n, terms), Fortran order, columns as in `exponents`.
    """
    matrix = np.empty((n_terms(order), u.size))
    matrix[0] = 1.0
    row = 1
    for total in range(1, order + 1):
        previous = row - total
        matrix[row : row + total] = matrix[previous:row] * u
        matrix[row + total] = matrix[row - 1] * v
        row += total + 1
    return matrix.T


def solve(
    matrix: NDArray[Any],
    values: NDArray[Any],
    weights: NDArray[Any] | None = None,
    *,
    what: str = "polynomial",
) -> NDArray[np.float64]:
    """Solve linear least squares by the normal equations; the columns are of order one, so that is exact enough.

    Parameters
    ----------
    matrix
        Design matrix, shape (n, terms).
    values
        Shape (n, columns).
    weights
        Weight of each row, shape (n,).
    what
        What is fitted, for the error message.

    Returns
    -------
    numpy.ndarray
        Coefficients, shape (terms, columns).

    Raises
    ------
    DataError
        If there are fewer rows than terms, or they do not determine all terms.
    """
    rows, terms = matrix.shape
    if rows < terms:
        raise DataError(
            f"The {what} has {terms} terms, but only {rows} stars are usable.",
            advice="Lower the order of the fit.",
        )
    weighted = matrix if weights is None else matrix * weights[:, None]
    normal = weighted.T @ matrix
    eigenvalues = np.linalg.eigvalsh(normal)
    if not eigenvalues[0] > _CONDITION_LIMIT * eigenvalues[-1]:
        raise DataError(
            f"The stars do not determine the {what}: they lie on a line or a few points.",
            advice="Lower the order of the fit.",
        )
    return np.asarray(np.linalg.solve(normal, weighted.T @ values))


def translate(coefficients: NDArray[Any], offset: tuple[float, float], order: int) -> NDArray[np.float64]:
    """Expand a polynomial about another point.

    Parameters
    ----------
    coefficients
        Shape (terms, columns), of powers of u and v.
    offset
        The new origin (u0, v0).
    order
        Highest total power.

    Returns
    -------
    numpy.ndarray
        Coefficients of powers of u - u0 and v - v0, same shape.
    """
    if offset == (0.0, 0.0):
        return np.array(coefficients, dtype=np.float64)
    terms = exponents(order)
    matrix = np.zeros((len(terms), len(terms)))
    for column, (p, q) in enumerate(terms):
        for row, (i, j) in enumerate(terms):
            if i <= p and j <= q:
                binomial = math.comb(p, i) * math.comb(q, j)
                matrix[row, column] = binomial * offset[0] ** (p - i) * offset[1] ** (q - j)
    return np.asarray(matrix @ coefficients)

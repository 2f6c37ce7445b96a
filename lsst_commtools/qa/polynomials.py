"""Polynomials in two variables: design matrix and least squares, shared by the WCS and the PSF model."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.errors import DataError

__all__ = ["LeastSquares", "design_matrix", "exponents", "n_terms", "solve", "translate"]

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


class LeastSquares:
    """Linear least squares by the normal equations, for many right sides and changing rows.

    The columns are of order one, so that the normal equations are exact enough; what changes between two solutions is
    a few rows, so that taking these out costs little.

    Parameters
    ----------
    matrix
        Design matrix, shape (n, terms).
    weights
        Weight of each row, shape (n,).
    what
        What is fitted, for error messages.
    """

    def __init__(
        self,
        matrix: NDArray[np.float64],
        weights: NDArray[np.float64] | None = None,
        *,
        what: str = "polynomial",
    ) -> None:
        self.matrix = matrix
        self.weighted = matrix if weights is None else matrix * weights[:, None]
        self.what = what
        self.normal = self.weighted.T @ matrix
        self.rows = np.ones(len(matrix), dtype=bool)
        self._dropped: NDArray[np.int64] = np.empty(0, np.int64)
        self._inverse = self._invert(self.normal)

    def select(self, rows: NDArray[np.bool_]) -> None:
        """Choose the rows that count.

        Parameters
        ----------
        rows
            Mask, shape (n,).

        Raises
        ------
        DataError
            If these rows do not determine all terms.
        """
        if np.array_equal(rows, self.rows):
            return
        self.rows, self._dropped = rows, np.flatnonzero(~rows)
        if 2 * self._dropped.size < rows.size:
            normal = self.normal - self.weighted[self._dropped].T @ self.matrix[self._dropped]
        else:
            normal = self.weighted[rows].T @ self.matrix[rows]
        self._inverse = self._invert(normal)

    def solve(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Solve for the coefficients.

        Parameters
        ----------
        values
            Right sides, shape (n, columns).

        Returns
        -------
        numpy.ndarray
            Shape (terms, columns).
        """
        if 2 * self._dropped.size < self.rows.size:
            right = self.weighted.T @ values
            if self._dropped.size:
                right -= self.weighted[self._dropped].T @ values[self._dropped]
        else:
            right = self.weighted[self.rows].T @ values[self.rows]
        return np.asarray(self._inverse @ right)

    def _invert(self, normal: NDArray[np.float64]) -> NDArray[np.float64]:
        used, terms = int(self.rows.sum()), len(normal)
        if used < terms:
            raise DataError(
                f"The {self.what} has {terms} terms, but only {used} stars are usable.",
                advice="Lower the order of the fit.",
            )
        eigenvalues, vectors = np.linalg.eigh(normal)
        if not eigenvalues[0] > _CONDITION_LIMIT * eigenvalues[-1]:
            raise DataError(
                f"The stars do not determine the {self.what}: they lie on a line or a few points.",
                advice="Lower the order of the fit.",
            )
        return np.asarray((vectors / eigenvalues) @ vectors.T)


def solve(
    matrix: NDArray[np.float64], values: NDArray[np.float64], *, what: str = "polynomial"
) -> NDArray[np.float64]:
    """Solve linear least squares once.

    Parameters
    ----------
    matrix
        Design matrix, shape (n, terms).
    values
        Right sides, shape (n, columns).
    what
        What is fitted, for the error message.

    Returns
    -------
    numpy.ndarray
        Coefficients, shape (terms, columns).

    Raises
    ------
    DataError
        If the rows do not determine all terms.
    """
    return LeastSquares(matrix, what=what).solve(values)


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

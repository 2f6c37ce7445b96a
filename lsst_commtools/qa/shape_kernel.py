"""e1, e2, T and FWHM of millions of stars in one pass over the moments, in compiled code."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from lsst_commtools.qa.shapes import SIGMA_TO_FWHM

__all__ = ["shapes_of_moments"]


def shapes_of_moments(
    ixx: NDArray[np.float64],
    iyy: NDArray[np.float64],
    ixy: NDArray[np.float64],
    out: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Give e1, e2, T and FWHM from second moments, as `shapes.ellipticity` and `shapes.fwhm_from_trace` do.

    Parameters
    ----------
    ixx, iyy, ixy
        Second moments, shape (n,), any unit of area.
    out
        Where the result is written, shape (4, n), so that repeated calls need no new memory.

    Returns
    -------
    numpy.ndarray
        Rows e1, e2, T and FWHM (in the root of the moments' unit), shape (4, n); NaN where the trace is not positive
        or not finite.
    """
    result = np.empty((4, len(ixx))) if out is None else out
    columns = [np.ascontiguousarray(m, dtype=np.float64) for m in (ixx, iyy, ixy)]
    _fill(*columns, SIGMA_TO_FWHM * np.sqrt(0.5), result[0], result[1], result[2], result[3])
    return result


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _fill(ixx: Any, iyy: Any, ixy: Any, factor: float, e1: Any, e2: Any, t: Any, fwhm: Any) -> None:
    for k in range(ixx.size):
        trace = ixx[k] + iyy[k]
        good = trace if 0.0 < trace < np.inf else np.nan
        inverse = 1.0 / good
        e1[k] = (ixx[k] - iyy[k]) * inverse
        e2[k] = 2.0 * ixy[k] * inverse
        t[k] = good
        fwhm[k] = factor * np.sqrt(good)

"""Star tables: what was measured on a detector as rows, first without and then with the reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from lsst_commtools.pipeline.astrometry import AstrometrySolution, ReferenceStars
from lsst_commtools.pipeline.measure import Measurement
from lsst_commtools.pipeline.schema import (
    INITIAL_STAR_COLUMNS,
    STAR_COLUMNS,
    make_table,
    table_arrays,
    table_notes,
)

__all__ = ["add_astrometry", "empty_star_table", "make_initial_table"]

_SOURCES_PER_DETECTOR = 1_000_000


def make_initial_table(
    measurement: Measurement,
    *,
    visit: int,
    detector: int,
    band: str,
    physical_filter: str,
    notes: Mapping[str, Any],
) -> pa.Table:
    """Put a measurement into the columns of ``star_table_initial``.

    Parameters
    ----------
    measurement
        One detector.
    visit, detector, band, physical_filter
        Data id.
    notes
        Plain values of the whole detector, kept in the table's metadata; the measurement's own are added.

    Returns
    -------
    pyarrow.Table
        One row for each source, brightest first.
    """
    sources, moments, number = measurement.sources, measurement.moments, len(measurement.sources)
    values = {
        "visit": np.full(number, visit),
        "detector": np.full(number, detector),
        "sourceId": detector * _SOURCES_PER_DETECTOR + np.arange(number),
        "x": sources.x,
        "y": sources.y,
        "xErr": sources.x_err,
        "yErr": sources.y_err,
        "apFlux": sources.flux,
        "apFluxErr": sources.flux_err,
        "snr": sources.snr,
        "ixx": moments.ixx,
        "iyy": moments.iyy,
        "ixy": moments.ixy,
        "ixxPSF": measurement.model_ixx,
        "iyyPSF": measurement.model_iyy,
        "ixyPSF": measurement.model_ixy,
        "calib_psf_candidate": measurement.candidate,
        "calib_psf_used": measurement.used,
        "calib_psf_reserved": measurement.reserved,
        "extendedness": measurement.extended,
        "pixelFlags_saturated": sources.saturated,
        "pixelFlags_edge": sources.edge,
        "pixelFlags_cr": sources.cosmic_ray,
        "deblend_blended": sources.blended,
        "band": [band] * number,
        "physical_filter": [physical_filter] * number,
    }
    told = {
        **notes,
        "sky_background": sources.sky_electron,
        "noise": sources.noise_electron,
        "core_depth": measurement.core_depth,
        "failure": measurement.failure,
    }
    return make_table(INITIAL_STAR_COLUMNS, values, told)


def empty_star_table(notes: Mapping[str, Any]) -> pa.Table:
    """Give a ``star_table_initial`` without rows, for a detector that could not be measured.

    Parameters
    ----------
    notes
        Plain values of the detector, among them ``failure``.

    Returns
    -------
    pyarrow.Table
        No rows.
    """
    return make_table(INITIAL_STAR_COLUMNS, {column.name: [] for column in INITIAL_STAR_COLUMNS}, notes)


def add_astrometry(initial: pa.Table, solution: AstrometrySolution, references: ReferenceStars) -> pa.Table:
    """Add sky positions, reference stars and residuals to a star table.

    Parameters
    ----------
    initial
        A ``star_table_initial``.
    solution
        Its WCS, or the reason why there is none.
    references
        The reference stars that the solution's rows point to.

    Returns
    -------
    pyarrow.Table
        A ``star_table``.
    """
    columns = table_arrays(initial)
    number = initial.num_rows
    ra, dec = np.full(number, np.nan), np.full(number, np.nan)
    values: dict[str, Any] = {
        "calib_astrometry_used": np.zeros(number, dtype=bool),
        "ref_id": np.zeros(number, dtype=np.int64),
        "ref_ra": np.full(number, np.nan),
        "ref_dec": np.full(number, np.nan),
        "ref_mag": np.full(number, np.nan),
        "ra_residual_mas": np.full(number, np.nan),
        "dec_residual_mas": np.full(number, np.nan),
    }
    if solution.fit is not None:
        ra, dec = solution.fit.pixel_to_sky(columns["x"], columns["y"])
        star, reference = solution.star, solution.reference
        values["calib_astrometry_used"][star] = solution.fit.used
        values["ref_id"][star] = references.id[reference]
        values["ref_ra"][star] = references.ra_deg[reference]
        values["ref_dec"][star] = references.dec_deg[reference]
        values["ref_mag"][star] = references.mag[reference]
        values["ra_residual_mas"][star] = solution.fit.ra_residual_mas
        values["dec_residual_mas"][star] = solution.fit.dec_residual_mas
    values |= {"coord_ra": ra, "coord_dec": dec, "ra": ra, "dec": dec}
    return make_table(STAR_COLUMNS, {**columns, **values}, table_notes(initial))

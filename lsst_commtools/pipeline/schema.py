"""Columns of the pipeline's tables: names as LSST uses them, types, units and meanings.

Units and descriptions travel as metadata of the Arrow fields, the way of ``lsst.daf.butler``, so that the same
dataset read as an astropy table has them. Figures of a whole detector travel as JSON in the schema's metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lsst_commtools.errors import TableError

__all__ = [
    "INITIAL_STAR_COLUMNS",
    "STAR_COLUMNS",
    "SUMMARY_COLUMNS",
    "Column",
    "make_table",
    "table_arrays",
    "table_notes",
]

_NOTES = b"lsst_commtools"


@dataclass(frozen=True)
class Column:
    """One column.

    Parameters
    ----------
    name
        As in LSST's tables where they have it.
    kind
        Arrow type.
    unit
        As astropy writes it; empty for plain numbers.
    description
        One line.
    """

    name: str
    kind: pa.DataType
    unit: str
    description: str

    @property
    def field(self) -> pa.Field:
        """Arrow field with unit and description as metadata."""
        told = {"description": self.description}
        if self.unit:
            told["unit"] = self.unit
        return pa.field(self.name, self.kind, metadata=told)

    def missing(self) -> Any:
        """Value of a row that lacks this column."""
        if pa.types.is_floating(self.kind):
            return np.nan
        if pa.types.is_boolean(self.kind):
            return False
        if pa.types.is_integer(self.kind):
            return 0
        return [] if pa.types.is_list(self.kind) else ""


_I2, _I4, _I8, _F4, _F8 = pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64()
_FLAG, _TEXT = pa.bool_(), pa.string()

INITIAL_STAR_COLUMNS: tuple[Column, ...] = (
    Column("visit", _I8, "", "Visit"),
    Column("detector", _I2, "", "Detector number"),
    Column("sourceId", _I8, "", "Number of the source, unique in the visit"),
    Column("x", _F8, "pixel", "Windowed centroid along the columns, first pixel 0"),
    Column("y", _F8, "pixel", "Windowed centroid along the rows, first pixel 0"),
    Column("xErr", _F4, "pixel", "Error of x from noise"),
    Column("yErr", _F4, "pixel", "Error of y from noise"),
    Column("apFlux", _F8, "electron", "Flux in the aperture, background subtracted"),
    Column("apFluxErr", _F8, "electron", "Error of apFlux from noise"),
    Column("snr", _F4, "", "apFlux over apFluxErr"),
    Column("ixx", _F8, "pixel2", "HSM adaptive moment along x"),
    Column("iyy", _F8, "pixel2", "HSM adaptive moment along y"),
    Column("ixy", _F8, "pixel2", "HSM adaptive cross moment"),
    Column("ixxPSF", _F8, "pixel2", "Moment of the PSF model at the star, along x"),
    Column("iyyPSF", _F8, "pixel2", "Moment of the PSF model at the star, along y"),
    Column("ixyPSF", _F8, "pixel2", "Cross moment of the PSF model at the star"),
    Column("calib_psf_candidate", _FLAG, "", "Selected as a PSF star"),
    Column("calib_psf_used", _FLAG, "", "Used in the fit of the PSF model"),
    Column("calib_psf_reserved", _FLAG, "", "Kept out of the fit to test the PSF model"),
    Column("extendedness", _F4, "", "1 if wider than the PSF, 0 if not, NaN if not measured"),
    Column("pixelFlags_saturated", _FLAG, "", "A saturated pixel lies in the core"),
    Column("pixelFlags_edge", _FLAG, "", "Close to the edge of the good pixels"),
    Column("pixelFlags_cr", _FLAG, "", "A cosmic ray hit the core"),
    Column("deblend_blended", _FLAG, "", "Light of another source is mixed in"),
    Column("band", _TEXT, "", "Band"),
    Column("physical_filter", _TEXT, "", "Filter"),
)
"""Columns of ``star_table_initial``."""

STAR_COLUMNS: tuple[Column, ...] = (
    *INITIAL_STAR_COLUMNS,
    Column("coord_ra", _F8, "deg", "RA (ICRS) from the fitted WCS, NaN without one"),
    Column("coord_dec", _F8, "deg", "Dec (ICRS) from the fitted WCS, NaN without one"),
    Column("ra", _F8, "deg", "The same as coord_ra"),
    Column("dec", _F8, "deg", "The same as coord_dec"),
    Column("calib_astrometry_used", _FLAG, "", "Used in the fit of the WCS"),
    Column("ref_id", _I8, "", "Reference star, 0 if unmatched"),
    Column("ref_ra", _F8, "deg", "RA of the reference star at the epoch of the exposure"),
    Column("ref_dec", _F8, "deg", "Dec of the reference star at the epoch of the exposure"),
    Column("ref_mag", _F4, "mag", "AB magnitude of the reference star"),
    Column("ra_residual_mas", _F8, "mas", "Measured minus reference to the east, on the tangent plane"),
    Column("dec_residual_mas", _F8, "mas", "Measured minus reference to the north, on the tangent plane"),
)
"""Columns of ``star_table``."""

SUMMARY_COLUMNS: tuple[Column, ...] = (
    Column("visit", _I8, "", "Visit"),
    Column("detector", _I2, "", "Detector number"),
    Column("detector_name", _TEXT, "", "Raft and sensor"),
    Column("band", _TEXT, "", "Band"),
    Column("physical_filter", _TEXT, "", "Filter"),
    Column("mid_exposure_mjd_tai", _F8, "d", "Middle of the exposure"),
    Column("n_sources", _I4, "", "Sources detected"),
    Column("n_stars", _I4, "", "PSF candidates"),
    Column("n_psf_used", _I4, "", "Stars in the fit of the PSF model"),
    Column("n_psf_reserved", _I4, "", "Stars that test the PSF model"),
    Column("n_reference", _I4, "", "Reference stars that could lie on the detector"),
    Column("n_matched", _I4, "", "Stars matched to the reference catalogue"),
    Column("n_astrometry_used", _I4, "", "Stars in the fit of the WCS after clipping"),
    Column("wcs_order", _I2, "", "Order of the fitted polynomial, 0 without a fit"),
    Column("ra_mad_mas", _F8, "mas", "1.4826 MAD of the residuals to the east"),
    Column("dec_mad_mas", _F8, "mas", "1.4826 MAD of the residuals to the north"),
    Column("ra_offset_mas", _F8, "mas", "Median residual to the east"),
    Column("dec_offset_mas", _F8, "mas", "Median residual to the north"),
    Column("pixel_scale_arcsec", _F8, "arcsec", "Arcsec per pixel at the middle of the detector"),
    Column("rotation_deg", _F8, "deg", "Position angle of +y in the fitted WCS, from north to east"),
    Column(
        "field_pixel_scale_arcsec",
        _F8,
        "arcsec",
        "Pixel scale here, from the places of all detectors on the sky",
    ),
    Column("field_rotation_deg", _F8, "deg", "Position angle of the camera's +y, from all detectors"),
    Column("pointing_offset_ra_arcsec", _F8, "arcsec", "Fitted minus nominal position, to the east"),
    Column("pointing_offset_dec_arcsec", _F8, "arcsec", "Fitted minus nominal position, to the north"),
    Column("fwhm_arcsec", _F8, "arcsec", "2.3548 sqrt(T/2) of HSM moments, median of the PSF stars"),
    Column("e1", _F8, "", "(Ixx-Iyy)/(Ixx+Iyy), mean of the PSF stars"),
    Column("e2", _F8, "", "2Ixy/(Ixx+Iyy), mean of the PSF stars"),
    Column("de1_median", _F8, "", "Star minus model e1, median of the stars of the fit"),
    Column("de1_mad", _F8, "", "1.4826 MAD of star minus model e1, stars of the fit"),
    Column("de2_median", _F8, "", "Star minus model e2, median of the stars of the fit"),
    Column("de2_mad", _F8, "", "1.4826 MAD of star minus model e2, stars of the fit"),
    Column("dt_over_t_median", _F8, "", "(T star - T model)/T star, median of the stars of the fit"),
    Column("dt_over_t_mad", _F8, "", "1.4826 MAD of (T star - T model)/T star, stars of the fit"),
    Column("de1_reserved_median", _F8, "", "Star minus model e1, median of the reserved stars"),
    Column("de1_reserved_mad", _F8, "", "1.4826 MAD of star minus model e1, reserved stars"),
    Column("de2_reserved_median", _F8, "", "Star minus model e2, median of the reserved stars"),
    Column("de2_reserved_mad", _F8, "", "1.4826 MAD of star minus model e2, reserved stars"),
    Column("dt_over_t_reserved_median", _F8, "", "(T star - T model)/T star, median of the reserved stars"),
    Column("dt_over_t_reserved_mad", _F8, "", "1.4826 MAD of (T star - T model)/T star, reserved stars"),
    Column("sky_background", _F8, "electron", "Median background per pixel"),
    Column("noise", _F8, "electron", "Scatter of the background per pixel"),
    Column(
        "core_depth", _F8, "", "Light in the middle of the stars over their brightest ring; below 1 in donuts"
    ),
    Column("n_saturated_pixels", _I4, "", "Saturated pixels"),
    Column("n_cosmic_ray_pixels", _I4, "", "Pixels hit by cosmic rays"),
    Column("calibrations", _TEXT, "", "Calibrations that were applied"),
    Column("bad_amplifiers", _TEXT, "", "Amplifiers that were masked, with the reason"),
    Column("corners", pa.list_(_F8), "deg", "RA and Dec of the corners from the WCS, going along x first"),
    Column("wcs", _TEXT, "", "Fitted WCS as a FITS header"),
    Column("failure", _TEXT, "", "Why figures are missing; empty if none is"),
)
"""Columns of ``detector_summary`` and ``visit_summary``."""


def make_table(
    columns: Sequence[Column], values: Mapping[str, Any], notes: Mapping[str, Any] | None = None
) -> pa.Table:
    """Build an Arrow table.

    Parameters
    ----------
    columns
        Its columns, in order.
    values
        Array for each column; what is not among the columns is refused.
    notes
        Plain values that describe the whole table.

    Returns
    -------
    pyarrow.Table
        With units and descriptions.

    Raises
    ------
    TableError
        If columns are missing, unknown or of different lengths.
    """
    names = {column.name for column in columns}
    if names != set(values):
        odd = ", ".join(sorted(names ^ set(values)))
        raise TableError(f"The table's columns and values do not agree: {odd}.")
    metadata = {_NOTES: json.dumps(notes or {}).encode()}
    schema = pa.schema([column.field for column in columns], metadata=metadata)
    try:
        arrays = [pa.array(values[column.name], type=column.kind) for column in columns]
        return pa.Table.from_arrays(arrays, schema=schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise TableError(f"The table cannot be built: {error}.") from error


def table_notes(table: pa.Table) -> dict[str, Any]:
    """Give the values that describe a whole table.

    Parameters
    ----------
    table
        Made by `make_table`.

    Returns
    -------
    dict
        Empty if there are none.
    """
    text = (table.schema.metadata or {}).get(_NOTES)
    return dict(json.loads(text)) if text else {}


def table_arrays(table: pa.Table) -> dict[str, Any]:
    """Give a table's columns as numpy arrays.

    Parameters
    ----------
    table
        Arrow table.

    Returns
    -------
    dict
        Column name to array.
    """
    return {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}

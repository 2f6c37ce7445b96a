"""Figures of a detector and of a visit, missing detectors included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from astropy.io.fits import Header
from numpy.typing import NDArray

from lsst_commtools.errors import DataError
from lsst_commtools.instrument.cameras import PIXEL_MM, Camera, Detector
from lsst_commtools.pipeline.astrometry import AstrometrySolution
from lsst_commtools.pipeline.schema import SUMMARY_COLUMNS, make_table, table_arrays, table_notes
from lsst_commtools.qa.projection import sky_to_tangent
from lsst_commtools.qa.shapes import ellipticity, fwhm_from_moments
from lsst_commtools.qa.statistics import mad, median
from lsst_commtools.qa.wcs import fit_tan_polynomial

__all__ = ["gather_visit", "missing_detector", "summarise_detector"]

_INTRINSIC_E = 0.01  # keeps a few very bright stars from deciding the mean alone
_E_NOISE = 2.0  # an ellipticity's noise is about this over the signal to noise
_LEAST_RESIDUALS = 3
_LEAST_DETECTORS = 5  # an affine map takes three; without more there is nothing to tell a wrong one
_FIELD_CLIP = 6.0
_RADIANS_PER_ARCSEC = np.pi / 648_000.0


def _missing_row() -> dict[str, Any]:
    return {column.name: column.missing() for column in SUMMARY_COLUMNS}


def missing_detector(
    visit: int, detector: Detector, failure: str, *, band: str = "", physical_filter: str = ""
) -> dict[str, Any]:
    """Give the row of a detector of which there is nothing.

    Parameters
    ----------
    visit, detector, band, physical_filter
        Data id.
    failure
        Why.

    Returns
    -------
    dict
        A value for each of `SUMMARY_COLUMNS`.
    """
    return _missing_row() | {
        "visit": visit,
        "detector": detector.id,
        "detector_name": detector.name,
        "band": band,
        "physical_filter": physical_filter,
        "failure": failure,
    }


def _weighted_mean(values: NDArray[np.float64], snr: NDArray[np.float64]) -> float:
    good = np.isfinite(values)
    if not good.any():
        return float("nan")
    weight = 1.0 / (_INTRINSIC_E**2 + (_E_NOISE / np.maximum(snr[good], 1.0)) ** 2)
    # Clip in units of the weights' own errors: one blend must not tilt a detector.
    centre = float(np.median(values[good]))
    kept = np.abs(values[good] - centre) <= 5.0 * max(mad(values[good]), 1e-4)
    return float(np.average(values[good][kept], weights=weight[kept]))


def _psf_figures(stars: Mapping[str, NDArray[Any]], scale_arcsec: float) -> dict[str, Any]:
    candidate = stars["calib_psf_candidate"]
    if not candidate.any():
        return {}
    ixx, iyy, ixy, snr = (stars[name][candidate] for name in ("ixx", "iyy", "ixy", "snr"))
    model = [stars[name][candidate] for name in ("ixxPSF", "iyyPSF", "ixyPSF")]
    e1, e2 = ellipticity(ixx, iyy, ixy)
    figures: dict[str, Any] = {
        "fwhm_arcsec": median(fwhm_from_moments(ixx, iyy, scale_arcsec)),
        "e1": _weighted_mean(e1, snr),
        "e2": _weighted_mean(e2, snr),
    }
    model_e1, model_e2 = ellipticity(*model)
    trace = ixx + iyy
    residuals = {
        "de1": e1 - model_e1,
        "de2": e2 - model_e2,
        "dt_over_t": (trace - model[0] - model[1]) / trace,
    }
    # LSST's limits are meant for the stars of the fit; the reserved ones show what the model is worth elsewhere.
    samples = {"": stars["calib_psf_used"][candidate], "_reserved": stars["calib_psf_reserved"][candidate]}
    for suffix, sample in samples.items():
        if sample.sum() >= _LEAST_RESIDUALS:
            for name, values in residuals.items():
                figures[f"{name}{suffix}_median"] = median(values[sample])
                figures[f"{name}{suffix}_mad"] = mad(values[sample])
    return figures


def _wcs_figures(
    stars: Mapping[str, NDArray[Any]], solution: AstrometrySolution, shape: tuple[int, int]
) -> dict[str, Any]:
    fit = solution.fit
    if fit is None:
        return {"n_reference": solution.n_reference}
    used = stars["calib_astrometry_used"]
    ra_residual, dec_residual = stars["ra_residual_mas"][used], stars["dec_residual_mas"][used]
    right, top = shape[1] - 0.5, shape[0] - 0.5
    corners = fit.pixel_to_sky([-0.5, right, right, -0.5], [-0.5, -0.5, top, top])
    return {
        "n_reference": solution.n_reference,
        "n_matched": len(solution.star),
        "n_astrometry_used": fit.n_used,
        "wcs_order": fit.order,
        "ra_mad_mas": mad(ra_residual),
        "dec_mad_mas": mad(dec_residual),
        "ra_offset_mas": median(ra_residual),
        "dec_offset_mas": median(dec_residual),
        "pixel_scale_arcsec": fit.pixel_scale_arcsec,
        "rotation_deg": fit.rotation_deg,
        "pointing_offset_ra_arcsec": solution.pointing_offset_ra_arcsec,
        "pointing_offset_dec_arcsec": solution.pointing_offset_dec_arcsec,
        "wcs": fit.header().tostring(sep="\n"),
        "corners": np.column_stack(corners).ravel().tolist(),
    }


def summarise_detector(
    stars: pa.Table, solution: AstrometrySolution, identity: Mapping[str, Any], nominal_scale_arcsec: float
) -> pa.Table:
    """Sum up one detector in one row.

    Parameters
    ----------
    stars
        Its ``star_table``.
    solution
        Its WCS, or the reason why there is none.
    identity
        Values of ``visit``, ``detector``, ``detector_name``, ``band`` and ``physical_filter``.
    nominal_scale_arcsec
        Pixel scale for the FWHM where no WCS was fitted.

    Returns
    -------
    pyarrow.Table
        ``detector_summary``: one row of `SUMMARY_COLUMNS`.
    """
    columns, notes = table_arrays(stars), table_notes(stars)
    row = _missing_row() | dict(identity)
    row["n_sources"] = stars.num_rows
    row["n_stars"] = int(columns["calib_psf_candidate"].sum())
    row["n_psf_used"] = int(columns["calib_psf_used"].sum())
    row["n_psf_reserved"] = int(columns["calib_psf_reserved"].sum())
    shape = tuple(notes.get("shape", (1, 1)))
    row |= _wcs_figures(columns, solution, (int(shape[0]), int(shape[1])))
    scale = row["pixel_scale_arcsec"] if solution.fit is not None else nominal_scale_arcsec
    row |= _psf_figures(columns, scale)
    for name in (
        "mid_exposure_mjd_tai", "sky_background", "noise", "core_depth", "n_saturated_pixels", "n_cosmic_ray_pixels",
        "bad_amplifiers", "calibrations",
    ):  # fmt: skip
        if name in notes:
            row[name] = notes[name]
    reasons = [str(notes.get("failure", "")), f"no WCS: {solution.failure}" if solution.failure else ""]
    row["failure"] = "; ".join(reason for reason in reasons if reason)
    return _to_table([row])


def _to_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    return make_table(SUMMARY_COLUMNS, {c.name: [row[c.name] for row in rows] for c in SUMMARY_COLUMNS})


def gather_visit(
    summaries: Iterable[pa.Table],
    camera: Camera,
    visit: int,
    reasons: Mapping[int, str] | None = None,
    *,
    band: str = "",
    physical_filter: str = "",
) -> pa.Table:
    """Put the detectors of a visit together: one row for each detector that the camera has.

    Parameters
    ----------
    summaries
        Tables of one row.
    camera
        Says which detectors to expect.
    visit, band, physical_filter
        Data id.
    reasons
        Detector number to why nothing came of it; ``not processed`` for the others.

    Returns
    -------
    pyarrow.Table
        ``visit_summary``, by detector number.
    """
    rows = {int(row["detector"]): row for table in summaries for row in table.to_pylist()}
    for detector in camera.science_detectors:
        if detector.id not in rows:
            failure = (reasons or {}).get(detector.id, "not processed")
            rows[detector.id] = missing_detector(
                visit, detector, failure, band=band, physical_filter=physical_filter
            )
    _add_field(rows, camera)
    return _to_table([rows[number] for number in sorted(rows)])


def _add_field(rows: dict[int, dict[str, Any]], camera: Camera) -> None:
    """Find scale and rotation of the whole field from the places of the detectors on the sky.

    The arm is the focal plane's and not one detector's, so both are known 10 to 100 times better than from a single
    detector. Away from the field's middle a pixel of the tangent plane is cos^1.5 of the distance smaller on the sky.
    """
    solved = [number for number, row in rows.items() if row["wcs"]]
    if len(solved) < _LEAST_DETECTORS:
        return
    places = [camera.detector(number) for number in solved]
    # The pipeline's WCS have their tangent point in the middle of the detector.
    sky = np.array([_tangent_point(rows[number]["wcs"]) for number in solved])
    try:
        fit = fit_tan_polynomial(
            [place.x_mm / PIXEL_MM for place in places],
            [place.y_mm / PIXEL_MM for place in places],
            sky[:, 0],
            sky[:, 1],
            order=1,
            crpix=(0.0, 0.0),
            clip_sigma=_FIELD_CLIP,
        )
    except DataError:
        return
    for number, (ra, dec) in zip(solved, sky, strict=True):
        xi, eta = sky_to_tangent([ra], [dec], fit.crval)
        distance = np.arctan(np.hypot(xi[0], eta[0]) * _RADIANS_PER_ARCSEC)
        rows[number]["field_pixel_scale_arcsec"] = float(fit.pixel_scale_arcsec * np.cos(distance) ** 1.5)
        rows[number]["field_rotation_deg"] = fit.rotation_deg


def _tangent_point(wcs: str) -> tuple[float, float]:
    header = Header.fromstring(wcs, sep="\n")
    return float(header["CRVAL1"]), float(header["CRVAL2"])

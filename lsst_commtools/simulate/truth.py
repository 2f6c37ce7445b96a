"""The truth of a simulated night: what the pipeline must find, in a folder that it never reads."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.instrument.cameras import Detector
from lsst_commtools.simulate.camera import FULL_WELL_ELECTRONS, READ_NOISE_ELECTRON
from lsst_commtools.simulate.faults import Fault
from lsst_commtools.simulate.hsm import HSM_FWHM_PER_FWHM, SIGMA_TO_FWHM, hsm_fwhm_pixels
from lsst_commtools.simulate.optics import (
    MOFFAT_BETA,
    VisitOptics,
    mean_pixel_scale_arcsec,
    pixel_scale_arcsec,
    visit_optics,
)
from lsst_commtools.simulate.paths import raw_path, second_path, star_path
from lsst_commtools.simulate.plan import NightPlan
from lsst_commtools.simulate.scene import Scene, blur_kernel, sky_electrons, trail_angle_deg
from lsst_commtools.simulate.schedule import VISIT_EXPOSURE_S, Exposure, horizontal

__all__ = ["night_truth", "write_star_truth"]

_COLUMNS = {
    "id": ("", "number of the star in the reference catalogue"),
    "x": ("pixel", "column as drawn, zero-based, jitter included"),
    "y": ("pixel", "row as drawn, zero-based, jitter included"),
    "ra": ("deg", "ICRS, at the epoch of the exposure, without jitter"),
    "dec": ("deg", "ICRS, at the epoch of the exposure, without jitter"),
    "flux": ("electron", "of the whole exposure, before vignetting"),
    "mag": ("mag", "AB"),
    "saturated": ("", "whether the middle pixel is beyond the full well"),
    "fwhm_arcsec": ("arcsec", "of the star's profile, before a fault of the visit"),
    "e1": ("", "(Ixx - Iyy) / (Ixx + Iyy)"),
    "e2": ("", "2 Ixy / (Ixx + Iyy)"),
    "centroid_error_mas": (
        "mas",
        "what photon and read noise add to the centroid of adaptive moments, 1 sigma",
    ),
    "jitter_ra_mas": ("mas", "added by the atmosphere, to the east on the tangent plane"),
    "jitter_dec_mas": ("mas", "added by the atmosphere, to the north on the tangent plane"),
}


def write_star_truth(path: Path, scene: Scene, plan: NightPlan, light: NDArray[np.float32]) -> None:
    """Write the stars of one image.

    Parameters
    ----------
    path
        Parquet file.
    scene
        The stars.
    plan
        The night.
    light
        Their image: it tells which are saturated.
    """
    import pyarrow as pa
    from pyarrow import parquet

    rows, columns = light.shape
    x, y = np.rint(scene.x).astype(int), np.rint(scene.y).astype(int)
    inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    saturated = np.zeros(len(x), dtype=bool)
    saturated[inside] = light[y[inside], x[inside]] > FULL_WELL_ELECTRONS
    values = {
        "id": scene.stars.id,
        "x": scene.x,
        "y": scene.y,
        "ra": scene.stars.ra_deg,
        "dec": scene.stars.dec_deg,
        "flux": scene.flux_electron,
        "mag": scene.stars.mag,
        "saturated": saturated,
        "fwhm_arcsec": scene.fwhm_arcsec,
        "e1": scene.e1,
        "e2": scene.e2,
        "centroid_error_mas": centroid_error_mas(scene, plan),
        "jitter_ra_mas": scene.jitter_ra_mas,
        "jitter_dec_mas": scene.jitter_dec_mas,
    }
    fields = [
        pa.field(name, pa.array(values[name]).type, metadata={"unit": unit, "description": text})
        for name, (unit, text) in _COLUMNS.items()
    ]
    part = path.with_suffix(".part")
    parquet.write_table(pa.table([pa.array(v) for v in values.values()], schema=pa.schema(fields)), part)
    part.replace(path)


def night_truth(plan: NightPlan, folder: Path) -> dict[str, Any]:
    """Collect the truth of a night.

    Parameters
    ----------
    plan
        The night.
    folder
        The night's folder; the star tables are in ``truth/``.

    Returns
    -------
    dict
        What ``truth/night.json`` holds: parameters, estimators, one entry for each visit and in it one for
        each detector, and the faults with their places.
    """
    exposures = plan.exposures
    return {
        "parameters": plan.to_dict(),
        "instrument": plan.camera_name,
        "profile": {
            "name": "sheared Moffat, pixel response included",
            "beta": MOFFAT_BETA,
            "hsm_fwhm_per_fwhm": HSM_FWHM_PER_FWHM,
        },
        "definitions": {
            "fwhm_arcsec": "FWHM of the profile, geometric mean of the axes; median over the stars drawn",
            "fwhm_hsm_arcsec": "2.3548 sqrt(T/2) of HSM adaptive moments of the noiseless profile",
            "pointing_offset": "true boresight minus header, on the tangent plane, RA to the east",
            "pixel_scale_arcsec": "at the middle of a detector; median over detectors for a visit",
            "pixel_scale_mean_arcsec": "root of the sky area of a detector over its pixels; median likewise",
            "jitter_mas": "injected scatter of each coordinate of each star",
            "scatter_expected_mas": "MAD of a coordinate: jitter, and photon noise of all stars not saturated",
            "mad": "1.4826 x median absolute deviation",
        },
        "n_images_planned": len(exposures) * len(plan.detector_ids),
        "n_visit_images_planned": plan.visits * len(plan.detector_ids),
        "exposures": [
            {"exposure": e.obs_id.exposure_id, "obs_id": str(e.obs_id), "image_type": e.image_type}
            for e in exposures
        ],
        "visits": [_visit_truth(plan, exposure, folder) for exposure in exposures if exposure.is_visit],
        "faults": fault_truth(plan),
    }


def fault_truth(plan: NightPlan) -> list[dict[str, Any]]:
    """List the faults of a night.

    Parameters
    ----------
    plan
        The night.

    Returns
    -------
    list of dict
        Keys ``fault``, ``what``, ``visit``, ``obs_id``, ``detector``, ``detector_name``, ``file``,
        ``other_file``, ``amplifier``; None where one does not apply.
    """
    by_seq_num = {exposure.seq_num: exposure for exposure in plan.exposures}
    faults = plan.faults
    found = []
    if faults.dead_amplifier is not None:
        number, amplifier = faults.dead_amplifier
        found.append(
            _fault(Fault.DEAD_AMPLIFIER, None, plan.camera.detector(number))
            | {"amplifier": amplifier, "what": f"{amplifier} gives no signal all night"}
        )
    for seq_num, fault in faults.visits.items():
        what = (
            "the telescope did not track" if fault is Fault.TRAILED_VISIT else "the telescope is out of focus"
        )
        found.append(_fault(fault, by_seq_num[seq_num], None) | {"what": what})
    for (seq_num, number), fault in faults.images.items():
        exposure, detector = by_seq_num[seq_num], plan.camera.detector(number)
        entry = _fault(fault, exposure, detector) | {"what": _WHAT[fault]}
        entry["file"] = str(raw_path(exposure, detector))
        if fault in (Fault.DUPLICATE, Fault.COLLISION):
            entry["other_file"] = str(second_path(exposure, detector))
        found.append(entry)
    order = [fault.value for fault in Fault]
    return sorted(found, key=lambda entry: order.index(entry["fault"]))


_WHAT = {
    Fault.MISSING_DETECTOR: "the file was never written",
    Fault.TRUNCATED_FILE: "the file ends after three fifths of its bytes",
    Fault.WRONG_HEADER: "OBSID names another exposure than DAYOBS and SEQNUM",
    Fault.DUPLICATE: "a second file with the same bytes",
    Fault.COLLISION: "a second file with the same id and other pixels",
}


def centroid_error_mas(scene: Scene, plan: NightPlan) -> NDArray[np.float64]:
    """Predict how well the stars of an image can be placed.

    Parameters
    ----------
    scene
        The stars.
    plan
        The night.

    Returns
    -------
    numpy.ndarray
        Error of each coordinate, 1 sigma, of the centroid that adaptive moments give: N electrons on a noise of
        B electrons squared in each pixel have ``variance = 1.98 s^2 / N + 1.315 x 8 pi s^4 B / N^2``, s being
        the width of the weight. The factors are integrals over the profile; for a Gaussian they are 16/9 and 1.
    """
    scale = plan.camera.pixel_scale_arcsec
    sigma = HSM_FWHM_PER_FWHM * scene.fwhm_arcsec / scale / SIGMA_TO_FWHM
    noise = sky_electrons(plan, VISIT_EXPOSURE_S) + READ_NOISE_ELECTRON**2
    variance = 1.98 * sigma**2 / scene.flux_electron
    variance += 1.315 * 8.0 * math.pi * sigma**4 * noise / scene.flux_electron**2
    error: NDArray[np.float64] = 1000.0 * scale * np.sqrt(variance)
    return error


def expected_mad(sigma: NDArray[np.float64]) -> float:
    """Predict the scatter of errors of unequal size.

    Parameters
    ----------
    sigma
        Size of each, Gaussian.

    Returns
    -------
    float
        1.4826 x the median absolute deviation of an infinite sample.
    """
    from scipy.optimize import brentq
    from scipy.special import erf

    if not sigma.size or sigma.max() == 0.0:
        return 0.0
    median = brentq(
        lambda x: float(np.mean(erf(x / (math.sqrt(2.0) * np.maximum(sigma, 1e-9))))) - 0.5,
        0.0,
        2.0 * sigma.max(),
    )
    return 1.4826 * float(median)


def _fault(fault: Fault, exposure: Exposure | None, detector: Detector | None) -> dict[str, Any]:
    return {
        "fault": fault.value,
        "what": "",
        "visit": exposure.obs_id.exposure_id if exposure else None,
        "obs_id": str(exposure.obs_id) if exposure else None,
        "detector": detector.id if detector else None,
        "detector_name": detector.name if detector else None,
        "file": None,
        "other_file": None,
        "amplifier": None,
    }


def _visit_truth(plan: NightPlan, exposure: Exposure, folder: Path) -> dict[str, Any]:
    optics = visit_optics(plan, exposure)
    fault = plan.faults.visits.get(exposure.seq_num)
    detectors = [
        _detector_truth(optics, detector, folder / star_path(exposure, detector), fault)
        for detector in plan.detectors
    ]
    there = [entry for entry in detectors if entry["file"] is not None]

    def median(key: str) -> float | None:
        return float(np.median([entry[key] for entry in there])) if there else None

    return {
        "visit": exposure.obs_id.exposure_id,
        "obs_id": str(exposure.obs_id),
        "day_obs": exposure.obs_id.day_obs,
        "seq_num": exposure.seq_num,
        "physical_filter": plan.assumed.physical_filter,
        "band": plan.camera.filters[plan.assumed.physical_filter],
        "mid_mjd_tai": exposure.middle_mjd_tai,
        "airmass": horizontal(exposure.ra_deg, exposure.dec_deg, exposure.middle_mjd_tai)[2],
        "ra_deg": exposure.ra_deg,
        "dec_deg": exposure.dec_deg,
        "rotpa_deg": exposure.rotpa_deg,
        "pointing_offset_ra_arcsec": optics.offset_ra_arcsec,
        "pointing_offset_dec_arcsec": optics.offset_dec_arcsec,
        "rotation_offset_deg": optics.rotation_deg,
        "jitter_mas": plan.jitter_mas,
        "pixel_scale_arcsec": median("pixel_scale_arcsec"),
        "pixel_scale_mean_arcsec": median("pixel_scale_mean_arcsec"),
        "scatter_expected_mas": median("scatter_expected_mas"),
        "fwhm_arcsec": median("fwhm_arcsec"),
        "fwhm_hsm_arcsec": median("fwhm_hsm_arcsec"),
        "e1": median("e1"),
        "e2": median("e2"),
        "fault": fault.value if fault else None,
        "detectors": detectors,
    }


def _detector_truth(
    optics: VisitOptics, detector: Detector, stars: Path, fault: Fault | None
) -> dict[str, Any]:
    from pyarrow import parquet

    plan, exposure = optics.plan, optics.exposure
    rows, columns = plan.shape
    wcs = optics.true_wcs(detector)
    middle = np.array([(columns - 1) / 2.0]), np.array([(rows - 1) / 2.0])
    centre = optics.psf(detector, *middle)
    promised = optics.nominal_wcs(detector).wcs_pix2world(np.stack(middle, axis=1), 0)[0]
    offset = (wcs.wcs.crval - promised + 180.0) % 360.0 - 180.0
    scale = plan.camera.pixel_scale_arcsec
    missing = plan.faults.images.get((exposure.seq_num, detector.id)) is Fault.MISSING_DETECTOR
    table = None if missing else parquet.read_table(stars).to_pydict()
    summary: dict[str, Any] = {
        "detector": detector.id,
        "detector_name": detector.name,
        "file": None if missing else str(raw_path(exposure, detector)),
        "stars": None if missing else f"truth/{stars.name}",
        "pixel_scale_arcsec": pixel_scale_arcsec(wcs),
        "pixel_scale_mean_arcsec": mean_pixel_scale_arcsec(wcs),
        "pointing_offset_ra_arcsec": float(3600.0 * offset[0] * math.cos(math.radians(promised[1]))),
        "pointing_offset_dec_arcsec": float(3600.0 * offset[1]),
        "fwhm_centre_arcsec": float(centre.fwhm_arcsec[0]),
        "e1_centre": float(centre.e1[0]),
        "e2_centre": float(centre.e2[0]),
        "wcs": wcs.to_header(relax=True).tostring(sep="\n"),
    }
    if table is None:
        return summary
    inside = _on_image(table, plan.shape)
    for key in ("fwhm_arcsec", "e1", "e2"):
        summary[key] = float(np.median(np.asarray(table[key])[inside]))
    kernel = blur_kernel(fault, trail_angle_deg(plan, exposure))
    fwhm, e1, e2 = hsm_fwhm_pixels(summary["fwhm_arcsec"] / scale, summary["e1"], summary["e2"], kernel)
    summary |= {"fwhm_hsm_arcsec": fwhm * scale, "e1_hsm": e1, "e2_hsm": e2}
    summary["n_stars"] = int(inside.sum())
    usable = inside & ~np.asarray(table["saturated"])
    errors = np.hypot(plan.jitter_mas, np.asarray(table["centroid_error_mas"])[usable])
    summary["scatter_expected_mas"] = expected_mad(errors)
    summary["n_saturated"] = int(np.asarray(table["saturated"])[inside].sum())
    for key in ("ra", "dec"):
        jitter = np.asarray(table[f"jitter_{key}_mas"])[inside]
        summary[f"{key}_jitter_mad_mas"] = float(1.4826 * np.median(np.abs(jitter - np.median(jitter))))
    return summary


def _on_image(table: dict[str, Any], shape: tuple[int, int]) -> NDArray[np.bool_]:
    x, y = np.asarray(table["x"]), np.asarray(table["y"])
    inside: NDArray[np.bool_] = (x > -0.5) & (x < shape[1] - 0.5) & (y > -0.5) & (y < shape[0] - 0.5)
    return inside

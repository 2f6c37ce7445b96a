"""The WCS of the visits of a night: drift, shift, neighbours, pointing, and the terms that move stars.

Of each detector the *initial* solution is that of the table's own sky positions, the *final* one is fitted to the
reference catalogue. Where there is no reference the initial one is the only one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.errors import DataError, TableError
from lsst_commtools.instrument.cameras import PIXEL_MM, Camera, Detector
from lsst_commtools.qa.frames import (
    RUBIN_LATITUDE_DEG,
    altitude_deg,
    local_sidereal_time_deg,
    mjd_of_jyear,
    parallactic_angle_deg,
)
from lsst_commtools.qa.measuring import find_targets
from lsst_commtools.qa.pointing import PointingModel, azimuth_deg, fit_pointing_model, to_horizon
from lsst_commtools.qa.projection import mean_direction, sky_to_tangent
from lsst_commtools.qa.readers import read_table
from lsst_commtools.qa.references import ReferenceStars
from lsst_commtools.qa.refraction import refraction_terms, stretch_ppm
from lsst_commtools.qa.statistics import median, rms
from lsst_commtools.qa.survey import SurveyStars, repeated_rows
from lsst_commtools.qa.tables import StarTable
from lsst_commtools.qa.visit_psf import TAI_MINUS_UTC_DAYS
from lsst_commtools.qa.wcs import WcsFit, fit_tan_polynomial
from lsst_commtools.qa.wcs_compare import WcsShift, corner_distances, night_drift, wcs_shift

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FIGURES", "NightWcs", "measure_wcs", "read_pointings"]

FIGURES = (
    "ra_deg", "dec_deg", "pixel_scale_arcsec", "rotation_deg", "scale_ppm", "rotation_arcsec", "altitude_deg",
    "azimuth_deg",
    "pointing_az_arcsec", "pointing_el_arcsec", "shift_east_arcsec", "shift_north_arcsec", "shift_largest_arcsec",
    "shift_scale_ppm", "shift_rotation_arcsec", "corner_excess_arcsec", "corner_largest_arcsec", "refraction_arcsec",
    "refraction_along_ppm", "refraction_across_ppm", "refraction_stretch_ppm", "stretch_ppm", "motion_ra_mas",
    "motion_dec_mas", "motion_rms_mas",
)  # fmt: skip
"""What a visit may have: its place in the night, and each term by name, the unit in it."""

_ORDER, _FIELD_ORDER = 3, 3
_GRID = 4
_FILLED = 0.8
_LEAST_STARS = 12
_NO_TIME = "the table does not tell the time"
_NO_REFERENCE = "no reference catalogue was given"
_NO_CAMERA = "the camera is not known"
_NAN = float("nan")


@dataclass(frozen=True, eq=False)
class NightWcs:
    """The WCS of many visits.

    Parameters
    ----------
    visits
        One row for each visit, by number: ``visit``, ``n_detectors``, ``n_stars``, and `FIGURES`; NaN where unknown.
    corners
        One row for each pair of facing corners: ``visit``, ``detector1``, ``detector2``, ``distance_arcsec``,
        ``expected_arcsec``, ``excess_arcsec``.
    shifts
        One row for each detector of each visit, final minus initial: ``visit``, ``detector``, ``east_arcsec``,
        ``north_arcsec``, ``largest_arcsec``, ``scale_ppm``, ``rotation_arcsec``.
    model
        Pointing model; None where there is none.
    reasons
        Visit and figure to why it is unknown.
    problems
        What was left out.
    """

    visits: pd.DataFrame
    corners: pd.DataFrame
    shifts: pd.DataFrame
    model: PointingModel | None
    reasons: Mapping[int, Mapping[str, str]]
    problems: tuple[str, ...]

    @property
    def is_measured(self) -> bool:
        """Whether any visit has a WCS."""
        return bool(np.isfinite(self.visits["pixel_scale_arcsec"]).any())

    def document(self) -> dict[str, Any]:
        """Give the figures for JSON.

        Returns
        -------
        dict
            ``visits``, each with ``unknown`` (figure to reason); ``corners``, ``shifts``, ``pointing_model``,
            ``problems``.
        """
        visits = [
            {**_plain(row), "unknown": dict(self.reasons.get(int(row["visit"]), {}))}
            for row in self.visits.to_dict("records")
        ]
        model: dict[str, Any] | None = None
        if self.model is not None:
            model = {
                "terms_arcsec": dict(self.model.terms_arcsec), "errors_arcsec": dict(self.model.errors_arcsec),
                "left_out": list(self.model.left_out), "rms_arcsec": self.model.rms_arcsec,
                "n_visits": int(self.model.used.sum()),
            }  # fmt: skip
        return {
            "visits": visits,
            "corners": [_plain(row) for row in self.corners.to_dict("records")],
            "shifts": [_plain(row) for row in self.shifts.to_dict("records")],
            "pointing_model": model,
            "problems": list(self.problems),
        }


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    counts = {"visit", "n_detectors", "n_stars", "detector", "detector1", "detector2"}
    return {str(k): int(v) if k in counts else (float(v) if np.isfinite(v) else None) for k, v in row.items()}


def read_pointings(path: Path) -> dict[int, tuple[float, float]]:
    """Read where the telescope was told to look.

    Parameters
    ----------
    path
        Table with ``visit``, ``ra`` and ``dec`` in degrees (ICRS).

    Returns
    -------
    dict
        Visit to RA and Dec; rows that are not finite are left out.

    Raises
    ------
    NotFoundError, TableError
        If it cannot be read, or lacks a column.
    """
    raw = read_table(path)
    missing = [name for name in ("visit", "ra", "dec") if name not in raw.columns]
    if missing:
        raise TableError(f"{path} has no column {missing[0]}.", advice="Pointings need visit, ra and dec.")
    rows = zip(
        *(np.ma.filled(np.ma.asarray(raw.columns[n], np.float64), np.nan) for n in ("ra", "dec")), strict=True
    )
    visits = np.ma.asarray(raw.columns["visit"]).filled(-1).astype(np.int64).tolist()
    return {
        v: (float(ra), float(dec))
        for v, (ra, dec) in zip(visits, rows, strict=True)
        if v >= 0 and np.isfinite(ra) and abs(dec) <= 90.0
    }


def measure_wcs(
    stars: SurveyStars,
    references: ReferenceStars | None = None,
    *,
    camera: Camera | None = None,
    pointings: Mapping[int, tuple[float, float]] | None = None,
) -> NightWcs:
    """Measure the WCS of the visits of a night.

    Parameters
    ----------
    stars
        Star tables with ``x``, ``y``, ``ra``, ``dec``; ``visit``, ``detector`` and ``epoch`` where there are several.
    references
        Reference catalogue; by default the reference positions in the table, if it has them.
    camera
        Where the detectors are: gives corner distances, and what the whole field says.
    pointings
        Visit to the RA and Dec that the telescope was told to look at.

    Returns
    -------
    NightWcs
        Figures. What cannot be measured is unknown, with a reason.
    """
    import pandas as pd

    table = stars.table
    numbers = table["visit"] if "visit" in table else np.zeros(len(table))
    problems = [] if len(table) else ["the tables have no stars"]
    if lost := int((~np.isfinite(numbers)).sum()):
        problems.append(f"{lost} of {len(table)} stars have no visit")
    found = [
        _Visit(int(v), table.rows(numbers == v), references, camera, (pointings or {}).get(int(v)))
        for v in np.unique(numbers[np.isfinite(numbers)])
    ]
    visits = pd.DataFrame(
        [{"visit": v.number, "n_detectors": len(v.fits), "n_stars": v.n_stars, **v.figures} for v in found],
        columns=["visit", "n_detectors", "n_stars", *FIGURES],
    ).astype(dict.fromkeys(FIGURES, float))
    drift = night_drift(visits, scale="pixel_scale_arcsec", rotation="rotation_deg")
    for name in ("scale_ppm", "rotation_arcsec"):
        visits[name] = drift[name].to_numpy()
    model = fit_pointing_model(
        *(visits[n] for n in ("azimuth_deg", "altitude_deg", "pointing_az_arcsec", "pointing_el_arcsec"))
    )
    for visit in found:
        problems += [f"visit {visit.number}: {line}" for line in visit.problems]
        if "pixel_scale_arcsec" in visit.reasons:
            visit.unknown(visit.reasons["pixel_scale_arcsec"], "scale_ppm", "rotation_arcsec")
    corner_names = [
        "visit", "detector1", "detector2", "distance_arcsec", "expected_arcsec", "excess_arcsec",
    ]  # fmt: skip
    shift_names = ["visit", "detector", *WcsShift.__dataclass_fields__]
    return NightWcs(
        visits,
        pd.DataFrame([row for v in found for row in v.corners], columns=corner_names),
        pd.DataFrame([row for v in found for row in v.shifts], columns=shift_names),
        model,
        {v.number: v.reasons for v in found},
        tuple(problems),
    )


class _Visit:
    """Figures of one visit, and why others are not there."""

    def __init__(
        self,
        number: int,
        table: StarTable,
        references: ReferenceStars | None,
        camera: Camera | None,
        told: tuple[float, float] | None,
    ) -> None:
        self.number, self.n_stars, self.camera = number, len(table), camera
        self.figures: dict[str, float] = dict.fromkeys(FIGURES, _NAN)
        self.reasons: dict[str, str] = {}
        self.problems: list[str] = []
        self.fits: dict[int, WcsFit] = {}
        self.extents: dict[int, _Extent] = {}
        self.corners: list[dict[str, Any]] = []
        self.shifts: list[dict[str, Any]] = []
        self.field: WcsFit | None = None
        self._fit(table, references)
        self._add_field()
        self._add_horizon(table, told)
        self._add_corners()
        self._add_motion(table, references)

    def unknown(self, reason: str, *names: str) -> None:
        self.reasons.update(dict.fromkeys(names, reason))

    def _fit(self, table: StarTable, references: ReferenceStars | None) -> None:
        shift_names = [f"shift_{name}" for name in WcsShift.__dataclass_fields__]
        if not table.has("x", "y", "ra", "dec"):
            self.problems.append("no WCS: the table lacks x, y, ra or dec")
            self.unknown("the table lacks x, y, ra or dec", *shift_names)
            return
        if repeated := repeated_rows(table, np.isfinite(table["ra"]) & np.isfinite(table["dec"])):
            self.problems.append(f"no WCS: {repeated}")
            self.unknown(repeated, *shift_names)
            return
        targets = find_targets(table, references)
        detectors = table["detector"] if "detector" in table else np.zeros(len(table))
        for detector in np.unique(detectors[np.isfinite(detectors)]).astype(int).tolist():
            rows = table.good & (detectors == detector)
            initial = self._solution(table, rows, table["ra"], table["dec"])
            final = None
            if targets.source != "own" and targets.ra_deg is not None and targets.dec_deg is not None:
                final = self._solution(table, rows, targets.ra_deg, targets.dec_deg)
            if initial is None and final is None:
                self.problems.append(f"detector {detector} has no WCS")
                continue
            self.fits[detector] = final or initial  # type: ignore[assignment]  # one of them is there
            self.extents[detector] = _extent(table["x"][rows], table["y"][rows])
            if initial is not None and final is not None:
                shift = wcs_shift(initial, final)
                self.shifts.append({"visit": self.number, "detector": detector, **vars(shift)})
        for name in WcsShift.__dataclass_fields__:
            values = [row[name] for row in self.shifts]
            if values:
                self.figures[f"shift_{name}"] = (max if name == "largest_arcsec" else median)(values)
        if not self.shifts:
            own = targets.source == "own"
            self.unknown(_NO_REFERENCE if own else "no detector has both solutions", *shift_names)

    @staticmethod
    def _solution(
        table: StarTable, rows: NDArray[np.bool_], ra: NDArray[np.float64], dec: NDArray[np.float64]
    ) -> WcsFit | None:
        if int((rows & np.isfinite(ra) & np.isfinite(dec)).sum()) < _LEAST_STARS:
            return None
        try:
            return fit_tan_polynomial(np.where(rows, table["x"], np.nan), table["y"], ra, dec, order=_ORDER)
        except DataError:
            return None

    def _add_field(self) -> None:
        """Take scale and rotation of the whole field, or where the camera is not known of the middle detector."""
        if not self.fits:
            self.unknown("no detector has a WCS", "ra_deg", "dec_deg", "pixel_scale_arcsec", "rotation_deg")
            return
        fits = list(self.fits.values())
        self.figures["pixel_scale_arcsec"] = median([fit.pixel_scale_arcsec for fit in fits])
        turns = np.radians([fit.rotation_deg for fit in fits])
        self.figures["rotation_deg"] = float(np.degrees(np.arctan2(np.sin(turns).sum(), np.cos(turns).sum())))
        if self.camera is not None:
            self.field = _field_solution(self.fits, self.extents, self.camera)
        place = self.field.crval if self.field is not None else _middle(self.fits)
        self.figures["ra_deg"], self.figures["dec_deg"] = place
        if self.field is not None:
            self.figures["pixel_scale_arcsec"] = self.field.pixel_scale_arcsec * PIXEL_MM
            self.figures["rotation_deg"] = self.field.rotation_deg

    def _add_horizon(self, table: StarTable, told: tuple[float, float] | None) -> None:
        names = ("altitude_deg", "azimuth_deg", "pointing_az_arcsec", "pointing_el_arcsec", *_REFRACTION)
        epoch = median(table["epoch"]) if "epoch" in table else _NAN
        if not np.isfinite(epoch) or not self.fits:
            self.unknown(_NO_TIME if self.fits else "no detector has a WCS", *names)
            return
        place = self.figures["ra_deg"], self.figures["dec_deg"]
        lst = float(local_sidereal_time_deg(mjd_of_jyear(epoch) - TAI_MINUS_UTC_DAYS))
        altitude = float(altitude_deg(*place, lst, RUBIN_LATITUDE_DEG))
        if altitude <= 0.0:
            self.unknown("the field was below the horizon at that time", *names)
            return
        turn = float(parallactic_angle_deg(*place, lst, RUBIN_LATITUDE_DEG))
        self.figures["altitude_deg"], self.figures["azimuth_deg"] = altitude, float(azimuth_deg(*place, lst))
        terms = refraction_terms(90.0 - altitude)
        self.figures.update(terms)
        if not np.isfinite(terms["refraction_arcsec"]):
            self.unknown("the zenith distance is more than 80 degrees", *terms)
        if self.field is not None or len(self.fits) == 1:
            linear = (self.field or next(iter(self.fits.values()))).cd_deg
            self.figures["stretch_ppm"] = stretch_ppm(linear, turn)
        else:
            self.unknown(_NO_CAMERA if self.camera is None else _NOT_AROUND, "stretch_ppm")
        if told is None or self.field is None:
            why = "it is not known where the telescope was told to look"
            missing = _NO_CAMERA if self.camera is None else _NOT_AROUND
            self.unknown(why if told is None else missing, "pointing_az_arcsec", "pointing_el_arcsec")
            return
        east, north = sky_to_tangent(*self.field.crval, told)
        along, up = to_horizon(east, north, turn)
        self.figures["pointing_az_arcsec"], self.figures["pointing_el_arcsec"] = float(along), float(up)

    def _add_corners(self) -> None:
        names = ("corner_excess_arcsec", "corner_largest_arcsec")
        if self.camera is None:
            self.unknown(_NO_CAMERA, *names)
            return
        sky, focal = {}, {}
        for detector, x, y, x_mm, y_mm in _corners(self.fits, self.extents, self.camera):
            sky[detector] = np.stack(self.fits[detector].pixel_to_sky(x, y), axis=1)
            focal[detector] = np.stack([x_mm, y_mm], axis=1)
        if self.fits and len(sky) < 2:
            self.unknown("stars fill fewer than two detectors: a polynomial says nothing beyond them", *names)
            return
        try:
            found = corner_distances(sky, focal)
        except DataError as error:
            self.unknown(error.message[0].lower() + error.message[1:].rstrip("."), *names)
            return
        self.corners = [{"visit": self.number, **vars(c), "excess_arcsec": c.excess_arcsec} for c in found]
        sizes = [abs(c.excess_arcsec) for c in found]
        self.figures["corner_excess_arcsec"], self.figures["corner_largest_arcsec"] = (
            median(sizes),
            max(sizes),
        )

    def _add_motion(self, table: StarTable, references: ReferenceStars | None) -> None:
        """Say by how much proper motion moved the reference stars, from the catalogue's epoch to the exposure's."""
        names = ("motion_ra_mas", "motion_dec_mas", "motion_rms_mas")
        catalogue = references
        if catalogue is None and table.has("ref_ra", "ref_dec"):
            catalogue = ReferenceStars.from_table(table)
        if catalogue is None or not catalogue.can_move or "epoch" not in table:
            why = _NO_TIME if catalogue is not None and catalogue.can_move else "no proper motions are known"
            self.unknown(_NO_REFERENCE if catalogue is None else why, *names)
            return
        targets = find_targets(table, references)
        years = median(table["epoch"]) - catalogue.epoch_jyear
        if references is not None and targets.ra_deg is not None and targets.dec_deg is not None:
            near = _in_field(catalogue, targets.ra_deg, targets.dec_deg)
        else:
            near = np.ones(len(catalogue), bool)
        moved = [(pm * years)[near] for pm in (catalogue.pm_ra_mas_yr, catalogue.pm_dec_mas_yr)]
        if not np.isfinite(moved).any():
            self.unknown("no reference star of this field has a proper motion", *names)
            return
        self.figures["motion_ra_mas"], self.figures["motion_dec_mas"] = median(moved[0]), median(moved[1])
        self.figures["motion_rms_mas"] = rms(np.hypot(*moved))


_REFRACTION = (
    "refraction_arcsec", "refraction_along_ppm", "refraction_across_ppm", "refraction_stretch_ppm", "stretch_ppm",
)  # fmt: skip
_NOT_AROUND = "the stars of detectors with a WCS do not surround the middle of the camera"
_Place = tuple[int, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""A detector and places on it: number, pixels, and mm on the focal plane."""


_Extent = tuple[float, float, float, float]
"""Least and largest x, least and largest y of a detector's stars: beyond them a polynomial says nothing."""


def _extent(x: NDArray[np.float64], y: NDArray[np.float64]) -> _Extent:
    known = np.isfinite(x) & np.isfinite(y)
    return float(x[known].min()), float(x[known].max()), float(y[known].min()), float(y[known].max())


def _grids(fits: Mapping[int, WcsFit], extents: Mapping[int, _Extent], camera: Camera) -> list[_Place]:
    """Give a grid of places over the stars of each detector."""
    found = []
    for d in camera.detectors:
        if d.id in fits:
            left, right, bottom, top = extents[d.id]
            grid = np.meshgrid(np.linspace(left, right, _GRID), np.linspace(bottom, top, _GRID))
            found.append(_place(d, grid[0].ravel(), grid[1].ravel()))
    return found


def _corners(fits: Mapping[int, WcsFit], extents: Mapping[int, _Extent], camera: Camera) -> list[_Place]:
    """Give the corners of each detector that its stars fill."""
    found = []
    for d in camera.detectors:
        if d.id not in fits:
            continue
        left, right, bottom, top = extents[d.id]
        if min((right - left) / d.columns, (top - bottom) / d.rows) >= _FILLED:
            edge, roof = d.columns - 0.5, d.rows - 0.5
            found.append(_place(d, np.array([-0.5, edge, edge, -0.5]), np.array([-0.5, -0.5, roof, roof])))
    return found


def _place(d: Detector, x: NDArray[np.float64], y: NDArray[np.float64]) -> _Place:
    x_mm = d.x_mm + (x - (d.columns - 1) / 2) * PIXEL_MM
    y_mm = d.y_mm + (y - (d.rows - 1) / 2) * PIXEL_MM
    return d.id, x, y, x_mm, y_mm


def _field_solution(
    fits: Mapping[int, WcsFit], extents: Mapping[int, _Extent], camera: Camera
) -> WcsFit | None:
    """Fit the focal plane to the sky by all detectors; None unless their stars surround the middle of the camera."""
    places = _grids(fits, extents, camera)
    if not places:
        return None
    x_mm, y_mm = (np.concatenate([p[k] for p in places]) for k in (3, 4))
    if not (x_mm.min() < 0.0 < x_mm.max() and y_mm.min() < 0.0 < y_mm.max()):
        return None
    sky = [fits[p[0]].pixel_to_sky(p[1], p[2]) for p in places]
    ra, dec = (np.concatenate([s[k] for s in sky]) for k in (0, 1))
    try:
        return fit_tan_polynomial(x_mm, y_mm, ra, dec, order=_FIELD_ORDER, crpix=(0.0, 0.0))
    except DataError:
        return None


def _middle(fits: Mapping[int, WcsFit]) -> tuple[float, float]:
    return mean_direction(*np.array([fit.crval for fit in fits.values()]).T)


def _in_field(
    catalogue: ReferenceStars, ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Choose the reference stars within the circle that holds the stars that were matched."""
    known = np.isfinite(ra_deg) & np.isfinite(dec_deg)
    if not known.any():
        return np.zeros(len(catalogue), bool)
    centre = mean_direction(ra_deg[known], dec_deg[known])
    radius = np.hypot(*sky_to_tangent(ra_deg[known], dec_deg[known], centre)).max()
    with np.errstate(invalid="ignore"):
        return np.asarray(np.hypot(*sky_to_tangent(catalogue.ra_deg, catalogue.dec_deg, centre)) <= radius)

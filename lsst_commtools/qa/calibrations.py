"""Bias, dark and flat of a night, judged by themselves and against the last certified ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.errors import InputError
from lsst_commtools.instrument.images import CalibratedImage, MaskPlane
from lsst_commtools.qa.limits import Limit, Status, judge
from lsst_commtools.qa.statistics import mad, median

__all__ = [
    "CALIBRATION_KINDS",
    "CALIBRATION_LIMITS",
    "CalibrationVerdict",
    "judge_calibration",
    "measure_calibration",
]

CALIBRATION_KINDS = ("bias", "dark", "flat")
"""Kinds of calibrations, in the order in which they are made."""

_BLOCKS = 8
_MEDIAN_OVER_MEAN = 1.253  # how much more than a mean a median scatters, Gaussian noise
_RANGE_OF_64 = 4.7  # mean range of as many Gaussian numbers, in units of their scatter
_HOT_ELECTRON_S = 5.0
_RATIO_OUTLIER = 0.05
_UNUSABLE = int(MaskPlane.BAD | MaskPlane.NO_DATA)
_OWN = "this package"


def _limits(*limits: tuple[str, float, float, float]) -> dict[str, Limit]:
    return {
        name: Limit(name, design, design, minimum, _OWN, centre) for name, design, minimum, centre in limits
    }


# The absolute limits are wide: they tell a frame that cannot be one. The comparison with the last one is narrow: what
# it allows is what a stable camera changes from night to night, and a dead amplifier is 6 percent of the pixels.
CALIBRATION_LIMITS: Mapping[str, Mapping[str, Limit]] = {
    "bias": _limits(
        ("level_electron", 10.0, 50.0, 0.0),
        ("noise_electron", 10.0, 20.0, 0.0),
        ("gradient_electron", 40.0, 150.0, 0.0),
        ("bad_pixel_percent", 1.0, 10.0, 0.0),
        ("level_change_electron", 1.0, 3.0, 0.0),
        ("gradient_change_electron", 3.0, 10.0, 0.0),
        ("change_over_noise", 1.5, 3.0, 0.0),
        ("new_bad_pixel_percent", 0.5, 5.0, 0.0),
    ),
    "dark": _limits(
        ("level_electron_per_s", 0.1, 1.0, 0.0),
        ("noise_electron_per_s", 0.5, 2.0, 0.0),
        ("gradient_electron_per_s", 0.5, 2.0, 0.0),
        ("hot_pixel_percent", 0.5, 2.0, 0.0),
        ("bad_pixel_percent", 1.0, 10.0, 0.0),
        ("level_change_electron_per_s", 0.05, 0.2, 0.0),
        ("gradient_change_electron_per_s", 0.3, 1.0, 0.0),
        ("change_over_noise", 1.5, 3.0, 0.0),
        ("new_hot_pixel_percent", 0.1, 1.0, 0.0),
        ("new_bad_pixel_percent", 0.5, 5.0, 0.0),
    ),
    "flat": _limits(
        ("level", 0.01, 0.05, 1.0),
        ("noise_percent", 2.0, 5.0, 0.0),
        ("gradient_percent", 30.0, 60.0, 0.0),
        ("bad_pixel_percent", 1.0, 10.0, 0.0),
        ("ratio_scatter_percent", 1.5, 3.0, 0.0),
        ("ratio_gradient_percent", 0.5, 2.0, 0.0),
        ("ratio_outlier_percent", 0.5, 3.0, 0.0),
        ("change_over_noise", 1.5, 3.0, 0.0),
        ("new_bad_pixel_percent", 0.5, 5.0, 0.0),
    ),
}
"""Kind to what one frame is judged by; metrics of change are unknown where there is no last one."""


@dataclass(frozen=True)
class CalibrationVerdict:
    """Verdict on one frame.

    Parameters
    ----------
    kind
        ``bias``, ``dark`` or ``flat``.
    status
        Over all metrics; never good where nothing could be compared.
    figures
        Metric to value, the unit in the name; None where it could not be measured.
    statuses
        Metric to verdict.
    reasons
        One line for each verdict that is not good.
    """

    kind: str
    status: Status
    figures: Mapping[str, float | None]
    statuses: Mapping[str, Status]
    reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give the verdict as plain values."""
        return {
            "kind": self.kind,
            "status": str(self.status),
            "figures": dict(self.figures),
            "statuses": {metric: str(status) for metric, status in self.statuses.items()},
            "reasons": list(self.reasons),
        }


def _neighbour_noise(values: NDArray[np.float32], good: NDArray[np.bool_]) -> float:
    """Scatter from pixel to pixel, which no structure of the frame enters."""
    both = good[:, 1:] & good[:, :-1]
    return mad((values[:, 1:] - values[:, :-1])[both]) / float(np.sqrt(2.0))


def _block_range(values: NDArray[np.float32], good: NDArray[np.bool_]) -> float:
    """Range of the medians of 8 x 8 parts of the frame beyond what noise gives; NaN where no part has pixels."""
    parts = [
        part[usable]
        for rows, usable_rows in zip(
            np.array_split(values, _BLOCKS), np.array_split(good, _BLOCKS), strict=True
        )
        for part, usable in zip(
            np.array_split(rows, _BLOCKS, axis=1), np.array_split(usable_rows, _BLOCKS, axis=1), strict=True
        )
        if usable.any()
    ]
    if not parts:
        return float("nan")
    error = _MEDIAN_OVER_MEAN * _neighbour_noise(values, good) / np.sqrt(np.median([len(p) for p in parts]))
    by_noise = _RANGE_OF_64 * float(error) if np.isfinite(error) else 0.0
    return max(float(np.ptp([median(part) for part in parts])) - by_noise, 0.0)


def _percent(hit: NDArray[np.bool_], of: NDArray[np.bool_] | None = None) -> float:
    total = hit.size if of is None else int(of.sum())
    return 100.0 * float(hit.sum()) / total if total else float("nan")


def _usable(frame: CalibratedImage) -> NDArray[np.bool_]:
    usable: NDArray[np.bool_] = ((frame.mask & _UNUSABLE) == 0) & np.isfinite(frame.image)
    return usable


def _own_figures(kind: str, new: CalibratedImage, good: NDArray[np.bool_]) -> dict[str, float]:
    values = new.image
    level, noise, gradient = median(values[good]), _neighbour_noise(values, good), _block_range(values, good)
    bad = {"bad_pixel_percent": _percent(~good)}
    if kind == "bias":
        return {"level_electron": level, "noise_electron": noise, "gradient_electron": gradient} | bad
    if kind == "dark":
        hot = _percent(good & (values > _HOT_ELECTRON_S), good)
        rates = {
            "level_electron_per_s": level,
            "noise_electron_per_s": noise,
            "gradient_electron_per_s": gradient,
        }
        return rates | {"hot_pixel_percent": hot} | bad
    return {"level": level, "noise_percent": 100.0 * noise, "gradient_percent": 100.0 * gradient} | bad


def _changes(
    kind: str, new: CalibratedImage, last: CalibratedImage, good: NDArray[np.bool_]
) -> dict[str, float]:
    before = _usable(last)
    both = good & before
    change = new.image - last.image
    sigma = np.sqrt(np.maximum(new.variance + last.variance, np.float32(1e-20)))
    figures = {
        "change_over_noise": mad((change / sigma)[both]),
        "new_bad_pixel_percent": _percent(before & ~good),
    }
    if kind == "flat":
        ratio = np.where(both, new.image / np.where(both, last.image, 1), np.float32(1))
        return figures | {
            "ratio_scatter_percent": 100.0 * _neighbour_noise(ratio, both),
            "ratio_gradient_percent": 100.0 * _block_range(ratio, both),
            "ratio_outlier_percent": _percent(both & (np.abs(ratio - 1) > _RATIO_OUTLIER), both),
        }
    unit = "electron" if kind == "bias" else "electron_per_s"
    figures |= {
        f"level_change_{unit}": median(change[both]),
        f"gradient_change_{unit}": _block_range(change, both),
    }
    if kind == "dark":
        hot = (new.image > _HOT_ELECTRON_S) & ~(last.image > _HOT_ELECTRON_S)
        figures["new_hot_pixel_percent"] = _percent(both & hot, both)
    return figures


def measure_calibration(
    kind: str, new: CalibratedImage, last: CalibratedImage | None = None
) -> dict[str, float]:
    """Measure one frame.

    Parameters
    ----------
    kind
        ``bias`` (electron), ``dark`` (electron per second) or ``flat`` (median 1).
    new
        The frame.
    last
        The one that was certified last for this detector and filter; None if there is none.

    Returns
    -------
    dict
        Level, noise from pixel to pixel, gradient (range of the medians of 8 x 8 parts, beyond what noise gives) and
        bad pixels; with a last one of the same shape, what changed, for a flat as their ratio. ``change_over_noise``
        is the robust scatter of the difference in units of what both variances promise. NaN where no pixel is usable.

    Raises
    ------
    InputError
        If the kind is not known.
    """
    if kind not in CALIBRATION_LIMITS:
        raise InputError(
            f"{kind!r} is no calibration that can be judged.",
            advice=f"There are {', '.join(CALIBRATION_KINDS)}.",
        )
    good = _usable(new)
    figures = _own_figures(kind, new, good)
    if last is not None and last.image.shape == new.image.shape:
        figures |= _changes(kind, new, last, good)
    return figures


def judge_calibration(
    kind: str,
    new: CalibratedImage,
    last: CalibratedImage | None = None,
    limits: Mapping[str, Limit] | None = None,
) -> CalibrationVerdict:
    """Judge one frame by itself and against the last certified one.

    Parameters
    ----------
    kind, new, last
        As of `measure_calibration`.
    limits
        Metric to limit; by default those of its kind in `CALIBRATION_LIMITS`.

    Returns
    -------
    CalibrationVerdict
        Bad where a limit is broken; unknown where there is no last one to compare with.
    """
    figures = measure_calibration(kind, new, last)
    limits = CALIBRATION_LIMITS[kind] if limits is None else limits
    verdict = judge(figures, limits, required=limits)
    reasons = list(verdict.reasons)
    missing = [metric for metric in limits if metric not in figures]
    if missing:
        reasons = [reason for reason in reasons if reason.removesuffix(" is unknown") not in missing]
        if last is None:
            reasons.append(f"there is no certified {kind} to compare with")
        else:
            reasons.append(
                f"the last {kind} has another shape: {last.image.shape} instead of {new.image.shape}"
            )
    told = {metric: value if np.isfinite(value) else None for metric, value in figures.items()}
    return CalibrationVerdict(
        kind, verdict.status, told | dict.fromkeys(missing), verdict.statuses, tuple(reasons)
    )

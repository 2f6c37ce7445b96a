"""WCS and PSF quality: star tables in, figures and verdicts out.

Pure functions of arrays: numpy in, values out. What is slow to import is imported at first use.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "MomentModel": "psf",
    "Moments": "moments",
    "PatternMatch": "match",
    "WcsFit": "wcs",
    "apply_proper_motion": "motion",
    "ellipticity": "shapes",
    "fit_moment_model": "psf",
    "fit_tan_polynomial": "wcs",
    "fwhm_from_moments": "shapes",
    "mad": "statistics",
    "match_pattern": "match",
    "match_sky": "match",
    "measure_moments": "moments",
    "moments_of_stamps": "moments",
}

__all__ = [  # noqa: PLE0604  # the names are strings; ruff cannot see through sorted()
    *sorted(_HOMES),
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])

"""One night from raw to report: stages, counts, verdicts, the report."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsst_commtools.night.archive import Night
    from lsst_commtools.night.counts import Counts, Problem
    from lsst_commtools.night.diagnose import diagnose_night
    from lsst_commtools.night.figures import night_figures, visit_figures
    from lsst_commtools.night.run import NightResult, run_night
    from lsst_commtools.night.settings import NightSettings, default_work, newest_night
    from lsst_commtools.night.stages import find_day_obs
    from lsst_commtools.night.verdicts import VisitVerdict, judge_night, judge_visit

__all__ = [
    "Counts",
    "Night",
    "NightResult",
    "NightSettings",
    "Problem",
    "VisitVerdict",
    "default_work",
    "diagnose_night",
    "find_day_obs",
    "judge_night",
    "judge_visit",
    "newest_night",
    "night_figures",
    "run_night",
    "visit_figures",
]

_HOMES = {
    "Counts": "counts",
    "Night": "archive",
    "NightResult": "run",
    "NightSettings": "settings",
    "Problem": "counts",
    "VisitVerdict": "verdicts",
    "default_work": "settings",
    "diagnose_night": "diagnose",
    "find_day_obs": "stages",
    "judge_night": "verdicts",
    "judge_visit": "verdicts",
    "newest_night": "settings",
    "night_figures": "figures",
    "run_night": "run",
    "visit_figures": "figures",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

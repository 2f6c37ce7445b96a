"""One night from raw to report: stages, counts, verdicts, the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

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

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "archive": ["Night"],
        "counts": ["Counts", "Problem"],
        "diagnose": ["diagnose_night"],
        "figures": ["night_figures", "visit_figures"],
        "run": ["NightResult", "run_night"],
        "settings": ["NightSettings", "default_work", "newest_night"],
        "stages": ["find_day_obs"],
        "verdicts": ["VisitVerdict", "judge_night", "judge_visit"],
    },
)

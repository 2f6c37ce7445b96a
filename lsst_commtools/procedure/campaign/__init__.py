"""Campaigns: many notebooks with their parameters and dependencies, each run as often as it may be and no more."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsst_commtools.procedure.campaign.conductor import CampaignReport, run_campaign
    from lsst_commtools.procedure.campaign.model import Campaign, load_campaign

__all__ = ["Campaign", "CampaignReport", "load_campaign", "run_campaign"]

_HOMES = {
    "Campaign": "lsst_commtools.procedure.campaign.model",
    "CampaignReport": "lsst_commtools.procedure.campaign.conductor",
    "load_campaign": "lsst_commtools.procedure.campaign.model",
    "run_campaign": "lsst_commtools.procedure.campaign.conductor",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

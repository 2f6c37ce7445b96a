"""Campaigns: many notebooks with their parameters and dependencies, each run as often as it may be and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from lsst_commtools.procedure.campaign.conductor import CampaignReport, run_campaign
    from lsst_commtools.procedure.campaign.model import Campaign, load_campaign

__all__ = ["Campaign", "CampaignReport", "load_campaign", "run_campaign"]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "conductor": ["CampaignReport", "run_campaign"],
        "model": ["Campaign", "load_campaign"],
    },
)

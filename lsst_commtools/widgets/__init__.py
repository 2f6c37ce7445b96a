"""Panels for notebooks: they show, and act only after they have shown what they will do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from lsst_commtools.widgets.campaign import CampaignPanel
    from lsst_commtools.widgets.csc import CscPanel
    from lsst_commtools.widgets.poll import PollPanel
    from lsst_commtools.widgets.procedures import ParameterForm, SignPanel
    from lsst_commtools.widgets.repos import RepositoryBrowser
    from lsst_commtools.widgets.start import StartPage
    from lsst_commtools.widgets.style import Panel, ProgressBar

__all__ = [
    "CampaignPanel",
    "CscPanel",
    "Panel",
    "ParameterForm",
    "PollPanel",
    "ProgressBar",
    "RepositoryBrowser",
    "SignPanel",
    "StartPage",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "campaign": ["CampaignPanel"],
        "csc": ["CscPanel"],
        "poll": ["PollPanel"],
        "procedures": ["ParameterForm", "SignPanel"],
        "repos": ["RepositoryBrowser"],
        "start": ["StartPage"],
        "style": ["Panel", "ProgressBar"],
    },
)

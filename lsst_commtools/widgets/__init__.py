"""Panels for notebooks: they show, and act only after they have shown what they will do."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

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

_HOMES = {
    "CampaignPanel": "campaign",
    "CscPanel": "csc",
    "Panel": "style",
    "ParameterForm": "procedures",
    "PollPanel": "poll",
    "ProgressBar": "style",
    "RepositoryBrowser": "repos",
    "SignPanel": "procedures",
    "StartPage": "start",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"lsst_commtools.widgets.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

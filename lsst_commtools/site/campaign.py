"""Where campaigns of notebooks run, besides this machine."""

from __future__ import annotations

from pydantic import PositiveFloat

from lsst_commtools.site.sections import Endpoint, Section

__all__ = ["CampaignSection"]


class CampaignSection(Section):
    """Settings of campaigns.

    Parameters
    ----------
    noteburst_url
        URL of noteburst on the Rubin Science Platform, such as ``https://data.example.org/noteburst``; empty where
        there is none. Its token is the secret ``noteburst_token``.
    noteburst_kernel
        Kernel that noteburst runs notebooks with.
    noteburst_slots
        How many notebooks noteburst is given at a time.
    poll_s
        Time between two questions how a notebook stands, in seconds.
    """

    noteburst_url: Endpoint = ""
    noteburst_kernel: str = "LSST"
    noteburst_slots: int = 4
    poll_s: PositiveFloat = 2.0

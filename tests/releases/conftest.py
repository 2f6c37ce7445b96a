"""Helpers of the tests of releases."""

from __future__ import annotations

import pytest

from lsst_commtools.releases import ReleaseModel, parse_table, parse_text

TEXT = """DM Releases LDM-564 Latest Revision 2017-08-09

2 Release Management

The lists are defined in Section ??.
- a bullet of the introduction

3.1 LDM-503-1: Platform in PDAC

- Ingest to PDAC (DM-DAX-1)
- Search images (they are from IRSA at IPAC, not NCSA) (DM-SUIT-2)
DM Releases

- Network Ready (Summit) (NB actually a T&S milestone?!) (DM-NET-3)

3.2 LDM-503-4b: Spectrograph Rehearsal #2

- Platform in PDAC (LDM-503-1)
- DLP-561 Mountain Network (DM-NET-2)
- (DM-SUIT-12)
- Interface: Single Visit (LSST-1200)

3.3 LDM-503-4: Functionality test
No bullet here (DM-NCSA-26)
- Ingest to PDAC (DM-DAX-1)

3.4 LDM-503-5: Validation

4 References

- [1] Lim, K.T., 2017, *Design*, LDM-148, URL https://ls.st/LDM-148
"""

TABLE = """Milestone ID,Level,Team,Target Date,Cycle,Prerequisites,Plan,Description,(Optional) Milestone Coding,,Notes
DM-DAX-1,3,DAX,2017-11-01,F17,,,Ingest to PDAC.,,,a note
DM-SUIT-2,3,SUIT,2017-11-20,F17,"DM-DAX-1, Auth system [NCSA, DAX?]
Templates (not sure)",,Search images,,,
LDM-503-1,2,,2017-11-30,F17,"DM-DAX-1, DM-SUIT-2, DM-NET-9",,Platform in the PDAC,,,
DM-NET-2,3,Net,2018-05-01,S18,DLP-531,,Mountain Network,,,
LDM-503-4b,2,,2018-02-12,S18,"LDM-503-1, DM-NET-2",,Spectrograph Rehearsal #2,,,
"""


@pytest.fixture
def release_text():
    """A release document with the hazards of the real one."""
    return TEXT


@pytest.fixture
def release_table():
    """A table with the hazards of the real one."""
    return TABLE


@pytest.fixture
def small_model():
    """Both sources, read."""
    return ReleaseModel((parse_text(TEXT), parse_table(TABLE)))

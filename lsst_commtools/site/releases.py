"""Settings of releases: what verifies which feature, and how strictly."""

from __future__ import annotations

from pydantic import Field

from lsst_commtools.site.sections import Section

__all__ = ["ReleasesSection", "ValidationLevel"]


class ValidationLevel(Section):
    """How rigorously a container is validated before it serves a use (LDM-564, 2.2.1).

    Parameters
    ----------
    available_within
        How soon it must be available, in words of the document.
    rigour
        How much is checked.
    reason
        Why that is enough.
    """

    available_within: str
    rigour: str
    reason: str


def _verifies() -> dict[str, tuple[str, ...]]:
    return {"qa/night_qa": ("DM-NCSA-17",)}


def _levels() -> dict[str, ValidationLevel]:
    return {
        "jupyterlab": ValidationLevel(
            available_within="hours",
            rigour="light",
            reason="Kernels are used by choice, and the old version is still available.",
        ),
        "development": ValidationLevel(
            available_within="quickly",
            rigour="minimum security checking and validation",
            reason="The dev cluster is for experimentation.",
        ),
        "commissioning": ValidationLevel(
            available_within="hours, not days",
            rigour="smoke tests, compressed where needed",
            reason="Commissioning cannot wait for days.",
        ),
        "batch": ValidationLevel(
            available_within="when validated",
            rigour="rigorous",
            reason="Batch processing makes data that others rely on.",
        ),
    }


class ReleasesSection(Section):
    """Milestones, features and their evidence.

    Parameters
    ----------
    text
        Text of the release document that replaces the shipped one; empty for the shipped model.
    table
        Table of milestones, likewise.
    verifies
        Notebook (path below ``notebooks/``, without suffix) or campaign to the features that a run of it verifies,
        besides those that it names itself.
    levels
        Levels of operational validation by use.
    """

    text: str = ""
    table: str = ""
    verifies: dict[str, tuple[str, ...]] = Field(default_factory=_verifies)
    levels: dict[str, ValidationLevel] = Field(default_factory=_levels)

"""Site settings for repositories: which there are, which of them people should use, how fresh each must be."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import Field, PositiveFloat, model_validator

from lsst_commtools.site.sections import Section

__all__ = ["ReposSection", "RepositorySection"]


class RepositorySection(Section):
    """One repository."""

    path: str = Field(description="Folder, or URI of a Gen3 one; $COMMTOOLS_HOME and ~ are replaced.")
    instrument: str = Field(description="Butler name of its camera.")
    generation: Literal[2, 3] = Field(3, description="Generation of the Butler.")
    aliases: tuple[str, ...] = Field((), description="Other names that people use.")
    internal: bool = Field(default=False, description="Nobody should be pointed at it.")
    linked_by: str = Field("", description="For an internal one: the repository to use in its place.")
    source: str = Field(
        "",
        description="Where its images come from: Gen2, a folder with storage, gen2repo and log; Gen3, raw files.",
    )
    writable: bool = Field(
        default=False, description="Whether users must be able to write there, for reruns."
    )
    collections: tuple[str, ...] = Field(
        (), description="Gen3 collections to search; those of the camera by default."
    )
    max_age_hours: PositiveFloat | None = Field(
        None, description="Age that the newest image may have, in hours."
    )
    max_lag_hours: PositiveFloat | None = Field(
        None, description="Time from the transfer of an image to its ingest, in hours."
    )
    halts: dt.date | None = Field(
        None, description="Day after which no new images arrive; its age is then not judged."
    )
    deleted: dt.date | None = Field(None, description="Day from which it may be gone.")


class ReposSection(Section):
    """Where images are at this site."""

    index: str = Field("", description="URI of the Gen3 index, where the environment names none.")
    fallbacks: tuple[str, ...] = Field(
        (), description="Gen3 labels to try when the camera's own lacks an image."
    )
    output_chain: str = Field(
        "", description="Chain of results below the instrument, for instance runs/quickLook."
    )
    repositories: dict[str, RepositorySection] = Field(
        {}, description="Repositories by the label that people use."
    )

    @model_validator(mode="after")
    def _links(self) -> ReposSection:
        for label, entry in self.repositories.items():
            if entry.linked_by and entry.linked_by not in self.repositories:
                raise ValueError(f"{label}: linked_by names {entry.linked_by!r}, which is no repository here")
        return self

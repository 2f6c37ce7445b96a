"""How pipelines are run: in this machine's processes, or on a batch system by BPS."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat

from lsst_commtools.site.sections import Section

__all__ = ["PipelineSection"]


class PipelineSection(Section):
    """How pipelines are run.

    Parameters
    ----------
    executor
        ``in-process`` for this machine's processes, ``bps`` for a batch system.
    service
        BPS's class of the batch system: ``lsst.ctrl.bps.parsl.ParslService``,
        ``lsst.ctrl.bps.htcondor.HTCondorService``, ``lsst.ctrl.bps.panda.PanDAService`` or another.
    compute_site
        Name of the batch system's site in BPS's configuration.
    config
        YAML file of BPS that is laid over what this package writes; empty if there is none.
    groups
        Into how many submissions the exposures of a run are parted; what fails in one does not stop the others.
    cores
        Jobs that run at a time where the batch system is this machine.
    poll_s
        Time between two questions how a submission stands, in seconds.
    timeout_s
        Longest time that a submission may take, in seconds.
    """

    executor: Literal["in-process", "bps"] = "in-process"
    service: str = Field(
        default="lsst.ctrl.bps.parsl.ParslService",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)+\z",
    )
    compute_site: str = Field(default="local", pattern=r"^[A-Za-z0-9_-]+\z")
    config: str = ""
    groups: int = Field(default=1, ge=1, le=1000)
    cores: int = Field(default=2, ge=1, le=1024)
    poll_s: PositiveFloat = 5.0
    timeout_s: PositiveFloat = 43_200.0

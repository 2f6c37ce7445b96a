"""How rehearsals are held at a site."""

from __future__ import annotations

from pydantic import Field, NonNegativeFloat, PositiveFloat

from lsst_commtools.site.sections import Section

__all__ = ["RehearsalSection"]


class RehearsalSection(Section):
    """Settings of operations rehearsals.

    Parameters
    ----------
    work_folder
        Folder below which each rehearsal gets its own; empty for ``rehearsals`` in the user's folder.
    roster
        YAML file of the people; empty where the machinery's stand-ins are all there are.
    visits
        Visits of a simulated night.
    image_rows, image_columns
        Window in the middle of each simulated detector.
    transfer_expected
        Rate that the transfer should have, with its unit.
    transfer_limit
        Rate that the transfer is held down to, with its unit; empty for none. A simulated long haul.
    transfer_timeout_s
        Silence after which a connection counts as lost, in seconds.
    transfer_patience_s
        How long nothing at all may get through before the step fails, in seconds.
    destination
        Where rsync brings files to: ``rsync://host/module/folder`` or ``user@host:folder``; empty for the storage
        folder of the rehearsal.
    visit_timeout_s
        How long the watcher waits for a visit's last detector before it goes on without it, in real seconds.
    settle_s
        How long a file must not have changed before it is taken, in real seconds.
    failure_rate_limit
        Fraction of failed detector images above which the processing of a night is a problem.
    late_transfer_s
        How long an exposure may take from the summit's disk to the data facility, in seconds of the rehearsal.
    job_slots
        Job slots of the data facility.
    jobs_wait_s
        How long work may wait for job slots before that is told, in real seconds.
    registry_s
        How long the ingest of what arrived at once may take before that is told, in real seconds.
    clock_jump_s
        Jump of the time on the wall that is told, in seconds.
    kernel
        Kernelspec that the notebooks run with.
    hold_timeout_s
        How long the holds of the notebooks wait for people, in seconds.
    """

    work_folder: str = ""
    roster: str = ""
    visits: int = Field(default=4, ge=1, le=1000)
    image_rows: int = Field(default=640, ge=256, le=4096)
    image_columns: int = Field(default=640, ge=256, le=4096)
    transfer_expected: str = "40 MB/s"
    transfer_limit: str = ""
    transfer_timeout_s: PositiveFloat = 20.0
    transfer_patience_s: PositiveFloat = 120.0
    destination: str = ""
    visit_timeout_s: PositiveFloat = 60.0
    settle_s: NonNegativeFloat = 0.5
    failure_rate_limit: float = Field(default=0.01, ge=0.0, le=1.0)
    late_transfer_s: PositiveFloat = 1800.0
    job_slots: int = Field(default=2, ge=1, le=10000)
    jobs_wait_s: PositiveFloat = 5.0
    registry_s: PositiveFloat = 5.0
    clock_jump_s: PositiveFloat = 5.0
    kernel: str = "commtools-warm"
    hold_timeout_s: PositiveFloat = 86400.0

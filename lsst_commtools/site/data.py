"""Settings of the data side: where a night's files go and what is used to judge them."""

from __future__ import annotations

from pydantic import Field

from lsst_commtools.site.sections import Section

__all__ = ["DataSection"]


class DataSection(Section):
    """Where a night's data lie.

    Parameters
    ----------
    instrument
        Camera that commands use when none is named.
    raw_folder
        Folder in which raw files appear, one folder a day_obs; empty where nights are simulated.
    reference_folder
        Folder of reference-catalogue shards in LSST's format; empty if there is none.
    work_folder
        Folder below which each night gets its own; empty for ``night`` in the current directory.
    star_tables
        Dataset types that hold star tables, in the order in which they are looked for.
    visit_summaries
        Dataset types that hold visit summaries, likewise.
    processes
        Worker processes of a night.
    expected_rate
        Rate that transfers from here should have, with its unit, such as ``40 MB/s``; empty for none.
    ssh_options
        Further options of ``ssh`` for transfers, for instance ``-i FILE``.
    """

    instrument: str = "LSSTComCam"
    raw_folder: str = ""
    reference_folder: str = ""
    work_folder: str = ""
    star_tables: tuple[str, ...] = ("star_table", "single_visit_star", "sourceTable_visit")
    visit_summaries: tuple[str, ...] = ("visit_summary", "preliminary_visit_summary", "visitSummary")
    processes: int = Field(default=2, ge=1, le=256)
    expected_rate: str = ""
    ssh_options: tuple[str, ...] = ()

"""The outline of a rehearsal: its steps, who owns each, and what each follows."""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass

from lsst_commtools.errors import NotFoundError
from lsst_commtools.ids import day_obs_date

__all__ = ["FINAL_STANDUP", "OUTLINE", "Role", "Step", "find_step", "planned_utc"]


class Role(enum.StrEnum):
    """Roles of a rehearsal."""

    OBSOPS = "ObsOps"
    SCIOPS = "SciOps"
    LDF = "LDF"
    COMMISSIONING = "Commissioning"
    COORDINATOR = "Coordinator"


ALL = (Role.OBSOPS, Role.SCIOPS, Role.LDF)


@dataclass(frozen=True)
class Step:
    """One step of the outline.

    Parameters
    ----------
    id
        Its identifier.
    title
        What is done, for people.
    owners
        Roles that own it: one, or all that operate.
    after
        Steps of the same night that must have ended before, well or not: the night goes on without what failed.
    hour_utc
        When it is due, in hours after 0 h UTC of the night's date.
    """

    id: str
    title: str
    owners: tuple[Role, ...]
    after: tuple[str, ...]
    hour_utc: float

    @property
    def owner(self) -> str:
        """Who owns it, as the seed writes it."""
        return str(self.owners[0]) if len(self.owners) == 1 else "All"

    @property
    def notebook(self) -> str:
        """Name of its notebook, without the number in front."""
        return self.id.replace("-", "_")


OUTLINE = (
    Step("transmit-calibrations", "Transmit calibrations to the data facility", (Role.OBSOPS,), (), 19.0),
    Step(
        "generate-calibrations",
        "Generate nightly calibrations",
        (Role.LDF,),
        ("transmit-calibrations",),
        19.5,
    ),
    Step("standup", "Afternoon standup", ALL, ("generate-calibrations",), 20.0),
    Step(
        "select-configuration",
        "Select configuration and calibrations",
        (Role.SCIOPS,),
        ("standup",),
        21.0,
    ),
    Step("transmit-science", "Transmit science exposures", (Role.OBSOPS,), ("select-configuration",), 24.5),
    Step("run-pipeline", "Run the science pipeline", (Role.LDF,), ("select-configuration",), 24.5),
    Step(
        "qa-processing",
        "QA and feedback on the processing",
        (Role.LDF,),
        ("transmit-science", "run-pipeline"),
        34.0,
    ),
    Step(
        "examine-products",
        "Examine input and output products",
        (Role.SCIOPS,),
        ("transmit-science", "run-pipeline"),
        34.0,
    ),
    Step(
        "qa-observations",
        "QA and feedback on the observations",
        (Role.SCIOPS,),
        ("examine-products",),
        34.5,
    ),
    Step(
        "monitor-campaign",
        "Monitor the campaign, assess failures, keep the backlog",
        ALL,
        ("qa-processing", "qa-observations"),
        35.0,
    ),
    Step("nightly-report", "Nightly report", ALL, ("monitor-campaign",), 35.5),
)
"""Steps of each night, in the order of the seed."""

FINAL_STANDUP = Step("final-standup", "Final standup", ALL, (), 37.0)
"""After the last night."""


def find_step(name: str) -> Step:
    """Find a step.

    Parameters
    ----------
    name
        Its identifier.

    Returns
    -------
    Step
        The step.

    Raises
    ------
    NotFoundError
        If the outline has none such.
    """
    for step in (*OUTLINE, FINAL_STANDUP):
        if step.id == name:
            return step
    raise NotFoundError(
        f"The outline has no step {name!r}.", advice=f"It has {', '.join(s.id for s in OUTLINE)}."
    )


def planned_utc(step: Step, day_obs: int) -> dt.datetime:
    """Tell when a step is due.

    Parameters
    ----------
    step
        The step.
    day_obs
        Its night.

    Returns
    -------
    datetime.datetime
        Time of the rehearsal, UTC.
    """
    midnight = dt.datetime.combine(day_obs_date(day_obs), dt.time(), dt.UTC)
    return midnight + dt.timedelta(hours=step.hour_utc)

"""Where faults act: the parts of one night that the coordinator can reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict

from lsst_commtools.errors import RefusedError
from lsst_commtools.instrument.cameras import Camera, get_camera
from lsst_commtools.site import Site

if TYPE_CHECKING:
    from lsst_commtools.rehearsal.rehearsal import Rehearsal

__all__ = ["FaultKind", "FaultParameters", "Ground", "Plan"]


def _already_there() -> None:
    return None


@dataclass(frozen=True)
class Ground:
    """Parts of one night, all of them below the rehearsal's own folder.

    Parameters
    ----------
    site
        Where the rehearsal is held; if it is a real one, no service is touched.
    work
        Folder of the rehearsal; nothing outside is touched.
    night
        Number of the night.
    day_obs
        The night.
    instrument
        Butler name of the camera.
    sources
        Folders of raw files at the summit, the one from which files appear first and the one from which they are
        transferred last; they may be the same.
    storage
        The data facility's copy.
    repository
        The Butler repository.
    earlier
        Folders of raw files of the nights before.
    prepare
        Has the night's files written, where that was not done yet.
    """

    site: Site
    work: Path
    night: int
    day_obs: int
    instrument: str
    sources: Sequence[Path]
    storage: Path
    repository: Path
    earlier: Sequence[Path] = ()
    prepare: Callable[[], object] = _already_there

    @classmethod
    def of(cls, rehearsal: Rehearsal, night: int) -> Self:
        """Give the parts of a rehearsal's night.

        Parameters
        ----------
        rehearsal
            The rehearsal.
        night
            Number of the night, from 1.

        Returns
        -------
        Ground
            Its parts.
        """
        there = rehearsal.night(night)
        earlier = [rehearsal.night(n) for n in range(1, night)]
        return cls(
            site=rehearsal.site,
            work=rehearsal.settings.work,
            night=night,
            day_obs=there.day_obs,
            instrument=rehearsal.settings.instrument,
            sources=(there.source, there.summit),
            storage=there.storage,
            repository=rehearsal.repository,
            earlier=tuple(n.summit for n in earlier),
            prepare=there.prepare,
        )

    @property
    def camera(self) -> Camera:
        """The camera."""
        return get_camera(self.instrument)

    def check_inside(self, path: Path) -> None:
        """Check that a file belongs to the rehearsal.

        Parameters
        ----------
        path
            What would be changed.

        Raises
        ------
        RefusedError
            If it lies elsewhere: the data of others are never touched.
        """
        if not path.parent.resolve().is_relative_to(self.work.resolve()):
            raise RefusedError(
                f"{path} lies outside the rehearsal's folder {self.work}.", changed="It was not touched."
            )


@dataclass(frozen=True)
class Plan:
    """What a fault will do, written down before it is done, so that it can be done again and undone after a kill.

    Parameters
    ----------
    told
        What is done, in one sentence, for the time after the rehearsal.
    marks
        By which a problem of this fault is known: each a set of words that all stand in its place or message. None
        where the kind of the problem is enough.
    details
        Plain values with which `FaultKind.apply` and `FaultKind.undo` work.
    """

    told: str
    marks: tuple[tuple[str, ...], ...] = ()
    details: dict[str, Any] = field(default_factory=dict)


class FaultParameters(BaseModel):
    """Base of the parameters of all faults."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


@dataclass(frozen=True)
class FaultKind:
    """One kind of fault.

    Parameters
    ----------
    name
        As the file of injects calls it.
    what
        What it does, in one sentence.
    seen
        Where a real rehearsal met it; empty where none did.
    notices
        Kinds of problem that name it.
    parameters
        Its parameters.
    prepare
        Looks what would be done, given the ground, the parameters and a folder in which originals are kept. Raises
        NotFoundError where it cannot be done yet, and RefusedError where it never can.
    apply, undo
        Do it and undo it. Both may be called again after they were cut off anywhere.
    follows
        Kinds of problem that follow from it without naming it.
    needs_end
        Whether work stands still until it is undone, so that it must say when that is.
    """

    name: str
    what: str
    seen: str
    notices: tuple[str, ...]
    parameters: type[FaultParameters]
    prepare: Callable[[Ground, Any, Path], Plan]
    apply: Callable[[Ground, Plan], None]
    undo: Callable[[Ground, Plan], None]
    follows: tuple[str, ...] = ()
    needs_end: bool = False

"""The data facility's job slots: who holds them, who waits for them, and which groups were refused.

Whatever is processed in a rehearsal reserves slots here first, as on a batch system. A reservation of a process ends
with the process; one without a process stands until somebody takes it away, as real ones do.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lsst_commtools.errors import InputError, RejectedError, ServiceTimeoutError
from lsst_commtools.night.counts import Problem
from lsst_commtools.procedure.identity import ProcessId
from lsst_commtools.rehearsal.outline import Role

__all__ = ["BatchQueue", "Reservation", "unsubmitted_groups", "waiting_problems"]

_LOOK_S = 0.1


@dataclass(frozen=True)
class Reservation:
    """Slots that somebody holds.

    Parameters
    ----------
    id
        Identifier.
    owner
        Role or account.
    purpose
        What for.
    slots
        How many.
    process
        Process that it ends with; None where it has none.
    """

    id: str
    owner: str
    purpose: str
    slots: int
    process: dict[str, Any] | None = None

    @property
    def stands(self) -> bool:
        """Whether it still counts: its process is not known to have ended."""
        return self.process is None or ProcessId.from_dict(self.process).alive() is not False


class BatchQueue:
    """Job slots in a folder; safe for many processes.

    Parameters
    ----------
    folder
        Where it is kept; it is made.
    slots
        How many slots there are.
    """

    def __init__(self, folder: Path, slots: int = 2) -> None:
        if slots < 1:
            raise InputError(f"A batch system with {slots} slots is none.")
        self.folder = folder
        self.slots = slots

    def reservations(self) -> tuple[Reservation, ...]:
        """List the reservations that stand."""
        return tuple(r for r in self._read()[0] if r.stands)

    @property
    def free(self) -> int:
        """Slots that nobody holds; never below 0."""
        return max(0, self.slots - sum(r.slots for r in self.reservations()))

    @contextlib.contextmanager
    def reserve(
        self,
        slots: int,
        *,
        owner: str,
        purpose: str,
        wait_s: float = 3600.0,
        on_wait: Callable[[float, tuple[Reservation, ...]], None] | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[Reservation]:
        """Hold slots while the context lasts, waiting for them first.

        Parameters
        ----------
        slots
            How many; never more than there are.
        owner, purpose
            Who, and what for.
        wait_s
            How long to wait, in seconds.
        on_wait
            Called again and again with the seconds waited and who holds the slots.
        stop
            Ends the wait.

        Yields
        ------
        Reservation
            The slots.

        Raises
        ------
        ServiceTimeoutError
            If they did not become free in time.
        """
        wanted = Reservation(
            uuid.uuid4().hex, owner, purpose, min(slots, self.slots), ProcessId.of().to_dict()
        )
        began_s = time.monotonic()
        stop = stop or threading.Event()
        while not self._take(wanted):
            waited_s, holders = time.monotonic() - began_s, self.reservations()
            if on_wait is not None:
                on_wait(waited_s, holders)
            if waited_s >= wait_s or stop.wait(_LOOK_S):
                held = ", ".join(f"{r.slots} by {r.owner} ({r.purpose})" for r in holders)
                raise ServiceTimeoutError(
                    f"No {wanted.slots} job slots became free in {waited_s:.0f} s.",
                    advice=f"They are held: {held}." if held else "",
                )
        try:
            yield wanted
        finally:
            self.release(wanted.id)

    def hold(self, reservation: Reservation) -> None:
        """Add a reservation, free slots or not; one that is there already stays.

        Parameters
        ----------
        reservation
            Who holds what.
        """
        with self._changed() as (reservations, _):
            if reservation.id not in [r.id for r in reservations]:
                reservations.append(reservation)

    def release(self, reservation: str) -> None:
        """Take a reservation away, if it is there.

        Parameters
        ----------
        reservation
            Its identifier.
        """
        with self._changed() as (reservations, _):
            reservations[:] = [r for r in reservations if r.id != reservation]

    def refuse(self, group: int, reason: str) -> None:
        """Refuse the submission of a group from now on.

        Parameters
        ----------
        group
            Its number, from 1.
        reason
            What the batch system says.
        """
        with self._changed() as (_, refused):
            refused[str(group)] = reason

    def accept(self, group: int) -> None:
        """Take a group again.

        Parameters
        ----------
        group
            Its number, from 1.
        """
        with self._changed() as (_, refused):
            refused.pop(str(group), None)

    def submit(self, group: int) -> None:
        """Ask whether a group is taken.

        Parameters
        ----------
        group
            Its number, from 1.

        Raises
        ------
        RejectedError
            If it is refused.
        """
        reason = self._read()[1].get(str(group))
        if reason is not None:
            raise RejectedError(
                f"The batch system did not take group {group}: {reason}.",
                changed="The other groups are not touched.",
                advice="Submit it again; the same command does only what is missing.",
            )

    def _take(self, wanted: Reservation) -> bool:
        with self._changed() as (reservations, _):
            reservations[:] = [r for r in reservations if r.stands]
            if self.slots - sum(r.slots for r in reservations) < wanted.slots:
                return False
            reservations.append(wanted)
            return True

    def _read(self) -> tuple[list[Reservation], dict[str, str]]:
        try:
            document = json.loads((self.folder / "batch.json").read_text(encoding="utf-8"))
            return [Reservation(**r) for r in document["reservations"]], dict(document["refused"])
        except FileNotFoundError:
            return [], {}

    @contextlib.contextmanager
    def _changed(self) -> Iterator[tuple[list[Reservation], dict[str, str]]]:
        """Read, change and write the state as its only writer."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            reservations, refused = self._read()
            before = (list(reservations), dict(refused))
            yield reservations, refused
            if (reservations, refused) != before:
                document = {"reservations": [asdict(r) for r in reservations], "refused": refused}
                part = self.folder / "batch.part"
                part.write_text(json.dumps(document), encoding="utf-8")
                part.replace(self.folder / "batch.json")


def waiting_problems(
    waited_s: float,
    holders: Sequence[Reservation],
    purpose: str,
    *,
    limit_s: float,
    owners: Sequence[str] = tuple(map(str, Role)),
) -> list[Problem]:
    """Name what work waits for.

    Parameters
    ----------
    waited_s
        How long it has waited, in seconds.
    holders
        Who holds the slots.
    purpose
        What waits.
    limit_s
        How long waiting is no problem, in seconds.
    owners
        Who belongs to the rehearsal.

    Returns
    -------
    list of Problem
        Kinds ``jobs-wait``, and ``foreign-load`` for each holder that does not belong here.
    """
    if waited_s < limit_s:
        return []
    problems = []
    strangers: dict[str, int] = {}
    for holder in holders:
        if holder.owner in owners:
            problems.append(
                Problem(
                    "jobs-wait",
                    f"{purpose} waits: {holder.slots} job slots are held by {holder.owner} for {holder.purpose}.",
                    holder.purpose,
                )
            )
        else:
            strangers[holder.owner] = strangers.get(holder.owner, 0) + holder.slots
    problems += [
        Problem(
            "foreign-load",
            f"{purpose} waits: {slots} job slots are held by {owner}, who is none of this rehearsal.",
            owner,
        )
        for owner, slots in strangers.items()
    ]
    return problems


def unsubmitted_groups(planned: Mapping[int, str], refused: Mapping[int, str]) -> list[Problem]:
    """Name the groups of a submission that did not come through.

    Parameters
    ----------
    planned
        Number of each group to what is in it.
    refused
        Number of each group that was not taken to the reason.

    Returns
    -------
    list of Problem
        Kind ``group-not-submitted``.
    """
    return [
        Problem(
            "group-not-submitted",
            f"Group {group} of {len(planned)} was not submitted: {refused[group]}",
            f"group {group}: {content}",
        )
        for group, content in sorted(planned.items())
        if group in refused
    ]

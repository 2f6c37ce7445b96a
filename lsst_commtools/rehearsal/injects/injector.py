"""Fires the injects at their times, undoes them, and tells of them when the rehearsal is over."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

from lsst_commtools.errors import CommtoolsError, NotFoundError
from lsst_commtools.ids import day_obs_date
from lsst_commtools.rehearsal.injects.catalogue import fault_kind
from lsst_commtools.rehearsal.injects.ground import Ground
from lsst_commtools.rehearsal.injects.sealing import FiringRecord, SealedFolder
from lsst_commtools.rehearsal.injects.values import Inject
from lsst_commtools.rehearsal.journal import Journal, Kind
from lsst_commtools.rehearsal.outline import find_step, planned_utc
from lsst_commtools.rehearsal.rehearsal import problem_id

if TYPE_CHECKING:
    from pathlib import Path

    from lsst_commtools.rehearsal.rehearsal import Rehearsal

__all__ = ["Injector"]

_LOG = logging.getLogger(__name__)
_TICK_S = 0.2
_BROKEN = "injects-changed"


class Injector:
    """Fires sealed injects; without any, it does nothing.

    Whatever is about to be done is written down first. A process that is killed anywhere leaves behind either nothing
    done or a note of it, and the next one completes it or undoes it; nothing is fired twice.

    Parameters
    ----------
    work
        Folder of the rehearsal.
    journal
        Its journal.
    nights
        The day_obs of each night.
    ground
        Gives the parts of a night, by its number.
    """

    def __init__(
        self, work: Path, journal: Journal, nights: Sequence[int], ground: Callable[[int], Ground]
    ) -> None:
        self._journal = journal
        self._nights = nights
        self._ground = ground
        self._folder = SealedFolder(work)
        self._lock = threading.RLock()
        self._injects: dict[str, Inject] = {}
        self._intact = True
        sealed = journal.entries([Kind.INJECTS_SEALED])
        self._digest = str(sealed[0].data["digest"]) if sealed else ""

    @classmethod
    def of(cls, rehearsal: Rehearsal) -> Self:
        """Make the injector of a rehearsal.

        Parameters
        ----------
        rehearsal
            The rehearsal.

        Returns
        -------
        Injector
            Its injector.
        """
        return cls(
            rehearsal.settings.work,
            rehearsal.journal,
            rehearsal.settings.nights,
            lambda night: Ground.of(rehearsal, night),
        )

    def recover(self) -> None:
        """Complete what a killed process had begun; call it once before the rehearsal goes on."""
        with self._records() as records:
            for name, record in records.items():
                if record.status == "firing":
                    self._apply(name, record, records)
                elif record.status == "undoing":
                    self._undo(name, record, records)

    def before(self, step: str, night: int) -> None:
        """Fire what comes before a step.

        Parameters
        ----------
        step
            Identifier of the step.
        night
            Number of the night.
        """
        self._arm(night, lambda inject: inject.before == step)

    @contextlib.contextmanager
    def during(self, step: str, night: int) -> Iterator[None]:
        """Fire what comes while a step runs, and all whose time comes meanwhile.

        Parameters
        ----------
        step
            Identifier of the step.
        night
            Number of the night.
        """
        self._arm(night, lambda inject: inject.during == step)
        if not self._digest:
            yield
            return
        stop = threading.Event()
        watch = threading.Thread(target=self._watch, args=(stop,), name="injector", daemon=True)
        watch.start()
        try:
            yield
        finally:
            stop.set()
            watch.join()

    def tick(self) -> None:
        """Undo what is over, and fire what is due."""
        with self._records() as records:
            now = self._journal.clock.now_utc()
            for name, record in records.items():
                if record.status == "undoing" or (record.status == "fired" and record.ends_before(now)):
                    self._undo(name, record, records)
            for name, inject in self._injects.items():
                due = inject.due_utc(day_obs_date(self._nights[inject.night - 1]))
                if records[name].status == "armed" or (
                    records[name].status == "waiting" and due is not None and due <= now
                ):
                    self._fire(inject, records)

    def end(self) -> dict[str, str]:
        """Undo all that is left, and reveal the injects.

        Returns
        -------
        dict
            Inject to why it could not be undone; empty where all was.
        """
        if not self._digest:
            return {}
        with self._records() as records:
            for name, record in records.items():
                if record.status in ("firing", "fired", "undoing"):
                    self._undo(name, record, records)
            self._reveal(records)
            return {name: r.reason for name, r in records.items() if r.status == "undoing"}

    def _watch(self, stop: threading.Event) -> None:
        while not stop.wait(_TICK_S):
            try:
                self.tick()
            except CommtoolsError as error:
                # The rehearsal must not end because of its faults; what is told stays away from the operators.
                _LOG.debug("the injector could not look: %s", error)

    @contextlib.contextmanager
    def _records(self) -> Iterator[dict[str, FiringRecord]]:
        """Read plan and state; injects that were changed since their sealing are not fired any more."""
        if not self._digest:
            yield {}
            return
        with self._lock:
            self._folder.path.mkdir(mode=0o700, exist_ok=True)
            with self._folder.records() as records:
                self._check_seal()
                for name in self._injects:
                    records.setdefault(name, FiringRecord())
                yield records

    def _check_seal(self) -> None:
        content = self._folder.read()
        self._intact = content is not None and content[1] == self._digest
        self._injects = {i.id: i for i in content[0].injects} if self._intact and content is not None else {}
        if not self._intact:
            self._journal.append_once(
                Kind.PROBLEM,
                key="problem",
                role="Coordinator",
                problem=problem_id(_BROKEN, "injects", 0),
                kind=_BROKEN,
                message="The sealed injects were changed or are gone; none is fired any more.",
                where="injects",
                step="",
                exception="",
                place="",
            )

    def _arm(self, night: int, wanted: Callable[[Inject], bool]) -> None:
        with self._records() as records:
            for name, inject in self._injects.items():
                record = records[name]
                if record.status == "armed" and inject.night < night:
                    record.status = "impossible"  # its night is over; why it could not be is told already
                    self._folder.save(records)
                if inject.night == night and wanted(inject) and record.status in ("waiting", "armed"):
                    self._fire(inject, records)

    def _fire(self, inject: Inject, records: dict[str, FiringRecord]) -> None:
        record, kind = records[inject.id], fault_kind(inject.fault)
        try:
            parameters = kind.parameters.model_validate(inject.parameters)
            plan = kind.prepare(self._ground(inject.night), parameters, self._folder.kept(inject.id))
        except NotFoundError as error:
            record.status, record.reason = "armed", error.message
            self._folder.save(records)
            return
        except (CommtoolsError, OSError, ValueError) as error:
            record.status, record.reason = "impossible", str(error)
            self._folder.save(records)
            return
        entries = self._journal.entries()
        now = self._journal.clock.reading()
        record.status, record.reason = "firing", ""
        record.told, record.marks = plan.told, [list(mark) for mark in plan.marks]
        record.details = {"night": inject.night, "fault": inject.fault, **plan.details}
        record.after_entry = entries[-1].number if entries else 0
        record.fired_utc = now.real_utc.isoformat()
        record.fired_rehearsal_utc = now.rehearsal_utc.isoformat()
        begins = self._begins(inject, now.rehearsal_utc)
        record.begins_rehearsal_utc = begins.isoformat()
        if inject.lasts is not None:
            record.ends_rehearsal_utc = (begins + inject.lasts).isoformat()
        self._folder.save(records)
        self._apply(inject.id, record, records)

    def _begins(self, inject: Inject, now: dt.datetime) -> dt.datetime:
        """Tell from when on a fault counts: before a step the clock is still to be set to the step's hour."""
        step = inject.before or inject.during
        if not step:
            return now
        return max(now, planned_utc(find_step(step), self._nights[inject.night - 1]))

    def _apply(self, name: str, record: FiringRecord, records: dict[str, FiringRecord]) -> None:
        try:
            fault_kind(record.details["fault"]).apply(self._ground(record.details["night"]), record.plan)
        except (CommtoolsError, OSError) as error:
            self._undo(name, record, records)
            if record.status == "undone":
                record.status = "impossible"
            record.reason = str(error)
        else:
            record.status = "fired"
        self._folder.save(records)

    def _undo(self, name: str, record: FiringRecord, records: dict[str, FiringRecord]) -> None:
        record.status = "undoing"
        self._folder.save(records)
        try:
            fault_kind(record.details["fault"]).undo(self._ground(record.details["night"]), record.plan)
        except (CommtoolsError, OSError) as error:
            record.reason = f"{name} could not be undone: {error}"
        else:
            now = self._journal.clock.reading()
            record.status, record.reason = "undone", ""
            record.undone_utc = now.real_utc.isoformat()
            record.undone_rehearsal_utc = now.rehearsal_utc.isoformat()
        self._folder.save(records)

    def _reveal(self, records: dict[str, FiringRecord]) -> None:
        content = self._folder.read()
        for name, record in records.items():
            if not record.fired_utc or record.status == "impossible":
                continue
            self._journal.append_once(
                Kind.INJECT_FIRED,
                int(record.details["night"]),
                key="inject",
                role="Coordinator",
                **self._told(name, record),
            )
        self._journal.append_once(
            Kind.INJECTS_REVEALED,
            key="digest",
            role="Coordinator",
            digest=self._digest,
            intact=self._intact,
            nonce="" if content is None else content[2],
            plan=None if content is None else content[0].model_dump(mode="json"),
            not_fired={
                name: record.reason or "its time did not come"
                for name, record in records.items()
                if not record.fired_utc or record.status == "impossible"
            },
        )

    def _told(self, name: str, record: FiringRecord) -> dict[str, Any]:
        inject = self._injects.get(name)
        return {
            "inject": name,
            "fault": record.details["fault"],
            "told": record.told,
            "marks": record.marks,
            "after_entry": record.after_entry,
            "fired_utc": _iso(record.fired_utc),
            "fired_rehearsal_utc": _iso(record.fired_rehearsal_utc),
            "begins_rehearsal_utc": _iso(record.begins_rehearsal_utc),
            "undone_utc": _iso(record.undone_utc),
            "undone_rehearsal_utc": _iso(record.undone_rehearsal_utc),
            "not_undone": record.reason if record.status == "undoing" else "",
            "problems": list(inject.problems) if inject else [],
            "follows": list(fault_kind(record.details["fault"]).follows),
            "expected_role": str(inject.expect.role) if inject and inject.expect.role else "",
            "within_s": inject.expect.within.total_seconds() if inject else None,
        }


def _iso(text: str) -> str:
    if not text:
        return ""
    moment = dt.datetime.fromisoformat(text)
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

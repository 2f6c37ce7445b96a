"""Transmission: files of the summit to the data facility, while they appear."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from lsst_commtools.errors import CommtoolsError, ServiceError
from lsst_commtools.ingest.rate import Rate
from lsst_commtools.ingest.rsync import RsyncTransfer
from lsst_commtools.ingest.transfer import RAW_ENDINGS
from lsst_commtools.ingest.transfer_values import FileTransfer, TransferOutcome, TransferReport
from lsst_commtools.night.counts import Problem
from lsst_commtools.night.expectations import slow_transfer
from lsst_commtools.rehearsal.camera import publish
from lsst_commtools.rehearsal.checks import check_lateness, check_room
from lsst_commtools.rehearsal.datasets import Shot
from lsst_commtools.rehearsal.journal import Kind
from lsst_commtools.rehearsal.line import Disturbance, Line, problem_kind
from lsst_commtools.rehearsal.outline import Role

if TYPE_CHECKING:
    import pandas as pd

    from lsst_commtools.procedure import Procedure
    from lsst_commtools.rehearsal.night import RehearsalNight

__all__ = ["Transmission", "transmit"]

_LOOK_S = 0.3
_TRIES_OF_A_FILE = 3
_CALL_ALLOWANCE_S = 1.0


@dataclass
class Transmission:
    """What came of a transmission.

    Parameters
    ----------
    what
        ``calibrations`` or ``science``.
    exposures
        Exposures whose files appeared on the summit.
    files
        File to its outcome; the last one where there are several.
    size_bytes, sending_s
        Bytes that were sent, and the time that it took.
    expected
        Rate that was expected.
    interrupted_times
        How often the connection was lost.
    calls
        How often rsync was called.
    """

    what: str
    exposures: int = 0
    files: dict[str, FileTransfer] = field(default_factory=dict)
    size_bytes: int = 0
    sending_s: float = 0.0
    expected: Rate | None = None
    interrupted_times: int = 0
    calls: int = 0

    def add(self, report: TransferReport) -> None:
        """Add what one call of rsync did.

        Parameters
        ----------
        report
            Its report.
        """
        self.files.update({file.path: file for file in report.files})
        self.size_bytes += report.size_bytes
        self.sending_s += report.sending_s
        self.interrupted_times += report.interrupted_times
        self.calls += 1

    @property
    def failed(self) -> tuple[FileTransfer, ...]:
        """Files that did not arrive."""
        return tuple(file for file in self.files.values() if file.outcome is TransferOutcome.FAILED)

    @property
    def arrived(self) -> int:
        """Files that arrived, verified."""
        return len(self.files) - len(self.failed)

    @property
    def rate(self) -> Rate | None:
        """Rate of the whole; None if nothing was sent now."""
        return Rate.of(self.size_bytes, self.sending_s)

    def summary(self) -> dict[str, Any]:
        """Give what is signed: what arrived, without times, so that a resumed run signs the same."""
        return {
            "what": self.what,
            "exposures": self.exposures,
            "files": len(self.files),
            "arrived": self.arrived,
            "failed": sorted(file.path for file in self.failed),
        }

    def table(self) -> pd.DataFrame:
        """Give one row for each file, units in the names of the columns."""
        import pandas as pd

        rows = [file.to_dict() for file in self.files.values()]
        columns = ["path", "outcome", "size_bytes", "rate_bytes_per_s", "ended_utc", "sha256", "reason"]
        return pd.DataFrame(rows, columns=columns)

    def measure(self, procedure: Procedure) -> None:
        """Record pace and size with the run of a notebook.

        Parameters
        ----------
        procedure
            The run.
        """
        procedure.measure("sent", self.size_bytes, "byte")
        procedure.measure("interruptions", self.interrupted_times, "")
        if self.rate is not None:
            procedure.measure("rate", self.rate.bytes_per_s / 1e6, "MB/s")

    def to_dict(self) -> dict[str, Any]:
        """Give it as the journal keeps it, units in the keys."""
        rate = self.rate
        return {
            "stage": "transferred",
            "what": self.what,
            "exposures": self.exposures,
            "files": len(self.files),
            "arrived": self.arrived,
            "failed": [file.path for file in self.failed],
            "size_bytes": self.size_bytes,
            "sending_s": round(self.sending_s, 3),
            "rate_bytes_per_s": None if rate is None else round(rate.bytes_per_s),
            "expected_bytes_per_s": None if self.expected is None else round(self.expected.bytes_per_s),
            "interrupted_times": self.interrupted_times,
        }


def transmit(
    night: RehearsalNight,
    what: str,
    shots: Sequence[Shot],
    *,
    paced: bool,
    progress: Callable[[str, int, int], None],
) -> Transmission:
    """Let exposures appear on the summit, and bring each to the data facility as it does.

    Parameters
    ----------
    night
        The night.
    what
        ``calibrations`` or ``science``.
    shots
        The exposures.
    paced
        Whether they appear as the clock passes their shutter close; otherwise all at once.
    progress
        Called with the stage, the exposures done and the exposures in all.

    Returns
    -------
    Transmission
        Files, bytes, pace. Files that did not arrive are problems, and are tried again by the next call.

    Raises
    ------
    ServiceError
        If nothing at all could be sent for as long as the site has patience.
    """
    stop = threading.Event()
    section = night.rehearsal.site.rehearsal
    camera = _Camera(night, shots, stop, paced=paced)
    camera.start()
    told = Transmission(what, expected=Rate.parse(section.transfer_expected))
    sender = _Sender(night, told, shots)
    try:
        while True:
            over = not camera.is_alive()
            sender.send([shot for shot in shots if shot.obs_id in camera.published])
            progress(f"transmit {what}", len(sender.complete), len(shots))
            if over and sender.idle:
                break
            time.sleep(_LOOK_S)
    finally:
        stop.set()
        camera.join()
    if camera.error is not None:
        raise camera.error
    told.exposures = len(camera.published)
    _note_problems(night, told)
    night.journal.append(Kind.COUNTS, night.number, role=Role.OBSOPS, **told.to_dict(), complete=True)
    return told


class _Camera(threading.Thread):
    """Takes the exposures of a night."""

    def __init__(
        self, night: RehearsalNight, shots: Sequence[Shot], stop: threading.Event, *, paced: bool
    ) -> None:
        super().__init__(name="camera", daemon=True)
        self.published: dict[str, Shot] = {}
        self.error: CommtoolsError | None = None
        self._night, self._shots, self._halt, self._paced = night, shots, stop, paced

    @override
    def run(self) -> None:
        night = self._night
        try:
            publish(
                self._shots,
                night.source,
                night.summit,
                night.rehearsal.clock,
                paced=self._paced,
                stop=self._halt,
                published=lambda shot: self.published.update({shot.obs_id: shot}),
            )
        except OSError as error:
            self.error = ServiceError(
                f"The summit's files cannot be written: {error.strerror or error}.",
                changed="Exposures that were taken before are kept.",
                advice="Mend the cause; the same step goes on from there.",
            )
        except CommtoolsError as error:
            self.error = error


class _Sender:
    """Sends what has appeared, again and again until it has arrived or does not."""

    def __init__(self, night: RehearsalNight, told: Transmission, shots: Sequence[Shot]) -> None:
        self._night, self._told, self._shots = night, told, shots
        self._tries: dict[str, int] = {}
        self._arrived: set[str] = set()
        self._good_s = time.monotonic()
        self._line = Line(night.rehearsal.settings.work)
        self.complete: set[str] = set()
        self.idle = True
        night.summit.mkdir(parents=True, exist_ok=True)
        night.storage.mkdir(parents=True, exist_ok=True)

    def send(self, shots: Sequence[Shot]) -> None:
        """Send what is there of some exposures and has not arrived.

        Parameters
        ----------
        shots
            Exposures that have appeared.
        """
        line = self._line.state()
        self._note(check_lateness(self._night, shots))
        held = [shot for shot in shots if shot.obs_id in line.held]
        names: list[str] = []
        for shot in shots:
            if shot.obs_id in self.complete or shot in held:
                continue
            found = _files_of(self._night.summit, shot)
            left = [n for n in found if n not in self._arrived and self._tries.get(n, 0) < _TRIES_OF_A_FILE]
            names += left
            if not left:
                self._complete(shot, found)
        self.idle = not names and not held
        if names and self._has_room():
            self._send(names, line)
            self.idle = not held and not set(names) - self._arrived
            for shot in shots:
                found = _files_of(self._night.summit, shot)
                if shot.obs_id not in self.complete and shot not in held and set(found) <= self._arrived:
                    self._complete(shot, found)

    def _send(self, names: Sequence[str], line: Disturbance) -> None:
        rsync = self._rsync(line)
        # A line that pauses after each file gets one at a time, so that the pause is seen in the rate.
        for part in [[name] for name in names] if line.delay_per_file_s else [list(names)]:
            report = rsync.send(part)
            self._told.add(report)
            gone = {file.path for file in report.files if file.outcome is not TransferOutcome.FAILED}
            if line.delay_per_file_s and report.of(TransferOutcome.SENT):
                time.sleep(line.delay_per_file_s)
                self._told.sending_s += line.delay_per_file_s
            self._arrived |= gone
            self._judge(report, str(rsync.destination), moved=bool(gone))

    def _rsync(self, line: Disturbance) -> RsyncTransfer:
        night = self._night
        section = night.rehearsal.site.rehearsal
        told = Rate.parse(section.transfer_limit) if section.transfer_limit else None
        limits = [rate for rate in (told, line.rate) if rate is not None]
        return RsyncTransfer(
            night.summit,
            f"{section.destination.rstrip('/')}/{night.day_obs}" if section.destination else night.storage,
            expected=self._told.expected,
            limit=min(limits) if limits else None,
            attempts=2,
            timeout_s=section.transfer_timeout_s,
            journal=night.rehearsal.settings.work / "transfers" / f"{night.day_obs}.jsonl",
        )

    def _has_room(self) -> bool:
        """See whether there is room for what is still to come; without it nothing is sent, for a while."""
        problems = check_room(self._night, self._shots)
        self._note(problems)
        full = [problem for problem in problems if problem.kind == "disk-full"]
        if not full:
            return True
        if time.monotonic() - self._good_s > self._patience_s:
            raise ServiceError(
                f"There is no room at the data facility: {full[0].what}",
                changed=f"{len(self._arrived)} files have arrived whole.",
                advice="Make room and run the same step again: it goes on from there.",
            )
        self.idle = False
        return False

    @property
    def _patience_s(self) -> float:
        return self._night.rehearsal.site.rehearsal.transfer_patience_s

    def _note(self, problems: Sequence[Problem]) -> None:
        self._night.note(problems, role=Role.OBSOPS, step=f"transmit-{self._told.what}", place="transmission")

    def _complete(self, shot: Shot, found: Sequence[str]) -> None:
        self.complete.add(shot.obs_id)
        night = self._night
        night.journal.append_once(
            Kind.COUNTS,
            night.number,
            key="exposure_transferred",
            role=Role.OBSOPS,
            stage="exposure-transferred",
            exposure_transferred=shot.obs_id,
            files=len(found),
            arrived=len(set(found) & self._arrived),
            closes_tai=shot.closes_tai.isoformat(),
        )

    def _judge(self, report: TransferReport, where: str, *, moved: bool) -> None:
        """Tell of a line that is down; give up when it has been so for too long."""
        now_s = time.monotonic()
        if report.error is None or moved:
            self._good_s = now_s
        if report.error is None:
            failed = [file.path for file in report.files if file.outcome is TransferOutcome.FAILED]
            self._tries.update({name: self._tries.get(name, 0) + 1 for name in failed})
            return
        self._night.note_problem(
            problem_kind(report.error),
            report.error.message,
            where,
            role=Role.OBSOPS,
            step=f"transmit-{self._told.what}",
            exception=type(report.error).__name__,
            place="rsync",
        )
        if now_s - self._good_s > self._patience_s:
            raise report.error


def _files_of(summit: Path, shot: Shot) -> list[str]:
    """Name the files of an exposure that are on the summit, those included that somebody put beside them."""
    names = set(shot.files)
    for folder in {(summit / name).parent for name in names}:
        if folder != summit and folder.is_dir():
            names |= {
                path.relative_to(summit).as_posix()
                for path in folder.iterdir()
                if path.name.lower().endswith(RAW_ENDINGS) and not path.name.startswith(".")
            }
    return sorted(name for name in names if (summit / name).is_file())


def _note_problems(night: RehearsalNight, told: Transmission) -> None:
    step = f"transmit-{told.what}"
    failed = [Problem("transfer-failed", file.reason, file.path) for file in told.failed]
    night.note(failed, role=Role.OBSOPS, step=step, place="rsync")
    if told.expected is not None:
        # Each call of rsync takes a moment before its first byte; small files in many calls say nothing of the line.
        slow = slow_transfer(
            told.size_bytes,
            told.sending_s,
            told.expected,
            f"transmission of {told.what}",
            allowance_s=_CALL_ALLOWANCE_S * max(1, told.calls),
        )
        night.note(slow, role=Role.OBSOPS, step=step, place="rsync")

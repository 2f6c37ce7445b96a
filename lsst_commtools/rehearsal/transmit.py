"""Transmission: files of the summit to the data facility, while they appear."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsst_commtools.errors import CommtoolsError, ServiceError
from lsst_commtools.ingest.rate import Rate
from lsst_commtools.ingest.rsync import RsyncTransfer
from lsst_commtools.ingest.transfer import RAW_ENDINGS
from lsst_commtools.ingest.transfer_values import FileTransfer, TransferOutcome, TransferReport
from lsst_commtools.rehearsal.camera import publish
from lsst_commtools.rehearsal.datasets import Shot
from lsst_commtools.rehearsal.journal import Kind
from lsst_commtools.rehearsal.outline import Role

if TYPE_CHECKING:
    from lsst_commtools.rehearsal.night import RehearsalNight

__all__ = ["Transmission", "transmit"]

_LOOK_S = 0.3
_TRIES_OF_A_FILE = 3


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
    """

    what: str
    exposures: int = 0
    files: dict[str, FileTransfer] = field(default_factory=dict)
    size_bytes: int = 0
    sending_s: float = 0.0
    expected: Rate | None = None
    interrupted_times: int = 0

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
    sender = _Sender(night, told, section.transfer_patience_s)
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

    def __init__(self, night: RehearsalNight, told: Transmission, patience_s: float) -> None:
        self._night, self._told, self._patience_s = night, told, patience_s
        self._tries: dict[str, int] = {}
        self._arrived: set[str] = set()
        self._good_s = time.monotonic()
        self.complete: set[str] = set()
        self.idle = True
        night.summit.mkdir(parents=True, exist_ok=True)
        night.storage.mkdir(parents=True, exist_ok=True)
        section = night.rehearsal.site.rehearsal
        self._rsync = RsyncTransfer(
            night.summit,
            f"{section.destination.rstrip('/')}/{night.day_obs}" if section.destination else night.storage,
            expected=told.expected,
            limit=Rate.parse(section.transfer_limit) if section.transfer_limit else None,
            attempts=2,
            timeout_s=section.transfer_timeout_s,
            journal=night.rehearsal.settings.work / "transfers" / f"{night.day_obs}.jsonl",
        )

    def send(self, shots: Sequence[Shot]) -> None:
        """Send what is there of some exposures and has not arrived.

        Parameters
        ----------
        shots
            Exposures that have appeared.
        """
        summit = self._night.summit
        names: list[str] = []
        for shot in shots:
            if shot.obs_id in self.complete:
                continue
            found = _files_of(summit, shot)
            left = [n for n in found if n not in self._arrived and self._tries.get(n, 0) < _TRIES_OF_A_FILE]
            names += left
            if not left:
                self._complete(shot, found)
        self.idle = not names
        if not names:
            return
        report = self._rsync.send(names)
        self._told.add(report)
        gone = {file.path for file in report.files if file.outcome is not TransferOutcome.FAILED}
        self._arrived |= gone
        self._judge(report, moved=bool(gone))
        for shot in shots:
            found = _files_of(summit, shot)
            if shot.obs_id not in self.complete and set(found) <= self._arrived:
                self._complete(shot, found)
        self.idle = not set(names) - self._arrived

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

    def _judge(self, report: TransferReport, *, moved: bool) -> None:
        """Tell of a line that is down; give up when it has been so for too long."""
        now_s = time.monotonic()
        if report.error is None or moved:
            self._good_s = now_s
        failed = [file.path for file in report.files if file.outcome is TransferOutcome.FAILED]
        if report.error is None:
            self._tries.update({name: self._tries.get(name, 0) + 1 for name in failed})
            return
        self._night.note_problem(
            "transfer-interrupted",
            f"{report.error.message}",
            str(self._rsync.destination),
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
    for file in told.failed:
        night.note_problem(
            "transfer-failed", file.reason, file.path, role=Role.OBSOPS, step=step, place="rsync"
        )
    rate, expected = told.rate, told.expected
    if rate is not None and expected is not None and _too_slow(told, expected):
        night.note_problem(
            "slow-transfer",
            f"{told.size_bytes} bytes were sent at {rate}, expected were {expected}.",
            f"transmission of {told.what}",
            role=Role.OBSOPS,
            step=step,
            place="rsync",
        )


def _too_slow(told: Transmission, expected: Rate) -> bool:
    # Each call of rsync takes a moment before its first byte; small files in many calls say nothing of the line.
    allowance_s = 0.5 * max(1, told.exposures)
    return told.sending_s > told.size_bytes / expected.bytes_per_s + allowance_s

"""The long haul from the summit to the data facility: rsync, on a line and into storage that have their bad days."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lsst_commtools.errors import CommtoolsError, RejectedError, ServiceError
from lsst_commtools.ingest.rate import Rate
from lsst_commtools.ingest.rsync import RsyncTransfer
from lsst_commtools.ingest.transfer_values import FileTransfer, TransferOutcome, TransferReport
from lsst_commtools.rehearsal.quota import Quota

__all__ = ["Disturbance", "Line", "LongHaul", "problem_kind"]

QUOTA_USED_UP = "The quota of the destination is used up."


@dataclass(frozen=True)
class Disturbance:
    """What is wrong with a line.

    Parameters
    ----------
    limit
        Rate that it is held down to, with its unit; empty for none.
    delay_per_file_s
        Pause after each file, in real seconds.
    held
        Obs ids of exposures that do not get through.
    """

    limit: str = ""
    delay_per_file_s: float = 0.0
    held: tuple[str, ...] = ()

    @property
    def rate(self) -> Rate | None:
        """The limit as a rate; None where there is none."""
        return Rate.parse(self.limit) if self.limit else None


class Line:
    """The line of a rehearsal, as it is now.

    Parameters
    ----------
    work
        Folder of the rehearsal.
    """

    def __init__(self, work: Path) -> None:
        self._path = work / "line.json"

    def state(self) -> Disturbance:
        """See how the line is.

        Returns
        -------
        Disturbance
            All that is wrong with it together.

        Raises
        ------
        ServiceError
            If its record cannot be read.
        """
        found = [Disturbance(**{**d, "held": tuple(d["held"])}) for d in self._read().values()]
        rates = [d.rate for d in found if d.rate is not None]
        return Disturbance(
            f"{min(rates).bytes_per_s:f} B/s" if rates else "",
            sum(d.delay_per_file_s for d in found),
            tuple(obs_id for d in found for obs_id in d.held),
        )

    def disturb(self, name: str, disturbance: Disturbance) -> None:
        """Let something be wrong with it; told again, it is the same thing.

        Parameters
        ----------
        name
            Who disturbs it.
        disturbance
            What is wrong.
        """
        with self._changed() as told:
            told[name] = asdict(disturbance)

    def mend(self, name: str) -> None:
        """End a disturbance, if it is there.

        Parameters
        ----------
        name
            Who disturbed it.
        """
        with self._changed() as told:
            told.pop(name, None)

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            told: dict[str, dict[str, Any]] = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ServiceError(f"The state of the line cannot be read: {self._path}.") from error
        return told

    @contextlib.contextmanager
    def _changed(self) -> Iterator[dict[str, dict[str, Any]]]:
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            told = self._read()
            yield told
            part = self._path.with_suffix(".part")
            part.write_text(json.dumps(told), encoding="utf-8")
            part.replace(self._path)


class LongHaul:
    """The way of raw files to the data facility.

    Parameters
    ----------
    work
        Folder of the rehearsal.
    source, destination
        As for `RsyncTransfer`.
    expected, limit
        As for `RsyncTransfer`; the line may hold it down further.
    stop
        Ends its pauses.
    **options
        What else `RsyncTransfer` takes.
    """

    def __init__(
        self,
        work: Path,
        source: Path,
        destination: str | Path,
        *,
        expected: Rate | None = None,
        limit: Rate | None = None,
        stop: threading.Event | None = None,
        **options: Any,
    ) -> None:
        self.line = Line(work)
        self._quota = Quota(work)
        self._source = source
        self._destination = destination
        self._expected = expected
        self._limit = limit
        self._stop = stop or threading.Event()
        self._options = options

    def holds(self, obs_id: str) -> bool:
        """Tell whether an exposure does not get through now.

        Parameters
        ----------
        obs_id
            Its name.

        Returns
        -------
        bool
            Whether it has to wait.
        """
        return obs_id in self.line.state().held

    def send(self, names: Sequence[str]) -> TransferReport:
        """Send files.

        Parameters
        ----------
        names
            Paths relative to the source.

        Returns
        -------
        TransferReport
            As `RsyncTransfer.send` gives it. Files for which storage has no room have failed.
        """
        state = self.line.state()
        limits = [rate for rate in (self._limit, state.rate) if rate is not None]
        fitting, left_out = self._fitting(names)
        rsync = RsyncTransfer(
            self._source,
            self._destination,
            expected=self._expected,
            limit=min(limits) if limits else None,
            **self._options,
        )
        report = rsync.send(fitting) if fitting else _nothing(self._expected)
        sent = len(report.of(TransferOutcome.SENT))
        if state.delay_per_file_s and sent:
            pause_s = sent * state.delay_per_file_s
            self._stop.wait(pause_s)
            report = replace(report, sending_s=report.sending_s + pause_s, ended_utc=dt.datetime.now(dt.UTC))
        return _with_left_out(report, left_out) if left_out else report

    def _fitting(self, names: Sequence[str]) -> tuple[list[str], list[str]]:
        """Split files into those that fit into storage and those for which there is no room."""
        if self._quota.limit_bytes is None:
            return list(names), []
        room = self._quota.free_bytes
        fitting: list[str] = []
        left_out: list[str] = []
        for name in names:
            with contextlib.suppress(OSError):  # rsync says what is wrong with it
                room -= (self._source / name).stat().st_size
            (fitting if room >= 0 else left_out).append(name)
        return fitting, left_out


def problem_kind(error: CommtoolsError) -> str:
    """Name the problem that stopped a transfer.

    Parameters
    ----------
    error
        From a report.

    Returns
    -------
    str
        ``disk-full``, or ``transfer-interrupted``.
    """
    full = ("disk is full", "quota")
    return "disk-full" if any(word in error.message for word in full) else "transfer-interrupted"


def _nothing(expected: Rate | None) -> TransferReport:
    now = dt.datetime.now(dt.UTC)
    return TransferReport((), now, now, 0.0, expected)


def _with_left_out(report: TransferReport, left_out: Sequence[str]) -> TransferReport:
    failed = tuple(
        FileTransfer(name, 0, "", TransferOutcome.FAILED, report.ended_utc, QUOTA_USED_UP)
        for name in left_out
    )
    error = report.error or RejectedError(
        QUOTA_USED_UP,
        changed=f"{len(report.files)} files arrived, {len(left_out)} did not.",
        advice="Make room there. Run the same again: it goes on from there.",
    )
    return replace(report, files=(*report.files, *failed), error=error)

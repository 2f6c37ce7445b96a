"""What a pipeline's quanta have come to, while it runs: one file of lines for each night, which outlives a kill."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from lsst_commtools.pipeline.outcomes import QuantumStatus
from lsst_commtools.rehearsal.failures import Failure, FailureRate, failure_rate

if TYPE_CHECKING:
    from lsst_commtools.pipeline.outcomes import ProcessingReport, QuantumOutcome
    from lsst_commtools.rehearsal.night import RehearsalNight

__all__ = ["Quanta", "Quantum", "QuantumLog", "read_quanta"]

_DONE = (QuantumStatus.SUCCEEDED, QuantumStatus.EXISTING)
_BAD = (QuantumStatus.FAILED, QuantumStatus.NO_WORK)


@dataclass(frozen=True)
class Quantum:
    """A task on a data id, as it ended.

    Parameters
    ----------
    task
        Label in the pipeline.
    data_id
        Dimension to value.
    status
        How it ended.
    error, message
        Class of the exception and what it said.
    seconds
        Wall time.
    at_utc
        When it ended, real time.
    """

    task: str
    data_id: dict[str, int | str]
    status: QuantumStatus
    error: str
    message: str
    seconds: float
    at_utc: str

    @property
    def where(self) -> str:
        """Data id as text."""
        return ", ".join(f"{key} {value}" for key, value in self.data_id.items() if key != "instrument")

    @property
    def visit(self) -> str:
        """Visit or exposure; empty where the data id has neither."""
        return str(self.data_id.get("visit", self.data_id.get("exposure", "")))


@dataclass(frozen=True)
class Quanta:
    """How a pipeline stands.

    Parameters
    ----------
    ended
        Quanta that ended, each once, as it ended last.
    left
        How many have not ended, of the run that goes on or was broken off.
    running
        Whether the run has begun and not told its end; after a kill that is so too.
    news_utc
        When the last news came, real time; empty if none did.
    """

    ended: tuple[Quantum, ...]
    left: int
    running: bool
    news_utc: str

    @property
    def counts(self) -> dict[str, int]:
        """Number of quanta: waiting or running, done, failed, no-work, skipped."""
        found = Counter("done" if q.status in _DONE else q.status.value for q in self.ended)
        return {
            "waiting or running": self.left,
            **{n: found[n] for n in ("done", "failed", "no-work", "skipped")},
        }

    @property
    def by_task(self) -> dict[str, dict[str, int]]:
        """Number of quanta of each task by status."""
        return _table((quantum.task, quantum) for quantum in self.ended)

    @property
    def by_visit(self) -> dict[str, dict[str, int]]:
        """Number of quanta of each visit by status, the earliest visit first."""
        table = _table((quantum.visit, quantum) for quantum in self.ended if quantum.visit)
        return dict(sorted(table.items()))

    def failures(self, night: int) -> list[Failure]:
        """List what failed or found no work.

        Parameters
        ----------
        night
            Number of the night.

        Returns
        -------
        list of Failure
            As `failures_of` gives them.
        """
        return [
            Failure(q.error, q.task, q.message or "no work", q.where, night)
            for q in self.ended
            if q.status in _BAD
        ]

    @property
    def rates(self) -> tuple[FailureRate, ...]:
        """Failure rates: of quanta, and of detector images, of which one failed quantum costs one."""
        images: dict[tuple[str, str], bool] = {}
        for quantum in self.ended:
            if quantum.visit and "detector" in quantum.data_id:
                image = (quantum.visit, str(quantum.data_id["detector"]))
                images[image] = images.get(image, False) or quantum.status not in _DONE
        failed = sum(quantum.status in _BAD for quantum in self.ended)
        return (
            failure_rate(failed, len(self.ended), "quanta that ended"),
            failure_rate(sum(images.values()), len(images), "detector images that were begun"),
        )


class QuantumLog:
    """Writes what becomes of each quantum; give it to each `run_pipeline` as ``progress``, within ``with``.

    Parameters
    ----------
    night
        The night.
    what
        Which pipeline it is: ``science`` or ``calibrations``.

    Notes
    -----
    A disk that is full does not stop the pipeline: what could not be written is told by `record`, or stays unknown.
    """

    def __init__(self, night: RehearsalNight, what: str = "science") -> None:
        self.path = log_path(night.rehearsal.settings.work, night.day_obs, what)
        self._clock = night.rehearsal.clock
        self._written: dict[tuple[str, str], QuantumStatus] = {}

    def __enter__(self) -> Self:
        self._write({"event": "begin"})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._write({"event": "end", "error": "" if error is None else type(error).__name__})

    def __call__(self, ended: int, total: int, outcome: QuantumOutcome) -> None:
        """Note an outcome.

        Parameters
        ----------
        ended, total
            Quanta that ended, and all.
        outcome
            The latest.
        """
        self._written[outcome.task, outcome.where] = outcome.status
        self._write({"event": "quantum", "left": total - ended, **_line(outcome)})

    def record(self, report: ProcessingReport) -> None:
        """Note a run that ended, also what an earlier one had done.

        Parameters
        ----------
        report
            What became of it.
        """
        fresh = [o for o in report.outcomes if self._written.get((o.task, o.where)) is not o.status]
        if fresh:  # the file may be long: it is read only where an earlier run did something
            known = {(q.task, q.where): q.status for q in read_quanta(self.path).ended}
            fresh = [o for o in fresh if known.get((o.task, o.where)) is not o.status]
        lines = [{"event": "quantum", "left": 0, **_line(outcome)} for outcome in fresh]
        self._write(*lines, {"event": "left", "left": 0})

    def _write(self, *lines: Mapping[str, Any]) -> None:
        now = self._clock.reading()
        times = {"at_utc": now.real_utc.isoformat(), "at_rehearsal_utc": now.rehearsal_utc.isoformat()}
        text = "".join(f"{json.dumps({**line, **times})}\n" for line in lines)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                if file.tell() and not _ends_with_newline(self.path):
                    text = f"\n{text}"  # a kill or a full disk left half a line
                file.write(text.encode())
        except OSError:
            return  # the page that people watch must not cost the night


def log_path(work: Path, day_obs: int, what: str) -> Path:
    """Name the file of a night's quanta.

    Parameters
    ----------
    work
        Folder of the rehearsal.
    day_obs
        The night.
    what
        Which pipeline.

    Returns
    -------
    pathlib.Path
        The file, which need not exist.
    """
    return work / "progress" / f"{day_obs}_{what}.jsonl"


def read_quanta(path: Path) -> Quanta:
    """Read how a pipeline stands.

    Parameters
    ----------
    path
        As `log_path` names it.

    Returns
    -------
    Quanta
        Empty if there is no such file; lines that cannot be read are passed over.
    """
    try:
        seen = path.stat()
    except OSError:
        return Quanta((), 0, running=False, news_utc="")
    return _read(path, seen.st_size, seen.st_mtime_ns)


@lru_cache(maxsize=8)
def _read(path: Path, _size: int, _mtime_ns: int) -> Quanta:
    """Read a file as it is; one that has not changed since is not read again."""
    ended: dict[tuple[str, str], Quantum] = {}
    left, running, news_utc = 0, False, ""
    for line in _lines(path):
        event = str(line.get("event"))
        news_utc = str(line.get("at_utc") or news_utc)
        running = {"begin": True, "end": False}.get(event, running)
        try:
            left = max(0, int(line.get("left", left)))
            if event == "quantum":
                quantum = _quantum(line, news_utc)
                ended[quantum.task, quantum.where] = quantum
        except (KeyError, TypeError, ValueError):
            continue
    return Quanta(tuple(ended.values()), left, running, news_utc)


def _line(outcome: QuantumOutcome) -> dict[str, Any]:
    return {
        "task": outcome.task,
        "data_id": dict(outcome.data_id),
        "status": outcome.status.value,
        "error": outcome.error,
        "message": outcome.message[:2000],
        "seconds": round(outcome.seconds, 3),
    }


def _quantum(line: Mapping[str, Any], at_utc: str) -> Quantum:
    status = QuantumStatus(line["status"])
    told = (str(line["error"]), str(line["message"]), float(line["seconds"]))
    return Quantum(str(line["task"]), dict(line["data_id"]), status, *told, at_utc)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        content = path.read_bytes()
    except OSError:
        return
    for text in content.split(b"\n"):
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            yield line


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _table(quanta: Iterator[tuple[str, Quantum]]) -> dict[str, dict[str, int]]:
    table: dict[str, Counter[str]] = {}
    for key, quantum in quanta:
        table.setdefault(key, Counter())["done" if quantum.status in _DONE else quantum.status.value] += 1
    return {key: dict(counts) for key, counts in table.items()}

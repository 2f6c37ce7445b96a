"""One call of `RsyncTransfer.send`: sent in batches, tried again, verified, noted."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from lsst_commtools.errors import CommtoolsError, ServiceError
from lsst_commtools.ingest.endpoints import Destination
from lsst_commtools.ingest.rate import Rate
from lsst_commtools.ingest.rsync_process import RsyncEnd, RsyncLine, run_rsync
from lsst_commtools.ingest.rsync_troubles import Trouble, judge_end
from lsst_commtools.ingest.transfer_journal import KnownCopy, TransferJournal
from lsst_commtools.ingest.transfer_values import (
    FileTransfer,
    TransferOutcome,
    TransferProgress,
    TransferReport,
    Verification,
)

__all__ = ["Progress", "RsyncJob", "RsyncPlan"]

Progress = Callable[[TransferProgress], None]

BATCH_FILES = 200
ROUNDS = 3
MOST_LOST = 100
_STALE_S = 600.0
_BLOCK_BYTES = 1 << 20
_LOOK_S = 0.1
_LONGEST_WAIT_S = 60.0


@dataclass(frozen=True)
class RsyncPlan:
    """What all runs of rsync of a transfer share.

    Parameters
    ----------
    source, destination
        From where to where.
    options
        Of rsync.
    environment
        Variables for rsync.
    attempts, retry_s
        As in `RsyncTransfer`.
    """

    source: Path
    destination: Destination
    options: tuple[str, ...]
    environment: Mapping[str, str]
    attempts: int
    retry_s: float


@dataclass(frozen=True)
class _State:
    """A file of the source, as it is on the disk."""

    size_bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> _State:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise OSError(0, "it is no regular file")
        return cls(found.st_size, found.st_mtime_ns)


@dataclass
class _Flow:
    """What rsync told of a file in this call."""

    ended_utc: dt.datetime
    wire_bytes: int = 0
    duration_s: float = 0.0


@dataclass
class _Batch:
    """Some files on their way."""

    states: dict[str, _State] = field(default_factory=dict)
    sums: dict[str, Future[str]] = field(default_factory=dict)
    known: dict[str, KnownCopy] = field(default_factory=dict)
    flows: dict[str, _Flow] = field(default_factory=dict)
    verified: dict[str, Verification] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


class RsyncJob:
    """One call of `RsyncTransfer.send`.

    Parameters
    ----------
    plan
        What to run.
    journal
        Opened journal.
    names
        Files, relative to the source.
    progress, stop
        As in `RsyncTransfer.send`.
    """

    def __init__(
        self,
        plan: RsyncPlan,
        journal: TransferJournal,
        names: Sequence[str],
        progress: Progress | None,
        stop: Callable[[], bool] | None,
    ) -> None:
        self._plan = plan
        self._journal = journal
        self._names = names
        self._progress = progress
        self._stop = stop
        self._known = journal.read()
        self._trouble: Trouble | None = None
        self._stopped = False
        self._in_contact = False
        self._interrupted_times = 0
        self._sending_s = 0.0
        self._ended: list[FileTransfer] = []
        self._size_bytes = 0
        self._bytes_before = self._files_before = 0
        self._told = (0, 0)

    def run(self, expected: Rate | None, waiting: tuple[str, ...]) -> TransferReport:
        """Send all files.

        Parameters
        ----------
        expected, waiting
            For the report.

        Returns
        -------
        TransferReport
            Each file with its outcome.
        """
        started_utc = _now_utc()
        self._size_bytes = sum(self._size(name) for name in self._names)
        self._clear_stale()
        pool = ThreadPoolExecutor(1, thread_name_prefix="sha256")
        try:
            for start in range(0, len(self._names), BATCH_FILES):
                self._process(self._names[start : start + BATCH_FILES], pool)
        finally:
            pool.shutdown(cancel_futures=True)
        return TransferReport(
            tuple(self._ended),
            started_utc,
            _now_utc(),
            self._sending_s,
            expected,
            self._interrupted_times,
            waiting,
            self._stopped,
            self._error(),
        )

    def _process(self, names: Sequence[str], pool: ThreadPoolExecutor) -> None:
        """Bring a batch of files to their outcomes, and note those that are news."""
        batch = self._bring(names, pool)
        files = [self._outcome(name, batch) for name in names]
        self._journal.note(
            (file, batch.states[file.path].mtime_ns if file.path in batch.states else 0)
            for file in files
            if file.outcome is not TransferOutcome.ALREADY_THERE or file.path not in batch.known
        )
        self._ended += files
        there = [file for file in files if file.outcome is not TransferOutcome.FAILED]
        self._bytes_before += sum(file.size_bytes for file in there)
        self._files_before += len(there)
        self._tell(0, 0)

    def _clear_stale(self) -> None:
        """Remove what killed receivers left in a destination here: rsync's own hidden names of these files."""
        folder = self._plan.destination.folder
        if folder is None:
            return
        names: dict[Path, set[str]] = {}
        for name in self._names:
            copy = folder / name
            names.setdefault(copy.parent, set()).add(copy.name)
        for parent, there in names.items():
            for path in parent.glob(".*.??????") if parent.is_dir() else ():
                with contextlib.suppress(OSError):
                    stale = path.is_file() and time.time() - path.stat().st_mtime > _STALE_S
                    if stale and path.name[1:-7] in there:
                        path.unlink()

    def _size(self, name: str) -> int:
        try:
            return (self._plan.source / name).stat().st_size
        except OSError:
            return 0

    def _bring(self, names: Sequence[str], pool: ThreadPoolExecutor) -> _Batch:
        """Send a batch, and again what changed or differs; give what is known of each file."""
        batch = _Batch()
        pending = list(names)
        for _ in range(ROUNDS):
            if self._done_for():
                break
            pending = [name for name in pending if self._look(name, batch, pool)]
            if not pending:
                break
            again = any(name in batch.verified or name in batch.reasons for name in pending)
            self._send(pending, batch, ("--ignore-times",) if again else ())
            pending = self._verify(pending, batch)
            if not pending:
                break
        return batch

    def _done_for(self) -> bool:
        """Tell whether it is of no use to go on."""
        return self._stopped or (self._trouble is not None and not self._trouble.of_single_files)

    def _look(self, name: str, batch: _Batch, pool: ThreadPoolExecutor) -> bool:
        """Look at a file of the source, and begin to read it for its checksum; tell whether it can be sent."""
        path = self._plan.source / name
        try:
            state = _State.of(path)
        except OSError as error:
            batch.reasons[name] = f"It cannot be read at the source: {error.strerror}."
            return False
        known = self._known.get(name)
        if known is not None and (known.size_bytes, known.mtime_ns) == (state.size_bytes, state.mtime_ns):
            batch.known[name] = known
        else:
            batch.known.pop(name, None)
            batch.sums[name] = pool.submit(_sha256, path)
        batch.states[name] = state
        return True

    def _send(self, names: Sequence[str], batch: _Batch, more: tuple[str, ...]) -> None:
        """Run rsync until it has dealt with the files, through lost connections."""
        quiet = lost = 0
        began_s = time.monotonic()
        while True:
            moved, end = self._run(names, batch, more)
            self._in_contact = self._in_contact or moved or end.code == 0
            self._stopped = end.stopped
            trouble = None if end.stopped else judge_end(end.code, end.messages)
            if trouble is None or not trouble.passing:
                break
            if trouble.before_contact and not self._in_contact:
                break
            self._interrupted_times += 1
            quiet, lost = 0 if moved else quiet + 1, lost + 1
            if quiet >= self._plan.attempts or lost >= MOST_LOST:
                break
            if not self._wait(min(self._plan.retry_s * 2.0**quiet, _LONGEST_WAIT_S), trouble.sentence):
                self._stopped = True
                break
        self._trouble = trouble
        self._sending_s += time.monotonic() - began_s

    def _run(self, names: Sequence[str], batch: _Batch, more: tuple[str, ...]) -> tuple[bool, RsyncEnd]:
        """Run rsync once; tell whether anything moved."""
        moved = False
        last_s = time.monotonic()
        before_bytes = sum(batch.states[name].size_bytes for name in batch.flows)

        def on_line(line: RsyncLine) -> None:
            nonlocal moved, last_s
            if not line.content:
                return
            moved = True
            now_s = time.monotonic()
            flow = batch.flows.setdefault(line.path, _Flow(_now_utc()))
            flow.ended_utc = _now_utc()
            flow.wire_bytes += line.wire_bytes
            flow.duration_s += now_s - last_s
            last_s = now_s

        def on_bytes(sent: int) -> None:
            nonlocal moved
            moved = moved or sent > 0
            self._tell(len(batch.flows), before_bytes + sent)

        end = run_rsync(
            (*self._plan.options, *more),
            self._plan.source,
            names,
            self._plan.destination.address,
            on_line=on_line,
            on_bytes=on_bytes,
            stop=self._stop,
            environment=dict(self._plan.environment),
        )
        return moved, end

    def _wait(self, seconds: float, why: str) -> bool:
        """Wait before the next attempt; False if it shall be stopped."""
        self._tell(*self._told, f"{why} Next attempt in {seconds:.1f} s.")
        ends_s = time.monotonic() + seconds
        while (left_s := ends_s - time.monotonic()) > 0.0:
            if self._stop is not None and self._stop():
                return False
            time.sleep(min(_LOOK_S, left_s))
        return True

    def _tell(self, files: int, sent_bytes: int, note: str = "") -> None:
        self._told = files, sent_bytes
        if self._progress is not None:
            done = min(self._bytes_before + sent_bytes, self._size_bytes)
            self._progress(
                TransferProgress(self._files_before + files, len(self._names), done, self._size_bytes, note)
            )

    def _verify(self, names: Sequence[str], batch: _Batch) -> list[str]:
        """Compare copies with their sources; give the files that should be sent again."""
        known = [n for n in names if n in batch.known and n not in batch.flows and self._trouble is None]
        batch.verified |= {name: batch.known[name].verified for name in known if not self._stopped}
        rest = [name for name in names if name not in batch.verified]
        folder = self._plan.destination.folder
        if folder is None:
            same, told = self._compare_by_rsync(rest)
            found = dict.fromkeys(same, Verification.RSYNC_CHECKSUM)
        else:
            told = True
            found = {
                name: Verification.SHA256
                for name in rest
                if _copy_is(folder / name, batch.states[name], self._sum(name, batch))
            }
        again = []
        for name in rest:
            if not told:
                continue
            if self._changed(name, batch):
                batch.reasons[name] = "It changed while it was sent."
                again.append(name)
            elif name in found:
                batch.verified[name] = found[name]
                batch.reasons.pop(name, None)
            elif not self._done_for():
                batch.reasons[name] = self._why_different()
                again.append(name)
        return again

    def _compare_by_rsync(self, names: Sequence[str]) -> tuple[set[str], bool]:
        """Have rsync read both ends of files whole; give those that are the same, and whether it could tell."""
        if not names or self._stopped or (self._trouble is not None and self._trouble.passing):
            return set(), False
        differing: set[str] = set()
        end = run_rsync(
            (*self._plan.options, "--dry-run", "--checksum"),
            self._plan.source,
            names,
            self._plan.destination.address,
            on_line=lambda line: differing.add(line.path) if line.content else None,
            stop=self._stop,
            environment=dict(self._plan.environment),
        )
        self._stopped = self._stopped or end.stopped
        if end.code != 0:
            self._trouble = self._trouble or judge_end(end.code, end.messages)
            return set(), False
        return set(names) - differing, True

    def _sum(self, name: str, batch: _Batch) -> str:
        if name in batch.sums:
            try:
                return batch.sums[name].result()
            except OSError:
                return ""
        return batch.known[name].sha256 if name in batch.known else ""

    def _changed(self, name: str, batch: _Batch) -> bool:
        try:
            return _State.of(self._plan.source / name) != batch.states[name]
        except OSError:
            return True

    def _outcome(self, name: str, batch: _Batch) -> FileTransfer:
        """Say what became of a file."""
        state = batch.states.get(name) or _State(self._size(name), 0)
        flow = batch.flows.get(name)
        verified = batch.verified.get(name)
        if verified is None:
            reason = batch.reasons.get(name) or self._why_not(flow)
            outcome = TransferOutcome.FAILED
        else:
            reason = ""
            outcome = TransferOutcome.ALREADY_THERE if flow is None else TransferOutcome.SENT
        return FileTransfer(
            name,
            state.size_bytes,
            self._sum(name, batch) if verified is not None or name in batch.sums else "",
            outcome,
            _now_utc() if flow is None else flow.ended_utc,
            reason,
            verified or Verification.NONE,
            0 if flow is None else flow.wire_bytes,
            0.0 if flow is None else flow.duration_s,
        )

    def _why_different(self) -> str:
        detail = self._trouble.detail if self._trouble is not None else ""
        return f"Its copy is not the same as its source{detail and ': '}{detail.removesuffix('.')}."

    def _why_not(self, flow: _Flow | None) -> str:
        if self._stopped:
            why = "The transfer was stopped."
        else:
            why = "It did not arrive." if self._trouble is None else self._trouble.sentence
        return why if flow is None else f"It was sent, but not verified: {why}"

    def _error(self) -> CommtoolsError | None:
        """Say what ended it before all was there."""
        failed = [file for file in self._ended if file.outcome is TransferOutcome.FAILED]
        if not failed:
            return None
        changed = (
            f"{len(self._ended) - len(failed)} of {len(self._ended)} files are at the destination, verified; "
            "no file is there in part under its own name."
        )
        if self._trouble is not None and not self._stopped:
            return self._trouble.error(changed)
        reason = failed[0].reason.removesuffix(".")
        return ServiceError(
            f"{len(failed)} files did not arrive, the first of them {failed[0].path!r}: {reason}.",
            changed=changed,
            advice="Run the same again: it goes on from there.",
        )


def _sha256(path: Path) -> str:
    checksum = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            checksum.update(block)
    return checksum.hexdigest()


def _copy_is(copy: Path, state: _State, sha256: str) -> bool:
    """Tell whether a copy here has the size and the checksum of its source."""
    try:
        found = copy.lstat()
        whole = stat.S_ISREG(found.st_mode) and found.st_size == state.size_bytes
        return whole and sha256 != "" and _sha256(copy) == sha256
    except OSError:
        return False


def _now_utc() -> dt.datetime:
    return dt.datetime.now(dt.UTC)

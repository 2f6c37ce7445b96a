"""Files sent by rsync: to a folder here, to a daemon, or by ssh; verified, and continued after a cut."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from pydantic import SecretStr

from lsst_commtools.errors import InputError
from lsst_commtools.ingest.endpoints import Destination, Reach, SshSettings
from lsst_commtools.ingest.rate import Rate
from lsst_commtools.ingest.rsync_job import Progress, RsyncJob, RsyncPlan
from lsst_commtools.ingest.transfer import RAW_ENDINGS
from lsst_commtools.ingest.transfer_journal import TransferJournal
from lsst_commtools.ingest.transfer_values import TransferReport
from lsst_commtools.site.home import commtools_home

__all__ = ["RsyncTransfer"]

_BYTES_PER_KIB = 1024.0


class RsyncTransfer:
    """Bring files of a folder to a destination, as often as it takes.

    A file appears at the destination under its own name when it is whole, and not before; what a cut left of it is
    kept aside there, and the next attempt goes on from it. Each copy is compared with its source before it counts.

    Parameters
    ----------
    source
        Folder here.
    destination
        A path is a folder here; text may also be ``rsync://HOST[:PORT]/MODULE/FOLDER`` or ``[USER@]HOST:FOLDER``.
    expected
        Rate that the report compares with.
    limit
        Rate that is not exceeded, also to stand for a long line.
    ssh
        How ssh is called.
    password
        Of a daemon's user; ``$RSYNC_PASSWORD`` where it is None.
    timeout_s
        Silence after which a connection counts as lost, in seconds.
    attempts
        How often in a row a lost connection is tried again without any progress.
    retry_s
        Wait before the first of them, in seconds; doubled each time.
    settle_s
        Files that changed less than so long ago are left for the next call, in seconds; only of files that are found,
        not of those that are named.
    journal
        Where verified copies are remembered; by default a file below ``$COMMTOOLS_HOME/transfers``.

    Raises
    ------
    InputError
        If the source is no folder, or the destination or limit cannot be used.
    """

    def __init__(
        self,
        source: str | Path,
        destination: str | Path,
        *,
        expected: Rate | None = None,
        limit: Rate | None = None,
        ssh: SshSettings | None = None,
        password: SecretStr | None = None,
        timeout_s: float = 60.0,
        attempts: int = 5,
        retry_s: float = 1.0,
        settle_s: float = 0.0,
        journal: Path | None = None,
    ) -> None:
        self.source = Path(source).expanduser().absolute()
        self.destination = Destination.parse(destination)
        self._expected = expected
        self._settle_s = settle_s
        if not self.source.is_dir():
            raise InputError(f"There is no folder {self.source}.", advice="Give the folder to send from.")
        folder = self.destination.folder
        if folder is not None and folder.resolve().is_relative_to(self.source.resolve()):
            raise InputError(f"The destination {folder} lies in the source {self.source}.")
        if limit is not None and limit.bytes_per_s < _BYTES_PER_KIB:
            raise InputError(f"rsync cannot be limited to {limit}.", advice="Give at least 1.1 kB/s.")
        self.journal = journal or _default_journal(self.source, self.destination)
        self._plan = RsyncPlan(
            self.source,
            self.destination,
            _options(self.source, self.destination, limit, ssh or SshSettings(), timeout_s),
            {} if password is None else {"RSYNC_PASSWORD": password.get_secret_value()},
            attempts,
            retry_s,
        )

    def send(
        self,
        files: Iterable[str | Path] | None = None,
        progress: Progress | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> TransferReport:
        """Send files, and verify them.

        What does not arrive is told in the report, with the reason; the same call again goes on from there.

        Parameters
        ----------
        files
            Paths, absolute or relative to the source; by default all raw files there.
        progress
            Called with a `TransferProgress` when something has moved.
        stop
            Asked a few times a second; True ends the call with a report of what was done.

        Returns
        -------
        TransferReport
            Each file with its outcome.

        Raises
        ------
        InputError
            If a file does not lie in the source.
        LeaseError
            If the same transfer is under way elsewhere.
        NotFoundError
            If there is no rsync here.
        """
        if files is None:
            names, waiting = self._find()
        else:
            names, waiting = list(dict.fromkeys(self._relative(file) for file in files)), []
        journal = TransferJournal(self.journal)
        try:
            job = RsyncJob(self._plan, journal, names, progress, stop)
            return job.run(self._expected, tuple(waiting))
        finally:
            journal.close()

    def _find(self) -> tuple[list[str], list[str]]:
        """List the raw files of the source, and those of them that are still being written."""
        names: list[str] = []
        waiting: list[str] = []
        now_s = time.time()
        for parent, folders, entries in os.walk(self.source):
            folders[:] = [folder for folder in folders if not folder.startswith(".")]
            for entry in entries:
                if entry.startswith(".") or not entry.lower().endswith(RAW_ENDINGS):
                    continue
                path = Path(parent) / entry
                name = path.relative_to(self.source).as_posix()
                fresh = self._settle_s > 0.0 and _changed_s(path, now_s) < self._settle_s
                (waiting if fresh else names).append(name)
        return sorted(names), sorted(waiting)

    def _relative(self, file: str | Path) -> str:
        path = Path(file)
        if path.is_absolute() and path.is_relative_to(self.source):
            path = path.relative_to(self.source)
        if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in str(path):
            raise InputError(f"{str(file)[:200]!r} does not lie in {self.source}.")
        return PurePosixPath(path).as_posix()


def _changed_s(path: Path, now_s: float) -> float:
    """Tell how long ago a file changed, in seconds: its content or its name."""
    try:
        state = path.lstat()
    except OSError:
        return 0.0
    return abs(now_s - state.st_ctime) if stat.S_ISREG(state.st_mode) else float("inf")


def _default_journal(source: Path, destination: Destination) -> Path:
    identity = hashlib.sha256(f"{os.fspath(source)}\0{destination}".encode(errors="surrogateescape"))
    return commtools_home() / "transfers" / f"{identity.hexdigest()[:16]}.jsonl"


def _options(
    source: Path, destination: Destination, limit: Rate | None, ssh: SshSettings, timeout_s: float
) -> tuple[str, ...]:
    # Two people who send the same files must not go on from each other's halves.
    who = hashlib.sha256(f"{os.uname().nodename}\0{os.getuid()}\0{source}".encode(errors="surrogateescape"))
    options = [  # -s: no shell of the other side reads the path
        "--times", "--copy-links", "--no-implied-dirs", "--mkpath", "--no-whole-file", "-s",
        f"--partial-dir=.rsync-partial-{who.hexdigest()[:8]}", f"--timeout={max(1, round(timeout_s))}",
    ]  # fmt: skip
    if limit is not None:
        options.append(f"--bwlimit={limit.bytes_per_s / _BYTES_PER_KIB:.3f}K")
    if destination.reach is Reach.DAEMON:
        options.append(f"--contimeout={max(1, round(ssh.connect_timeout_s))}")
    if destination.reach is Reach.SSH:
        options.append(f"--rsh={ssh.command()}")
    return tuple(options)

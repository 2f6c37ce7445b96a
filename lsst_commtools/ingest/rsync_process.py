"""One run of rsync: started, followed line by line, and stopped so that it keeps what it has."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lsst_commtools.errors import NotFoundError

__all__ = ["LINE_FORMAT", "RsyncEnd", "RsyncLine", "run_rsync"]

LINE_FORMAT = "commtools %i %l %b %n"
"""rsync writes this for each file after it was sent: what was done, its length, bytes on the wire, its name."""

_LINE = re.compile(rb"commtools (?P<change>\S+) (?P<size>\d+) (?P<wire>\d+) (?P<name>.*)", re.DOTALL)
_SUM = re.compile(rb"\s*(?P<sent>\d+)\s+\d+%\s.*")
_ESCAPE = re.compile(rb"\\#(\d{3})")
_LOOK_S = 0.2
_STOP_S = 10.0
_KEPT_MESSAGES = 100_000


@dataclass(frozen=True)
class RsyncLine:
    """A file that rsync has dealt with.

    Parameters
    ----------
    path
        Relative path.
    content
        Whether its content was sent, or would be in a dry run.
    size_bytes, wire_bytes
        Its length, and what went over the wire.
    """

    path: str
    content: bool
    size_bytes: int
    wire_bytes: int


@dataclass(frozen=True)
class RsyncEnd:
    """How a run ended.

    Parameters
    ----------
    code
        Exit code; negative for the signal that ended it.
    messages
        Standard error.
    stopped
        Whether it was asked to stop.
    """

    code: int
    messages: str
    stopped: bool


def run_rsync(
    options: Sequence[str],
    source: Path,
    names: Iterable[str],
    destination: str,
    *,
    on_line: Callable[[RsyncLine], None],
    on_bytes: Callable[[int], None] | None = None,
    stop: Callable[[], bool] | None = None,
    environment: dict[str, str] | None = None,
) -> RsyncEnd:
    """Run rsync on files of a folder.

    Parameters
    ----------
    options
        Its options, besides those for the list of files and the output.
    source
        The folder.
    names
        Paths relative to it; nothing in them is expanded.
    destination
        As rsync takes it.
    on_line
        Called for each file that was dealt with.
    on_bytes
        Called with the bytes of all files that are sent so far.
    stop
        Asked a few times a second; True ends it.
    environment
        Variables besides those of this process.

    Returns
    -------
    RsyncEnd
        How it ended.

    Raises
    ------
    NotFoundError
        If there is no rsync here.
    """
    with tempfile.TemporaryDirectory(prefix="commtools-") as folder, contextlib.ExitStack() as stack:
        listed = Path(folder) / "files"
        # "./" keeps names that begin with '#' or ';' from being comments.
        listed.write_bytes(b"".join(b"./" + os.fsencode(name) + b"\0" for name in names))
        messages = stack.enter_context((Path(folder) / "messages").open("w+b"))
        command = [
            "rsync", *options, "--from0", f"--files-from={listed}", "--outbuf=L", "--info=name0,progress2",
            "--no-human-readable", f"--out-format={LINE_FORMAT}", "--", f"{source}/", destination,
        ]  # fmt: skip
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=messages,
                env={**os.environ, **(environment or {}), "LC_ALL": "C"},
                start_new_session=True,  # an interrupt of ours is passed on when we have seen it
                restore_signals=False,  # a file size limit is then an error that is told, not a signal
            )
        except FileNotFoundError:
            raise NotFoundError("There is no rsync on this computer.", advice="Install it.") from None
        stopped = False
        with _closing(process):
            for line in _lines(process, stop):
                if line is None:
                    stopped = True
                    _end(process)
                    break
                _tell(line, on_line, on_bytes)
        messages.seek(0)
        text = messages.read(_KEPT_MESSAGES).decode(errors="replace")
        return RsyncEnd(process.returncode, text, stopped)


def _tell(line: bytes, on_line: Callable[[RsyncLine], None], on_bytes: Callable[[int], None] | None) -> None:
    if match := _LINE.fullmatch(line):
        name = _ESCAPE.sub(lambda escape: bytes([int(escape[1], 8) & 0xFF]), match["name"])
        on_line(
            RsyncLine(
                os.fsdecode(name),
                match["change"][:2] in (b"<f", b">f", b"cf"),
                int(match["size"]),
                int(match["wire"]),
            )
        )
    elif on_bytes is not None and (match := _SUM.fullmatch(line)):
        on_bytes(int(match["sent"]))


def _lines(process: subprocess.Popen[bytes], stop: Callable[[], bool] | None) -> Iterator[bytes | None]:
    """Give lines of the output as they come; None when it shall be stopped."""
    assert process.stdout is not None  # noqa: S101  it was opened as a pipe
    descriptor = process.stdout.fileno()
    rest = b""
    while True:
        if stop is not None and stop():
            yield None
            return
        if not select.select([descriptor], [], [], _LOOK_S)[0]:
            continue
        block = os.read(descriptor, 65536)
        if not block:
            break
        *lines, rest = re.split(rb"[\r\n]", rest + block)
        yield from lines
    if rest:
        yield rest


@contextlib.contextmanager
def _closing(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """See to it that rsync has ended whatever happens here."""
    try:
        yield
        process.wait(_STOP_S)  # its output is closed: it is ending
    finally:
        if process.stdout is not None:
            process.stdout.close()
        if process.poll() is None:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it kindly first: then it keeps what it has of a file."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

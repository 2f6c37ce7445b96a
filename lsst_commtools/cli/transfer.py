"""``commtools transfer``: files sent by rsync, verified, with their pace."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lsst_commtools.cli.interrupt import raise_if_interrupted
from lsst_commtools.cli.output import Context, safe_text
from lsst_commtools.cli.progress import Bars, progress_bars

if TYPE_CHECKING:
    from lsst_commtools.ingest import TransferProgress, TransferReport

__all__ = ["command"]

_SHOWN_FAILURES = 20


@click.command("transfer")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("destination")
@click.option(
    "--expect", metavar="RATE", help="Rate it should have, such as '40 MB/s' [default: the site's]."
)
@click.option("--limit", metavar="RATE", help="Rate that is not exceeded, such as '40 Mb/s'.")
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(1), default=60.0, metavar="SECONDS",
    help="Silence after which the connection counts as lost [default: 60].",
)  # fmt: skip
@click.option(
    "--settle", "settle_s", type=click.FloatRange(0), default=0.0, metavar="SECONDS",
    help="Leave files that changed less than so long ago for the next call [default: 0].",
)  # fmt: skip
@click.pass_obj
def command(
    context: Context,
    source: Path,
    destination: str,
    expect: str | None,
    limit: str | None,
    timeout_s: float,
    settle_s: float,
) -> int:
    """Send the raw files of SOURCE to DESTINATION: a folder, rsync://HOST/MODULE/FOLDER or [USER@]HOST:FOLDER.

    Run again, it goes on from where it was. Exit code 1 if it was slower than expected or files still being written
    were left, 3 if files did not arrive.
    """
    from lsst_commtools.ingest import Rate, RsyncTransfer, SshSettings

    site = context.site
    expect = expect or site.data.expected_rate
    transfer = RsyncTransfer(
        source,
        destination,
        expected=Rate.parse(expect) if expect else None,
        limit=Rate.parse(limit) if limit else None,
        ssh=SshSettings(site.data.ssh_options),
        password=site.secret("rsync_password"),
        timeout_s=timeout_s,
        settle_s=settle_s,
    )
    with progress_bars() as bars:
        report = transfer.send(progress=_Shown(bars))
    context.emit(report.to_dict(), _describe(report))
    if report.error is not None:
        print(f"commtools: {safe_text(report.error)} [{report.error.code}]", file=sys.stderr)
        return report.error.exit_code
    return 1 if report.below_expected or report.waiting else 0


class _Shown:
    """Shows the bytes of a transfer, and what it waits for, once."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._note = ""
        self._done_bytes = -1

    def __call__(self, told: TransferProgress) -> None:
        raise_if_interrupted()
        if told.note and told.note != self._note:
            print(f"transfer: {safe_text(told.note)}", file=sys.stderr)
        self._note = told.note
        if told.bytes_done != self._done_bytes:
            self._done_bytes = told.bytes_done
            self._bars("transfer (bytes)", told.bytes_done, told.size_bytes)


def _describe(report: TransferReport) -> str:
    from lsst_commtools.ingest import TransferOutcome

    lines = [f"{outcome:<14} {number:>6} files" for outcome, number in report.counts.items()]
    if report.waiting:
        lines.append(f"{'waiting':<14} {len(report.waiting):>6} files that are still being written")
    if report.rate is not None:
        lines.append(f"{report.size_bytes / 1e6:.1f} MB in {report.sending_s:.1f} s: {report.rate}")
    if report.expected is not None:
        judged = {True: "slower than expected", False: "as expected", None: "too little was sent to tell"}
        lines.append(f"expected {report.expected}: {judged[report.below_expected]}")
    if report.interrupted_times:
        lines.append(f"the connection was lost {report.interrupted_times} times")
    failed = report.of(TransferOutcome.FAILED)
    lines += [f"  {file.path}: {file.reason}" for file in failed[:_SHOWN_FAILURES]]
    if len(failed) > _SHOWN_FAILURES:
        lines.append(f"  and {len(failed) - _SHOWN_FAILURES} more")
    return "\n".join(map(safe_text, lines))

"""Progress bars on standard error."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from lsst_commtools.cli.interrupt import raise_if_interrupted

__all__ = ["Bars", "progress_bars"]


class Bars:
    """One bar after the other, one for each stage of long work.

    Nothing is drawn where standard error is no terminal: there each finished stage is one line.
    """

    def __init__(self) -> None:
        self._bar: Any = None
        self._stage = ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show how far a stage is.

        Parameters
        ----------
        stage
            Its name.
        done, total
            Parts done, and parts in all.
        """
        raise_if_interrupted()
        if stage != self._stage:
            self._begin(stage, total)
        if self._bar is not None:
            self._bar.total = total
            self._bar.update(done - self._bar.n)
        elif done == total:
            print(f"{stage}: {done} of {total}", file=sys.stderr)

    def _begin(self, stage: str, total: int) -> None:
        self.close()
        self._stage = stage
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, desc=f"{stage:<28}", file=sys.stderr, dynamic_ncols=True)

    def close(self) -> None:
        """Finish the bar of the last stage."""
        if self._bar is not None:
            self._bar.close()
        self._bar, self._stage = None, ""


@contextlib.contextmanager
def progress_bars() -> Iterator[Bars]:
    """Give bars that are finished also after an error or an interrupt."""
    bars = Bars()
    try:
        yield bars
    finally:
        bars.close()

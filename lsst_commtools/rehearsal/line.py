"""The long haul from the summit to the data facility, as it is today: how fast, and what it holds back."""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lsst_commtools.errors import CommtoolsError, ServiceError
from lsst_commtools.ingest.rate import Rate

__all__ = ["Disturbance", "Line", "problem_kind"]


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

"""Room in the storage of a rehearsal: what the disk has left, and what a quota leaves of it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from lsst_commtools.errors import ServiceError

__all__ = ["Quota"]


class Quota:
    """Room in the storage folders of a rehearsal.

    Parameters
    ----------
    work
        Folder of the rehearsal; the quota counts what lies in its ``storage``.
    """

    def __init__(self, work: Path) -> None:
        self._work = work
        self._path = work / "quota.json"

    @property
    def limit_bytes(self) -> int | None:
        """Bytes that storage may hold; None where only the disk says so."""
        try:
            return int(json.loads(self._path.read_text(encoding="utf-8"))["limit_bytes"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ServiceError(f"The quota of storage cannot be read: {self._path}.") from error

    def set_limit(self, limit_bytes: int | None) -> None:
        """Change the quota.

        Parameters
        ----------
        limit_bytes
            Bytes that storage may hold; None for no quota.
        """
        if limit_bytes is None:
            self._path.unlink(missing_ok=True)
            return
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps({"limit_bytes": limit_bytes}), encoding="utf-8")
        part.replace(self._path)

    @property
    def used_bytes(self) -> int:
        """Bytes in storage."""
        total = 0
        for parent, _, names in os.walk(self._work / "storage"):
            for name in names:
                try:
                    total += (Path(parent) / name).stat().st_size
                except FileNotFoundError:
                    continue  # a part that got its name meanwhile
        return total

    @property
    def free_bytes(self) -> int:
        """Bytes that can still be stored: the smaller of disk and quota."""
        try:
            free = shutil.disk_usage(self._work).free
        except OSError as error:
            raise ServiceError(f"The room on the disk of {self._work} cannot be seen: {error}.") from error
        limit = self.limit_bytes
        return free if limit is None else max(0, min(free, limit - self.used_bytes))

"""Gen2 registries, read without ever writing beside them.

A registry may be in use, may lie on a read-only file system, and may not be a database at all. Opening a WAL database
in the usual way makes files beside it; here it is read as immutable, or from a copy where its log holds changes.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from lsst_commtools.errors import TableError

__all__ = ["RegistryRow", "open_registry", "read_rows"]

_WAL_FLAG = slice(18, 20)
_MAX_COPY_BYTES = 2 << 30
_WANTED = (
    "expId", "visit", "detector", "dayObs", "seqNum", "run", "raftName", "detectorName", "snap", "filter",
    "dateObs", "expTime", "object", "imageType",
)  # fmt: skip


class RegistryRow(NamedTuple):
    """One row of the table ``raw``; a tuple, for there are 10^5 of them.

    Parameters
    ----------
    exposure_id
        The column ``expId``, before 2020 ``visit``.
    detector
        Detector number, None where the row has none.
    values
        All columns that matter here and are there.
    """

    exposure_id: int
    detector: int | None
    values: Mapping[str, Any]

    @property
    def data_id(self) -> dict[str, Any]:
        """The part that names the image."""
        names = ("expId", "visit", "detector", "dayObs", "seqNum", "run", "raftName", "detectorName")
        return {name: self.values[name] for name in names if self.values.get(name) is not None}


@contextlib.contextmanager
def open_registry(path: str) -> Iterator[sqlite3.Connection]:
    """Open a sqlite database to read it; nothing is written beside it, not even by sqlite itself.

    Parameters
    ----------
    path
        The database.

    Yields
    ------
    sqlite3.Connection
        Read-only; text that is not UTF-8 is replaced, not refused.

    Raises
    ------
    TableError
        If it is no sqlite database, or busy, or cannot be read.
    """
    with contextlib.ExitStack() as stack:
        try:
            uri = _uri(Path(path), stack)
            connection = stack.enter_context(
                contextlib.closing(sqlite3.connect(uri, uri=True, timeout=5.0, isolation_level=None))
            )
            connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
            connection.execute("PRAGMA query_only = ON")
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            yield connection
        except sqlite3.Error as error:
            raise TableError(f"{path} cannot be read as a registry: {error}.") from None
        except OSError as error:
            raise TableError(f"{path} cannot be read: {error.strerror}.") from None


def _uri(path: Path, stack: contextlib.ExitStack) -> str:
    with path.open("rb") as file:
        head = file.read(100)
    log = path.with_name(path.name + "-wal")
    if b"\x02" not in head[_WAL_FLAG]:
        options = "mode=ro"
    elif not log.exists() or log.stat().st_size == 0:
        options = "mode=ro&immutable=1"
    else:
        if path.stat().st_size + log.stat().st_size > _MAX_COPY_BYTES:
            raise TableError(f"{path} is being written, and is too large to copy.", advice="Try again later.")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="commtools-registry-")))
        shutil.copyfile(path, folder / "copy")
        shutil.copyfile(log, folder / "copy-wal")
        path, options = folder / "copy", "mode=rw"
    return f"file:{quote(str(path), errors='surrogateescape')}?{options}"


def read_rows(path: str, *, exposure_ids: tuple[int, ...] | None = None) -> list[RegistryRow]:
    """Read the table ``raw`` in one query.

    Parameters
    ----------
    path
        The registry.
    exposure_ids
        Only rows of these; all by default.

    Returns
    -------
    list of RegistryRow
        Rows whose id is no number are left out.

    Raises
    ------
    TableError
        If there is no such table, or if it is a view, which could do anything.
    """
    with open_registry(path) as connection:
        kind = connection.execute("SELECT type FROM sqlite_master WHERE name = 'raw'").fetchone()
        if kind is None or kind[0] != "table":
            raise TableError(f"{path} has no table 'raw'.")
        there = {row[1] for row in connection.execute("PRAGMA table_info(raw)")}
        columns = [name for name in _WANTED if name in there]
        key = "expId" if "expId" in there else "visit"
        if key not in there:
            raise TableError(f"The table 'raw' of {path} has neither expId nor visit.")
        query = f"SELECT {', '.join(columns)} FROM raw"  # noqa: S608 - names from the fixed list above
        if exposure_ids is not None:
            query += f" WHERE {key} IN ({', '.join('?' * len(exposure_ids))})"
        rows = (dict(zip(columns, row, strict=True)) for row in connection.execute(query, exposure_ids or ()))
        return [
            RegistryRow(row[key], _integer(row.get("detector")), row)
            for row in rows
            if isinstance(row[key], int)
        ]


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) else None

"""Writing to a small sqlite file that several processes share."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from lsst_commtools.errors import ServiceError

__all__ = ["transaction"]


@contextmanager
def transaction(database: sqlite3.Connection, name: str) -> Iterator[sqlite3.Connection]:
    """Write all of something, or nothing.

    Parameters
    ----------
    database
        Opened without transactions of its own.
    name
        What people call it, for the error.

    Yields
    ------
    sqlite3.Connection
        Begun as a writer: a reader that becomes one could find another before it.

    Raises
    ------
    ServiceError
        If it cannot be written.
    """
    try:
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")
    except sqlite3.Error as error:
        raise ServiceError(f"{name} cannot be written: {error}.") from error

"""How a ledger's database is reached: one short connection for each transaction."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event, pool

from lsst_commtools.errors import InputError

__all__ = ["connect", "create_sqlite", "keep_open", "sqlite_path"]

_BUSY_S = 0.25  # the ledger itself tries again
_POSTGRESQL_CONNECT_S = 5


def sqlite_path(url: str) -> Path | None:
    """Give the file of a sqlite ledger.

    Parameters
    ----------
    url
        SQLAlchemy URL.

    Returns
    -------
    pathlib.Path or None
        None for other databases.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() != "sqlite":
        return None
    if not parsed.database or parsed.database == ":memory:":
        raise InputError("A ledger in memory keeps nothing.", advice="Give the path of a file.")
    return Path(parsed.database).expanduser().absolute()


def connect(url: str) -> sa.Engine:
    """Make the engine of a ledger; nothing is opened yet.

    Each transaction opens its own connection, so that a ledger that vanished is noticed: a kept connection would go
    on to write into a deleted file. Nothing is pooled, so forked and threaded users are safe.

    Parameters
    ----------
    url
        SQLAlchemy URL: sqlite or postgresql.

    Returns
    -------
    sqlalchemy.Engine
        With transactions that take the writer's lock at once where the option ``writes`` is set.
    """
    path = sqlite_path(url)
    if path is None:
        parsed = _parse(url)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() != "postgresql":
            raise InputError(
                "A ledger lives in sqlite or PostgreSQL.", advice="Give sqlite:///FILE or postgresql://..."
            )
        return sa.create_engine(
            parsed, poolclass=pool.NullPool, connect_args={"connect_timeout": _POSTGRESQL_CONNECT_S}
        )
    engine = sa.create_engine("sqlite://", poolclass=pool.NullPool, creator=lambda: _open_sqlite(path))

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        options = connection.get_execution_options()
        writes = options.get("writes", False)
        if writes:
            # In write-ahead mode a commit that is not synchronised outlives its process, but not the machine.
            connection.exec_driver_sql(
                f"PRAGMA synchronous={'FULL' if options.get('durable', True) else 'NORMAL'}"
            )
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def create_sqlite(path: Path) -> None:
    """Make the empty file of a sqlite ledger, in write-ahead mode.

    Parameters
    ----------
    path
        The file; its folder is made too, closed to others.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    connection = sqlite3.connect(path, timeout=_BUSY_S)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()


def keep_open(path: Path) -> sqlite3.Connection:
    """Open a sqlite ledger and do nothing with it: the last one to close it would have to tidy up each time.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    sqlite3.Connection
        Holds no lock; to be closed with its ledger.
    """
    connection = _open_sqlite(path)
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return connection


def _open_sqlite(path: Path) -> sqlite3.Connection:
    # mode=rw: a ledger that is away must fail here, not be replaced by an empty one.
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw",
        uri=True,
        timeout=_BUSY_S,
        isolation_level=None,
        check_same_thread=False,
    )


def _parse(url: str) -> sa.URL:
    try:
        return sa.make_url(url)
    except sa.exc.ArgumentError:
        raise InputError(
            "The ledger's URL is none.", advice="Give sqlite:///FILE or postgresql://..."
        ) from None

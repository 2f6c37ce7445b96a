"""Tables of the ledger, and the steps from one schema to the next.

The schema is four small tables of which one only grows, so its migrations are a list of functions in this module;
Alembic would bring a folder of scripts and an environment of its own to each machine that opens a ledger.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from lsst_commtools.errors import ServiceError

__all__ = ["EVENTS", "LEASES", "NOTEBOOKS", "SCHEMA", "VERSION", "migrate", "schema_version"]

_METADATA = sa.MetaData()

SCHEMA = sa.Table("commtools_schema", _METADATA, sa.Column("version", sa.Integer, primary_key=True))

EVENTS = sa.Table(
    "events",
    _METADATA,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    sa.Column("run", sa.String(120), nullable=False),
    sa.Column("clock", sa.Integer, nullable=False),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("at_utc", sa.String(30), nullable=False),
    sa.Column("who", sa.String(200), nullable=False),
    sa.Column("host", sa.String(200), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Index("events_by_run", "run", "clock"),
    sa.Index("events_by_kind", "kind", "at_utc"),
)

LEASES = sa.Table(
    "leases",
    _METADATA,
    sa.Column("key", sa.String(300), primary_key=True),
    sa.Column("run", sa.String(120), nullable=False),
    sa.Column("who", sa.String(200), nullable=False),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("taken_utc", sa.String(30), nullable=False),
    sa.Column("renewed_utc", sa.String(30), nullable=False),
)

NOTEBOOKS = sa.Table(
    "notebooks",
    _METADATA,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("content", sa.Text, nullable=False),
)

_ONLY_GROWS_SQLITE = """
CREATE TRIGGER events_no_{verb} BEFORE {verb} ON events
BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END
"""
_ONLY_GROWS_POSTGRESQL = """
CREATE FUNCTION commtools_only_grows() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the ledger only grows'; END $$;
CREATE TRIGGER events_only_grow BEFORE UPDATE OR DELETE ON events
FOR EACH ROW EXECUTE FUNCTION commtools_only_grows()
"""


def _first_tables(connection: sa.Connection) -> None:
    _METADATA.create_all(connection, tables=[EVENTS, LEASES, NOTEBOOKS])
    if connection.dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            connection.exec_driver_sql(_ONLY_GROWS_SQLITE.format(verb=verb))
    elif connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_ONLY_GROWS_POSTGRESQL)


_MIGRATIONS: list[Callable[[sa.Connection], None]] = [_first_tables]
"""Function n brings a ledger from schema n to n + 1."""

VERSION = len(_MIGRATIONS)
"""Schema that this package writes."""


def schema_version(connection: sa.Connection) -> int:
    """Read the schema of a ledger.

    Parameters
    ----------
    connection
        Connection to it.

    Returns
    -------
    int
        0 for a database without tables of ours.
    """
    if not sa.inspect(connection).has_table(SCHEMA.name):
        return 0
    return connection.scalar(sa.select(sa.func.max(SCHEMA.c.version))) or 0


def migrate(connection: sa.Connection) -> None:
    """Bring a ledger to the schema of this package, in the caller's transaction.

    Parameters
    ----------
    connection
        Connection in a transaction that excludes other writers.

    Raises
    ------
    ServiceError
        If the ledger was written by a newer package.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(715517)")  # one migrates, the others wait
    found = schema_version(connection)
    if found > VERSION:
        raise ServiceError(
            f"The ledger has schema {found}, this lsst_commtools knows up to {VERSION}.",
            changed="Nothing was written.",
            advice="Install the newer lsst_commtools that others use here.",
        )
    if found == 0:
        SCHEMA.create(connection, checkfirst=True)
    for number in range(found, VERSION):
        _MIGRATIONS[number](connection)
        connection.execute(SCHEMA.insert().values(version=number + 1))

"""The ledger: adding events so that none is lost, and reading them."""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import sqlalchemy as sa

from lsst_commtools.errors import CommtoolsError, LedgerAwayError, TableError
from lsst_commtools.procedure.ledger import tables
from lsst_commtools.procedure.ledger.engine import connect, create_sqlite, keep_open, sqlite_path
from lsst_commtools.procedure.ledger.spool import Spool, find_spools, locked, read_spool
from lsst_commtools.procedure.values import Event, Kind
from lsst_commtools.site.home import commtools_home

if TYPE_CHECKING:
    from lsst_commtools.site.procedure import ProcedureSection

__all__ = ["Ledger", "ledger_url"]

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")
_AWAY = (sa.exc.DBAPIError, sqlite3.Error, OSError)
# What a crash of the whole machine may take: the run is aborted then, and these only say how far it was.
_RECONSTRUCTIBLE = (Kind.CELL_STARTED, Kind.CELL_ENDED, Kind.KERNEL_STARTED)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0


def ledger_url(section: ProcedureSection) -> str:
    """Give the URL of a site's ledger.

    Parameters
    ----------
    section
        The site's settings of procedures.

    Returns
    -------
    str
        The setting, by default the sqlite file in the user's folder.
    """
    return section.ledger_url or f"sqlite:///{commtools_home() / 'ledger.sqlite'}"


class Ledger:
    """The record of all runs.

    Parameters
    ----------
    url
        SQLAlchemy URL: sqlite or postgresql.
    wait_s
        How long a ledger that is locked or away is waited for, in seconds.
    spool
        File for events that the ledger cannot take, beside the output notebook.
    create
        Whether a sqlite file is made where there is none. A kernel that joins a run never does: there is one, and if it
        is away an empty one must not take its place.

    Notes
    -----
    An object may be used from several threads.
    """

    def __init__(
        self, url: str, *, wait_s: float = 20.0, spool: Path | None = None, create: bool = True
    ) -> None:
        self.url = url
        self._create = create
        self._wait_s = wait_s
        self._engine = connect(url)
        self._spool = Spool(spool)
        self._lock = threading.RLock()
        self._clocks: dict[str, int] = {}
        self._away = False
        self._ready = False

    @classmethod
    def at(cls, section: ProcedureSection, *, spool: Path | None = None) -> Self:
        """Open the ledger of a site.

        Parameters
        ----------
        section
            The site's settings of procedures.
        spool
            File for events that the ledger cannot take.

        Returns
        -------
        Ledger
            Nothing is opened before its first use.
        """
        return cls(ledger_url(section), wait_s=section.ledger_wait_s, spool=spool)

    @property
    def spooled(self) -> list[Path]:
        """Files that hold events of this process which the ledger has not yet taken."""
        return list(self._spool.used)

    def prepare(self) -> None:
        """Make the tables, or bring them to this package's schema.

        Raises
        ------
        LedgerAwayError
            If the ledger cannot be reached.
        ServiceError
            If it was written by a newer package.
        """
        with self._lock:
            if self._ready:
                return
            path = sqlite_path(self.url)

            def work() -> None:
                if path is not None and self._create and not path.exists():
                    create_sqlite(path)
                with self._begin(writes=False) as connection:
                    found = tables.schema_version(connection)
                if found != tables.VERSION:
                    with self._begin(writes=True) as connection:
                        tables.migrate(connection)

            self._patiently(work, self._wait_s)
            self._ready = True
            if path is not None:
                with contextlib.suppress(sqlite3.Error):
                    weakref.finalize(self, keep_open(path).close)

    def add(self, run: str, kind: Kind, data: dict[str, Any], *, who: str, host: str, pid: int) -> Event:
        """Add an event; it goes to the spool file where the ledger stays away.

        Parameters
        ----------
        run
            The run that it belongs to.
        kind
            What happened.
        data
            Plain values.
        who, host, pid
            Who and what tells it.

        Returns
        -------
        Event
            As it was written; its clock is -1 if neither the ledger nor any file could take it.
        """
        with self._lock:
            event = Event(run, kind, data, who, host, pid)
            try:
                # After a first failure the ledger is tried only shortly, so that a run does not crawl.
                self._prepare_within(0.0 if self._away else self._wait_s)
                event = self._patiently(lambda: self._insert([event])[0], 0.0 if self._away else self._wait_s)
            except LedgerAwayError:
                self._away = True
                event = replace(event, clock=self._clocks.get(run, 0) + 1)
                if self._spool.add(event) is None:
                    return replace(event, clock=-1)
            else:
                if self._away or self._spool.used:
                    self._away = False
                    self._merge(self._spool.used)
            self._clocks[run] = max(event.clock, self._clocks.get(run, 0))
            return event

    def merge_spools(self, *more: Path) -> int:
        """Take in what was spooled while the ledger was away.

        Parameters
        ----------
        more
            Spool files besides those that this user's runs have left.

        Returns
        -------
        int
            How many events were taken in.
        """
        self.prepare()
        return self._merge([*find_spools(), *more])

    def events(self, run: str | None = None, kinds: Sequence[Kind] = ()) -> list[Event]:
        """Read events in their order.

        Parameters
        ----------
        run
            Of one run, or of all.
        kinds
            Of these kinds, or of all.

        Returns
        -------
        list of Event
            Events of each run in order; those of one run with what waits for it in the spool file.
        """
        table = tables.EVENTS
        query = sa.select(table).order_by(table.c.run, table.c.clock, table.c.at_utc, table.c.id)
        if run is not None:
            query = query.where(table.c.run == run)
        if kinds:
            query = query.where(table.c.kind.in_([kind.value for kind in kinds]))
        found = [
            Event(r.run, Kind(r.kind), json.loads(r.data), r.who, r.host, r.pid, r.at_utc, r.clock, r.uid)
            for r in self.read(query)
        ]
        waiting = self._spool.events(run) if run is not None else []
        if waiting:
            known = {event.uid for event in found}
            found += [e for e in waiting if e.uid not in known and (not kinds or e.kind in kinds)]
            found.sort(key=lambda event: (event.clock, event.at_utc))
        return found

    def read(self, query: sa.Select[Any]) -> list[sa.Row[Any]]:
        """Run a query.

        Parameters
        ----------
        query
            What to select.

        Returns
        -------
        list of sqlalchemy.Row
            All rows.
        """
        self.prepare()

        def work() -> list[sa.Row[Any]]:
            with self._begin(writes=False) as connection:
                return list(connection.execute(query).all())

        return self._patiently(work, self._wait_s)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Hold the writer's lock for a short piece of work.

        Yields
        ------
        sqlalchemy.Connection
            In a transaction that is committed at the end.

        Raises
        ------
        LedgerAwayError
            If the lock cannot be had.
        """
        self.prepare()
        connection = self._patiently(self._open_writer, self._wait_s)
        try:
            with connection:
                yield connection
                connection.commit()
        except _AWAY as error:
            raise LedgerAwayError(f"The ledger could not be written: {_reason(error)}.") from error

    def keep_notebook(self, sha256: str, content: str) -> None:
        """Keep the text of a notebook under its hash.

        Parameters
        ----------
        sha256
            Hash that names it.
        content
            Notebook as JSON, without outputs.
        """
        with self.transaction() as connection:
            known = connection.scalar(
                sa.select(tables.NOTEBOOKS.c.sha256).where(tables.NOTEBOOKS.c.sha256 == sha256)
            )
            if known is None:
                connection.execute(tables.NOTEBOOKS.insert().values(sha256=sha256, content=content))

    def notebook(self, sha256: str) -> str | None:
        """Give a notebook that was kept.

        Parameters
        ----------
        sha256
            Hash that names it.

        Returns
        -------
        str or None
            Its JSON, or None if it was not kept.
        """
        rows = self.read(sa.select(tables.NOTEBOOKS.c.content).where(tables.NOTEBOOKS.c.sha256 == sha256))
        return str(rows[0].content) if rows else None

    def _open_writer(self) -> sa.Connection:
        connection = self._engine.connect().execution_options(writes=True)
        try:
            connection.begin()
        except BaseException:
            connection.close()
            raise
        return connection

    @contextlib.contextmanager
    def _begin(self, *, writes: bool, durable: bool = True) -> Iterator[sa.Connection]:
        with (
            self._engine.connect().execution_options(writes=writes, durable=durable) as connection,
            connection.begin(),
        ):
            yield connection

    def _insert(self, events: Sequence[Event], *, merging: bool = False) -> list[Event]:
        """Insert events that are not there yet, each with its place in the order of its run."""
        table, stored = tables.EVENTS, []
        durable = any(event.kind not in _RECONSTRUCTIBLE for event in events)
        with self._begin(writes=True, durable=durable) as connection:
            for event in events:
                if connection.dialect.name == "postgresql":
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(event.run))))
                if connection.scalar(sa.select(table.c.id).where(table.c.uid == event.uid)) is not None:
                    stored.append(event)
                    continue
                clock = event.clock
                if not merging:
                    last = connection.scalar(
                        sa.select(sa.func.max(table.c.clock)).where(table.c.run == event.run)
                    )
                    clock = max(last or 0, self._clocks.get(event.run, 0)) + 1
                stored.append(replace(event, clock=clock))
                connection.execute(
                    table.insert().values(
                        uid=event.uid,
                        run=event.run,
                        clock=clock,
                        kind=event.kind.value,
                        at_utc=event.at_utc,
                        who=event.who,
                        host=event.host,
                        pid=event.pid,
                        data=json.dumps(event.data, ensure_ascii=False),
                    )
                )
        return stored

    def _merge(self, files: Sequence[Path]) -> int:
        merged = 0
        for path in list(files):
            if not path.exists():
                continue
            try:
                with locked(path):
                    events = read_spool(path)
                    self._insert(events, merging=True)
                    path.unlink()
            except FileNotFoundError:  # another process was quicker
                continue
            except TableError as error:
                _LOG.warning("%s It stays where it is.", error)
                continue
            except _AWAY:
                self._away = True
                continue
            merged += len(events)
        self._spool.used = [path for path in self._spool.used if path.exists()]
        return merged

    def _prepare_within(self, wait_s: float) -> None:
        if not self._ready:
            patience, self._wait_s = self._wait_s, wait_s
            try:
                self.prepare()
            finally:
                self._wait_s = patience

    def _patiently(self, work: Callable[[], _T], wait_s: float) -> _T:
        """Do work again and again until the ledger is there."""
        deadline, pause = time.monotonic() + wait_s, _FIRST_PAUSE_S
        while True:
            try:
                return work()
            except CommtoolsError:
                raise  # such as a ledger of a newer package, which no waiting makes older
            except _AWAY as error:
                if isinstance(error, sa.exc.IntegrityError | sa.exc.ProgrammingError) and not _no_tables(
                    error
                ):
                    raise
                if time.monotonic() >= deadline:
                    raise LedgerAwayError(
                        f"The ledger could not be reached within {wait_s:g} s: {_reason(error)}.",
                        advice="Look whether its disk is full, its folder is mounted and its server runs.",
                    ) from error
            time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(2 * pause, _LONGEST_PAUSE_S)


def _no_tables(error: Exception) -> bool:
    return "no such table" in str(error) or "does not exist" in str(error)


def _reason(error: BaseException) -> str:
    """Say why in a few words, without the statement and its parameters."""
    return str(getattr(error, "orig", None) or error).splitlines()[0].strip().rstrip(".")

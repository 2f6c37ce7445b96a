"""Leases: who may change a thing now. One holder each, renewed while its runner lives, taken over only on a word."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from lsst_commtools.errors import LeaseError
from lsst_commtools.procedure.identity import ProcessId, user_name
from lsst_commtools.procedure.ledger.store import Ledger
from lsst_commtools.procedure.ledger.tables import LEASES
from lsst_commtools.procedure.values import now_utc

__all__ = ["Lease", "all_leases", "lease_of", "release", "renew", "run_key", "take"]


def run_key(run: str) -> str:
    """Name the lease that the runner of a run holds while it lives.

    Parameters
    ----------
    run
        Name of the run.

    Returns
    -------
    str
        Its key.
    """
    return f"run:{run}"


@dataclass(frozen=True)
class Lease:
    """A thing and who holds it.

    Parameters
    ----------
    key
        What is held, such as ``csc:DIMM:1``.
    run
        The run for which it is held.
    who
        User who runs it.
    holder
        Process of the runner.
    taken_utc, renewed_utc
        When it was taken, and when the runner last gave a sign of life.
    """

    key: str
    run: str
    who: str
    holder: ProcessId
    taken_utc: str
    renewed_utc: str

    def age_s(self, now: dt.datetime | None = None) -> float:
        """Tell how old the last sign of life is.

        Parameters
        ----------
        now
            Time to count from, by default now.

        Returns
        -------
        float
            Seconds.
        """
        moment = now or dt.datetime.now(dt.UTC)
        return (moment - dt.datetime.fromisoformat(self.renewed_utc)).total_seconds()

    def alive(self, stale_after_s: float) -> bool | None:
        """Tell whether the holder lives.

        Parameters
        ----------
        stale_after_s
            Age of the last sign of life after which a holder elsewhere is no longer thought alive.

        Returns
        -------
        bool or None
            False only where its process was seen to be gone; None where it is silent but cannot be seen from here.
        """
        seen = self.holder.alive()
        if seen is None and self.age_s() <= stale_after_s:
            return True
        return seen

    def text(self) -> str:
        """Say who holds it, since when, and how long ago it was renewed.

        Returns
        -------
        str
            For people.
        """
        life = {True: "alive", False: "dead", None: "not visible from here"}[self.holder.alive()]
        return (
            f"{self.key} is held by {self.who} on {self.holder.host} (process {self.holder.pid}, {life}) for run "
            f"{self.run} since {self.taken_utc[:19]}Z UTC, last renewed {self.age_s():.0f} s ago"
        )


def take(
    ledger: Ledger, key: str, run: str, holder: ProcessId, *, instead_of: Lease | None = None
) -> Lease | None:
    """Take a lease for a run.

    Parameters
    ----------
    ledger
        Where leases are kept.
    key
        What is to be held.
    run
        The run that wants it; a run that holds it already keeps it.
    holder
        Process of its runner.
    instead_of
        The lease whose holder is known to be gone; it is taken over only if it is still the one that is held, so that
        of two who take over at once one is refused.

    Returns
    -------
    Lease or None
        The lease of another run that was taken over, if there was one.

    Raises
    ------
    LeaseError
        If another run holds it.
    LedgerAwayError
        If the ledger cannot be reached: then nobody knows who holds it.
    """
    now = now_utc()
    values = {
        "run": run,
        "who": user_name(),
        "holder": json.dumps(holder.to_dict()),
        "taken_utc": now,
        "renewed_utc": now,
    }
    with ledger.transaction() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(key))))
        row = connection.execute(sa.select(LEASES).where(LEASES.c.key == key)).one_or_none()
        if row is None:
            connection.execute(LEASES.insert().values(key=key, **values))
            return None
        found = _lease(row)
        ours = found.run == run and key != run_key(run)  # a run has one runner, also within one process
        gone = instead_of is not None and (found.run, found.holder) == (instead_of.run, instead_of.holder)
        if not ours and not gone:
            raise LeaseError(
                f"{found.text()}.",
                changed="Nothing was changed.",
                advice="Wait for it, or if it is known to be dead, say so: commtools runs recover "
                f"{found.run} --as YOUR-NAME.",
            )
        connection.execute(LEASES.update().where(LEASES.c.key == key).values(**values))
        return None if ours else found


def renew(ledger: Ledger, run: str, holder: ProcessId) -> bool:
    """Give a sign of life for all leases of a run.

    Parameters
    ----------
    ledger
        Where leases are kept.
    run
        The run.
    holder
        Process of its runner.

    Returns
    -------
    bool
        False if the run's own lease was taken over by somebody else.
    """
    with ledger.transaction() as connection:
        row = connection.execute(sa.select(LEASES).where(LEASES.c.key == run_key(run))).one_or_none()
        if row is None or _lease(row).holder != holder:
            return False
        connection.execute(LEASES.update().where(LEASES.c.run == run).values(renewed_utc=now_utc()))
        return True


def release(ledger: Ledger, run: str, keys: list[str] | None = None) -> list[str]:
    """Give leases of a run back.

    Parameters
    ----------
    ledger
        Where leases are kept.
    run
        The run that holds them.
    keys
        Which ones, by default all.

    Returns
    -------
    list of str
        Those that were given back.
    """
    with ledger.transaction() as connection:
        held = list(connection.scalars(sa.select(LEASES.c.key).where(LEASES.c.run == run)))
        given = [key for key in held if keys is None or key in keys]
        connection.execute(LEASES.delete().where(LEASES.c.run == run, LEASES.c.key.in_(given)))
        return given


def all_leases(ledger: Ledger, run: str | None = None) -> list[Lease]:
    """List the leases that are held.

    Parameters
    ----------
    ledger
        Where leases are kept.
    run
        Of one run, or of all.

    Returns
    -------
    list of Lease
        By key.
    """
    query = sa.select(LEASES).order_by(LEASES.c.key)
    return [_lease(row) for row in ledger.read(query if run is None else query.where(LEASES.c.run == run))]


def lease_of(ledger: Ledger, key: str) -> Lease | None:
    """Tell who holds a thing.

    Parameters
    ----------
    ledger
        Where leases are kept.
    key
        What is held.

    Returns
    -------
    Lease or None
        None if it is free.
    """
    rows = ledger.read(sa.select(LEASES).where(LEASES.c.key == key))
    return _lease(rows[0]) if rows else None


def _lease(row: sa.Row[Any]) -> Lease:
    return Lease(
        row.key, row.run, row.who, ProcessId.from_dict(json.loads(row.holder)), row.taken_utc, row.renewed_utc
    )

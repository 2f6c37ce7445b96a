"""The record of approvals in a database: sqlite in the user's folder, or any that SQLAlchemy reaches."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import sqlalchemy as sa

from lsst_commtools.errors import DataError, ServiceError
from lsst_commtools.images.approvals import Approval
from lsst_commtools.site import commtools_home

__all__ = ["SqlApprovals"]

_METADATA = sa.MetaData()
_TABLE = sa.Table(
    "image_approvals",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("site", sa.String(100), nullable=False, index=True),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("previous_sha256", sa.String(64), nullable=False, unique=True),
    sa.Column("sha256", sa.String(64), nullable=False, unique=True),
)
# SQLite refuses changes by itself; elsewhere the chain of hashes shows them.
for _verb in ("UPDATE", "DELETE"):
    sa.event.listen(
        _TABLE,
        "after_create",
        sa.DDL(  # type: ignore[no-untyped-call]  # SQLAlchemy leaves its constructor untyped
            f"CREATE TRIGGER image_approvals_no_{_verb.lower()} BEFORE {_verb} ON image_approvals "
            "BEGIN SELECT RAISE(ABORT, 'approvals are never changed'); END"
        ).execute_if(dialect="sqlite"),
    )


class SqlApprovals:
    """Approvals in a database.

    Parameters
    ----------
    url
        SQLAlchemy URL; empty for ``image_approvals.sqlite3`` in the user's folder.
    """

    def __init__(self, url: str = "") -> None:
        if not url:
            folder = commtools_home()
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            url = f"sqlite:///{folder / 'image_approvals.sqlite3'}"
        self._engine = sa.create_engine(url, poolclass=sa.NullPool)

    def append(self, approval: Approval) -> None:
        """Add an approval.

        Parameters
        ----------
        approval
            The approval.

        Raises
        ------
        DataError
            If a record before it was changed.
        ServiceError
            If the database cannot be written.
        """
        self.approvals(approval.site)
        try:
            with self._engine.begin() as connection:
                if self._engine.dialect.name == "sqlite":
                    # Taken before reading, so that two people wait for each other; elsewhere the second is refused.
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                last = connection.execute(
                    sa.select(_TABLE.c.sha256).order_by(_TABLE.c.id.desc()).limit(1)
                ).scalar()
                document = json.dumps(approval.to_dict(), sort_keys=True)
                previous = last or ""
                connection.execute(
                    _TABLE.insert().values(
                        site=approval.site,
                        document=document,
                        previous_sha256=previous,
                        sha256=_hash(previous, document),
                    )
                )
        except sa.exc.SQLAlchemyError as error:
            raise ServiceError(
                f"The approval cannot be recorded: {_reason(error)}.", changed="Nothing was recorded."
            ) from None

    def approvals(self, site: str) -> list[Approval]:
        """List the approvals of a site.

        Parameters
        ----------
        site
            Name of the site.

        Returns
        -------
        list of Approval
            Oldest first.

        Raises
        ------
        DataError
            If the chain of records is broken.
        ServiceError
            If the database cannot be read.
        """
        try:
            _METADATA.create_all(self._engine)
            with self._engine.connect() as connection:
                rows: list[Any] = list(connection.execute(sa.select(_TABLE).order_by(_TABLE.c.id)))
        except sa.exc.SQLAlchemyError as error:
            raise ServiceError(f"The record of approvals cannot be read: {_reason(error)}.") from None
        previous = ""
        found: list[Approval] = []
        for row in rows:
            if row.previous_sha256 != previous or row.sha256 != _hash(previous, row.document):
                raise DataError(
                    f"The record of approvals was changed at entry {row.id}.",
                    advice="Approvals after it cannot be relied on: ask the approvers again.",
                )
            previous = row.sha256
            if row.site == site:
                found.append(Approval.from_dict(json.loads(row.document)))
        return found


def _hash(previous: str, document: str) -> str:
    return hashlib.sha256(f"{previous}\n{document}".encode()).hexdigest()


def _reason(error: sa.exc.SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]

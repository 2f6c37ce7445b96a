"""The backlog for spreadsheets and for Jira's CSV importer.

Contract: https://support.atlassian.com/jira-work-management/docs/prepare-and-structure-your-csv-file: a header row
with a column ``Summary`` and no punctuation, several values of a field in columns of the same name, everything quoted.
Spreadsheets take a cell that begins like a formula for one (OWASP, CSV injection); such cells get an apostrophe.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from lsst_commtools.rehearsal.backlog import Backlog, BacklogItem
from lsst_commtools.rehearsal.pages import write_whole

__all__ = ["backlog_csv", "jira_csv", "safe_cell", "write_csv", "write_jira_csv"]

_NO_USERS: Mapping[str, str] = MappingProxyType({})
_FORMULA = re.compile(r"\s*[=+\-@|%\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
_LONGEST_SUMMARY = 250
_LONGEST_DESCRIPTION = 30_000
_COLUMNS = (
    "cause", "kind", "state", "assignee", "count", "nights", "message", "where", "exception", "place",
    "diagnosis", "comment", "noticed_by", "first_utc", "last_utc",
)  # fmt: skip


def safe_cell(value: object) -> str:
    """Make a value harmless in a spreadsheet.

    Parameters
    ----------
    value
        Anything; the parts of a list are joined.

    Returns
    -------
    str
        Its text without control characters but line breaks; with an apostrophe before what would be a formula.
    """
    if isinstance(value, list | tuple):
        value = "; ".join(map(str, value))
    text = "".join(c for c in str(value) if c in "\n\t" or c.isprintable())
    return f"'{text}" if _FORMULA.match(text) else text


def backlog_csv(backlog: Backlog) -> str:
    """Write the whole backlog as a table.

    Parameters
    ----------
    backlog
        The backlog.

    Returns
    -------
    str
        CSV with a header, one row for each item.
    """
    rows = (item.to_dict() for item in backlog.items)
    return _csv(_COLUMNS, ([row[name] for name in _COLUMNS] for row in rows))


def jira_csv(
    backlog: Backlog,
    *,
    origin: str,
    labels: tuple[str, ...] = ("rehearsal",),
    issue_type: str = "Bug",
    users: Mapping[str, str] = _NO_USERS,
) -> str:
    """Write what is open for Jira's importer.

    Parameters
    ----------
    backlog
        The backlog.
    origin
        Where the problems come from, for the description.
    labels
        Labels of each ticket; one that names the cause is added, so that a ticket is found again.
    issue_type
        Type of the tickets.
    users
        Name of an assignee to Jira's account; others are named in the description only, as Jira refuses unknown ones.

    Returns
    -------
    str
        CSV with the importer's column names.
    """
    header = ("Summary", "Issue Type", "Assignee", "Description", *["Labels"] * (len(labels) + 1))
    rows = (
        [
            " ".join(item.summary.split())[:_LONGEST_SUMMARY],
            issue_type,
            users.get(item.assignee, ""),
            _description(item, origin),
            *labels,
            f"cause-{item.cause}",
        ]
        for item in backlog.open
    )
    return _csv(header, rows)


def write_csv(backlog: Backlog, path: Path) -> Path:
    """Write the whole backlog into a file.

    Parameters
    ----------
    backlog
        The backlog.
    path
        The file.

    Returns
    -------
    pathlib.Path
        The file.
    """
    return write_whole(path, backlog_csv(backlog))


def write_jira_csv(backlog: Backlog, path: Path, *, origin: str) -> Path:
    """Write what is open into a file for Jira's importer.

    Parameters
    ----------
    backlog
        The backlog.
    path
        The file.
    origin
        As for `jira_csv`.

    Returns
    -------
    pathlib.Path
        The file.
    """
    return write_whole(path, jira_csv(backlog, origin=origin))


def _csv(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([safe_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _description(item: BacklogItem, origin: str) -> str:
    nights, roles = ", ".join(map(str, item.nights)), ", ".join(item.noticed_by)
    lines = [
        f"{item.message}",
        "",
        f"State: {item.state}, assignee: {item.assignee or 'nobody'}",
        f"Noticed {item.count} times in nights {nights} by {roles or 'the machinery'}",
        f"First {item.first_utc}, last {item.last_utc} (UTC, real time)",
        f"Where: {'; '.join(item.where)}",
        f"Exception: {item.exception or 'none'}, place: {item.place or 'unknown'}",
        f"Diagnosis: {item.diagnosis or 'none yet'}",
        f"Comment: {item.comment or 'none'}",
        f"From: {origin}",
    ]
    # Within noformat Jira reads no markup: no mention, no image, no macro of a hostile message.
    told = re.sub(r"\{(?=\s*noformat)", "{ ", "\n".join(lines), flags=re.IGNORECASE)
    return f"{{noformat}}\n{told[:_LONGEST_DESCRIPTION]}\n{{noformat}}"

"""What needs what: requirements, cycles, critical paths, what is late, and what an absence blocks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from lsst_commtools.releases.model import ReleaseModel, SourceModel

__all__ = [
    "Late",
    "PathStep",
    "blocked_by",
    "critical_path",
    "disagreements",
    "find_cycles",
    "find_late",
    "needs_all",
]


@dataclass(frozen=True)
class PathStep:
    """One step of a critical path.

    Parameters
    ----------
    id, title
        What it is.
    due
        Target date; None where the source has none.
    slack_days
        Days between it and the step that needs it; negative where it is due later. None for the last.
    """

    id: str
    title: str
    due: dt.date | None
    slack_days: int | None


@dataclass(frozen=True)
class Late:
    """Something that is due and not verified.

    Parameters
    ----------
    id, title, due
        What it is.
    days
        Days since it was due.
    source
        Source that has the date.
    """

    id: str
    title: str
    due: dt.date
    days: int
    source: str


def needs_all(source: SourceModel, entry_id: str) -> tuple[str, ...]:
    """Give all that an entry needs, directly and through others.

    Parameters
    ----------
    source
        One source.
    entry_id
        The entry.

    Returns
    -------
    tuple of str
        Ids in the order in which they are met; not the entry itself, unless it needs itself through a cycle.
    """
    found: dict[str, None] = {}
    pending = list(reversed(source.requires(entry_id)))
    while pending:
        wanted = pending.pop()
        if wanted not in found:
            found[wanted] = None
            pending.extend(reversed(source.requires(wanted)))
    return tuple(found)


def blocked_by(source: SourceModel, entry_id: str) -> dict[str, bool]:
    """Give all that cannot be had without an entry.

    Parameters
    ----------
    source
        One source.
    entry_id
        The entry.

    Returns
    -------
    dict
        Id to whether it needs the entry directly, nearest first.
    """
    users: dict[str, list[str]] = {}
    for user in dict.fromkeys(e.id for e in source.entries):
        for wanted in source.requires(user):
            users.setdefault(wanted, []).append(user)
    found: dict[str, bool] = {}
    level, direct = [entry_id], True
    while level:
        following = [user for wanted in level for user in users.get(wanted, ()) if user not in found]
        level = list(dict.fromkeys(following))
        found.update(dict.fromkeys(level, direct))
        direct = False
    return found


def find_cycles(source: SourceModel) -> list[tuple[str, ...]]:
    """Find entries that need themselves through others.

    Parameters
    ----------
    source
        One source.

    Returns
    -------
    list of tuple of str
        One tuple of ids for each group in which everything needs everything, in the order of the source.
    """
    ids = list(dict.fromkeys(e.id for e in source.entries))
    order = {i: position for position, i in enumerate(ids)}
    groups = [
        tuple(sorted(group, key=order.__getitem__))
        for group in _components(source, ids)
        if len(group) > 1 or group[0] in source.requires(group[0])
    ]
    return sorted(groups, key=lambda group: order[group[0]])


def _components(source: SourceModel, ids: list[str]) -> list[list[str]]:
    """Find strongly connected components (Tarjan), without recursion: tables may hold long chains."""
    known = set(ids)
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    components: list[list[str]] = []
    for root in ids:
        work = [] if root in index else [(root, iter(source.requires(root)))]
        while work:
            node, needs = work[-1]
            if node not in index:
                index[node] = low[node] = len(index)
                stack.append(node)
                on_stack.add(node)
            following = next((i for i in needs if i in known), None)
            if following is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    cut = stack.index(node)
                    components.append(stack[cut:])
                    on_stack.difference_update(stack[cut:])
                    del stack[cut:]
            elif following not in index:
                work.append((following, iter(source.requires(following))))
            elif following in on_stack:
                low[node] = min(low[node], index[following])
    return components


def critical_path(source: SourceModel, entry_id: str) -> list[PathStep]:
    """Follow from an entry backwards to what is due last of all that it needs directly, and so on.

    Parameters
    ----------
    source
        One source; without dates the path ends at once.
    entry_id
        The entry.

    Returns
    -------
    list of PathStep
        First what must be there first, last the entry itself.
    """
    path = [entry_id]
    while True:
        dated = [
            (due, i)
            for i in source.requires(path[-1])
            if (due := source.due(i)) is not None and i not in path
        ]
        if not dated:
            break
        path.append(max(dated)[1])
    steps = []
    for position, step in enumerate(path):
        due, user_due = source.due(step), source.due(path[position - 1]) if position else None
        slack = (user_due - due).days if user_due is not None and due is not None else None
        steps.append(PathStep(step, source.title(step), due, slack))
    return steps[::-1]


def find_late(model: ReleaseModel, today: dt.date, verified: Collection[str]) -> list[Late]:
    """Find what is due and not verified.

    Parameters
    ----------
    model
        The sources.
    today
        Day on which it is asked.
    verified
        Ids that are verified.

    Returns
    -------
    list of Late
        Longest overdue first.
    """
    late = [
        Late(i, source.title(i), due, (today - due).days, source.name)
        for source in model.sources
        for i in dict.fromkeys(e.id for e in source.entries)
        if i not in verified and (due := source.due(i)) is not None and due < today
    ]
    return sorted(late, key=lambda entry: (-entry.days, entry.id))


def disagreements(model: ReleaseModel, entry_id: str) -> list[dict[str, Any]]:
    """Say where the sources tell different things of an entry.

    Parameters
    ----------
    model
        The sources.
    entry_id
        The entry.

    Returns
    -------
    list of dict
        Keys id, field (``presence``, ``title``, ``features``, ``milestones``), and each source's value by its name.
        A source that tells nothing of prerequisites of features is not compared there.
    """
    told = {s.name: s for s in model.sources if s.get(entry_id)}
    if len(model.sources) > 1 and len(told) < len(model.sources):
        return [{"id": entry_id, "field": "presence", **{s.name: s.name in told for s in model.sources}}]
    found: list[dict[str, Any]] = []
    titles = {name: s.title(entry_id) for name, s in told.items()}
    codes = {e.details.get("(Optional) Milestone Coding", "") for s in told.values() for e in s.get(entry_id)}
    plain = {_plain(title) for title in titles.values() if title not in codes}
    if len(plain) > 1 or "" in plain:
        found.append({"id": entry_id, "field": "title", **titles})
    if any(e.kind == "milestone" for s in told.values() for e in s.get(entry_id)):
        for name in ("features", "milestones"):
            values = {
                s.name: sorted({i for e in s.get(entry_id) for i in getattr(e, name)}) for s in told.values()
            }
            if len({tuple(v) for v in values.values()}) > 1:
                found.append({"id": entry_id, "field": name, **values})
    return found


def _plain(title: str) -> str:
    """Reduce a title to what counts when two are compared."""
    return " ".join(title.rstrip(". ").casefold().split())

"""What T&S sanctioned in a cycle, and how its builds are numbered."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from lsst_commtools.errors import TableError

__all__ = ["CycleContents", "check_cycle_step", "parse_cycle_env"]


@dataclass(frozen=True)
class CycleContents:
    """What T&S sanctioned in one cycle (``ts_cycle_build`` ``cycle/cycle.env``).

    Parameters
    ----------
    cycle, revision
        Number of the cycle and of its build.
    versions
        All other settings: ``stack``, ``ts_xml`` and so on.
    """

    cycle: int
    revision: int
    versions: Mapping[str, str]


def parse_cycle_env(text: str) -> CycleContents:
    """Read a ``cycle.env``.

    Parameters
    ----------
    text
        Lines ``NAME=VALUE``; comments begin with ``#``.

    Returns
    -------
    CycleContents
        What the cycle holds.

    Raises
    ------
    TableError
        If CYCLE (``c0044``) or rev (``.007``) is missing or malformed.
    """
    values: dict[str, str] = {}
    for line in text.splitlines():
        name, separator, value = line.partition("#")[0].strip().removeprefix("export ").partition("=")
        if separator:
            values[name.strip()] = value.strip().strip("\"'")
    cycle, revision = values.pop("CYCLE", ""), values.pop("rev", "")
    if not (cycle[:1] == "c" and cycle[1:].isdecimal() and revision[:1] == "." and revision[1:].isdecimal()):
        raise TableError(f"The cycle {cycle!r} or its revision {revision!r} cannot be read.")
    return CycleContents(int(cycle[1:]), int(revision[1:]), values)


def check_cycle_step(old: CycleContents, new: CycleContents, core: Collection[str]) -> list[str]:
    """Check that a change of a cycle is numbered as the rule asks.

    Parameters
    ----------
    old, new
        Contents before and after.
    core
        Packages whose change makes a new cycle, such as ``ts_xml``.

    Returns
    -------
    list of str
        Sentences; empty where a core change made a new cycle with revision 0, and any other change one revision more.
    """
    names = sorted(old.versions.keys() | new.versions.keys())
    changed = [name for name in names if old.versions.get(name) != new.versions.get(name)]
    core_changed = [name for name in changed if name in core]
    step = (new.cycle - old.cycle, new.revision)
    if core_changed and step != (1, 0):
        return [f"{', '.join(core_changed)} changed, so that c{old.cycle + 1:04d}.000 is due."]
    if not core_changed and changed and (new.cycle, new.revision) != (old.cycle, old.revision + 1):
        return [f"{', '.join(changed)} changed, so that c{old.cycle:04d}.{old.revision + 1:03d} is due."]
    if not changed and (new.cycle, new.revision) != (old.cycle, old.revision):
        return ["The number changed, but nothing in the cycle did."]
    return []

"""The cells of a notebook that a person runs by hand: which one runs now, and whether it may."""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from lsst_commtools.errors import RefusedError

__all__ = ["Cell", "CellGuard", "cell_now"]


@dataclass(frozen=True)
class Cell:
    """A cell that runs.

    Parameters
    ----------
    id
        The notebook's identifier of it; empty where the front end does not tell.
    count
        Number of its execution.
    source
        Its code.
    """

    id: str
    count: int
    source: str


def cell_now() -> Cell | None:
    """Tell which cell runs in this kernel.

    Returns
    -------
    Cell or None
        None outside of a Jupyter kernel.
    """
    interactive = sys.modules.get("IPython")
    shell: Any = interactive.get_ipython() if interactive is not None else None
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return None
    parent = kernel.get_parent("shell") or {}
    identifier = (parent.get("metadata") or {}).get("cellId") or ""
    return Cell(
        str(identifier), int(shell.execution_count), str((parent.get("content") or {}).get("code", ""))
    )


@dataclass
class _Visit:
    count: int = -1
    uses: dict[str, int] = field(default_factory=dict)
    ids: dict[tuple[str, int], str] = field(default_factory=dict)


class CellGuard:
    """Gives the steps of a cell that is run again their identifiers again, and refuses cells that nobody approved.

    Parameters
    ----------
    approved
        Sources of the approved cells; None where the site does not ask for approval.
    """

    def __init__(self, approved: Collection[str] | None = None) -> None:
        self._approved = approved
        self._visits: dict[str, _Visit] = {}

    def check(self) -> None:
        """Refuse a cell that is not part of the approved notebook.

        Raises
        ------
        RefusedError
            If its code was changed.
        """
        if self._approved is None:
            return
        cell = cell_now()
        if cell is None or cell.source.strip() not in self._approved:
            raise RefusedError(
                "This cell is not part of the approved notebook.",
                changed="The step was not begun.",
                advice="Undo the change, or have the notebook approved: commtools approve NOTEBOOK --as NAME.",
            )

    def step_id(self, base: str) -> str | None:
        """Find the identifier that a step had when its cell ran before.

        Parameters
        ----------
        base
            Its identifier without number.

        Returns
        -------
        str or None
            None for a step that is new.
        """
        visit = self._visit()
        if visit is None:
            return None
        visit.uses[base] = visit.uses.get(base, 0) + 1
        return visit.ids.get((base, visit.uses[base]))

    def remember(self, base: str, step_id: str) -> None:
        """Keep the identifier of a new step.

        Parameters
        ----------
        base
            Its identifier without number.
        step_id
            Its identifier.
        """
        visit = self._visit()
        if visit is not None:
            visit.ids[(base, visit.uses[base])] = step_id

    def _visit(self) -> _Visit | None:
        cell = cell_now()
        if cell is None or not cell.id:
            return None
        visit = self._visits.setdefault(cell.id, _Visit())
        if visit.count != cell.count:
            visit.count, visit.uses = cell.count, {}
        return visit

"""Keeps the output notebook: its statuses say what happened, its file is whole at each moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from papermill.engines import NotebookExecutionManager
from papermill.iorw import papermill_io, write_ipynb
from papermill.log import logger
from typing_extensions import override

from lsst_commtools.procedure.notebook import write_atomic
from lsst_commtools.procedure.redact import REDACTED, Redactor
from lsst_commtools.procedure.values import CellStatus

__all__ = ["AtomicHandler", "OutputNotebook"]


class AtomicHandler:
    """Papermill's way to write one output notebook, whole at each moment.

    Parameters
    ----------
    folder
        Folder to which relative paths belong.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, path: str) -> str:
        """Read a notebook.

        Parameters
        ----------
        path
            The file.

        Returns
        -------
        str
            Its text.
        """
        return (self._folder / path).read_text(encoding="utf-8")

    def listdir(self, path: str) -> list[str]:
        """List a folder.

        Parameters
        ----------
        path
            The folder.

        Returns
        -------
        list of str
            Paths of its entries.
        """
        return [str(Path(path) / entry.name) for entry in (self._folder / path).iterdir()]

    def write(self, buf: str, path: str) -> None:
        """Write a notebook.

        Parameters
        ----------
        buf
            Its text.
        path
            The file.
        """
        target = self._folder / path
        if not target.parent.is_dir():
            raise FileNotFoundError(f"output folder {target.parent} doesn't exist.")
        write_atomic(buf, target)

    def pretty_path(self, path: str) -> str:
        """Give the path as people read it.

        Parameters
        ----------
        path
            The file.

        Returns
        -------
        str
            The same.
        """
        return path


class OutputNotebook(NotebookExecutionManager):
    """Papermill's manager of the output notebook, with statuses that are true.

    Parameters
    ----------
    nb
        The notebook that is run.
    redactor
        Keeps secrets out of it.
    **options
        Those of papermill.
    """

    INTERRUPTED = CellStatus.INTERRUPTED.value
    NOT_RUN = CellStatus.NOT_RUN.value

    def __init__(self, nb: Any, *, redactor: Redactor, **options: Any) -> None:
        super().__init__(nb, **options)
        self.output_path: str | None
        self.redactor = redactor
        self.unwritten: OSError | None = None
        self._ending = False
        self._shown: dict[int, str] = {}
        self._sources: dict[int, str] = {}
        for index, cell in enumerate(nb.cells):
            if redactor.text(cell.source) != cell.source:
                self._shown[index], self._sources[index] = redactor.text(cell.source), cell.source

    @override
    def save(self, **kwargs: Any) -> None:
        """Write the file; a failure is kept in `unwritten`, because the world matters more than its file."""
        self.last_save_time = self.now()
        if not self.output_path:
            return
        try:
            self._show(self._shown)
            if papermill_io.get_handler(self.output_path) is papermill_io.get_handler("local"):
                write_atomic(nbformat.writes(self.nb), Path(self.output_path), durable=self._ending)
            else:
                write_ipynb(self.nb, self.output_path)
        except OSError as error:
            if self.unwritten is None:
                logger.error("The output notebook %s cannot be written: %s", self.output_path, error)
            self.unwritten = error
        else:
            self.unwritten = None
        finally:
            self._show(self._sources)

    def cell_end(self, cell: Any, index: int, status: CellStatus, reason: str) -> None:
        """Set what became of a cell.

        Parameters
        ----------
        cell, index
            The cell.
        status
            What became of it.
        reason
            Why, where it did not complete.
        """
        values = cell.metadata.papermill
        values["status"] = status.value
        if status is not CellStatus.COMPLETED:
            values["exception"] = True
            self.nb.metadata.papermill["exception"] = True
        if reason:
            values["reason"] = reason
        self.cell_complete(cell, cell_index=index)

    @override
    def cell_complete(self, cell: Any, cell_index: int | None = None, **kwargs: Any) -> None:
        """Set the end of a cell; papermill would call each cell completed that did not fail."""
        status = cell.metadata.papermill["status"]
        cell.metadata.papermill["status"] = self.FAILED  # the only one that papermill leaves as it is
        saved, self.output_path = self.output_path, None
        super().cell_complete(cell, cell_index=cell_index, **kwargs)
        self.output_path = saved
        cell.metadata.papermill["status"] = status
        self.save()

    @override
    def notebook_complete(self, **kwargs: Any) -> None:
        """Set the end of the notebook; cells that were never begun say so."""
        for cell in self.nb.cells:
            values = cell.metadata.papermill
            if values["status"] == self.PENDING:
                values["status"] = self.NOT_RUN
            elif values["status"] == self.RUNNING:
                values["status"] = self.INTERRUPTED
        self._ending = True
        super().notebook_complete(**kwargs)
        self._show(self._shown)  # for good: papermill writes this notebook once more
        self._sources = dict(self._shown)

    def _show(self, sources: dict[int, str]) -> None:
        for index, source in sources.items():
            self.nb.cells[index].source = source


def hide_secret_parameters(nb: Any, names: list[str]) -> None:
    """Replace the values of secret parameters in a notebook's metadata.

    Parameters
    ----------
    nb
        The notebook.
    names
        Names of the secret parameters.
    """
    parameters = nb.metadata.get("papermill", {}).get("parameters", {})
    for name in names:
        if parameters.get(name) is not None:
            parameters[name] = REDACTED

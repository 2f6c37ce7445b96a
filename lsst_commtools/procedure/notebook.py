"""Notebooks as files: read them, hash their code, write them so that a crash leaves a readable file."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsst_commtools.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = [
    "CLOSING",
    "NotebookFile",
    "code_cells",
    "code_sha256",
    "find_cell",
    "has_tag",
    "read_notebook",
    "stripped_text",
    "write_atomic",
    "write_html",
]

CLOSING = "closing"
"""Tag of the cells that always run."""

_NO_SCRIPT, _NO_MODULE = "data:text/javascript,", "data:text/javascript,export%20default%20undefined"
PARAMETERS, INJECTED = "parameters", "injected-parameters"


@dataclass(frozen=True)
class NotebookFile:
    """A notebook and where it came from.

    Parameters
    ----------
    path
        The file, absolute.
    sha256
        Hash of the file's bytes.
    nb
        Its content, upgraded to the newest format 4.
    """

    path: Path
    sha256: str
    nb: NotebookNode


def read_notebook(path: Path) -> NotebookFile:
    """Read a notebook.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    NotebookFile
        Its content.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InputError
        If it is not a notebook.
    """
    path = path.expanduser().absolute()
    try:
        content = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise NotFoundError(f"There is no notebook {path}.") from None
    except OSError as error:
        raise InputError(f"The notebook {path} cannot be read: {error.strerror}.") from None
    return NotebookFile(
        path, hashlib.sha256(content).hexdigest(), parse_notebook(content.decode("utf-8", "replace"))
    )


def parse_notebook(text: str) -> NotebookNode:
    """Parse the text of a notebook.

    Parameters
    ----------
    text
        JSON.

    Returns
    -------
    nbformat.NotebookNode
        Format 4.

    Raises
    ------
    InputError
        If it is not a notebook.
    """
    import nbformat

    try:
        nb = nbformat.reads(text, as_version=4)
        nb = nbformat.v4.upgrade(nb) or nb
        nbformat.validate(nb)
    except Exception as error:  # noqa: BLE001 - nbformat raises whatever a broken document provokes
        raise InputError(f"This is not a notebook: {str(error).splitlines()[0][:200]}.") from None
    return nb


def has_tag(cell: Any, tag: str) -> bool:
    """Tell whether a cell has a tag.

    Parameters
    ----------
    cell
        A cell.
    tag
        The tag.

    Returns
    -------
    bool
        Whether it has it.
    """
    return tag in (cell.get("metadata", {}).get("tags") or [])


def code_cells(nb: NotebookNode) -> list[Any]:
    """Give the code cells that belong to the notebook itself, without what a run injected.

    Parameters
    ----------
    nb
        The notebook.

    Returns
    -------
    list
        Cells in order.
    """
    return [cell for cell in nb.cells if cell.cell_type == "code" and not has_tag(cell, INJECTED)]


def find_cell(nb: NotebookNode, tag: str) -> NotebookNode | None:
    """Find the first code cell with a tag.

    Parameters
    ----------
    nb
        The notebook.
    tag
        ``parameters``, for instance.

    Returns
    -------
    NotebookNode or None
        The cell.
    """
    return next((cell for cell in code_cells(nb) if has_tag(cell, tag)), None)


def code_sha256(nb: NotebookNode) -> str:
    """Give the hash of a notebook's code: texts, outputs and metadata do not change it, tags of closing cells do.

    Parameters
    ----------
    nb
        The notebook.

    Returns
    -------
    str
        SHA-256.
    """
    code = [[cell.source, has_tag(cell, CLOSING), has_tag(cell, PARAMETERS)] for cell in code_cells(nb)]
    return hashlib.sha256(json.dumps(code, ensure_ascii=True).encode()).hexdigest()


def stripped_text(nb: NotebookNode) -> str:
    """Give a notebook as JSON without outputs, injected cells and what a runner adds.

    Parameters
    ----------
    nb
        The notebook.

    Returns
    -------
    str
        JSON.
    """
    import nbformat

    copy = nbformat.from_dict(json.loads(json.dumps(nb)))
    copy.cells = [cell for cell in copy.cells if not has_tag(cell, INJECTED)]
    copy.metadata.pop("papermill", None)
    for cell in copy.cells:
        cell.metadata.pop("papermill", None)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return str(nbformat.writes(copy))


def write_atomic(text: str, path: Path, *, durable: bool = True) -> None:
    """Write a file so that at each moment the old or the new content is there as a whole.

    Parameters
    ----------
    text
        New content.
    path
        The file; pipes and devices are written as they are.
    durable
        Whether it must also outlive the machine, not only this process.
    """
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    target = path.resolve()  # a link stays a link
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        with contextlib.suppress(OSError):
            part.chmod(target.stat().st_mode if target.exists() else 0o666 & ~_umask())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_html(nb: NotebookNode, path: Path) -> None:
    """Write a page of a notebook.

    Parameters
    ----------
    nb
        The executed notebook.
    path
        The page.
    """
    from nbconvert import HTMLExporter

    exporter = HTMLExporter()
    # The page loads nothing from the network: its scripts are replaced by empty ones.
    exporter.require_js_url = exporter.mathjax_url = exporter.jquery_url = _NO_SCRIPT
    exporter.mermaid_js_url = exporter.mermaid_layout_elk_js_url = _NO_MODULE
    exporter.widget_renderer_url = _NO_SCRIPT
    body, _ = exporter.from_notebook_node(nb, resources={"metadata": {"name": path.stem}})
    write_atomic(body, path)


def _umask() -> int:
    # Read from /proc: os.umask can only be read by changing it, which other threads would see.
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o022

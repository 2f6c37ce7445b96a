"""Figures, tables and files that a step keeps beside the output notebook."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsst_commtools.errors import InputError
from lsst_commtools.procedure.values import slug

__all__ = ["Attachment", "keep"]


@dataclass(frozen=True)
class Attachment:
    """A file that was kept.

    Parameters
    ----------
    path
        Where it lies.
    sha256
        Hash of its bytes.
    size_bytes
        Its size.
    """

    path: Path
    sha256: str
    size_bytes: int


def keep(thing: Any, name: str | None, folder: Path, *, dry_run: bool = False) -> Attachment:
    """Keep something in a run's folder.

    Parameters
    ----------
    thing
        A matplotlib or bokeh figure, a pandas or astropy table, or the path of a file.
    name
        Name without folder and ending; made up where none is given.
    folder
        The run's folder; made if need be.
    dry_run
        Whether the file's name says that nothing real was done.

    Returns
    -------
    Attachment
        The file.

    Raises
    ------
    InputError
        If it is something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = ("dry-run-" if dry_run else "") + slug(name or _name_of(thing))
    if isinstance(thing, str | os.PathLike):
        source = Path(thing)
        if not source.is_file():
            raise InputError(f"There is no file {os.fspath(thing)!r} to attach.")
        path = _free(folder, stem, source.suffix)
        shutil.copyfile(source, path)
    elif hasattr(thing, "savefig"):  # matplotlib
        path = _free(folder, stem, ".png")
        thing.savefig(path)
    elif hasattr(thing, "to_csv"):  # pandas
        path = _free(folder, stem, ".csv")
        thing.to_csv(path)
    elif hasattr(thing, "colnames") and hasattr(thing, "write"):  # astropy
        path = _free(folder, stem, ".ecsv")
        thing.write(path, format="ascii.ecsv")
    elif type(thing).__module__.startswith("bokeh."):
        path = _free(folder, stem, ".html")
        path.write_text(_bokeh_page(thing, path.stem), encoding="utf-8")
    else:
        raise InputError(
            f"A {type(thing).__name__} cannot be attached.",
            advice="Give a figure, a table or the path of a file.",
        )
    content = path.read_bytes()
    return Attachment(path, hashlib.sha256(content).hexdigest(), len(content))


def _bokeh_page(figure: Any, title: str) -> str:
    from bokeh.embed import file_html
    from bokeh.resources import INLINE

    return str(file_html(figure, INLINE, title))


def _name_of(thing: Any) -> str:
    return Path(thing).stem if isinstance(thing, str | os.PathLike) else type(thing).__name__


def _free(folder: Path, stem: str, suffix: str) -> Path:
    path, number = folder / f"{stem}{suffix}", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}{suffix}"
    return path

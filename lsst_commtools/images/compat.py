"""Backward compatibility is what is tested: notebooks tried on images, and the matrix of the outcomes."""

from __future__ import annotations

import datetime as dt
import enum
import fnmatch
import hashlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsst_commtools.errors import NotFoundError, TableError
from lsst_commtools.site.images import CompatSection, SmokeLevel

__all__ = ["CompatCell", "CompatMatrix", "CompatResult", "find_notebooks", "judge_use", "run_matrix"]


class CompatResult(enum.Enum):
    """Outcome of a notebook on an image."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_TESTED = "not-tested"


@dataclass(frozen=True)
class CompatCell:
    """One notebook on one image.

    Parameters
    ----------
    image
        Tag of the image.
    notebook
        Path below the folder of notebooks, without suffix.
    result
        Outcome.
    reason
        Why it failed or was not tested.
    at_utc
        When it was tried; None where it was not.
    took_s
        Seconds that it took.
    sha256
        Hash of the notebook that was tried: a changed notebook was not tested.
    """

    image: str
    notebook: str
    result: CompatResult
    reason: str = ""
    at_utc: dt.datetime | None = None
    took_s: float | None = None
    sha256: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Give the cell as plain values.

        Returns
        -------
        dict
            Keys image, notebook, result, reason, at_utc, took_s, sha256.
        """
        return {
            "image": self.image,
            "notebook": self.notebook,
            "result": self.result.value,
            "reason": self.reason,
            "at_utc": None if self.at_utc is None else self.at_utc.isoformat(),
            "took_s": self.took_s,
            "sha256": self.sha256,
        }


class CompatMatrix:
    """Outcomes by image and notebook, kept in a file of JSON lines that only grows.

    Parameters
    ----------
    path
        The file; None to keep nothing.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._cells: dict[tuple[str, str], CompatCell] = {}
        if path is not None and path.exists():
            for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
                if line.strip():
                    cell = _read_cell(line, f"{path}, line {number}")
                    self._cells[cell.image, cell.notebook] = cell

    @property
    def cells(self) -> list[CompatCell]:
        """The latest outcome of each image and notebook."""
        return list(self._cells.values())

    def cell(self, image: str, notebook: str, sha256: str = "") -> CompatCell:
        """Give one outcome.

        Parameters
        ----------
        image, notebook
            Which one.
        sha256
            Hash of the notebook as it is now; an outcome of another one does not count.

        Returns
        -------
        CompatCell
            ``not-tested`` where there is none.
        """
        cell = self._cells.get((image, notebook))
        if cell is None:
            return CompatCell(image, notebook, CompatResult.NOT_TESTED, "It was never tried.")
        if sha256 and cell.sha256 != sha256:
            return CompatCell(
                image, notebook, CompatResult.NOT_TESTED, "The notebook changed since it was tried."
            )
        return cell

    def add(self, cell: CompatCell) -> None:
        """Keep an outcome. Where nothing was tried, what was known before stays.

        Parameters
        ----------
        cell
            The outcome.
        """
        if cell.result is CompatResult.NOT_TESTED:
            self._cells.setdefault((cell.image, cell.notebook), cell)
            return
        self._cells[cell.image, cell.notebook] = cell
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(cell.to_dict()) + "\n")


def _read_cell(line: str, label: str) -> CompatCell:
    try:
        values = json.loads(line)
        at = values["at_utc"]
        return CompatCell(
            str(values["image"]),
            str(values["notebook"]),
            CompatResult(values["result"]),
            str(values["reason"]),
            None if at is None else dt.datetime.fromisoformat(at),
            values["took_s"],
            str(values["sha256"]),
        )
    except (ValueError, KeyError, TypeError):
        raise TableError(f"The matrix of outcomes cannot be read: {label}.") from None


def find_notebooks(folder: Path, patterns: Sequence[str] = ("*",)) -> dict[str, Path]:
    """Find the notebooks of a regression suite.

    Parameters
    ----------
    folder
        Folder of notebooks.
    patterns
        Patterns of paths below it, without suffix.

    Returns
    -------
    dict
        Path below the folder, without suffix, to the file.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    found = {
        path.relative_to(folder).with_suffix("").as_posix(): path
        for path in sorted(folder.rglob("*.ipynb"))
        if ".ipynb_checkpoints" not in path.parts
    }
    chosen = {n: p for n, p in found.items() if any(fnmatch.fnmatchcase(n, pattern) for pattern in patterns)}
    if not chosen:
        raise NotFoundError(f"There is no notebook in {str(folder)!r} that fits.")
    return chosen


def run_matrix(
    images: Iterable[str],
    notebooks: Mapping[str, Path],
    section: CompatSection,
    matrix: CompatMatrix,
    *,
    progress: Callable[[CompatCell], None] | None = None,
) -> list[CompatCell]:
    """Try notebooks on images, one after another.

    Parameters
    ----------
    images
        Tags of images.
    notebooks
        Name to file.
    section
        Command, environments and time limit of the site.
    matrix
        Where the outcomes are kept.
    progress
        Called with each outcome.

    Returns
    -------
    list of CompatCell
        One for each image and notebook.
    """
    cells = []
    for image in images:
        for name, path in notebooks.items():
            cell = _try(image, name, path.resolve(), section)
            matrix.add(cell)
            cells.append(matrix.cell(image, name, cell.sha256) if cell.sha256 else cell)
            if progress is not None:
                progress(cells[-1])
    return cells


def _try(image: str, name: str, path: Path, section: CompatSection) -> CompatCell:
    """Run one notebook on one image; what could not be started was not tested."""
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    environment = section.environments.get(image, "")
    if not environment and any("{environment}" in word for word in section.command):
        reason = "There is no environment for the image (images.compat.environments)."
        return CompatCell(image, name, CompatResult.NOT_TESTED, reason)
    started = dt.datetime.now(dt.UTC)
    with tempfile.TemporaryDirectory(prefix="compat-") as folder:
        places = {
            "image": image,
            "environment": environment,
            "notebook": str(path),
            "output": str(Path(folder) / "output.ipynb"),
        }
        command = [_filled(word, places) for word in section.command]
        code, text = _run(command, folder, section.timeout_s)
    took_s = round((dt.datetime.now(dt.UTC) - started).total_seconds(), 3)
    if code is None:
        return CompatCell(image, name, CompatResult.NOT_TESTED, text)
    result = CompatResult.PASSED if code == 0 else CompatResult.FAILED
    return CompatCell(image, name, result, "" if code == 0 else text, started, took_s, sha256)


def _filled(word: str, places: Mapping[str, str]) -> str:
    for key, value in places.items():
        word = word.replace(f"{{{key}}}", value)
    return word


def _run(command: Sequence[str], folder: str, timeout_s: float) -> tuple[int | None, str]:
    """Run a command in a process group of its own; give its exit code (None if it did not start) and last line."""
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return None, f"{command[0]} could not be started: {error.strerror}."
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return -signal.SIGKILL, f"It took more than {timeout_s:g} s."
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    lines = [line for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    return process.returncode, lines[-1][:500] if lines else f"It ended with code {process.returncode}."


def judge_use(
    level: SmokeLevel, image: str, notebooks: Collection[str], matrix: CompatMatrix
) -> CompatResult:
    """Say whether an image passed what a use wants.

    Parameters
    ----------
    level
        Smoke level of the use.
    image
        Tag of the image.
    notebooks
        Names of all notebooks.
    matrix
        The outcomes.

    Returns
    -------
    CompatResult
        Failed if a notebook that must pass did not; not tested if one was not tried, or if none must pass.
    """
    wanted = [n for n in notebooks if any(fnmatch.fnmatchcase(n, pattern) for pattern in level.notebooks)]
    results = {matrix.cell(image, notebook).result for notebook in wanted}
    if CompatResult.FAILED in results:
        return CompatResult.FAILED
    return CompatResult.PASSED if results == {CompatResult.PASSED} else CompatResult.NOT_TESTED

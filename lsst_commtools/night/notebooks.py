"""Run the night's notebooks, and keep what they show."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lsst_commtools
from lsst_commtools.errors import NotFoundError
from lsst_commtools.night.counts import Problem
from lsst_commtools.night.settings import NightSettings
from lsst_commtools.night.stages import Progress

__all__ = ["ExecutedNotebooks", "notebooks_folder", "run_notebooks"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExecutedNotebooks:
    """What the notebooks gave.

    Parameters
    ----------
    titles
        Title to executed notebook.
    visits
        Visit to its page.
    problems
        Notebooks that failed.
    """

    titles: Mapping[str, Path]
    visits: Mapping[int, Path]
    problems: tuple[Problem, ...]


def notebooks_folder() -> Path:
    """Find the notebooks: beside the package in a checkout, inside it where it was installed.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    NotFoundError
        If the installation has none.
    """
    package = Path(lsst_commtools.__file__).parent
    for folder in (package / "notebooks", package.parent / "notebooks"):
        if (folder / "qa").is_dir():
            return folder
    raise NotFoundError("This installation of lsst_commtools has no notebooks.", advice="Install it again.")


def run_notebooks(settings: NightSettings, visits: Sequence[int], progress: Progress) -> ExecutedNotebooks:
    """Run the notebook of the night and that of each visit, two at a time.

    Parameters
    ----------
    settings
        The night.
    visits
        Visits that were processed.
    progress
        Shows how far it is.

    Returns
    -------
    ExecutedNotebooks
        Pages, and what failed: a notebook that fails does not keep the report from being written.
    """
    if not visits:
        return ExecutedNotebooks({}, {}, ())
    settings.notebooks.mkdir(exist_ok=True)
    source = notebooks_folder() / "qa"
    jobs: list[tuple[str, Path, dict[str, Any]]] = [("night_qa", source / "night_qa.ipynb", {})]
    jobs += [(f"visit_qa_{visit}", source / "visit_qa.ipynb", {"visit": visit}) for visit in visits]
    common = {"work": str(settings.work), "day_obs": settings.day_obs, "instrument": settings.instrument}
    pages: dict[str, Path] = {}
    problems: list[Problem] = []
    with ThreadPoolExecutor(max_workers=settings.processes) as pool:
        futures = [
            pool.submit(_execute, path, settings.notebooks / f"{name}.ipynb", common | parameters)
            for name, path, parameters in jobs
        ]
        progress("notebooks", 0, len(jobs))
        for done, ((name, _, _), future) in enumerate(zip(jobs, futures, strict=True), start=1):
            page, failure = future.result()
            if page is not None:
                pages[name] = page
            if failure:
                problems.append(Problem("notebook-failed", failure, f"{name}.ipynb"))
            progress("notebooks", done, len(jobs))
    by_visit = {visit: pages[f"visit_qa_{visit}"] for visit in visits if f"visit_qa_{visit}" in pages}
    return ExecutedNotebooks(pages, by_visit, tuple(problems))


def _execute(notebook: Path, output: Path, parameters: dict[str, Any]) -> tuple[Path | None, str]:
    """Run one notebook; give its page, and in one line why it failed."""
    import nbformat
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    from papermill import PapermillException, execute_notebook

    failure = ""
    try:
        execute_notebook(
            notebook, output, parameters, kernel_name="python3", progress_bar=False, execution_timeout=300,
            start_timeout=120,
        )  # fmt: skip
    except (PapermillException, CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        _LOG.warning("%s failed: %s", output.name, error)
        failure = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
    if not output.exists():
        return None, failure
    page = output.with_suffix(".html")
    part = page.with_suffix(".part")
    part.write_text(_to_html(nbformat.read(output, as_version=4)), encoding="utf-8")
    return part.replace(page), failure


def _to_html(notebook: Any) -> str:
    """Write a page that asks no other host for anything."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(embed_images=True)
    exporter.require_js_url = ""
    exporter.mathjax_url = ""
    exporter.jquery_url = ""
    text, _ = exporter.from_notebook_node(notebook)
    return str(text)

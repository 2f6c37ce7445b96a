"""Run the night's notebooks, and keep what they show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lsst_commtools
from lsst_commtools.errors import CommtoolsError, NotFoundError
from lsst_commtools.night.counts import Problem
from lsst_commtools.night.settings import NightSettings
from lsst_commtools.night.stages import Progress
from lsst_commtools.site import Site

__all__ = ["ExecutedNotebooks", "notebooks_folder", "run_notebooks"]

_TIMEOUT_S = 600.0


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


def run_notebooks(
    settings: NightSettings, site: Site, visits: Sequence[int], progress: Progress
) -> ExecutedNotebooks:
    """Run the notebook of the night and that of each visit as procedures, several at a time.

    Parameters
    ----------
    settings
        The night.
    site
        Where the ledger of runs is.
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
            pool.submit(_execute, path, settings.notebooks / f"{name}.ipynb", common | parameters, site)
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


def _execute(notebook: Path, output: Path, parameters: dict[str, Any], site: Site) -> tuple[Path | None, str]:
    """Run one notebook as a procedure; give its page, and in one line why it failed."""
    from lsst_commtools.procedure import RunStatus, run_notebook

    try:
        record = run_notebook(
            notebook, parameters, output=output, site=site, run_timeout_s=_TIMEOUT_S, html=True
        )
    except CommtoolsError as error:
        return None, str(error)
    page = output.with_suffix(".html")
    failure = (
        ""
        if record.status is RunStatus.DONE
        else f"{record.status.value}: {record.reason} (run {record.run})"
    )
    return (page if page.exists() else None), failure

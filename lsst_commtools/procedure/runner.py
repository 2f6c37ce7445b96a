"""Running a notebook as a procedure, and resuming a run that did not end well."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lsst_commtools.errors import InputError, LedgerAwayError, ParameterError, RefusedError
from lsst_commtools.procedure.approval import check_approved, code_diff
from lsst_commtools.procedure.attempt import Attempt
from lsst_commtools.procedure.ledger import Ledger, leases
from lsst_commtools.procedure.notebook import (
    INJECTED,
    PARAMETERS,
    NotebookFile,
    code_sha256,
    find_cell,
    has_tag,
    parse_notebook,
    read_notebook,
)
from lsst_commtools.procedure.parameters import (
    Parameter,
    check_parameters,
    injected_source,
    json_values,
    read_parameters,
)
from lsst_commtools.procedure.record import RunRecord, record_without_ledger
from lsst_commtools.procedure.redact import REDACTED
from lsst_commtools.procedure.run_names import new_run_name
from lsst_commtools.procedure.runs import show_run
from lsst_commtools.procedure.switch import StopSwitch
from lsst_commtools.procedure.values import Kind, RunStatus
from lsst_commtools.site import Site, commtools_home

__all__ = ["notebook_parameters", "resume_run", "run_notebook"]

_DRY_RUN_BANNER = (
    '<div style="border: 4px solid #c00; padding: 1em; font-size: 1.5em; color: #c00">DRY RUN: nothing was sent. '
    "Every outcome on this page is planned, none was done.</div>"
)


def notebook_parameters(nb: Any) -> list[Parameter]:
    """Give the declared parameters of a notebook.

    Parameters
    ----------
    nb
        The notebook.

    Returns
    -------
    list of Parameter
        Of the first cell tagged ``parameters``; empty if there is none.
    """
    cell = find_cell(nb, PARAMETERS)
    return read_parameters(cell.source) if cell is not None else []


def run_notebook(
    path: Path | str,
    parameters: Mapping[str, Any] | None = None,
    *,
    output: Path | str | None = None,
    site: Site | None = None,
    kernel_name: str | None = None,
    dry_run: bool = False,
    cell_timeout_s: float | None = None,
    run_timeout_s: float | None = None,
    folder: Path | None = None,
    switch: StopSwitch | None = None,
    html: bool | None = None,
    extra: dict[str, Any] | None = None,
    log_output: bool = False,
    progress: bool = False,
    closing_apart: bool = False,
) -> RunRecord:
    """Run a notebook as a procedure; safe from any thread.

    Parameters
    ----------
    path
        The notebook.
    parameters
        Values by name.
    output
        The output notebook; by default in the user's folder.
    site
        Where it works, by default as `Site.load` says.
    kernel_name
        Kernel to run it with, by default the notebook's.
    dry_run
        Whether nothing may be sent.
    cell_timeout_s, run_timeout_s
        Limits, in seconds; 0 for none, None for those of the site.
    folder
        Working directory of the kernel, by default that of this process.
    switch
        How others can stop it.
    html
        Whether a page is written beside the output; None for what the site says.
    extra
        What else the record's first event tells.
    log_output
        Whether outputs are logged while the notebook runs.
    progress
        Whether a bar shows how far it is.
    closing_apart
        Whether closing cells run in a kernel of their own, which knows only the ledger: so each procedure is tested.

    Returns
    -------
    RunRecord
        How it ended; a cell that fails is in its status, not raised.

    Raises
    ------
    ParameterError
        If a parameter is unknown or does not fit; no kernel was started.
    RefusedError
        If the site demands an approval that the notebook does not have.
    """
    site = site or Site.load()
    notebook = read_notebook(Path(path))
    declared = notebook_parameters(notebook.nb)
    values = check_parameters(declared, parameters or {})
    check_approved(Ledger.at(site.procedure), site.procedure, notebook.nb, notebook.path.name)
    run = new_run_name(notebook.path.name, dry_run=dry_run)
    target = _output_path(output, run, notebook.path)
    _prepare(notebook.nb, values, notebook.path, target, dry_run=dry_run)
    attempt = Attempt(
        site=site,
        notebook=str(notebook.path),
        nb=notebook.nb,
        sha256=notebook.sha256,
        parameters=values,
        secret_names=[p.name for p in declared if p.secret and p.name in values],
        output=target,
        dry_run=dry_run,
        run=run,
        switch=switch or StopSwitch(),
        engine_options={
            "progress_bar": progress,
            "log_output": log_output,
            "kernel_name": _kernel(notebook.nb, kernel_name),
        },
        cell_timeout_s=cell_timeout_s,
        run_timeout_s=run_timeout_s,
        folder=folder,
        extra={"engine": "commtools", **(extra or {})},
        html=html,
        closing_apart=closing_apart,
    )
    return _finish(attempt, site)


def resume_run(
    run: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    site: Site | None = None,
    output: Path | str | None = None,
    accept_changes: bool = False,
    taken_over_by: str | None = None,
    kernel_name: str | None = None,
    switch: StopSwitch | None = None,
    log_output: bool = False,
    progress: bool = False,
) -> RunRecord:
    """Go on with a run that did not end well: finished steps that are observed to hold still are skipped.

    Parameters
    ----------
    run
        Its name.
    parameters
        Values that replace those of the run; needed for secrets, which the ledger does not keep.
    site
        Where it works.
    output
        The output notebook of this attempt; by default beside the earlier one.
    accept_changes
        Whether a changed notebook or changed parameters are accepted.
    taken_over_by
        Name of the person who says that the earlier runner is dead, where that cannot be seen from here.
    kernel_name
        Kernel to run it with, by default the notebook's.
    switch
        How others can stop it.
    log_output
        Whether outputs are logged while the notebook runs.
    progress
        Whether a bar shows how far it is.

    Returns
    -------
    RunRecord
        How it ended now.

    Raises
    ------
    RefusedError
        If it is done, alive, or has changed.
    """
    site = site or Site.load()
    ledger = Ledger.at(site.procedure)
    ledger.merge_spools()
    record = show_run(ledger, site.procedure, run)
    lease = leases.lease_of(ledger, leases.run_key(record.run))
    if record.status in (RunStatus.DONE, RunStatus.PLANNED, RunStatus.RUNNING, RunStatus.WAITING):
        raise RefusedError(f"The run {record.run} is {record.status.value}.", changed="Nothing was begun.")
    if record.status is RunStatus.UNKNOWN and record.ended_utc is None and taken_over_by is None:
        raise RefusedError(
            f"Whether the runner of {record.run} lives cannot be seen from here.",
            changed="Nothing was begun.",
            advice="If you know that it is dead, say so with --as YOUR-NAME.",
        )
    start = ledger.events(record.run, [Kind.RUN_STARTED])[-1].data
    notebook = _notebook_of(ledger, record, accept_changes=accept_changes)
    declared = notebook_parameters(notebook.nb)
    values = _parameters_of(record, start, parameters or {}, declared, accept_changes=accept_changes)
    check_approved(ledger, site.procedure, notebook.nb, notebook.path.name)
    number = record.attempt + 1
    target = _output_path(output, record.run, notebook.path) if output else _next_output(record, number)
    _prepare(notebook.nb, values, notebook.path, target, dry_run=record.dry_run)
    attempt = Attempt(
        site=site,
        notebook=str(notebook.path),
        nb=notebook.nb,
        sha256=notebook.sha256,
        parameters=values,
        secret_names=[p.name for p in declared if p.secret and p.name in values],
        output=target,
        dry_run=record.dry_run,
        run=record.run,
        number=number,
        switch=switch or StopSwitch(),
        engine_options={
            "progress_bar": progress,
            "log_output": log_output,
            "kernel_name": _kernel(notebook.nb, kernel_name),
        },
        extra={"engine": "commtools", "resumed": True, "taken_over_by": taken_over_by},
        instead_of=lease,
    )
    return _finish(attempt, site)


def _finish(attempt: Attempt, site: Site) -> RunRecord:
    run, outcome = attempt.execute()
    try:
        record = show_run(attempt.ledger, site.procedure, run)
    except (LedgerAwayError, LookupError):
        return record_without_ledger(
            run,
            attempt.notebook,
            attempt.sha256,
            outcome.status,
            reason=outcome.reason,
            output=attempt.output,
        )
    return record


def _prepare(nb: Any, values: dict[str, Any], path: Path, output: Path, *, dry_run: bool) -> None:
    """Bring a notebook into the form in which papermill would run it."""
    import nbformat
    from papermill import __version__ as papermill_version
    from papermill.execute import remove_error_markers

    for cell in nb.cells:
        cell.metadata.setdefault("tags", [])
        cell.metadata.setdefault("papermill", {})
    nb.metadata.setdefault("papermill", {})
    nb.metadata.papermill.update(
        {
            "default_parameters": {},
            "environment_variables": {},
            "version": papermill_version,
            "input_path": str(path),
            "output_path": str(output),
            "parameters": json_values(values),
        }
    )
    remove_error_markers(nb)
    nb.cells = [cell for cell in nb.cells if not has_tag(cell, INJECTED)]
    if values:
        injected = nbformat.v4.new_code_cell(source=_source(nb, values, dry_run=dry_run))
        injected.metadata.update({"tags": [INJECTED], "papermill": {}})
        place = next((i + 1 for i, cell in enumerate(nb.cells) if has_tag(cell, PARAMETERS)), 0)
        nb.cells.insert(place, injected)
    if dry_run:
        banner = nbformat.v4.new_markdown_cell(source=_DRY_RUN_BANNER)
        banner.metadata.update({"tags": ["dry-run"], "papermill": {}})
        nb.cells.insert(0, banner)


def _source(nb: Any, values: dict[str, Any], *, dry_run: bool) -> str:
    language = nb.metadata.get("kernelspec", {}).get("language") or nb.metadata.get("language_info", {}).get(
        "name"
    )
    if language in (None, "python"):
        return injected_source(values, dry_run=dry_run)
    from papermill.parameterize import translate_parameters

    return str(translate_parameters(nb.metadata.kernelspec.name, language, json_values(values), "Parameters"))


def _kernel(nb: Any, kernel_name: str | None) -> str:
    return kernel_name or nb.metadata.get("kernelspec", {}).get("name") or "python3"


def _output_path(output: Path | str | None, run: str, notebook: Path) -> Path:
    if output is None:
        path = commtools_home() / "runs" / run / notebook.name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path
    path = Path(output).expanduser().absolute()
    if not path.parent.is_dir():
        raise InputError(f"The folder of the output {path} does not exist.", changed="No kernel was started.")
    if path == notebook:
        raise InputError("The output would overwrite the notebook itself.", changed="No kernel was started.")
    return path


def _next_output(record: RunRecord, number: int) -> Path:
    """Name the output of a later attempt beside the first one, or in the user's folder on another machine."""
    first = record.output
    name = f"{Path(record.notebook).stem}.attempt-{number}.ipynb"
    if first is not None and first.parent.is_dir():
        return first.with_name(f"{first.stem.split('.attempt-')[0]}.attempt-{number}{first.suffix}")
    folder = commtools_home() / "runs" / record.run
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def _notebook_of(ledger: Ledger, record: RunRecord, *, accept_changes: bool) -> NotebookFile:
    """Give the notebook of a run: the file if it is unchanged or its change is accepted, else what the ledger kept."""
    path = Path(record.notebook)
    kept = ledger.notebook(record.code_sha256) if record.code_sha256 else None
    if not path.is_file():
        if kept is None:
            raise RefusedError(f"The notebook {path} is not here, and the ledger did not keep it.")
        return NotebookFile(path, record.sha256 or "", parse_notebook(kept))
    found = read_notebook(path)
    if code_sha256(found.nb) != record.code_sha256 and not accept_changes:
        difference = code_diff(parse_notebook(kept), found.nb, "when it ran", "now") if kept else []
        raise RefusedError(
            f"The notebook {path.name} has changed since the run {record.run} began.",
            changed="Nothing was begun.",
            advice="\n".join(["Resume with --changed if that is meant.", *difference]),
        )
    return found


def _parameters_of(
    record: RunRecord,
    start: dict[str, Any],
    given: Mapping[str, Any],
    declared: list[Parameter],
    *,
    accept_changes: bool,
) -> dict[str, Any]:
    secret = set(start.get("secret_parameters", []))
    checked = check_parameters(
        declared, {**{n: v for n, v in record.parameters.items() if n not in secret}, **given}
    )
    plain = json_values(checked)
    changed = [n for n in given if n not in secret and plain.get(n) != record.parameters.get(n)]
    if changed and not accept_changes:
        raise RefusedError(
            f"The parameters {', '.join(changed)} differ from those of the run {record.run}.",
            changed="Nothing was begun.",
            advice="Resume with --changed if that is meant.",
        )
    missing = [n for n in secret if record.parameters.get(n) == REDACTED and n not in given]
    if missing:
        raise ParameterError(
            f"The run had the secrets {', '.join(missing)}, which the ledger does not keep.",
            changed="Nothing was begun.",
            advice="Give them again with -p.",
        )
    return checked

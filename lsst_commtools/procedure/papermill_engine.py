"""The papermill engine ``commtools``: any notebook, with a record that is true."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from papermill.engines import Engine
from typing_extensions import override

if TYPE_CHECKING:
    from lsst_commtools.procedure.execution import Outcome

__all__ = ["CommtoolsEngine"]

# Papermill loads this module whenever it is imported, also by those who use another engine: it imports nothing more.


class CommtoolsEngine(Engine):
    """Runs a notebook as ``papermill --engine commtools``: ledger, true statuses, closing cells, redaction."""

    @classmethod
    @override
    def execute_notebook(
        cls,
        nb: Any,
        kernel_name: str,
        output_path: str | None = None,
        progress_bar: bool | dict[str, Any] = True,
        log_output: bool = False,
        autosave_cell_every: int = 30,
        **kwargs: Any,
    ) -> Any:
        """Run a notebook.

        Parameters
        ----------
        nb
            The notebook, parameters injected.
        kernel_name
            Kernel to run it with.
        output_path
            Where papermill will write it.
        progress_bar, log_output, autosave_cell_every
            As papermill describes them.
        **kwargs
            Papermill's ``input_path``, ``start_timeout``, ``execution_timeout``, ``stdout_file``, ``stderr_file``;
            and ``run_timeout`` and ``dry_run`` of this engine.

        Returns
        -------
        nbformat.NotebookNode
            The executed notebook, without secrets.
        """
        import hashlib

        from papermill.log import logger

        from lsst_commtools.procedure.approval import check_approved
        from lsst_commtools.procedure.attempt import Attempt
        from lsst_commtools.procedure.ledger import Ledger
        from lsst_commtools.procedure.notebook import PARAMETERS, has_tag
        from lsst_commtools.procedure.parameters import check_parameters, read_parameters
        from lsst_commtools.procedure.parameters.read import looks_secret
        from lsst_commtools.site import Site

        site = Site.load()
        folder = _papermill_folder()
        given = kwargs.pop("input_path", None)
        source = folder / given if isinstance(given, str) and (folder / given).is_file() else None
        values = dict(nb.metadata.papermill.get("parameters") or {})
        declared = [p for cell in nb.cells if has_tag(cell, PARAMETERS) for p in read_parameters(cell.source)]
        check_parameters(declared, values, lenient=True)
        check_approved(Ledger.at(site.procedure), site.procedure, nb, source.name if source else None)
        local_output = _local_output(folder, output_path)
        options = {
            "progress_bar": progress_bar,
            "log_output": log_output,
            "autosave_cell_every": autosave_cell_every,
            "stdout_file": kwargs.get("stdout_file"),
            "stderr_file": kwargs.get("stderr_file"),
            "startup_timeout": kwargs.get("start_timeout") or site.procedure.start_timeout_s,
            "kernel_name": kernel_name,
            "log": logger,
        }
        attempt = Attempt(
            site=site,
            notebook=str(source) if source is not None else str(given or "notebook"),
            nb=nb,
            sha256=hashlib.sha256(source.read_bytes()).hexdigest() if source is not None else None,
            parameters=values,
            secret_names=[
                n for n in values if looks_secret(n) or any(p.name == n and p.secret for p in declared)
            ],
            output=local_output,
            output_url=output_path if local_output is None else None,
            dry_run=bool(kwargs.get("dry_run")),
            engine_options=options,
            cell_timeout_s=kwargs.get("execution_timeout"),
            run_timeout_s=kwargs.get("run_timeout"),
            extra={
                "engine": "papermill",
                "unknown_parameters": sorted(set(values) - {p.name for p in declared}),
            },
        )
        run, outcome = attempt.execute()
        logger.info(
            "Run %s: %s%s", run, outcome.status.value, f" ({outcome.reason})" if outcome.reason else ""
        )
        _raise(outcome)
        return nb


def _raise(outcome: Outcome) -> None:
    """Tell papermill what its own check of the outputs would not see."""
    from nbclient.exceptions import CellExecutionError, CellTimeoutError

    from lsst_commtools.errors import StepError, UnknownOutcomeError
    from lsst_commtools.procedure.values import RunStatus

    error = outcome.error
    if isinstance(error, CellExecutionError):
        if error.ename == "KeyboardInterrupt" and outcome.status is RunStatus.ABORTED:
            if "over" in outcome.reason:
                raise CellTimeoutError(outcome.reason)
            raise KeyboardInterrupt(outcome.reason)
        return  # papermill raises it from the outputs
    if error is not None:
        raise error
    if outcome.status is RunStatus.ABORTED and outcome.reason.startswith("interrupted"):
        raise KeyboardInterrupt(outcome.reason)
    if outcome.status is RunStatus.ABORTED:
        raise RuntimeError(outcome.reason)
    if outcome.status is RunStatus.UNKNOWN:
        raise UnknownOutcomeError(f"The outcome of the run is unknown: {outcome.reason}.")
    if outcome.status is RunStatus.FAILED:
        raise StepError(f"The run failed: {outcome.reason}.")


def _papermill_folder() -> Path:
    """Give the folder to which papermill's relative paths belong; it differs from ours under its option cwd."""
    from papermill.iorw import papermill_io

    handler = papermill_io.get_handler("local")
    folder = handler.cwd(None)
    handler.cwd(folder)
    return Path(folder) if folder else Path.cwd()


def _local_output(folder: Path, output_path: str | None) -> Path | None:
    from papermill.iorw import papermill_io

    from lsst_commtools.procedure.manager import AtomicHandler

    if output_path is None:
        return None
    if papermill_io.get_handler(output_path) is not papermill_io.get_handler("local"):
        return None
    papermill_io.register(output_path, AtomicHandler(folder))
    return folder / output_path

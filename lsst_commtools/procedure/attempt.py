"""One attempt of a run from its first event to its last: what the engine, the runner and a resume have in common."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from papermill.log import logger

from lsst_commtools.errors import LedgerAwayError, RefusedError, ServiceError
from lsst_commtools.procedure.binding import Binding
from lsst_commtools.procedure.execution import Execution, Outcome
from lsst_commtools.procedure.heartbeat import Heartbeat
from lsst_commtools.procedure.journal import Journal
from lsst_commtools.procedure.ledger import Ledger, leases
from lsst_commtools.procedure.ledger.spool import spool_name
from lsst_commtools.procedure.manager import OutputNotebook, hide_secret_parameters
from lsst_commtools.procedure.notebook import CLOSING, code_sha256, has_tag, stripped_text, write_html
from lsst_commtools.procedure.provenance import where_it_runs
from lsst_commtools.procedure.redact import Redactor, recorded_values
from lsst_commtools.procedure.run_names import new_run_name
from lsst_commtools.procedure.switch import StopSwitch
from lsst_commtools.procedure.values import Kind, RunStatus
from lsst_commtools.site import Site, commtools_home

__all__ = ["Attempt", "run_coroutine"]

_T = TypeVar("_T")


@dataclass
class Attempt:
    """One attempt of a run.

    Parameters
    ----------
    site
        Where it works.
    notebook
        The file that is run, or what stands for it.
    nb
        Its content, parameters injected.
    sha256
        Hash of the file.
    parameters
        Values by name.
    secret_names
        Names of the parameters whose values are secret.
    output
        The output notebook; None where none is kept in a file.
    output_url
        Where papermill keeps it, if not in a file.
    dry_run
        Whether nothing may be sent.
    run, number
        Name of the run and number of the attempt; by default a new run.
    switch
        How it is asked to stop.
    engine_options
        Those of papermill: progress bar, log, start time, kernel's name.
    cell_timeout_s, run_timeout_s
        Limits, in seconds; None for those of the site.
    folder
        Working directory of the kernel; None for that of this process.
    extra
        What else the first event tells: campaign, engine.
    instead_of
        Lease of an earlier runner that is known to be dead.
    closing_apart
        Whether closing cells run in a kernel of their own, as after the death of the first one.
    html
        Whether a page is written beside the output; None for what the site says.
    """

    site: Site
    notebook: str
    nb: Any
    sha256: str | None
    parameters: Mapping[str, Any]
    secret_names: list[str]
    output: Path | None
    output_url: str | None = None
    dry_run: bool = False
    run: str | None = None
    number: int = 1
    switch: StopSwitch = field(default_factory=StopSwitch)
    engine_options: dict[str, Any] = field(default_factory=dict)
    cell_timeout_s: float | None = None
    run_timeout_s: float | None = None
    folder: Path | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    instead_of: leases.Lease | None = None
    closing_apart: bool = False
    html: bool | None = None
    ledger: Ledger = field(init=False)

    def execute(self) -> tuple[str, Outcome]:
        """Run it.

        Returns
        -------
        run : str
            Name of the run.
        outcome : Outcome
            How it ended.

        Raises
        ------
        LeaseError
            If the run is alive elsewhere.
        LedgerAwayError
            If a run cannot be resumed because nobody knows whether it is alive.
        """
        section = self.site.procedure
        run = self.run or new_run_name(self.notebook, dry_run=self.dry_run)
        files = self._files(run)
        secrets = {n: str(self.parameters[n]) for n in self.secret_names if self.parameters.get(n)}
        redactor = Redactor.of_environment(secrets.values())
        ledger = self.ledger = Ledger.at(section, spool=spool_name(self.output or files))
        journal = Journal(ledger, run, self.number, redactor=redactor)
        binding = Binding(run, self.number, ledger.url, spool_name(self.output or files), files, self.dry_run)
        heartbeat = Heartbeat(ledger, run, section.heartbeat_s, instead_of=self.instead_of)
        try:
            heartbeat.start()
        except LedgerAwayError as error:
            if self.number > 1:
                raise
            logger.warning(
                "%s The record of this run is kept in a spool file until it is back.", error.message
            )
        try:
            self._check_still_next(ledger, run)
            return run, self._execute(journal, binding, heartbeat, redactor, secrets)
        finally:
            heartbeat.stop()

    def _check_still_next(self, ledger: Ledger, run: str) -> None:
        """Refuse an attempt that somebody else has made since this one was decided on."""
        if self.number == 1:
            return
        begun = max(e.data.get("attempt", 1) for e in ledger.events(run, [Kind.RUN_STARTED]))
        if begun != self.number - 1:
            leases.release(ledger, run, [leases.run_key(run)])
            raise RefusedError(f"Somebody else has resumed {run} meanwhile.", changed="Nothing was begun.")

    def _execute(
        self,
        journal: Journal,
        binding: Binding,
        heartbeat: Heartbeat,
        redactor: Redactor,
        secrets: dict[str, str],
    ) -> Outcome:
        section = self.site.procedure
        self._note_start(journal, heartbeat, redactor)
        hide_secret_parameters(self.nb, self.secret_names)
        self.nb.metadata["commtools"] = {"run": journal.run, "attempt": self.number, "dry_run": self.dry_run}
        options = dict(self.engine_options)
        manager: dict[str, Any] = {
            k: options.pop(k) for k in ("progress_bar", "autosave_cell_every") if k in options
        }
        manager["log_output"] = options.get("log_output", False)
        output = OutputNotebook(
            self.nb,
            redactor=redactor,
            output_path=str(self.output) if self.output is not None else self.output_url,
            **manager,
        )
        output.notebook_start()
        execution = Execution(
            output,
            journal,
            binding,
            section,
            switch=self.switch,
            heartbeat=heartbeat,
            folder=self.folder,
            client_options={"startup_timeout": section.start_timeout_s, **options},
            cell_timeout_s=section.cell_timeout_s if self.cell_timeout_s is None else self.cell_timeout_s,
            run_timeout_s=section.run_timeout_s if self.run_timeout_s is None else self.run_timeout_s,
            secrets=secrets,
            closing_apart=self.closing_apart,
        )
        outcome = Outcome(RunStatus.ABORTED, "the runner broke")
        try:
            outcome = run_coroutine(execution.run())
        except BaseException as error:
            outcome = Outcome(RunStatus.ABORTED, f"the runner broke: {type(error).__name__}", error)
            raise
        finally:
            output.cleanup_pbar()
            self.nb.metadata["commtools"]["status"] = outcome.status.value
            output.notebook_complete()
            self._note_end(journal, outcome)
            if (section.html if self.html is None else self.html) and self.output is not None:
                self._page(self.output.with_suffix(".html"))
        return outcome

    def _note_start(self, journal: Journal, heartbeat: Heartbeat, redactor: Redactor) -> None:
        code = code_sha256(self.nb)
        with contextlib.suppress(LedgerAwayError):
            journal.ledger.keep_notebook(code, redactor.text(stripped_text(self.nb)))
        folder = Path(self.notebook).parent
        event = journal.note(
            Kind.RUN_STARTED,
            notebook=self.notebook,
            sha256=self.sha256 or code,
            code_sha256=code,
            site=self.site.name,
            dry_run=self.dry_run,
            by_hand=False,
            parameters=recorded_values(self.parameters, self.secret_names),
            secret_parameters=self.secret_names,
            output=str(self.output) if self.output is not None else self.output_url,
            cells=[
                {"index": index, "closing": has_tag(cell, CLOSING)}
                for index, cell in enumerate(self.nb.cells)
                if cell.cell_type == "code"
            ],
            runner=heartbeat.holder.to_dict(),
            **where_it_runs(folder if folder.is_absolute() else None, journal.ledger),
            **self.extra,
        )
        if event.clock < 0:
            raise ServiceError(
                "That this run starts could be recorded nowhere.",
                changed="No kernel was started.",
                advice="Look whether the disks are full.",
            )

    def _note_end(self, journal: Journal, outcome: Outcome) -> None:
        journal.note(Kind.RUN_ENDED, status=outcome.status, reason=outcome.reason, owed=outcome.owed)
        if self.switch.reason == "taken-over":
            return
        try:
            # What the run still owes is guarded by its leases until a person says otherwise.
            leases.release(
                journal.ledger, journal.run, [leases.run_key(journal.run)] if outcome.owed else None
            )
        except LedgerAwayError as error:
            logger.warning("The leases of the run could not be given back: %s", error.message)

    def _page(self, path: Path) -> None:
        try:
            write_html(self.nb, path)
        except Exception as error:  # noqa: BLE001 - a page that cannot be made does not change how the run ended
            logger.warning("No HTML page was written: %s", error)

    def _files(self, run: str) -> Path:
        if self.output is not None:
            return self.output.with_name(f"{self.output.stem}.files")
        return commtools_home() / "runs" / run


def run_coroutine(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end, from any thread, also where a loop runs already.

    Parameters
    ----------
    coroutine
        What to run.

    Returns
    -------
    object
        Its value.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    result: list[_T] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            result.append(asyncio.run(coroutine))
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            failure.append(error)

    thread = threading.Thread(target=work, name="notebook")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]

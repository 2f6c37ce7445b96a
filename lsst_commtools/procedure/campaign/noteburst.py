"""The executor for noteburst: notebooks run in labs of the Rubin Science Platform.

Contract: https://noteburst.lsst.io, version 1 of its API: ``POST v1/notebooks/`` queues a notebook and gives
``self_url``; its ``status`` goes from ``queued`` over ``in_progress`` to ``complete``; then ``success`` and ``ipynb``
are there. There is no way to stop one. The kernel knows nothing of our ledger: this process writes the record.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from lsst_commtools.errors import (
    AuthenticationError,
    CommtoolsError,
    ForbiddenError,
    InputError,
    LeaseError,
    ProtocolError,
    RejectedError,
    UnreachableError,
)
from lsst_commtools.procedure.campaign.work import WorkOrder, WorkResult, claimed, earlier, told
from lsst_commtools.procedure.identity import ProcessId
from lsst_commtools.procedure.journal import Journal
from lsst_commtools.procedure.ledger import Ledger
from lsst_commtools.procedure.notebook import (
    CLOSING,
    code_cells,
    code_sha256,
    has_tag,
    read_notebook,
    write_atomic,
)
from lsst_commtools.procedure.run_names import new_run_name
from lsst_commtools.procedure.values import Kind
from lsst_commtools.site.campaign import CampaignSection

__all__ = ["NoteburstExecutor"]

_TIMEOUT_S = 30.0
_PATIENCE_S = 300.0
_MOST_BYTES = 256 << 20


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore")
    job_id: str
    status: str
    self_url: str
    success: bool | None = None
    ipynb: str | None = None
    error: Any = None


class NoteburstExecutor:
    """Labs of the Rubin Science Platform, through noteburst.

    Parameters
    ----------
    section
        Where it is.
    token
        Token of the platform with the scope that noteburst asks for.

    Raises
    ------
    InputError
        If the site has no noteburst or no token.
    """

    def __init__(self, section: CampaignSection, token: SecretStr | None) -> None:
        if not section.noteburst_url:
            raise InputError("This site has no noteburst.", advice="Set campaign.noteburst_url.")
        if token is None:
            raise InputError("There is no token for noteburst.", advice="Set $COMMTOOLS_NOTEBURST_TOKEN.")
        self.slots = section.noteburst_slots
        self._section = section
        self._headers = {"Authorization": f"Bearer {token.get_secret_value()}"}
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(self.slots, thread_name_prefix="noteburst")

    def submit(self, order: WorkOrder) -> Future[WorkResult]:
        """Begin a task in a thread that asks until it is complete."""
        return self._pool.submit(self._work, order)

    def cancel(self, campaign: str) -> None:
        """Begin nothing more; what runs cannot be stopped and is recorded as unknown."""
        del campaign
        self._stopped.set()

    def close(self) -> None:
        """Wait for the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _work(self, order: WorkOrder) -> WorkResult:
        if self._stopped.is_set():
            return WorkResult(order.task, "cancelled", reason="the campaign was cancelled")
        ledger = Ledger.at(order.site.procedure)
        try:
            with claimed(ledger, order.site, order):
                return earlier(ledger, order.site, order) or self._execute(ledger, order)
        except LeaseError as error:
            return WorkResult(order.task, "refused" if order.idempotent else "unknown", reason=error.message)
        except CommtoolsError as error:
            return WorkResult(order.task, "refused", reason=error.message)

    def _execute(self, ledger: Ledger, order: WorkOrder) -> WorkResult:
        nb = _with_parameters(order)
        run = new_run_name(order.notebook)
        journal = Journal(ledger, run)
        journal.note(
            Kind.RUN_STARTED,
            notebook=order.notebook,
            sha256=read_notebook(Path(order.notebook)).sha256,
            code_sha256=code_sha256(nb),
            site=order.site.name,
            parameters=dict(order.parameters),
            output=order.output,
            runner=ProcessId.of().to_dict(),
            engine="noteburst",
            campaign=told(order),
        )
        try:
            answer = self._post(nb, order)
        except CommtoolsError as error:
            # A refusal is certain; silence is not: the notebook may have been queued all the same.
            sure = not isinstance(error, UnreachableError | ProtocolError)
            return self._end(journal, order, "failed" if sure else "unknown", error.message)
        journal.note(Kind.NOTE, noteburst_job=answer.job_id)
        try:
            status, reason = self._follow(answer, order)
        except CommtoolsError as error:
            status, reason = "unknown", error.message
        return self._end(journal, order, status, reason)

    def _follow(self, answer: _Answer, order: WorkOrder) -> tuple[str, str]:
        """Ask until a notebook is complete."""
        address = self._trusted(answer.self_url)
        silent_since: float | None = None
        begun = time.monotonic()
        while answer.status != "complete":
            if self._stopped.wait(self._section.poll_s):
                return "unknown", "the campaign was cancelled; noteburst cannot be asked to stop a notebook"
            if order.run_timeout_s is not None and time.monotonic() - begun > order.run_timeout_s:
                return "unknown", f"not complete after {order.run_timeout_s:g} s"
            try:
                answer = self._ask("GET", address)
            except CommtoolsError as error:
                silent_since = silent_since or time.monotonic()
                if time.monotonic() - silent_since > _PATIENCE_S or not isinstance(error, UnreachableError):
                    return "unknown", error.message
            else:
                silent_since = None
                if answer.status == "not_found":
                    return "unknown", "noteburst has forgotten it"
        return self._judge(answer, order)

    def _judge(self, answer: _Answer, order: WorkOrder) -> tuple[str, str]:
        """Judge a complete notebook by its outputs: noteburst's success says only that it came back."""
        nb: dict[str, Any] | None = None
        if answer.ipynb:
            try:
                nb = json.loads(answer.ipynb)
                cells = [cell for cell in nb["cells"] if cell["cell_type"] == "code"]
                broken = [o for cell in cells for o in cell["outputs"] if o.get("output_type") == "error"]
            except (ValueError, KeyError, TypeError, AttributeError):
                return "unknown", "noteburst's notebook cannot be read"
            Path(order.output).parent.mkdir(parents=True, exist_ok=True)
            write_atomic(json.dumps(nb, indent=1) + "\n", Path(order.output))
            if broken:
                return "failed", f"{broken[0].get('ename')}: {broken[0].get('evalue')}"
        if not answer.success:
            return "failed", str(answer.error or "noteburst says that it failed")
        if nb is None:
            return "unknown", "noteburst gave no notebook"
        return "done", ""

    def _end(self, journal: Journal, order: WorkOrder, status: str, reason: str) -> WorkResult:
        journal.note(Kind.RUN_ENDED, status=status, reason=reason, owed=[])
        return WorkResult(order.task, status, journal.run, reason, executed=True)

    def _post(self, nb: Any, order: WorkOrder) -> _Answer:
        body = {
            "ipynb": json.dumps(nb),
            "kernel_name": self._section.noteburst_kernel,
            "enable_retry": False,  # retries are ours to judge, by what the campaign says of the notebook
        }
        del order
        return self._ask("POST", f"{self._section.noteburst_url}/v1/notebooks/", body)

    def _trusted(self, url: str) -> str:
        """Refuse to carry the token to another server."""
        ours, theirs = urlsplit(self._section.noteburst_url), urlsplit(url)
        if (ours.scheme, ours.netloc) != (theirs.scheme, theirs.netloc):
            raise ProtocolError("noteburst names another server for its answer.")
        return url

    def _ask(self, method: str, url: str, body: Mapping[str, Any] | None = None) -> _Answer:
        try:
            response = requests.request(
                method, url, json=body, headers=self._headers, timeout=_TIMEOUT_S, allow_redirects=False
            )
        except requests.RequestException as error:
            raise UnreachableError(f"noteburst does not answer: {type(error).__name__}.") from None
        code = response.status_code
        if code == 401:
            raise AuthenticationError("noteburst does not accept the token.")
        if code == 403:
            raise ForbiddenError("The token has not the scope that noteburst asks for.")
        if code in (429, 502, 503, 504):
            raise UnreachableError(f"noteburst is not there for now ({code}).")
        if not 200 <= code < 300:
            raise RejectedError(f"noteburst refused the notebook ({code}).")
        if len(response.content) > _MOST_BYTES:
            raise ProtocolError("noteburst's answer is too long.")
        try:
            return _Answer.model_validate(response.json())
        except (ValueError, ValidationError):
            raise ProtocolError("noteburst's answer is not that of its contract.") from None


def _with_parameters(order: WorkOrder) -> Any:
    """Inject the parameters; refuse what only our own engine can give a notebook."""
    import nbformat

    from lsst_commtools.procedure.notebook import INJECTED, PARAMETERS
    from lsst_commtools.procedure.parameters import injected_source

    nb = read_notebook(Path(order.notebook)).nb
    if any(has_tag(cell, CLOSING) for cell in code_cells(nb)):
        raise InputError(
            "A notebook with closing cells is not given to noteburst, which would not run them after a failure."
        )
    nb.cells = [cell for cell in nb.cells if not has_tag(cell, INJECTED)]
    if order.parameters:
        cell = nbformat.v4.new_code_cell(injected_source(order.parameters), metadata={"tags": [INJECTED]})
        place = next((i + 1 for i, c in enumerate(nb.cells) if has_tag(c, PARAMETERS)), 0)
        nb.cells.insert(place, cell)
    return nb

"""How a campaign stands, for people: one bar in a terminal or a notebook, and a live page on loopback."""

from __future__ import annotations

import http.server
import json
import secrets
import sys
import threading
from collections.abc import Mapping
from importlib import resources
from types import TracebackType
from typing import Any, Self

from typing_extensions import override

from lsst_commtools.errors import CommtoolsError
from lsst_commtools.procedure.campaign.conductor import TaskState
from lsst_commtools.procedure.ledger import Ledger
from lsst_commtools.procedure.values import Kind

__all__ = ["CampaignBar", "LivePage", "campaign_course"]

_ENDED_BADLY = ("failed", "aborted", "unknown", "refused", "cancelled", "blocked")


class CampaignBar:
    """A progress bar: of ipywidgets in a notebook, of text in a terminal, lines where standard error is neither.

    Parameters
    ----------
    name
        Name of the campaign.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._bar: Any = None
        self._told: set[str] = set()

    def __call__(self, states: Mapping[str, TaskState]) -> None:
        """Show how all tasks stand; give it to `run_campaign` as ``progress``."""
        ended = [state for state in states.values() if state.status not in ("waiting", "running")]
        if not sys.stderr.isatty() and not _in_notebook():
            for state in ended:
                if state.task not in self._told:
                    self._told.add(state.task)
                    sys.stderr.write(
                        f"{self._name}: {len(self._told)} of {len(states)}: {state.task} {state.status}\n"
                    )
            return
        if self._bar is None:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=len(states), desc=self._name, unit="nb", mininterval=0.2)
        counts = {
            kind: count
            for kind in ("running", *_ENDED_BADLY)
            if (count := sum(state.status == kind for state in states.values()))
        }
        self._bar.set_postfix(counts, refresh=False)
        self._bar.update(len(ended) - self._bar.n)

    def close(self) -> None:
        """Finish the bar."""
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _in_notebook() -> bool:
    """Whether a kernel runs this, so that the bar is a widget."""
    application = sys.modules.get("ipykernel.kernelapp")
    return application is not None and application.IPKernelApp.initialized()


def campaign_course(ledger: Ledger, run: str) -> dict[str, Any]:
    """Read from the ledger how a campaign stands.

    Parameters
    ----------
    ledger
        Where it is recorded.
    run
        Name of its course.

    Returns
    -------
    dict
        ``campaign``, and ``tasks``: each with ``task``, ``status``, ``reason``, ``run``, ``at_utc``.
    """
    tasks: dict[str, dict[str, Any]] = {}
    name = ""
    for event in ledger.events(run, [Kind.NOTE]):
        name = event.data.get("campaign", name)
        for task in event.data.get("plan", []):
            tasks[task] = {"task": task, "status": "waiting", "reason": "", "run": None, "at_utc": ""}
        if "task" in event.data:
            tasks[event.data["task"]] = {
                "task": event.data["task"],
                "status": event.data["status"],
                "reason": event.data["reason"],
                "run": event.data["task_run"],
                "at_utc": event.at_utc,
            }
    return {"campaign": name, "run": run, "tasks": list(tasks.values())}


class LivePage:
    """A page on loopback that shows what the ledger knows of a campaign.

    Parameters
    ----------
    ledger
        Where it is recorded.
    run
        Name of its course.
    """

    def __init__(self, ledger: Ledger, run: str) -> None:
        # The address holds a secret: other users of the machine can reach loopback too.
        token = secrets.token_urlsafe(16)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(ledger, run, token))
        server.daemon_threads = True
        self._server = server
        self.url = f"http://127.0.0.1:{server.server_port}/{token}/"
        self._thread = threading.Thread(target=server.serve_forever, name="live-page", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(ledger: Ledger, run: str, token: str) -> type[http.server.BaseHTTPRequestHandler]:
    page = (resources.files("lsst_commtools.procedure.campaign") / "live.html").read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Write no log."""

        def do_GET(self) -> None:
            host = self.headers.get("Host", "").rpartition(":")[0]
            if host not in ("127.0.0.1", "localhost"):  # a name that was bound to loopback elsewhere
                self._send(403, "text/plain", b"not for this host")
            elif self.path == f"/{token}/":
                self._send(200, "text/html; charset=utf-8", page)
            elif self.path == f"/{token}/state.json":
                try:
                    body = json.dumps(campaign_course(ledger, run)).encode()
                except CommtoolsError as error:
                    self._send(503, "text/plain", error.message.encode())
                else:
                    self._send(200, "application/json", body)
            else:
                self._send(404, "text/plain", b"there is no such page")

        def _send(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Content-Security-Policy", "default-src 'self' 'unsafe-inline'; img-src data:")
            self.end_headers()
            self.wfile.write(body)

    return Handler

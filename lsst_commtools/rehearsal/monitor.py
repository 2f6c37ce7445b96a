"""How the campaign stands: one page in a file that is written again and again, or served live on loopback."""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from typing_extensions import override

from lsst_commtools.errors import CommtoolsError, ServiceError
from lsst_commtools.rehearsal.backlog import Backlog, from_entries
from lsst_commtools.rehearsal.failures import FailureGroup, group_failures
from lsst_commtools.rehearsal.outline import FINAL_STANDUP, OUTLINE
from lsst_commtools.rehearsal.pages import render, write_whole
from lsst_commtools.rehearsal.progress import Quanta, log_path, read_quanta
from lsst_commtools.rehearsal.states import StepState, StepStatus, outline_states

if TYPE_CHECKING:
    from lsst_commtools.rehearsal.rehearsal import Rehearsal

__all__ = [
    "CampaignState",
    "LivePage",
    "NightState",
    "campaign_page",
    "campaign_state",
    "step_group",
    "step_row",
    "write_page",
]

_REFRESH_S = 5


@dataclass(frozen=True)
class NightState:
    """How a night stands.

    Parameters
    ----------
    number, day_obs
        The night.
    steps
        Steps of the outline, in its order.
    quanta
        Quanta of its science pipeline.
    groups
        Its failures by cause.
    failures
        The same as plain values, with their state and who cares for them.
    planned
        Visits that there will be, as far as that is known.
    """

    number: int
    day_obs: int
    steps: tuple[StepState, ...]
    quanta: Quanta
    groups: tuple[FailureGroup, ...]
    failures: tuple[dict[str, Any], ...] = ()
    planned: tuple[str, ...] = ()

    @property
    def visits(self) -> dict[str, dict[str, Any]]:
        """Each visit with its status and the number of its quanta by status, the earliest first."""
        counts = self.quanta.by_visit
        return {
            visit: {"status": self._status(counts.get(visit, {})), **counts.get(visit, {})}
            for visit in sorted({*self.planned, *counts})
        }

    def _status(self, counts: dict[str, int]) -> str:
        if counts.get("failed") or counts.get("no-work"):
            return "failed"
        if not counts:
            return "waiting"
        return "running" if self.quanta.running else "done"

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {
            "night": self.number,
            "day_obs": self.day_obs,
            "steps": [step_row(step) for step in self.steps],
            "quanta": {
                "counts": self.quanta.counts,
                "by_task": self.quanta.by_task,
                "visits": self.visits,
                "running": self.quanta.running,
                "news_utc": self.quanta.news_utc,
            },
            "rates": [rate.to_dict() for rate in self.quanta.rates],
            "failures": list(self.failures),
        }


@dataclass(frozen=True)
class CampaignState:
    """How a rehearsal stands.

    Parameters
    ----------
    name
        Name of the rehearsal.
    nights
        Its nights.
    final
        The final standup.
    backlog
        Its problems.
    unattended
        Whether stand-ins sign.
    now_utc, now_rehearsal_utc
        When that is, by both clocks.
    """

    name: str
    nights: tuple[NightState, ...]
    final: StepState
    backlog: Backlog
    unattended: bool
    now_utc: str
    now_rehearsal_utc: str

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.final.status in (StepStatus.WAITING, StepStatus.STARTED)

    @property
    def counts(self) -> dict[str, int]:
        """Number of steps: waiting, running, done, failed."""
        groups = [step_group(step) for night in self.nights for step in night.steps] + [
            step_group(self.final)
        ]
        return {group: groups.count(group) for group in ("waiting", "running", "done", "failed")}

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {
            "rehearsal": self.name,
            "unattended": self.unattended,
            "now_utc": self.now_utc,
            "now_rehearsal_utc": self.now_rehearsal_utc,
            "running": self.running,
            "steps": self.counts,
            "nights": [night.to_dict() for night in self.nights],
            "final": step_row(self.final),
            "backlog": [item.to_dict() for item in self.backlog.items],
        }


def campaign_state(rehearsal: Rehearsal) -> CampaignState:
    """See how a rehearsal stands.

    Parameters
    ----------
    rehearsal
        The rehearsal.

    Returns
    -------
    CampaignState
        By its journal and the files of its pipelines.
    """
    entries = rehearsal.entries()
    settings = rehearsal.settings
    states = outline_states(entries, len(settings.nights))
    backlog = from_entries(entries)
    nights = []
    for number, day_obs in enumerate(settings.nights, 1):
        quanta = read_quanta(log_path(settings.work, day_obs, "science"))
        steps = tuple(states[number, step.id] for step in OUTLINE)
        planned = tuple(str(s.exposure_id) for s in rehearsal.night(number).shots() if not s.calibration)
        groups = group_failures(quanta.failures(number))
        failures = tuple(backlog.care(groups))
        nights.append(NightState(number, day_obs, steps, quanta, groups, failures, planned))
    now = rehearsal.clock.reading()
    return CampaignState(
        settings.work.name,
        tuple(nights),
        states[len(settings.nights), FINAL_STANDUP.id],
        backlog,
        rehearsal.unattended,
        now.real_utc.isoformat(),
        now.rehearsal_utc.isoformat(),
    )


def step_group(state: StepState) -> str:
    """Tell how a step stands, in the words of the page.

    Parameters
    ----------
    state
        The step.

    Returns
    -------
    str
        ``waiting``, ``running``, ``done`` or ``failed``.
    """
    return "running" if state.status is StepStatus.STARTED else state.status.value


def step_row(state: StepState) -> dict[str, Any]:
    """Give a step as plain values, as tables show it.

    Parameters
    ----------
    state
        The step.

    Returns
    -------
    dict
        When it began and ended by both clocks, why it failed, and its run in the ledger.
    """
    return {
        "step": state.step.id,
        "title": state.step.title,
        "owner": state.step.owner,
        "status": step_group(state),
        "starts": state.starts,
        "started_utc": state.started_utc,
        "ended_utc": state.ended_utc,
        "started_rehearsal_utc": state.started_rehearsal_utc,
        "ended_rehearsal_utc": state.ended_rehearsal_utc,
        "reason": state.reason,
        "run": state.run,
    }


def campaign_page(state: CampaignState, *, refresh: bool = True) -> str:
    """Draw the page of a campaign.

    Parameters
    ----------
    state
        How it stands.
    refresh
        Whether a browser shall load it again while the rehearsal goes on.

    Returns
    -------
    str
        HTML that needs nothing else, and runs no script.
    """
    return render(
        "campaign.html",
        {
            "state": state,
            "refresh_s": _REFRESH_S if refresh and state.running else 0,
            "unattended": state.unattended,
        },
    )


def write_page(rehearsal: Rehearsal) -> Path:
    """Write the page of the campaign.

    Parameters
    ----------
    rehearsal
        The rehearsal.

    Returns
    -------
    pathlib.Path
        ``report/campaign.html``; a browser that shows it loads it again while the rehearsal goes on.
    """
    path = rehearsal.settings.report / "campaign.html"
    return write_whole(path, campaign_page(campaign_state(rehearsal)))


class LivePage:
    """Serves the page of a campaign on loopback, as it stands at each look.

    Parameters
    ----------
    rehearsal
        The rehearsal.

    Notes
    -----
    The address holds a secret: other users of the machine reach loopback too. ``state.json`` beside the page gives
    the same as plain values.
    """

    def __init__(self, rehearsal: Rehearsal) -> None:
        self._rehearsal = rehearsal
        self._token = secrets.token_urlsafe(16)
        self._stop: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._thread: threading.Thread | None = None
        self.url = ""

    def __enter__(self) -> Self:
        started: Future[int] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started)), name="campaign-page", daemon=True
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{started.result(timeout=30.0)}/{self._token}/"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._stop is not None and self._thread is not None:
            loop, event = self._stop
            loop.call_soon_threadsafe(event.set)
            self._thread.join(timeout=30.0)

    async def _serve(self, started: Future[int]) -> None:
        from tornado.httpserver import HTTPServer
        from tornado.netutil import bind_sockets

        try:
            sockets = bind_sockets(0, "127.0.0.1")
        except OSError as error:
            started.set_exception(ServiceError(f"The page cannot be served: {error.strerror}."))
            return
        server = HTTPServer(_application(self._rehearsal, self._token))
        server.add_sockets(sockets)
        stop = asyncio.Event()
        self._stop = (asyncio.get_running_loop(), stop)
        started.set_result(int(sockets[0].getsockname()[1]))
        await stop.wait()
        server.stop()
        await server.close_all_connections()


def _application(rehearsal: Rehearsal, token: str) -> Any:
    from tornado.web import Application, HTTPError, RequestHandler

    class Page(RequestHandler):
        @override
        def prepare(self) -> None:
            if self.request.host_name not in (
                "127.0.0.1",
                "localhost",
            ):  # a name that was bound to loopback elsewhere
                raise HTTPError(403)

        @override
        async def get(self, what: str) -> None:
            loop = asyncio.get_running_loop()
            try:
                state = await loop.run_in_executor(None, campaign_state, rehearsal)
            except CommtoolsError as error:
                self.set_status(503)
                self.set_header("Content-Type", "text/plain; charset=utf-8")
                await self.finish(error.message)
                return
            self.set_header("Cache-Control", "no-store")
            self.set_header("X-Content-Type-Options", "nosniff")
            if what:
                self.set_header("Content-Type", "application/json")
                await self.finish(json.dumps(state.to_dict()))
            else:
                await self.finish(campaign_page(state))

    return Application([(rf"/{token}/(state\.json)?", Page)])

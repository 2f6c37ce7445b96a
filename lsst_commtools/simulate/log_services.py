"""Stand-ins for the narrative log and the night reports on loopback, with the traps of the real ones.

Contract: narrativelog d3db8b7 and ts_nightreport ce31818, as they were observed: times with a zone are refused, nothing
without ``date_begin`` is found by it, ``limit=1`` is refused, an edit without the component fields breaks the service,
a bare number of time lost is stored as seconds.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import threading
import uuid
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from typing_extensions import override

__all__ = ["Asked", "LogServices"]

Asked = tuple[str, str, dict[str, str], dict[str, Any]]
"""A request: method, path, query, body."""

TAI_MINUS_UTC_S = 37
LONGEST_URL = 200
_COMPONENTS = ("components", "primary_software_components", "primary_hardware_components")
_REQUIRED = {
    "messages": ("message_text", "level", "user_id", "user_agent", "is_human"),
    "reports": (
        "day_obs", "summary", "weather", "maintel_summary", "auxtel_summary", "confluence_url", "user_id", "user_agent",
    ),
}  # fmt: skip
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "messages": {
        "tags": (), "urls": (), "time_lost": 0.0, "date_begin": None, "date_end": None, "time_lost_type": None,
        "category": None, "systems": (), "subsystems": (), "cscs": (),
    },
    "reports": {"observers_crew": (), "date_sent": None},
}  # fmt: skip
_ZONE = re.compile(r"(Z|[+-]\d\d:?\d\d)$")
_TAG = re.compile(r"[A-Za-z][A-Za-z0-9_]+")
_DURATION = re.compile(r"P(?:T(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?)?")
_ROOMS = {"messages": "narrativelog", "reports": "nightreport"}


class _RefusalError(Exception):
    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


class LogServices:
    """Both services on one port of loopback: ``/narrativelog/messages`` and ``/nightreport/reports``.

    Parameters
    ----------
    iso_durations
        Whether the time lost is given as ISO 8601, as a service of a newer pydantic does, or as a number.
    """

    def __init__(self, *, iso_durations: bool = False) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {"messages": [], "reports": []}
        self.faults: dict[str, tuple[int, Any]] = {}
        self.asked: list[Asked] = []
        self.tokens: list[str | None] = []
        self._iso_durations = iso_durations
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.01},
            name="log-services",
            daemon=True,
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(
        self, method: str, target: str, body: Mapping[str, Any], token: str | None = None
    ) -> tuple[int, Any]:
        """Answer a request.

        Parameters
        ----------
        method
            Of HTTP.
        target
            Path and query.
        body
            The request's JSON.
        token
            What it was authorised with.

        Returns
        -------
        status : int
            Of HTTP.
        document : object
            JSON, or bytes as they are. A fault in ``faults`` whose path the request's begins with comes first.
        """
        url = urlsplit(target)
        query = dict(parse_qsl(url.query))
        with self._lock:
            self.asked.append((method, url.path, query, dict(body)))
            self.tokens.append(token)
            for path, fault in self.faults.items():
                if url.path.startswith(path):
                    return fault
            try:
                return 200, self._answer(method, url.path.strip("/").split("/"), query, body)
            except _RefusalError as refusal:
                return refusal.status, {"detail": refusal.detail}

    def add(self, kind: str, values: Mapping[str, Any], *, parent: str | None = None) -> dict[str, Any]:
        """Store a row.

        Parameters
        ----------
        kind
            ``messages`` or ``reports``.
        values
            Under the names of the service.
        parent
            Row that it replaces.

        Returns
        -------
        dict
            The row.
        """
        missing = [name for name in _REQUIRED[kind] if name not in values]
        if missing:
            raise _RefusalError(422, f"Field required: {missing[0]}")
        row: dict[str, Any] = {**_DEFAULTS[kind], **values}
        for name in ("date_begin", "date_end"):
            if row.get(name) is not None:
                _check_time(name, row[name])
        if kind == "messages":
            if any(_TAG.fullmatch(tag) is None for tag in row["tags"]):
                raise _RefusalError(400, "Invalid tags")
            row["time_lost"] = _seconds(row["time_lost"])
        elif len(row["confluence_url"]) > LONGEST_URL:
            raise _RefusalError(500, "Internal Server Error")
        row |= {
            "id": str(uuid.uuid4()),
            "site_id": "test",
            "date_added": _now_tai(),
            "is_valid": True,
            "date_invalidated": None,
            "parent_id": parent,
        }
        self.rows[kind].append(row)
        return row

    def _answer(
        self, method: str, parts: Sequence[str], query: dict[str, str], body: Mapping[str, Any]
    ) -> Any:
        room, kind, *rest = [*parts, "", ""][: max(2, len(parts))]
        if _ROOMS.get(kind) != room or len(rest) > 1:
            raise _RefusalError(404, "Not Found")
        if not rest and method == "GET":
            return [self._shown(row) for row in self._find(kind, query)]
        if not rest and method == "POST":
            return self._shown(self.add(kind, body))
        row = next((r for r in self.rows[kind] if rest and r["id"] == rest[0]), None)
        if row is None:
            raise _RefusalError(404, f"id={rest and rest[0]} not found")
        if method == "GET":
            return self._shown(row)
        if method == "PATCH":
            return self._shown(self._edit(kind, row, body))
        raise _RefusalError(405, "Method Not Allowed")

    def _shown(self, row: dict[str, Any]) -> dict[str, Any]:
        if self._iso_durations and "time_lost" in row:
            return {**row, "time_lost": f"PT{row['time_lost']:g}S"}
        return row

    def _find(self, kind: str, query: dict[str, str]) -> list[dict[str, Any]]:
        limit = int(query.get("limit", 50))
        if limit <= 1:
            raise _RefusalError(422, "Input should be greater than 1")
        found = [r for r in self.rows[kind] if r["is_valid"] or query.get("is_valid") == "either"]
        for key, text in query.items():
            if key.startswith(("min_", "max_")):
                found = _within(found, key, text)
            elif key.startswith("has_"):
                found = [r for r in found if (r[key[4:]] is not None) is (text == "true")]
        found.sort(key=lambda r: str(r["id"]))
        offset = int(query.get("offset", 0))
        return found[offset : offset + limit]

    def _edit(self, kind: str, row: dict[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
        if kind == "messages" and not all(name in body and name in row for name in _COMPONENTS):
            raise _RefusalError(500, "Internal Server Error")
        fresh = self.add(kind, {**row, **body}, parent=str(row["id"]))
        row["is_valid"], row["date_invalidated"] = False, _now_tai()
        return fresh


def _handler(services: LogServices) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Write no log."""

        def do_GET(self) -> None:
            self._do()

        def do_POST(self) -> None:
            self._do()

        def do_PATCH(self) -> None:
            self._do()

        def _do(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            token = self.headers.get("Authorization")
            status, document = services.answer(self.command, self.path, body, token)
            content = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    return Handler


def _within(rows: list[dict[str, Any]], key: str, text: str) -> list[dict[str, Any]]:
    """Keep the rows within a bound; as in SQL, nothing is greater or smaller than NULL."""
    column = key[4:]

    def value(given: object) -> float:
        return int(str(given)) if column == "day_obs" else _check_time(column, given).timestamp()

    bound = value(text)
    valued = [(r, value(r[column])) for r in rows if r[column] is not None]
    if key.startswith("min_"):
        return [r for r, number in valued if number >= bound]
    return [r for r, number in valued if number < bound]


def _check_time(name: str, text: object) -> dt.datetime:
    if isinstance(text, str) and _ZONE.search(text):
        raise _RefusalError(400, f"{name} must not have a time zone suffix")
    try:
        return dt.datetime.fromisoformat(str(text))
    except ValueError:
        raise _RefusalError(422, f"{name} is no time") from None


def _seconds(value: object) -> float:
    """Read a duration as pydantic does: a number is seconds, a text is ISO 8601."""
    if isinstance(value, int | float):
        return float(value)
    match = _DURATION.fullmatch(str(value))
    if match is None:
        raise _RefusalError(422, "time_lost is no duration")
    hours, minutes, rest = (float(part or 0) for part in match.groups())
    return 3600 * hours + 60 * minutes + rest


def _now_tai() -> str:
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(seconds=TAI_MINUS_UTC_S)
    return now.isoformat()

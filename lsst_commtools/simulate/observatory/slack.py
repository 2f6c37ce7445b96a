"""Slack's ``chat.postMessage`` and incoming webhooks, with the limit of their rate.

Contract: failures of a bot's message are HTTP 200 with ``ok: false``; a webhook answers plain text.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable
from typing import Any

import tornado.web
from typing_extensions import override

from lsst_commtools.simulate.observatory.observatory import Observatory

__all__ = ["WEBHOOK_PATH", "slack_application"]

WEBHOOK_PATH = "/services/T0/B0/simulated"
_HANG_S = 3600.0
_BURST = 5


class _Handler(tornado.web.RequestHandler):
    """What both ways share: faults, and the limit."""

    @override
    def initialize(self, observatory: Observatory, token: str) -> None:
        self.observatory, self.token = observatory, token

    @override
    async def prepare(self) -> None:
        kind = self.observatory.faults.take("slack", self.request.path.rpartition("/")[2])
        if kind == "drop":
            self.detach().close()
            self._finished = True
        elif kind == "hang":
            await asyncio.sleep(_HANG_S)
        elif kind == "http_429" or (not kind and self._too_many()):
            self.set_header("Retry-After", "1")
            self.set_status(429)
            await self.finish({"ok": False, "error": "ratelimited"})
        elif kind.startswith("http_"):
            self.set_status(int(kind.removeprefix("http_")))
            await self.finish("simulated failure")
        elif kind == "not_ok":
            await self.finish({"ok": False, "error": "not_in_channel"})

    def _too_many(self) -> bool:
        window_s = self.observatory.pace.slack_message_s * _BURST
        recent = [m for m in self.observatory.announced if time.time() - float(m["ts"]) < window_s]
        return len(recent) >= _BURST

    def take(self, channel: str, text: str, thread: str = "") -> str:
        """Keep a message, and give its stamp."""
        ts = f"{time.time():.6f}"
        self.observatory.announced.append({"channel": channel, "text": text, "ts": ts, "thread_ts": thread})
        return ts

    @override
    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return None


class _PostMessage(_Handler):
    @override
    async def post(self) -> None:
        body = json.loads(self.request.body or b"{}")
        if self.request.headers.get("Authorization") != f"Bearer {self.token}":
            await self.finish({"ok": False, "error": "invalid_auth"})
        elif not body.get("text"):
            await self.finish({"ok": False, "error": "no_text"})
        elif not body.get("channel"):
            await self.finish({"ok": False, "error": "channel_not_found"})
        else:
            ts = self.take(body["channel"], body["text"], body.get("thread_ts", ""))
            await self.finish(
                {"ok": True, "channel": "C0SIMULATED", "ts": ts, "message": {"text": body["text"]}}
            )


class _Webhook(_Handler):
    @override
    async def post(self) -> None:
        body = json.loads(self.request.body or b"{}")
        if not body.get("text"):
            self.set_status(400)
            await self.finish("no_text")
            return
        self.take("webhook", body["text"])
        await self.finish("ok")


def slack_application(observatory: Observatory, token: str) -> tornado.web.Application:
    """Make the web application that stands in for Slack.

    Parameters
    ----------
    observatory
        What is behind it.
    token
        Token of the bot.

    Returns
    -------
    tornado.web.Application
        ``/api/chat.postMessage``, and the webhook `WEBHOOK_PATH`.
    """
    given = {"observatory": observatory, "token": token}
    routes: list[tuple[str, type[tornado.web.RequestHandler], dict[str, Any]]] = [
        (r"/api/chat\.postMessage", _PostMessage, given),
        (WEBHOOK_PATH, _Webhook, given),
    ]
    return tornado.web.Application(routes, log_function=lambda _: None)

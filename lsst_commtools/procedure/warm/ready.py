"""A kernel client that knows when its kernel is ready, instead of waiting a fixed time for silence."""

from __future__ import annotations

import time
from queue import Empty
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from typing_extensions import override

__all__ = ["ReadyClient"]

_FIRST_TRY_S = 0.25
_ALIVE_S = 1.0
_SUBSCRIBED_S = 0.05


class ReadyClient(AsyncKernelClient):
    """Jupyter's asynchronous client with an exact `wait_for_ready`.

    Jupyter's own asks for the kernel's info and then reads the output channel until nothing has come for 0.2 s. But the
    kernel ends its answer with the state ``idle`` on that channel: when this has come, the channel is connected, and
    nothing is left of the question.
    """

    @override
    async def _async_wait_for_ready(self, timeout: float | None = None) -> None:
        deadline = time.monotonic() + timeout if timeout is not None else float("inf")
        self.hb_channel.unpause()
        patience_s = _FIRST_TRY_S
        while time.monotonic() < deadline:
            asked = self.kernel_info()
            until = min(time.monotonic() + patience_s, deadline)
            reply = await self._message(self.shell_channel, asked, until, "kernel_info_reply")
            # The channel's subscription may have come too late for this answer: then the next is heard.
            until = min(time.monotonic() + _SUBSCRIBED_S, deadline)
            if reply is not None and await self._message(self.iopub_channel, asked, until, "status", "idle"):
                self._handle_kernel_info_reply(reply)
                return
            patience_s = min(2 * patience_s, _ALIVE_S)
            if not await self._async_is_alive():
                raise RuntimeError("Kernel died before replying to kernel_info")
        raise RuntimeError(f"Kernel didn't respond in {timeout} seconds")

    async def _message(
        self, channel: Any, asked: str, until: float, kind: str, state: str | None = None
    ) -> dict[str, Any] | None:
        """Read a channel until the message that answers a question comes, or until it is too late."""
        while (left_s := until - time.monotonic()) > 0:
            try:
                message: dict[str, Any] = await channel.get_msg(timeout=left_s)
            except Empty:
                return None
            if (
                message["parent_header"].get("msg_id") == asked
                and message["msg_type"] == kind
                and (state is None or message["content"].get("execution_state") == state)
            ):
                return message
        return None

"""LOVE's producer and the groups of its manager: samples go to all who subscribed, again and again.

Contract: LOVE-manager v7.5 ``subscription/consumers.py``, LOVE-producer ``love_producer_csc.py``. A group gets the
cached sample whenever anybody subscribes, also when the CSC died long ago; any name can be subscribed to.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["TAI_MINUS_UTC_S", "Producer", "sal_sample", "tai_now_s"]

TAI_MINUS_UTC_S = 37.0


def tai_now_s() -> float:
    """Give the TAI clock, unix seconds."""
    return time.time() + TAI_MINUS_UTC_S


def _entry(value: Any) -> dict[str, Any]:
    # Booleans carry dataType Int, as in the real producer.
    kind = "String" if isinstance(value, str) else "Float" if isinstance(value, float) else "Int"
    return {"value": value, "dataType": kind, "units": "second" if kind == "Float" else "unitless"}


def sal_sample(csc: str, index: int, origin: int, seq_num: int, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Write a SAL sample as the producer does.

    Parameters
    ----------
    csc, index
        Whose it is.
    origin, seq_num
        Process, and number of the sample.
    fields
        Field name to value.

    Returns
    -------
    dict
        Field name to ``{"value", "dataType", "units"}``.
    """
    sent_s = tai_now_s()
    values = {
        "salIndex": index,
        "private_sndStamp": sent_s,
        "private_rcvStamp": sent_s + 0.001,
        "private_seqNum": seq_num,
        "private_origin": origin,
        "private_identity": f"{csc}:{index}" if index else csc,
        "private_revCode": "simulated",
        **fields,
    }
    return {name: _entry(value) for name, value in values.items()}


class Producer:
    """Groups of subscribers, and the last sample of each event."""

    def __init__(self) -> None:
        self._groups: dict[str, set[Callable[[str], None]]] = defaultdict(set)
        self._cache: dict[tuple[str, int, str], Any] = {}
        self.silent = False

    def join(self, send: Callable[[str], None], category: str, csc: str, index: str, stream: str) -> None:
        """Add a subscriber, and send the cached sample to the whole group.

        Parameters
        ----------
        send
            Takes a message for the subscriber.
        category, csc, index, stream
            The group; any name will do.
        """
        self._groups[f"{category}-{csc}-{index}-{stream}"].add(send)
        key = (csc, int(index), stream) if index.isdigit() else None
        if category == "event" and key in self._cache and not self.silent:
            self._send("event", csc, int(index), {stream: self._cache[key]})

    def leave(self, send: Callable[[str], None], group: str | None = None) -> None:
        """Take a subscriber out of one group, or of all.

        Parameters
        ----------
        send
            As it was given to `join`.
        group
            ``category-csc-index-stream``; None for all.
        """
        for name in [group] if group is not None else list(self._groups):
            self._groups[name].discard(send)

    def event(self, csc: str, index: int, stream: str, payload: Any, *, cached: bool = True) -> None:
        """Send an event.

        Parameters
        ----------
        csc, index, stream
            Its name.
        payload
            A list with one sample, or what a stream of its own kind holds.
        cached
            Whether later subscribers get it too.
        """
        if cached:
            self._cache[csc, index, stream] = payload
        self._send("event", csc, index, {stream: payload})

    def telemetry(self, csc: str, index: int, stream: str, sample: Mapping[str, Any]) -> None:
        """Send telemetry, which is a dict and not a list.

        Parameters
        ----------
        csc, index, stream
            Its name.
        sample
            The sample.
        """
        self._send("telemetry", csc, index, {stream: sample})

    def manager_heartbeat(self) -> None:
        """Send LOVE's own heartbeats."""
        data = [
            {"csc": name, "salindex": 0, "data": {"timestamp": time.time()}}
            for name in ("Manager", "Commander")
        ]
        text = json.dumps({"category": "heartbeat", "data": data, "subscription": "heartbeat"})
        for send in list(self._groups["heartbeat-manager-0-stream"]):
            send(text)

    def forget(self) -> None:
        """Lose all cached samples, as a producer that was started again has."""
        self._cache.clear()

    def _send(self, category: str, csc: str, index: int, data: Mapping[str, Any]) -> None:
        if self.silent:
            return
        tai_s = tai_now_s()
        tracing = {
            "producer_snd": tai_s - TAI_MINUS_UTC_S,
            **{
                f"manager_{step}": tai_s
                for step in ("rcv_from_producer", "snd_to_group", "rcv_from_group", "snd_to_client")
            },
        }
        groups: list[tuple[str, Mapping[str, Any]]] = [
            (f"{category}-{csc}-{index}-{stream}", {stream: payload}) for stream, payload in data.items()
        ]
        groups.append((f"{category}-{csc}-{index}-all", {csc: data}))
        groups.append((f"{category}-all-all-all", data))
        for name, content in groups:
            if not self._groups.get(name):
                continue
            text = json.dumps(  # NaN stays bare, as LOVE sends it
                {
                    "category": category,
                    "data": [{"csc": csc, "salindex": index, "data": content}],
                    "subscription": name,
                    "tracing": tracing,
                }
            )
            for send in list(self._groups[name]):
                send(text)

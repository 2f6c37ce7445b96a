"""LOVE's websocket messages, read and written on the board.

Contract: events are lists of samples, telemetry is a dict, heartbeats of all CSCs share one stream, stamps of CSCs are
TAI and those of the producer UTC. Everything is hostile until it was read: what does not fit is dropped.
"""

from __future__ import annotations

import datetime as dt
import logging
import math
import time
from collections.abc import Mapping
from typing import Any, TypeGuard

from lsst_commtools.control.board import Board
from lsst_commtools.control.states import SummaryState
from lsst_commtools.control.values import Heartbeat, LogMessage, Stamp, StateSample
from lsst_commtools.errors import IdentifierError
from lsst_commtools.ids import CscName

__all__ = ["TAI_MINUS_UTC_S", "read_message", "read_sample"]

TAI_MINUS_UTC_S = 37.0
"""TAI minus UTC since 2017, in seconds."""


def read_message(message: Mapping[str, Any], board: Board) -> None:
    """Write on the board what a message says.

    Parameters
    ----------
    message
        One message of the websocket.
    board
        Where to write it.
    """
    items = message.get("data")
    if not isinstance(items, list):
        return  # a confirmation, which LOVE gives for any name
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get("data"), dict):
            continue
        csc, index = item.get("csc"), item.get("salindex")
        if not isinstance(csc, str) or not isinstance(index, int):
            continue
        for stream, payload in item["data"].items():
            if csc == "Heartbeat":
                _read_heartbeat(payload, message.get("tracing"), board)
            elif csc == "ScriptQueueState":
                board.put_stream(csc, index, str(stream), payload)
            elif isinstance(payload, list):
                _read_event(csc, index, str(stream), payload, board)


def _read_heartbeat(payload: Any, tracing: Any, board: Board) -> None:
    if not isinstance(payload, dict):
        return
    csc, lost, beat_utc_s = (
        _name(payload.get("csc"), payload.get("salindex")),
        payload.get("lost"),
        payload.get("last_heartbeat_timestamp"),
    )
    if csc is None or not isinstance(lost, int) or not _is_number(beat_utc_s):
        return
    sent_utc_s = tracing.get("producer_snd") if isinstance(tracing, dict) else None
    told_utc_s = sent_utc_s if _is_number(sent_utc_s) else time.time()
    age_s = None if beat_utc_s < 0 else max(0.0, told_utc_s - beat_utc_s)
    board.put_heartbeat(csc, Heartbeat(lost, age_s, time.monotonic()))


def _read_event(csc: str, index: int, stream: str, samples: list[Any], board: Board) -> None:
    name = _name(csc, index)
    if name is None:
        return
    for sample in samples:
        values = read_sample(sample)
        stamp = _stamp(values)
        if stamp is None:
            continue
        if stream == "summaryState":
            board.put_state(name, StateSample(stamp, SummaryState.from_sal(values.get("summaryState"))))
        elif stream == "logMessage":
            level = values.get("level")
            text = str(values.get("message", ""))
            board.put_log(LogMessage(name, stamp, _utc(stamp), level if isinstance(level, int) else 0, text))
        elif stream == "configurationApplied":
            board.put_stream(csc, index, stream, values)
        elif stream == "errorCode":
            code = values.get("errorCode")
            text = str(values.get("errorReport", ""))
            if isinstance(code, int):
                level = logging.ERROR if code else logging.INFO
                board.put_log(LogMessage(name, stamp, _utc(stamp), level, text, error_code=code))


def read_sample(sample: Any) -> dict[str, Any]:
    """Take the values out of a sample.

    Parameters
    ----------
    sample
        Field name to ``{"value", "dataType", "units"}``.

    Returns
    -------
    dict
        Field name to value; empty for what is no sample.
    """
    if not isinstance(sample, dict):
        return {}
    return {
        str(field): entry["value"] if isinstance(entry, dict) and "value" in entry else entry
        for field, entry in sample.items()
    }


def _stamp(values: Mapping[str, Any]) -> Stamp | None:
    sent_tai_s, seq_num, origin = (values.get(f"private_{key}") for key in ("sndStamp", "seqNum", "origin"))
    if not _is_number(sent_tai_s):
        return None
    return Stamp(
        float(sent_tai_s),
        seq_num if isinstance(seq_num, int) else 0,
        origin if isinstance(origin, int) else 0,
    )


def _utc(stamp: Stamp) -> dt.datetime:
    return dt.datetime.fromtimestamp(stamp.sent_tai_s - TAI_MINUS_UTC_S, dt.UTC)


def _name(csc: Any, index: Any) -> CscName | None:
    if not isinstance(csc, str) or not isinstance(index, int) or index < 0:
        return None
    try:
        return CscName.parse(f"{csc}:{index}")
    except IdentifierError:
        return None


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

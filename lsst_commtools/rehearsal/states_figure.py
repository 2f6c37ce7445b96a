"""States of CSCs over a night as bars: each span carries its word, and the colours are told apart by anybody."""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["states_figure"]

# Okabe and Ito's palette; background and text with a contrast of 4.5 or more.
_COLOURS = {
    "ENABLED": ("#0072b2", "#ffffff"),
    "DISABLED": ("#f0e442", "#1b1f24"),
    "STANDBY": ("#56b4e9", "#1b1f24"),
    "FAULT": ("#8b1a4a", "#ffffff"),
    "OFFLINE": ("#555b63", "#ffffff"),
}
_UNKNOWN = ("#ffffff", "#1b1f24")
_NAME_PX, _WIDTH_PX, _ROW_PX = 150, 900, 22
_LETTER_PX = 7.5


def states_figure(rows: Sequence[Mapping[str, Any]]) -> str:
    """Draw the states of CSCs.

    Parameters
    ----------
    rows
        As `read_states` gives them.

    Returns
    -------
    str
        SVG for a page, one for each time that was asked about; empty if there are no rows. Texts are escaped.
    """
    windows = list(dict.fromkeys(str(row["window"]) for row in rows))
    return "".join(_figure(window, [row for row in rows if row["window"] == window]) for window in windows)


def _figure(window: str, rows: Sequence[Mapping[str, Any]]) -> str:
    begin = _moment(rows[0]["spans"][0]["begin_utc"])
    end = _moment(rows[0]["spans"][-1]["end_utc"])
    length_s = max(1.0, (end - begin).total_seconds())
    width, height = _NAME_PX + _WIDTH_PX, _ROW_PX * (len(rows) + 1)
    size = (
        f'width="{width}" height="{height}" viewBox="0 0 {width} {height}" style="max-width:100%;height:auto"'
    )
    # In a notebook there is no style sheet, and the ground may be dark.
    letters = 'fill="currentColor" font-family="system-ui, DejaVu Sans, sans-serif" font-size="12"'
    parts = [f'<svg role="img" aria-label="States of the CSCs, {_safe(window)}" {size} {letters}>']
    for number, row in enumerate(rows):
        y = number * _ROW_PX
        parts.append(f'<text x="0" y="{y + 15}">{_safe(row["csc"])}</text>')
        for span in row["spans"]:
            left = (_moment(span["begin_utc"]) - begin).total_seconds() / length_s * _WIDTH_PX
            right = (_moment(span["end_utc"]) - begin).total_seconds() / length_s * _WIDTH_PX
            parts.append(_bar(_NAME_PX + left, y, right - left, span))
    labels = ((_NAME_PX, "start", begin), (width, "end", end))
    parts += [
        f'<text x="{x}" y="{height - 5}" text-anchor="{anchor}">{moment:%Y-%m-%d %H:%M} UTC</text>'
        for x, anchor, moment in labels
    ]
    middle = _NAME_PX + _WIDTH_PX / 2
    parts.append(f'<text x="{middle:g}" y="{height - 5}" text-anchor="middle">{_safe(window)}</text>')
    return "".join([*parts, "</svg>"])


def _bar(x: float, y: float, width: float, span: Mapping[str, Any]) -> str:
    state = str(span["state"])
    fill, ink = _COLOURS.get(state, _UNKNOWN)
    told = f"{state} from {span['begin_utc'][:19]} to {span['end_utc'][:19]} UTC, {span['hours']:g} h"
    word = state if width > _LETTER_PX * len(state) + 6 else state[:1] if width > 2 * _LETTER_PX else ""
    dashes = ' stroke-dasharray="3 2"' if fill == _UNKNOWN[0] else ""
    return (
        f'<g><title>{_safe(told)}</title><rect x="{x:.1f}" y="{y + 1}" width="{max(width, 1.0):.1f}" '
        f'height="{_ROW_PX - 3}" fill="{fill}" stroke="#1b1f24" stroke-width="0.5"{dashes}/>'
        f'<text x="{x + 3:.1f}" y="{y + 15}" style="fill:{ink}">{_safe(word)}</text></g>'
    )


def _moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def _safe(value: object) -> str:
    return html.escape(str(value))

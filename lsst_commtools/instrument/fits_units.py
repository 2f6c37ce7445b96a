"""The outline of a FITS file: where its units lie, and the few cards that say what they are.

astropy parses every card of every extension, which is most of the time of looking at a raw file. Here only the
cards that matter for its structure are read, and nothing is decoded. FITS standard 4.0, sections 3 and 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["CardValue", "FitsUnit", "outline"]

BLOCK = 2880
CARD = 80
MAX_HEADER_BLOCKS = 400
MAX_AXES = 9

CardValue = str | int | float | bool | None

_WANTED = frozenset(
    {
        "SIMPLE", "XTENSION", "BITPIX", "NAXIS", "PCOUNT", "GCOUNT", "EXTNAME", "CHECKSUM", "DATASUM",
        "DATASEC", "DETSEC", "DETSIZE", "CCDSUM", "GAIN", "CCDGAIN", "ZIMAGE",
        "ZNAXIS", "ZNAXIS1", "ZNAXIS2",
        *(f"NAXIS{k}" for k in range(1, MAX_AXES + 1)),
    }
)  # fmt: skip


@dataclass(frozen=True)
class FitsUnit:
    """One header and data unit.

    Parameters
    ----------
    cards
        Structural keywords to value.
    start, data_start, stop
        Bytes of the file: header, data, end of the data's last block.
    header_sum, data_sum
        Ones' complement sums of header and data.
    """

    cards: dict[str, CardValue]
    start: int
    data_start: int
    stop: int
    header_sum: int
    data_sum: int

    @property
    def name(self) -> str:
        """EXTNAME; the primary unit has none."""
        return str(self.cards.get("EXTNAME") or ("the primary header" if self.start == 0 else "an extension"))


def outline(content: bytes) -> list[FitsUnit]:
    """Find the units of a FITS file.

    Parameters
    ----------
    content
        The whole file.

    Returns
    -------
    list of FitsUnit
        The primary unit first.

    Raises
    ------
    ValueError
        If the file is cut short or is no FITS file; the message is half a sentence.
    """
    units: list[FitsUnit] = []
    start = 0
    while start < len(content):
        if units and not content.startswith(b"XTENSION", start):
            raise ValueError("there is something after its last extension")
        cards, data_start = _read_cards(content, start)
        stop = data_start + math.ceil(_data_bytes(cards) / BLOCK) * BLOCK
        if stop > len(content):
            raise ValueError(f"it is truncated: it has {len(content)} bytes and needs {stop} or more")
        sums = _ones_complement(content, start, data_start), _ones_complement(content, data_start, stop)
        units.append(FitsUnit(cards, start, data_start, stop, *sums))
        start = stop
    return units


def _read_cards(content: bytes, start: int) -> tuple[dict[str, CardValue], int]:
    cards: dict[str, CardValue] = {}
    end = min(len(content), start + MAX_HEADER_BLOCKS * BLOCK)
    for place in range(start, end - CARD + 1, CARD):
        card = content[place : place + CARD]
        key = card[:8].rstrip().decode("latin-1")
        if key == "END":
            stop = start + math.ceil((place + CARD - start) / BLOCK) * BLOCK
            if stop > len(content):
                break
            return cards, stop
        if key in _WANTED and card[8:10] == b"= ":
            cards[key] = _value(card[10:].decode("latin-1"))
    raise ValueError("it is truncated: a header has no end")


def _value(text: str) -> CardValue:
    text = text.strip()
    if text.startswith("'"):
        body, quote, _ = text[1:].replace("''", "\0").partition("'")
        return body.replace("\0", "'").rstrip() if quote else None
    word = text.split("/", 1)[0].strip()
    if word in ("T", "F"):
        return word == "T"
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return None


def _data_bytes(cards: dict[str, CardValue]) -> int:
    axes = cards.get("NAXIS")
    if not isinstance(axes, int) or isinstance(axes, bool) or not 0 <= axes <= MAX_AXES:
        raise ValueError(f"NAXIS is {axes!r}")
    lengths = [_count(cards, f"NAXIS{k}", None) for k in range(1, axes + 1)]
    values = math.prod(lengths) if lengths else 0
    bits = _count({key: abs(v) if isinstance(v, int) else v for key, v in cards.items()}, "BITPIX", None)
    return bits // 8 * _count(cards, "GCOUNT", 1) * (_count(cards, "PCOUNT", 0) + values)


def _count(cards: dict[str, CardValue], key: str, default: int | None) -> int:
    value = cards.get(key, default)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError(f"{key} is {value!r}")


def _ones_complement(content: bytes, start: int, stop: int) -> int:
    """Sum 32-bit words as the FITS checksum does, section 4.4.2.7."""
    total = int(np.frombuffer(content, ">u4", (stop - start) // 4, start).sum(dtype=np.uint64))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total

"""Comparing raw files: by bytes, by pixels, and against what a registry row says of them."""

from __future__ import annotations

import enum
import hashlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["Sameness", "compare_files", "describes", "read_header"]

_HEADER_BYTES = 720 * 2880
_CHUNK = 1 << 20
# Registry column to the header keywords it was filled from (obs_lsst and pipe_tasks, 2019).
_KEYWORDS = {
    "dateObs": ("DATE-OBS", "DATE-BEG"),
    "expTime": ("EXPTIME",),
    "object": ("OBJECT",),
    "imageType": ("IMGTYPE",),
    "seqNum": ("SEQNUM",),
}


class Sameness(enum.Enum):
    """How alike two files are."""

    SAME_BYTES = "the files are the same"
    SAME_PIXELS = "the headers differ, the pixels are the same"
    PIXELS_DIFFER = "the pixels differ"
    BYTES_DIFFER = "the files differ"
    UNKNOWN = "they were not compared"


def read_header(path: str) -> dict[str, Any]:
    """Read a FITS file's primary header; of a hostile file no more than 2 MiB.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    dict
        Keyword to value; empty if it is no FITS file or cannot be read.
    """
    try:
        if not Path(path).is_file():
            return {}
        with Path(path).open("rb") as file:
            content = file.read(_HEADER_BYTES)
    except OSError:
        return {}
    if not content.startswith(b"SIMPLE  ="):
        return {}
    values: dict[str, Any] = {}
    for start in range(0, len(content) - 79, 80):
        card = content[start : start + 80].decode("ascii", "replace")
        if card.startswith("END     "):
            break
        if card[8:10] == "= ":
            values[card[:8].strip()] = _value(card[10:])
    return values


def _value(text: str) -> Any:
    text = text.strip()
    if text.startswith("'"):
        return text[1:].split("'", 1)[0].rstrip()
    text = text.split("/", 1)[0].strip()
    try:
        return float(text) if any(c in text for c in ".Ee") else int(text)
    except ValueError:
        return text


def describes(row: Mapping[str, Any], header: Mapping[str, Any]) -> bool | None:
    """Tell whether a registry row was made from a file.

    Parameters
    ----------
    row
        Columns of the row.
    header
        Header of the file.

    Returns
    -------
    bool or None
        None if they share nothing that could be compared.
    """
    seen = False
    for column, keywords in _KEYWORDS.items():
        told = row.get(column)
        value = next((header[keyword] for keyword in keywords if keyword in header), None)
        if told is None or value is None:
            continue
        seen = True
        if not _equal(told, value):
            return False
    return True if seen else None


def _equal(told: object, value: object) -> bool:
    if isinstance(told, int | float) and isinstance(value, int | float):
        return abs(told - value) <= 1e-6 * max(1.0, abs(told))
    told, value = str(told).strip(), str(value).strip()
    return told.rstrip("0").rstrip(".") == value.rstrip("0").rstrip(".") or told == value


def compare_files(first: str, second: str) -> Sameness:
    """Compare two raw files.

    Parameters
    ----------
    first, second
        The files.

    Returns
    -------
    Sameness
        Pixels are looked at where both are FITS files that can be read.
    """
    try:
        if Path(first).samefile(second) or (
            Path(first).stat().st_size == Path(second).stat().st_size and _digest(first) == _digest(second)
        ):
            return Sameness.SAME_BYTES
    except OSError:
        return Sameness.UNKNOWN
    if not read_header(first) or not read_header(second):
        return Sameness.BYTES_DIFFER
    return _compare_pixels(first, second)


def _digest(path: str) -> bytes:
    digest = hashlib.blake2b()
    with Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.digest()


def _compare_pixels(first: str, second: str) -> Sameness:
    import numpy as np
    from astropy.io import fits

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with fits.open(first, memmap=False) as one, fits.open(second, memmap=False) as two:
                if len(one) != len(two):
                    return Sameness.PIXELS_DIFFER
                pairs = ((a.data, b.data) for a, b in zip(one, two, strict=True))
                same = all(_same(np, a, b) for a, b in pairs)
    except (OSError, ValueError, TypeError, KeyError, IndexError, fits.VerifyError):
        return Sameness.BYTES_DIFFER
    return Sameness.SAME_PIXELS if same else Sameness.PIXELS_DIFFER


def _same(np: Any, first: Any, second: Any) -> bool:
    if first is None or second is None:
        return first is second
    return bool(first.shape == second.shape and first.dtype == second.dtype and np.array_equal(first, second))

"""Rates of data transfers, never without their unit: 40 Mb/s and 40 MB/s differ by a factor of 8."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Self

from typing_extensions import override

from lsst_commtools.errors import InputError

__all__ = ["BITS_PER_BYTE", "Rate"]

BITS_PER_BYTE = 8

_PREFIXES = {
    "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40,
}  # fmt: skip
_UNITS = {"B": 1, "byte": 1, "bytes": 1, "b": BITS_PER_BYTE, "bit": BITS_PER_BYTE, "bits": BITS_PER_BYTE}
_RATE = re.compile(r"(?P<number>\d{1,15}(\.\d{1,9})?)\s*(?P<unit>[A-Za-z]*)(?P<time>/s)?", re.ASCII)
_UNIT = re.compile(r"(?P<prefix>k|Ki|[MGT]i?|)(?P<quantity>B|b|bytes?|bits?)", re.ASCII)
_ADVICE = "Write it with its unit, such as 40 MB/s (megabytes) or 40 Mb/s (megabits, 8 times less)."


@dataclass(frozen=True, order=True)
class Rate:
    """How fast data flow.

    Parameters
    ----------
    bytes_per_s
        Bytes in a second; positive and finite.
    """

    bytes_per_s: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.bytes_per_s) and self.bytes_per_s > 0.0):
            raise InputError(f"{self.bytes_per_s!r} bytes/s is no rate.", advice=_ADVICE)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a rate that a person wrote.

        Parameters
        ----------
        text
            Number and unit: ``40 MB/s``, ``40 Mb/s``, ``40 Mbit/s``, ``40 Mbps``, ``5 MiB/s``. ``B`` is a byte and
            ``b`` a bit; k, M, G, T are powers of 1000, Ki, Mi, Gi, Ti powers of 1024.

        Returns
        -------
        Rate
            The rate.

        Raises
        ------
        InputError
            If there is no unit, or one that can be read in two ways.
        """
        match = _RATE.fullmatch(text.strip())
        if match is None:
            raise InputError(f"{text[:60]!r} is no rate.", advice=_ADVICE)
        number, unit, per_second = match["number"], match["unit"], match["time"] is not None
        if not per_second and unit.endswith("ps"):
            unit, per_second = unit.removesuffix("ps"), True
        wrong = _why_not(number, unit, per_second=per_second)
        parts = _UNIT.fullmatch(unit)
        if wrong or parts is None:
            raise InputError(wrong or f"{unit!r} is no unit of data.", advice=_ADVICE)
        return cls(float(number) * _PREFIXES[parts["prefix"]] / _UNITS[parts["quantity"]])

    @classmethod
    def of(cls, size_bytes: float, seconds: float) -> Self | None:
        """Give the rate at which something was sent.

        Parameters
        ----------
        size_bytes, seconds
            How much, and in what time.

        Returns
        -------
        Rate or None
            None where there is no telling: nothing, or no time.
        """
        return cls(size_bytes / seconds) if size_bytes > 0 and seconds > 0.0 else None

    @override
    def __str__(self) -> str:
        bits = self.bytes_per_s * BITS_PER_BYTE
        return f"{_scaled(self.bytes_per_s)}B/s ({_scaled(bits)}b/s)"


def _why_not(number: str, unit: str, *, per_second: bool) -> str:
    """Say why a unit is refused; empty if nothing speaks against it."""
    if not unit:
        return (
            f"{number!r} is a number without a unit: megabits and megabytes a second differ by a factor of 8."
        )
    if unit in _PREFIXES or unit == "K":
        return f"'{number} {unit}' does not say whether it is bits (b) or bytes (B), a factor of {BITS_PER_BYTE}."
    if not per_second:
        return f"'{number} {unit}' is an amount, not a rate: it lacks '/s'."
    if unit in ("KB", "Kb"):
        return f"{unit!r} is read as 1000 and as 1024: write k{unit[1]} or Ki{unit[1]}."
    if unit.lower() in ("mb", "gb", "tb") and unit[0].islower():
        return f"{unit!r} can be read as {unit[0].upper()}b and as {unit[0].upper()}B, a factor of {BITS_PER_BYTE}."
    return ""


def _scaled(value: float) -> str:
    for prefix in ("T", "G", "M", "k"):
        if value >= 0.9995 * _PREFIXES[prefix]:
            return f"{value / _PREFIXES[prefix]:.4g} {prefix}"
    return f"{value:.4g} "

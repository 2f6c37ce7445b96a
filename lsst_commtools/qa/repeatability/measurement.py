"""One figure of the requirements: value, error, what it rests on, and its status."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lsst_commtools.qa.limits import Limit, Status

__all__ = ["Measurement"]


@dataclass(frozen=True)
class Measurement:
    """A measured figure.

    Parameters
    ----------
    value
        NaN where it is unknown.
    error
        Standard error; NaN where it could not be told.
    unit
        Of value and error.
    n_pairs
        Pairs of stars that gave the value; for figures of single stars, the stars.
    limit
        Requirement; None where there is none.
    reason
        Why the value is unknown.
    parts
        More numbers: what the value was made of.
    """

    value: float
    error: float
    unit: str
    n_pairs: int
    limit: Limit | None = None
    reason: str = ""
    parts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def unknown(cls, unit: str, limit: Limit | None, reason: str) -> Measurement:
        """Make a figure that could not be measured.

        Parameters
        ----------
        unit
            It would have had.
        limit
            Requirement.
        reason
            One sentence without a full stop.

        Returns
        -------
        Measurement
            Without a value.
        """
        return cls(math.nan, math.nan, unit, 0, limit, reason)

    @property
    def status(self) -> Status | None:
        """Verdict by the requirement; None for a value that has none."""
        if not math.isfinite(self.value):
            return Status.UNKNOWN
        return None if self.limit is None else self.limit.judge(self.value)

    def document(self) -> dict[str, Any]:
        """Give the figure for JSON.

        Returns
        -------
        dict
            ``value``, ``error``, ``unit``, ``n_pairs``, ``design``, ``minimum``, ``stretch``, ``status``, ``reason``
            where it is unknown, and its parts.
        """
        limit = self.limit
        document: dict[str, Any] = {
            "value": self.value if math.isfinite(self.value) else None,
            "error": self.error if math.isfinite(self.error) else None,
            "unit": self.unit,
            "n_pairs": self.n_pairs,
            "design": limit.design if limit else None,
            "minimum": limit.minimum if limit else None,
            "stretch": limit.stretch if limit else None,
            "status": None if self.status is None else str(self.status),
        }
        if self.reason:
            document["reason"] = self.reason
        return document | dict(self.parts)

"""What a repository holds of a night, against what it should."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from lsst_commtools.repos.gen2 import Holding

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Holdings"]


@dataclass(frozen=True)
class Holdings:
    """What a repository holds of a night, against what it should.

    Parameters
    ----------
    repository
        Label.
    day_obs
        The night.
    items
        Each science detector of each exposure that anything knows of.
    """

    repository: str
    day_obs: int
    items: tuple[Holding, ...]

    @property
    def missing(self) -> tuple[Holding, ...]:
        """Images that are expected and not there."""
        return tuple(item for item in self.items if not item.present)

    @property
    def gaps(self) -> tuple[int, ...]:
        """Numbers between 1 and the last of which nothing is known."""
        known = {item.seq_num for item in self.items}
        return tuple(n for n in range(1, max(known, default=0)) if n not in known)

    def to_dict(self) -> dict[str, object]:
        """Give the counts as plain values."""
        return {
            "repository": self.repository,
            "day_obs": self.day_obs,
            "expected": len(self.items),
            "present": len(self.items) - len(self.missing),
            "missing": [asdict(item) for item in self.missing],
            "gaps": list(self.gaps),
        }

    def to_frame(self) -> pd.DataFrame:
        """Give a table with one row an exposure and one column a detector: ``ok``, or the station at which it is."""
        import pandas as pd

        frame = pd.DataFrame(
            [(i.seq_num, i.detector, _state(i)) for i in self.items], columns=["seq_num", "detector", "is"]
        )
        return frame.pivot_table(index="seq_num", columns="detector", values="is", aggfunc="first")

    def by_detector(self) -> pd.DataFrame:
        """Give a table of expected and present images for each detector."""
        import pandas as pd

        frame = pd.DataFrame([(i.detector, i.present) for i in self.items], columns=["detector", "present"])
        groups = frame.groupby("detector")["present"]
        counts = pd.DataFrame({"expected": groups.size(), "present": groups.sum()})
        return counts.assign(missing=counts["expected"] - counts["present"])


def _state(item: Holding) -> str:
    if item.present:
        return "ok" if item.registered else "no row"
    if item.registered:
        return "file gone"
    return "not ingested" if item.transferred else "missing"

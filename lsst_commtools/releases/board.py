"""Releases of a site: the verbs that notebooks and the command use."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lsst_commtools.releases.evidence import EvidenceRun, Readiness, Status
from lsst_commtools.releases.graph import (
    Late,
    blocked_by,
    critical_path,
    disagreements,
    find_cycles,
    find_late,
    needs_all,
)
from lsst_commtools.releases.model import ReleaseModel
from lsst_commtools.releases.shipped import read_model, shipped_model

if TYPE_CHECKING:
    from lsst_commtools.site import Site

__all__ = ["Releases"]


class Releases:
    """Milestones, features and their readiness.

    Parameters
    ----------
    site
        The site: what verifies what, and which documents it uses.
    model
        Milestones and features; by default the site's documents, or those that come with the package.
    runs
        Runs that name what they verify.
    image_changed_utc
        When the image in use last changed; evidence from before is stale.
    """

    def __init__(
        self,
        site: Site,
        *,
        model: ReleaseModel | None = None,
        runs: Iterable[EvidenceRun] = (),
        image_changed_utc: dt.datetime | None = None,
    ) -> None:
        self.site = site
        if model is None:
            section = site.releases
            own = section.text or section.table
            model = read_model(section.text or None, section.table or None) if own else shipped_model()
        self.model = model
        self.readiness = Readiness(model, runs, image_changed_utc=image_changed_utc)

    def ready(self, entry_id: str) -> dict[str, Any]:
        """Give the readiness of a milestone or feature.

        Parameters
        ----------
        entry_id
            Its id, as people write it.

        Returns
        -------
        dict
            As `Readiness.to_dict`.
        """
        return self.readiness.to_dict(self.model.resolve(entry_id))

    def status(self, entry_id: str) -> Status:
        """Give the status of a milestone or feature.

        Parameters
        ----------
        entry_id
            Its id, as people write it.

        Returns
        -------
        Status
            Where the sources ask for different things, the worse.
        """
        return self.readiness.status(self.model.resolve(entry_id))

    def late(self, today: dt.date | None = None) -> list[Late]:
        """Find what is due and not verified.

        Parameters
        ----------
        today
            Day on which it is asked; by default today (UTC).

        Returns
        -------
        list of Late
            Longest overdue first.
        """
        ids = (*self.model.milestones, *self.model.features)
        verified = {i for i in ids if self.readiness.status(i) is Status.VERIFIED}
        return find_late(self.model, today or dt.datetime.now(dt.UTC).date(), verified)

    def overview(self, today: dt.date | None = None) -> dict[str, Any]:
        """List all milestones and features.

        Parameters
        ----------
        today
            Day on which it is asked; by default today (UTC).

        Returns
        -------
        dict
            Keys milestones, features (each with status and what each source tells), late, cycles, anomalies,
            sources_disagree.
        """
        ids = (*self.model.milestones, *self.model.features)
        return {
            "milestones": [self._summary(i) for i in self.model.milestones],
            "features": [self._summary(i) for i in self.model.features],
            "late": [asdict(entry) for entry in self.late(today)],
            "cycles": {s.name: [list(c) for c in find_cycles(s)] for s in self.model.sources},
            "anomalies": [asdict(anomaly) for anomaly in self.model.anomalies],
            "sources_disagree": [d for i in ids for d in disagreements(self.model, i)],
        }

    def show(self, entry_id: str) -> dict[str, Any]:
        """Tell all about a milestone or feature.

        Parameters
        ----------
        entry_id
            Its id, as people write it.

        Returns
        -------
        dict
            Keys id, status, by_source (per source: entries, needs, needs_all, critical_path), sources_disagree.
        """
        wanted = self.model.resolve(entry_id)
        return {
            "id": wanted,
            "status": self.readiness.status(wanted).value,
            "by_source": {
                s.name: {
                    "entries": [entry.to_dict() for entry in s.get(wanted)],
                    "needs": list(s.requires(wanted)),
                    "needs_all": list(needs_all(s, wanted)),
                    "critical_path": [asdict(step) for step in critical_path(s, wanted)],
                }
                for s in self.model.sources
            },
            "sources_disagree": disagreements(self.model, wanted),
        }

    def blocked_by(self, entry_id: str) -> dict[str, Any]:
        """Say what cannot be had without a milestone or feature.

        Parameters
        ----------
        entry_id
            Its id, as people write it.

        Returns
        -------
        dict
            Keys id, by_source (per source a list with id, title, direct, status), sources_disagree (ids that only
            one source names, by source).
        """
        wanted = self.model.resolve(entry_id)
        blocked = {s.name: blocked_by(s, wanted) for s in self.model.sources}
        common = set.intersection(*(set(b) for b in blocked.values())) if blocked else set()
        return {
            "id": wanted,
            "by_source": {
                s.name: [
                    {"id": i, "title": s.title(i), "direct": direct, "status": self.readiness.status(i).value}
                    for i, direct in blocked[s.name].items()
                ]
                for s in self.model.sources
            },
            "sources_disagree": [
                {"id": i, "field": "blocked", **{n: i in b for n, b in blocked.items()}}
                for i in sorted(set().union(*blocked.values()) - common)
            ],
        }

    def burn_down(self, dates: Sequence[dt.date]) -> list[dict[str, Any]]:
        """Count what is still open, against what was planned to be, over time.

        Parameters
        ----------
        dates
            Days to count at.

        Returns
        -------
        list of dict
            Keys date, planned_open (by the target dates of the sources that have them), open (no passing run by then).
        """
        due = {
            i: max(days)
            for i in self.model.features
            if (days := [d for s in self.model.sources if (d := s.due(i)) is not None])
        }
        rows = []
        for date in dates:
            before = [
                run
                for i in self.model.features
                for run in self.readiness.evidence(i)
                if run.at_utc.date() <= date
            ]
            then = Readiness(self.model, dict.fromkeys(before))
            rows.append(
                {
                    "date": date,
                    "planned_open": sum(day > date for day in due.values()),
                    "open": sum(then.own_status(i) is not Status.VERIFIED for i in self.model.features),
                }
            )
        return rows

    def meeting_text(self, today: dt.date) -> str:
        """Write what to say in the weekly meeting.

        Parameters
        ----------
        today
            Day of the meeting.

        Returns
        -------
        str
            Plain text, a line for each milestone.
        """
        lines = [f"Milestones on {today.isoformat()}"]
        late = {(entry.id, entry.source): entry.days for entry in self.late(today)}
        for i in self.model.milestones:
            ready = self.readiness.to_dict(i)
            done = sum(f["status"] == Status.VERIFIED.value for f in ready["features"])
            line = f"- {i}: {ready['status']}, {done} of {len(ready['features'])} features verified"
            overdue = [f"{days} days late by the {name}" for (j, name), days in late.items() if j == i]
            notes = [
                *overdue,
                *(["the sources disagree"] if ready["sources_disagree"] else []),
                *ready["problems"],
            ]
            lines.append(line + (f" ({'; '.join(notes)})" if notes else ""))
        return "\n".join(lines)

    def _summary(self, entry_id: str) -> dict[str, Any]:
        told = [s for s in self.model.sources if s.get(entry_id)]
        return {
            "id": entry_id,
            "status": self.readiness.status(entry_id).value,
            "title": {s.name: s.title(entry_id) for s in told},
            "due": {s.name: due.isoformat() for s in told if (due := s.due(entry_id)) is not None},
            "features": {s.name: [i for e in s.get(entry_id) for i in e.features] for s in told},
            "requires": {s.name: [i for e in s.get(entry_id) for i in e.milestones] for s in told},
            "lines": {s.name: [line for e in s.get(entry_id) for line in e.lines] for s in told},
        }

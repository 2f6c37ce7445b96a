"""Readiness: which feature is verified by which run, and what a milestone still lacks.

A milestone is verified if all its features are and all milestones that it needs are. Nothing counts as verified
without a run that says so; where the two sources ask for different things, the worse answer holds.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from lsst_commtools.releases.graph import disagreements
from lsst_commtools.releases.model import ReleaseModel, SourceModel

__all__ = ["EvidenceRun", "Readiness", "Status", "Verdict"]


class Verdict(enum.Enum):
    """What a run says about the features that it is for."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


class Status(enum.Enum):
    """How ready a feature or milestone is, the best first."""

    VERIFIED = "verified"
    STALE = "stale"
    NOT_TESTED = "not-tested"
    BLOCKED = "blocked"
    FAILED = "failed"


_RANK = {status: rank for rank, status in enumerate(Status)}


@dataclass(frozen=True)
class EvidenceRun:
    """A run of a notebook or campaign.

    Parameters
    ----------
    id
        Its id in the ledger.
    verifies
        Ids of the features and milestones that it is for.
    at_utc
        When it ended.
    image
        Lab image on which it ran; empty where that is not known.
    verdict
        What it says.
    notebook
        Notebook or campaign.
    explanation
        Why an earlier run had failed; a run after a failure must carry it (LDM-503).
    """

    id: str
    verifies: tuple[str, ...]
    at_utc: dt.datetime
    image: str
    verdict: Verdict
    notebook: str = ""
    explanation: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Give the run as plain values.

        Returns
        -------
        dict
            Keys run, at_utc, image, result, notebook, explanation.
        """
        return {
            "run": self.id,
            "at_utc": self.at_utc.isoformat(),
            "image": self.image,
            "result": self.verdict.value,
            "notebook": self.notebook,
            "explanation": self.explanation,
        }


class Readiness:
    """Readiness of features and milestones by the evidence of runs.

    Parameters
    ----------
    model
        Milestones and features.
    runs
        All runs.
    image_changed_utc
        When the image in use last changed; evidence from before is stale. None where that is not known.
    """

    def __init__(
        self,
        model: ReleaseModel,
        runs: Iterable[EvidenceRun] = (),
        *,
        image_changed_utc: dt.datetime | None = None,
    ) -> None:
        self.model = model
        self.image_changed_utc = image_changed_utc
        self._runs: dict[str, list[EvidenceRun]] = {}
        for run in sorted(runs, key=lambda r: r.at_utc):
            for entry_id in dict.fromkeys(run.verifies):
                self._runs.setdefault(entry_id, []).append(run)
        self._known: dict[tuple[str, str], Status] = {}

    def evidence(self, entry_id: str) -> list[EvidenceRun]:
        """Give the runs for a feature or milestone.

        Parameters
        ----------
        entry_id
            Its id.

        Returns
        -------
        list of EvidenceRun
            Oldest first.
        """
        return list(self._runs.get(entry_id, ()))

    def own_status(self, entry_id: str) -> Status:
        """Judge an entry by the runs that name it alone.

        Parameters
        ----------
        entry_id
            Its id.

        Returns
        -------
        Status
            Of each notebook the last run that says anything counts; the worst of them holds.
        """
        last: dict[str, EvidenceRun] = {}
        for run in self._runs.get(entry_id, ()):
            if run.verdict is not Verdict.INCONCLUSIVE:
                last[run.notebook] = run
        if not last:
            return Status.NOT_TESTED
        if any(run.verdict is Verdict.FAILED for run in last.values()):
            return Status.FAILED
        changed = self.image_changed_utc
        if changed is not None and any(run.at_utc < changed for run in last.values()):
            return Status.STALE
        return Status.VERIFIED

    def status(self, entry_id: str, source: str | None = None) -> Status:
        """Judge a feature or milestone with all that it needs.

        Parameters
        ----------
        entry_id
            Its id.
        source
            Source to follow; by default all, and the worse answer holds.

        Returns
        -------
        Status
            ``blocked`` where something that it needs is not verified although itself lacks nothing, or has failed.
        """
        telling = [s for s in self.model.sources if s.get(entry_id) and source in (None, s.name)]
        if not telling:
            return self.own_status(entry_id)
        return max((self._status(entry_id, s) for s in telling), key=_RANK.__getitem__)

    def _status(self, entry_id: str, source: SourceModel) -> Status:
        """Judge an entry after all that it needs, without recursion; what needs itself is blocked by itself."""
        pending, entered = [entry_id], set()
        while pending:
            current = pending[-1]
            needed = source.requires(current)
            missing = [i for i in needed if (source.name, i) not in self._known and i not in entered]
            entered.add(current)
            if missing and (source.name, current) not in self._known:
                pending.extend(i for i in missing if i != current)
                if pending[-1] != current:
                    continue
            pending.pop()
            self._known.setdefault((source.name, current), self._judge(current, source))
        return self._known[source.name, entry_id]

    def _judge(self, entry_id: str, source: SourceModel) -> Status:
        entries = source.get(entry_id)
        if any(e.kind == "milestone" for e in entries):
            features = {i for e in entries for i in e.features}
            milestones = {i for e in entries for i in e.milestones}
            return self._milestone_status(
                entry_id, self._statuses(features, source), self._statuses(milestones, source)
            )
        # The evidence of a feature decides; without any, a failed prerequisite blocks it.
        own = self.own_status(entry_id)
        needed = self._statuses(set(source.requires(entry_id)), source)
        if own is Status.NOT_TESTED and (Status.FAILED in needed or Status.BLOCKED in needed):
            return Status.BLOCKED
        return own

    def _statuses(self, ids: set[str], source: SourceModel) -> list[Status]:
        return [self._known.get((source.name, i), Status.BLOCKED) for i in sorted(ids)]

    def _milestone_status(self, entry_id: str, features: list[Status], milestones: list[Status]) -> Status:
        own = [*features, self.own_status(entry_id)] if entry_id in self._runs else features
        worst = max(own, key=_RANK.__getitem__, default=Status.VERIFIED)
        if worst is Status.FAILED:
            return Status.FAILED
        if worst is Status.BLOCKED or Status.FAILED in milestones or Status.BLOCKED in milestones:
            return Status.BLOCKED
        if not own:  # it asks for other milestones only, and is as good as the worst of them
            return max(milestones, key=_RANK.__getitem__, default=Status.NOT_TESTED)
        if worst is not Status.VERIFIED:
            return worst
        return Status.VERIFIED if all(s is Status.VERIFIED for s in milestones) else Status.BLOCKED

    def to_dict(self, entry_id: str) -> dict[str, Any]:
        """Give the readiness of a feature or milestone as plain values.

        Parameters
        ----------
        entry_id
            Its id.

        Returns
        -------
        dict
            Keys id, title, status, by_source, features (id, title, status, source, evidence), requires (id, status,
            source), free_requirements, evidence, image_changed_utc, sources_disagree, problems.
        """
        sources = [s for s in self.model.sources if s.get(entry_id)]
        is_feature = not any(e.kind == "milestone" for s in sources for e in s.get(entry_id))
        features = (
            {entry_id: [s.name for s in sources]} if is_feature else _told(sources, entry_id, "features")
        )
        requires = _told(sources, entry_id, "requires" if is_feature else "milestones")
        asked = [entry_id, *(i for i in features if i != entry_id)]
        return {
            "id": entry_id,
            "title": {s.name: s.title(entry_id) for s in sources},
            "status": self.status(entry_id).value,
            "by_source": {s.name: self.status(entry_id, s.name).value for s in sources},
            "features": [self._feature(i, names) for i, names in features.items()],
            "requires": [
                {"id": i, "status": self.status(i).value, "source": _source_text(names)}
                for i, names in requires.items()
            ],
            "free_requirements": [
                {"text": text, "source": s.name}
                for s in sources
                for e in s.get(entry_id)
                for text in e.free_requirements
            ],
            "evidence": [run.to_dict() for run in self.evidence(entry_id)],
            "image_changed_utc": None
            if self.image_changed_utc is None
            else self.image_changed_utc.isoformat(),
            "sources_disagree": [d for i in asked for d in disagreements(self.model, i)],
            "problems": [p for i in asked for p in self.unexplained(i)],
        }

    def unexplained(self, entry_id: str) -> list[str]:
        """Find runs that passed after a failure without saying why it had failed.

        Parameters
        ----------
        entry_id
            Id of a feature or milestone.

        Returns
        -------
        list of str
            A sentence each.
        """
        failed: dict[str, EvidenceRun] = {}
        problems = []
        for run in self._runs.get(entry_id, ()):
            if run.verdict is Verdict.FAILED:
                failed[run.notebook] = run
            elif run.verdict is Verdict.PASSED and run.notebook in failed:
                before = failed.pop(run.notebook)
                if not run.explanation.strip():
                    problems.append(
                        f"{entry_id}: the run {run.id} passed after {before.id} had failed, and does not say why."
                    )
        return problems

    def _feature(self, entry_id: str, sources: list[str]) -> dict[str, Any]:
        titles = [s.title(entry_id) for s in self.model.sources if s.title(entry_id)]
        return {
            "id": entry_id,
            "title": titles[0] if titles else "",
            "status": self.status(entry_id).value,
            "source": _source_text(sources),
            "evidence": [run.to_dict() for run in self.evidence(entry_id)],
        }


def _told(
    sources: list[SourceModel], entry_id: str, kind: Literal["features", "milestones", "requires"]
) -> dict[str, list[str]]:
    """Collect what an entry needs of one kind, with the sources that say so."""
    found: dict[str, list[str]] = {}
    for source in sources:
        for entry in source.get(entry_id):
            for i in getattr(entry, kind):
                names = found.setdefault(i, [])
                if source.name not in names:
                    names.append(source.name)
    return found


def _source_text(names: list[str]) -> str:
    return "both" if len(names) > 1 else (names[0] if names else "none")

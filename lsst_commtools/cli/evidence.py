"""Evidence for releases out of the ledger of procedures and the record of approvals."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from lsst_commtools.releases.evidence import EvidenceRun, Verdict

if TYPE_CHECKING:
    from lsst_commtools.procedure.ledger import Ledger
    from lsst_commtools.site import Site

__all__ = ["image_changed_utc", "ledger_runs"]


def ledger_runs(site: Site) -> list[EvidenceRun]:
    """Collect the runs of a site that name what they verify.

    A notebook names features in its metadata (``commtools.verifies``); the site may name more for it
    (``releases.verifies``). Dry runs are no evidence, nor are runs of other sites.

    Parameters
    ----------
    site
        The site.

    Returns
    -------
    list of EvidenceRun
        Oldest first; empty where nothing was ever run.
    """
    from lsst_commtools.procedure.ledger import Ledger
    from lsst_commtools.procedure.runs import list_runs
    from lsst_commtools.procedure.values import Kind

    ledger = Ledger.at(site.procedure)
    started = {event.run: event.data for event in ledger.events(kinds=[Kind.RUN_STARTED])}
    runs = []
    for record in reversed(list_runs(ledger, site.procedure)):
        data = started.get(record.run, {})
        verifies = _verifies(site, ledger, record.notebook, record.code_sha256)
        if not verifies or record.dry_run or data.get("site") != site.name:
            continue
        runs.append(
            EvidenceRun(
                id=record.run,
                verifies=verifies,
                at_utc=_time(record.ended_utc or record.started_utc),
                image=str(data.get("image") or ""),
                verdict=_verdict(record.status.value),
                notebook=record.notebook,
                explanation=str(record.parameters.get("rerun_reason") or ""),
            )
        )
    return runs


def image_changed_utc(site: Site) -> dt.datetime | None:
    """Say when the site's recommended image last changed.

    Parameters
    ----------
    site
        The site.

    Returns
    -------
    datetime.datetime or None
        Time of the first approval of what is approved last; None where nothing was approved.
    """
    from lsst_commtools.images.store import SqlApprovals

    if not site.images.approvers:
        return None
    approvals = SqlApprovals(site.images.approvals_url).approvals(site.name)
    changed: dt.datetime | None = None
    digest: Any = object()
    for approval in approvals:
        if approval.state.digest != digest:
            changed, digest = approval.at_utc, approval.state.digest
    return changed


def _verifies(site: Site, ledger: Ledger, notebook: str, code_sha256: str | None) -> tuple[str, ...]:
    named: list[str] = []
    kept = ledger.notebook(code_sha256) if code_sha256 else None
    if kept is not None:
        try:
            metadata = json.loads(kept)["metadata"]
            named = [str(i) for i in metadata.get("commtools", {}).get("verifies", [])]
        except (ValueError, KeyError, TypeError, AttributeError):
            named = []
    parts = PurePath(notebook).with_suffix("").parts
    below = "/".join(parts[parts.index("notebooks") + 1 :]) if "notebooks" in parts else "/".join(parts[-2:])
    return tuple(dict.fromkeys([*named, *site.releases.verifies.get(below, ())]))


def _verdict(status: str) -> Verdict:
    """Read the end of a run; what did not end, was aborted or is unknown says nothing."""
    return {"done": Verdict.PASSED, "failed": Verdict.FAILED}.get(status, Verdict.INCONCLUSIVE)


def _time(text: str) -> dt.datetime:
    time = dt.datetime.fromisoformat(text)
    return time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time

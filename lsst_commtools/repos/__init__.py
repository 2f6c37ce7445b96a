"""Where images are: repositories of both generations, their chains, audits and links."""

from __future__ import annotations

from lsst_commtools.repos.audit import audit_gen2, find_teststand_paths
from lsst_commtools.repos.chain import resolve_chain
from lsst_commtools.repos.values import (
    AuditProblem,
    AuditReport,
    Chain,
    ChainProblem,
    Link,
    Located,
    Location,
    Repository,
    Station,
)

__all__ = [
    "AuditProblem",
    "AuditReport",
    "Chain",
    "ChainProblem",
    "Link",
    "Located",
    "Location",
    "Repository",
    "Station",
    "audit_gen2",
    "find_teststand_paths",
    "resolve_chain",
]

"""Where images are: repositories of both generations, their chains, audits and links."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from lsst_commtools.repos.audit import audit_gen2, find_teststand_paths
    from lsst_commtools.repos.chain import find_in_chain, resolve_chain
    from lsst_commtools.repos.check import CheckLine, Verdict, newest_image_hours
    from lsst_commtools.repos.convert import ConversionAction, ConversionItem, plan_conversion
    from lsst_commtools.repos.facade import Repositories
    from lsst_commtools.repos.gen2 import Gen2Repository
    from lsst_commtools.repos.gen3 import CollectionTree, Gen3Repository
    from lsst_commtools.repos.gen3_audit import audit_gen3
    from lsst_commtools.repos.holdings import Holdings
    from lsst_commtools.repos.image import ImageId
    from lsst_commtools.repos.links import (
        RepointPlan,
        count_images,
        last_repoint,
        make_linked_repository,
        plan_repoint,
        repoint,
        settle_repoint,
    )
    from lsst_commtools.repos.marks import read_link
    from lsst_commtools.repos.retirement import RetirementPlan, plan_retirement, retire
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
    "CheckLine",
    "CollectionTree",
    "ConversionAction",
    "ConversionItem",
    "Gen2Repository",
    "Gen3Repository",
    "Holdings",
    "ImageId",
    "Link",
    "Located",
    "Location",
    "RepointPlan",
    "Repositories",
    "Repository",
    "RetirementPlan",
    "Station",
    "Verdict",
    "audit_gen2",
    "audit_gen3",
    "count_images",
    "find_in_chain",
    "find_teststand_paths",
    "last_repoint",
    "make_linked_repository",
    "newest_image_hours",
    "plan_conversion",
    "plan_repoint",
    "plan_retirement",
    "read_link",
    "repoint",
    "resolve_chain",
    "retire",
    "settle_repoint",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "audit": ["audit_gen2", "find_teststand_paths"],
        "chain": ["find_in_chain", "resolve_chain"],
        "marks": ["read_link"],
        "check": ["CheckLine", "Verdict", "newest_image_hours"],
        "convert": ["ConversionAction", "ConversionItem", "plan_conversion"],
        "facade": ["Repositories"],
        "gen2": ["Gen2Repository"],
        "gen3": ["CollectionTree", "Gen3Repository"],
        "gen3_audit": ["audit_gen3"],
        "holdings": ["Holdings"],
        "image": ["ImageId"],
        "links": [
            "RepointPlan",
            "count_images",
            "last_repoint",
            "make_linked_repository",
            "plan_repoint",
            "repoint",
            "settle_repoint",
        ],
        "retirement": ["RetirementPlan", "plan_retirement", "retire"],
        "values": [
            "AuditProblem",
            "AuditReport",
            "Chain",
            "ChainProblem",
            "Link",
            "Located",
            "Location",
            "Repository",
            "Station",
        ],
    },
)

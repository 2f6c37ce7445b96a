"""Lab images: their tags, registries, a site's policy, who approved what, and what was tested on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from lsst_commtools.images.approvals import Approval, ApprovalStore, ConfigurationState
    from lsst_commtools.images.builds import BuildReport, judge_builds, read_builds
    from lsst_commtools.images.checks import Finding, FindingKind, current_state
    from lsst_commtools.images.compat import (
        CompatMatrix,
        CompatResult,
        find_notebooks,
        judge_use,
        run_matrix,
    )
    from lsst_commtools.images.filters import filter_tags
    from lsst_commtools.images.grammar import parse_tag
    from lsst_commtools.images.lab import LabImages
    from lsst_commtools.images.layers import ImageContents, diff_contents, read_contents
    from lsst_commtools.images.listing import Image, Listing, read_listing
    from lsst_commtools.images.menu import MenuRow, make_menu
    from lsst_commtools.images.packages import PackageRequest, check_requests, read_requests
    from lsst_commtools.images.phalanx import read_policy
    from lsst_commtools.images.registry import Registry
    from lsst_commtools.images.spellings import Spelling, convert_release
    from lsst_commtools.images.store import SqlApprovals
    from lsst_commtools.images.tags import ImageTag, ImageType, Version, format_tag, sort_tags

__all__ = [
    "Approval",
    "ApprovalStore",
    "BuildReport",
    "CompatMatrix",
    "CompatResult",
    "ConfigurationState",
    "Finding",
    "FindingKind",
    "Image",
    "ImageContents",
    "ImageTag",
    "ImageType",
    "LabImages",
    "Listing",
    "MenuRow",
    "PackageRequest",
    "Registry",
    "Spelling",
    "SqlApprovals",
    "Version",
    "check_requests",
    "convert_release",
    "current_state",
    "diff_contents",
    "filter_tags",
    "find_notebooks",
    "format_tag",
    "judge_builds",
    "judge_use",
    "make_menu",
    "parse_tag",
    "read_builds",
    "read_contents",
    "read_listing",
    "read_policy",
    "read_requests",
    "run_matrix",
    "sort_tags",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "approvals": ["Approval", "ApprovalStore", "ConfigurationState"],
        "builds": ["BuildReport", "judge_builds", "read_builds"],
        "checks": ["Finding", "FindingKind", "current_state"],
        "compat": ["CompatMatrix", "CompatResult", "find_notebooks", "judge_use", "run_matrix"],
        "filters": ["filter_tags"],
        "grammar": ["parse_tag"],
        "lab": ["LabImages"],
        "layers": ["ImageContents", "diff_contents", "read_contents"],
        "listing": ["Image", "Listing", "read_listing"],
        "menu": ["MenuRow", "make_menu"],
        "packages": ["PackageRequest", "check_requests", "read_requests"],
        "phalanx": ["read_policy"],
        "registry": ["Registry"],
        "spellings": ["Spelling", "convert_release"],
        "store": ["SqlApprovals"],
        "tags": ["ImageTag", "ImageType", "Version", "format_tag", "sort_tags"],
    },
)

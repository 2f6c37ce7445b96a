"""Lab images: their tags, registries, a site's policy, who approved what, and what was tested on them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

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

_HOMES = {
    "Approval": "approvals",
    "ApprovalStore": "approvals",
    "BuildReport": "builds",
    "CompatMatrix": "compat",
    "CompatResult": "compat",
    "ConfigurationState": "approvals",
    "Finding": "checks",
    "FindingKind": "checks",
    "Image": "listing",
    "ImageContents": "layers",
    "ImageTag": "tags",
    "ImageType": "tags",
    "LabImages": "lab",
    "Listing": "listing",
    "MenuRow": "menu",
    "PackageRequest": "packages",
    "Registry": "registry",
    "Spelling": "spellings",
    "SqlApprovals": "store",
    "Version": "tags",
    "check_requests": "packages",
    "convert_release": "spellings",
    "current_state": "checks",
    "diff_contents": "layers",
    "filter_tags": "filters",
    "find_notebooks": "compat",
    "format_tag": "tags",
    "judge_builds": "builds",
    "judge_use": "compat",
    "make_menu": "menu",
    "parse_tag": "grammar",
    "read_builds": "builds",
    "read_contents": "layers",
    "read_listing": "listing",
    "read_policy": "phalanx",
    "read_requests": "packages",
    "run_matrix": "compat",
    "sort_tags": "tags",
}

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


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

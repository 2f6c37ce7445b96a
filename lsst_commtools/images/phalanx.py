"""Policies as Phalanx writes them (``applications/nublado/values*.yaml``), defaults and overrides merged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from lsst_commtools.errors import NotFoundError, SiteError
from lsst_commtools.site.images import ImagesSection

__all__ = ["read_policy"]


def read_policy(paths: Sequence[Path | str], base: ImagesSection | None = None) -> ImagesSection:
    """Read a policy from YAML files.

    Parameters
    ----------
    paths
        Files, the most general first: Phalanx's ``values.yaml`` and the overrides of a deployment, a site file with
        ``images:``, or the policy alone.
    base
        Source, approvers and what else Phalanx need not say are taken from here.

    Returns
    -------
    ImagesSection
        The merged policy; what no file says has the default.

    Raises
    ------
    NotFoundError
        If a file is missing.
    SiteError
        If a file is no policy.
    """
    merged: dict[str, Any] = {}
    for path in paths:
        _merge(merged, _policy_part(path))
    for name in ("source", "approvers", "approvals_needed", "approvals_url", "builds", "compat"):
        if base is not None and name not in merged:
            merged[name] = getattr(base, name)
    try:
        return ImagesSection.model_validate(merged)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the top level"
        raise SiteError(
            f"The policy {', '.join(map(str, paths))} cannot be used: {where}: {first['msg']}."
        ) from None


def _policy_part(path: Path | str) -> dict[str, Any]:
    try:
        document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"There is no policy {str(path)!r}.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError):
        raise SiteError(f"The policy {str(path)!r} is not YAML.") from None
    for keys in (("controller", "config", "images"), ("config", "images"), ("images",)):
        part = _at(document, keys)
        if isinstance(part, dict):
            return part
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise SiteError(f"The policy {str(path)!r} does not hold settings by name.")
    # A values file that says nothing of images leaves the defaults.
    return {} if "controller" in document else document


def _at(document: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        if not isinstance(document, dict):
            return None
        document = document.get(key)
    return document


def _merge(into: dict[str, Any], layer: dict[str, Any]) -> None:
    for key, value in layer.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value

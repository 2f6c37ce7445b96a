"""Filters of tags by type: number, age, dates, builds and versions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from lsst_commtools.images.tags import ImageTag, ImageType, Version
from lsst_commtools.site.images import ImageFilterPolicy, TypeFilter

__all__ = ["filter_of", "filter_reasons", "filter_tags"]

_WITH_RELEASE_VERSION = (ImageType.RELEASE, ImageType.CANDIDATE)


def filter_of(policy: ImageFilterPolicy, kind: ImageType) -> TypeFilter | None:
    """Find the filter of a type.

    Parameters
    ----------
    policy
        Filters of a site.
    kind
        Type of a tag.

    Returns
    -------
    TypeFilter or None
        None where nothing is filtered: aliases, and unknown tags where the policy shows them.
    """
    match kind:
        case ImageType.ALIAS:
            return None
        case ImageType.RELEASE:
            return policy.release
        case ImageType.WEEKLY:
            return policy.weekly
        case ImageType.DAILY:
            return policy.daily
        case ImageType.CANDIDATE:
            return policy.release_candidate
        case ImageType.EXPERIMENTAL:
            return policy.experimental
        case ImageType.UNKNOWN:
            return None if policy.show_unknown else TypeFilter(number=0)


def filter_reasons(
    tags: Iterable[ImageTag],
    policy: ImageFilterPolicy,
    now_utc: dt.datetime,
    *,
    hide_architectures: bool = True,
) -> dict[str, str]:
    """Say for each tag that a policy hides why it does.

    Parameters
    ----------
    tags
        Tags in the order of the menu (see `sort_tags`): ``number`` keeps the first of each type.
    policy
        Filters of a site.
    now_utc
        Time from which ages count.
    hide_architectures
        Whether tags of one architecture are hidden; they are not counted then.

    Returns
    -------
    dict
        Hidden tag to the reason, one sentence.
    """
    reasons: dict[str, str] = {}
    kept: dict[ImageType, int] = {}
    for tag in tags:
        rule = filter_of(policy, tag.type)
        if hide_architectures and tag.architecture is not None:
            reasons[tag.tag] = f"It is for {tag.architecture} only."
        elif rule is not None:
            reason = _reason(tag, rule, now_utc)
            if reason is None and rule.number is not None and kept.get(tag.type, 0) >= rule.number:
                reason = _number_reason(tag.type, rule.number)
            if reason is None:
                kept[tag.type] = kept.get(tag.type, 0) + 1
            else:
                reasons[tag.tag] = reason
    return reasons


def filter_tags(
    tags: Iterable[ImageTag],
    policy: ImageFilterPolicy,
    now_utc: dt.datetime,
    *,
    hide_architectures: bool = True,
) -> list[ImageTag]:
    """Keep the tags that a policy shows.

    Parameters
    ----------
    tags, policy, now_utc, hide_architectures
        As in `filter_reasons`.

    Returns
    -------
    list of ImageTag
        In the order given.
    """
    given = list(tags)
    hidden = filter_reasons(given, policy, now_utc, hide_architectures=hide_architectures)
    return [tag for tag in given if tag.tag not in hidden]


def _number_reason(kind: ImageType, number: int) -> str:
    if number == 0:
        return f"Images of type {kind.title} are not shown."
    return f"It is not among the newest {number} of type {kind.title}."


def _reason(tag: ImageTag, rule: TypeFilter, now_utc: dt.datetime) -> str | None:
    """Judge one tag by all conditions but the number."""
    bounds = [] if rule.cutoff_date is None else [rule.cutoff_date]
    if rule.age is not None:
        bounds.append(_before(now_utc, rule.age))
    if bounds and tag.date is not None:
        oldest = max(bounds)
        if dt.datetime.combine(tag.date, dt.time(), dt.UTC) < oldest:
            return f"Its date {tag.date} is before {oldest.astimezone(dt.UTC):%Y-%m-%dT%H:%M} UTC."
    if rule.cutoff_build is not None and tag.rsp_build is not None and tag.rsp_build < rule.cutoff_build:
        return f"Its RSP build {tag.rsp_build} is below {rule.cutoff_build}."
    if rule.cutoff_version is not None and tag.version is not None and tag.based_on in _WITH_RELEASE_VERSION:
        lowest = _version(rule.cutoff_version)
        if tag.version.sort_key < lowest.sort_key:
            return f"Its version {tag.version} is below {lowest}."
    return None


def _version(text: str) -> Version:
    numbers, _, candidate = text.partition("-rc")
    major, minor, patch = (int(number) for number in numbers.split("."))
    return Version(major, minor, patch, int(candidate) if candidate else None)


def _before(now_utc: dt.datetime, age: dt.timedelta) -> dt.datetime:
    try:
        return now_utc - age
    except OverflowError:
        return dt.datetime.min.replace(tzinfo=dt.UTC)

"""The spawner page of a site: which images it shows, and why each is shown or hidden."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from lsst_commtools.images.filters import filter_reasons
from lsst_commtools.images.listing import Image, Listing
from lsst_commtools.images.tags import ImageTag, ImageType
from lsst_commtools.site.images import ImagesSection

__all__ = ["MenuRow", "cycle_reason", "make_menu", "recommended_image"]


@dataclass(frozen=True)
class MenuRow:
    """One image and the decision about it.

    Parameters
    ----------
    image
        The image.
    shown
        Whether the spawner page shows it.
    reason
        Why, or why not.
    recommended
        Whether it is the recommended one.
    problems
        What is wrong with it.
    """

    image: Image
    shown: bool
    reason: str
    recommended: bool = False
    problems: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give the row as plain values.

        Returns
        -------
        dict
            The keys of `ImageTag.to_dict` besides digest, target, shown, reason, recommended.
        """
        return {
            **self.image.tag.to_dict(),
            "display": self.image.display,
            "cycle": self.image.cycle,
            "digest": self.image.digest,
            "target": None if self.image.target is None else self.image.target.tag,
            "shown": self.shown,
            "reason": self.reason,
            "recommended": self.recommended,
            "problems": list(self.problems),
        }


def recommended_image(policy: ImagesSection, listing: Listing) -> Image | None:
    """Find the recommended image.

    Parameters
    ----------
    policy
        Policy of the site; it names a tag or a digest.
    listing
        What the registry holds, read with the aliases of the policy.

    Returns
    -------
    Image or None
        None if the registry does not hold it.
    """
    return listing.image(policy.recommended_tag)


def cycle_reason(image: Image, cycle: int | None) -> str | None:
    """Say why cycle protection forbids an image.

    Parameters
    ----------
    image
        The image; an alias counts with the cycle of what it points to.
    cycle
        Cycle that is allowed; None without protection.

    Returns
    -------
    str or None
        One sentence, or None where it is allowed.
    """
    if cycle is None or image.cycle == cycle:
        return None
    if image.cycle is not None:
        return f"Its cycle {image.cycle} is not the allowed {cycle}."
    if image.tag.type is ImageType.ALIAS and image.target is None:
        return f"It points to no known build, so that its cycle is unknown; {cycle} is allowed."
    return f"It has no cycle; {cycle} is allowed."


def make_menu(policy: ImagesSection, listing: Listing, now_utc: dt.datetime) -> list[MenuRow]:
    """Decide for each image whether the spawner page shows it.

    Aliases are resolved by digest before cycle protection looks at them. The recommended image is shown also where
    its cycle is wrong, with the problem said: it must not vanish silently.

    Parameters
    ----------
    policy
        Policy of the site.
    listing
        What the registry holds.
    now_utc
        Time from which ages count.

    Returns
    -------
    list of MenuRow
        All images in the order of the menu: Alias, Release, Weekly, Daily, Release Candidate, Experimental, Unknown,
        each newest first.
    """
    listing = listing.with_aliases(policy.aliases)
    recommended = recommended_image(policy, listing)
    allowed = [image for image in listing.images if cycle_reason(image, policy.cycle) is None]
    if policy.filters is not None:
        hidden = filter_reasons([i.tag for i in allowed], policy.filters, now_utc)
    else:
        hidden = _beyond_newest([i.tag for i in allowed], policy)
    return [_row(image, policy, hidden, recommended) for image in listing.images]


def _beyond_newest(tags: list[ImageTag], policy: ImagesSection) -> dict[str, str]:
    """Say why a tag is not among the newest releases, weeklies and dailies."""
    numbers = {
        ImageType.RELEASE: policy.num_releases,
        ImageType.WEEKLY: policy.num_weeklies,
        ImageType.DAILY: policy.num_dailies,
    }
    reasons: dict[str, str] = {}
    kept: dict[ImageType, int] = {}
    for tag in tags:
        number = numbers.get(tag.type, 0)
        if tag.architecture is not None:
            reasons[tag.tag] = f"It is for {tag.architecture} only."
        elif number == 0:
            reasons[tag.tag] = f"Images of type {tag.type.title} are not shown unless they are pinned."
        elif kept.get(tag.type, 0) >= number:
            reasons[tag.tag] = f"It is not among the newest {number} of type {tag.type.title}."
        else:
            kept[tag.type] = kept.get(tag.type, 0) + 1
    return reasons


def _row(image: Image, policy: ImagesSection, hidden: dict[str, str], recommended: Image | None) -> MenuRow:
    tag = image.tag
    is_recommended = recommended is not None and tag.tag == recommended.tag.tag
    pinned = tag.tag in policy.pin
    problems = list(tag.problems)
    cycle = cycle_reason(image, policy.cycle)
    if tag.architecture is not None:
        if is_recommended or pinned:
            problems.append(
                "It is recommended or pinned, and hidden because it is for one architecture only."
            )
        return MenuRow(image, False, f"It is for {tag.architecture} only.", is_recommended, tuple(problems))
    if is_recommended:
        if cycle is not None:
            problems.append(f"The recommended image is of another cycle: {cycle[0].lower()}{cycle[1:]}")
        return MenuRow(image, True, "It is the recommended image.", True, tuple(problems))
    if cycle is not None:
        if pinned:
            problems.append("It is pinned, and hidden by cycle protection.")
        return MenuRow(image, False, cycle, problems=tuple(problems))
    if pinned:
        return MenuRow(image, True, "It is pinned.", problems=tuple(problems))
    if tag.tag in hidden:
        return MenuRow(image, False, hidden[tag.tag], problems=tuple(problems))
    return MenuRow(image, True, _shown_reason(tag, policy), problems=tuple(problems))


def _shown_reason(tag: ImageTag, policy: ImagesSection) -> str:
    if tag.type is ImageType.ALIAS:
        return "It is an alias of the site."
    if policy.filters is not None:
        return f"It passes the filter of type {tag.type.title}."
    return f"It is among the newest of type {tag.type.title}."

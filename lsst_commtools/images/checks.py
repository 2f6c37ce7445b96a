"""Checks of a site's images: what is recommended, which cycle is allowed, and who approved it.

A change that sets cycle and recommended tag one cycle back together agrees with itself, so each check of the state
alone passes; therefore the previous state is compared too.
"""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass

from lsst_commtools.images.approvals import Approval, ConfigurationState, approvals_of, is_approved, state_of
from lsst_commtools.images.grammar import parse_tag
from lsst_commtools.images.listing import Image, Listing
from lsst_commtools.images.menu import cycle_reason, make_menu, recommended_image
from lsst_commtools.images.tags import ImageType
from lsst_commtools.site.images import ImagesSection

__all__ = [
    "Finding",
    "FindingKind",
    "check_approvals",
    "check_change",
    "check_images",
    "check_policy",
    "current_state",
]


class FindingKind(enum.Enum):
    """What a check found."""

    RECOMMENDED_MISSING = "recommended-missing"
    RECOMMENDED_UNRESOLVED = "recommended-unresolved"
    RECOMMENDED_OTHER_CYCLE = "recommended-other-cycle"
    RECOMMENDED_NOT_PINNED = "recommended-not-pinned"
    NAME_AND_CYCLE_DIFFER = "name-and-cycle-differ"
    BACKWARDS = "backwards"
    CYCLE_MATCHES_NOTHING = "cycle-matches-nothing"
    PIN_MISSING = "pin-missing"
    PIN_HIDDEN = "pin-hidden"
    TAG_MOVED = "tag-moved"
    NOT_APPROVED = "not-approved"
    MALFORMED_TAG = "malformed-tag"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Parameters
    ----------
    kind
        What it is.
    message
        One sentence.
    tags
        Tags that it is about.
    """

    kind: FindingKind
    message: str
    tags: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Give the finding as plain values.

        Returns
        -------
        dict
            Keys kind, message, tags.
        """
        return {"kind": self.kind.value, "message": self.message, "tags": list(self.tags)}


def check_policy(policy: ImagesSection) -> list[Finding]:
    """Check a policy against itself.

    Parameters
    ----------
    policy
        Policy of a site.

    Returns
    -------
    list of Finding
        Cycle in the name of the recommended or a pinned image that is not the allowed one.
    """
    findings = []
    named = _named_cycle(policy.recommended_tag)
    if policy.cycle is not None and named is not None and named != policy.cycle:
        findings.append(
            Finding(
                FindingKind.NAME_AND_CYCLE_DIFFER,
                f"The recommended tag {policy.recommended_tag} names cycle {named}, but {policy.cycle} is allowed.",
                (policy.recommended_tag,),
            )
        )
    return findings


def check_images(policy: ImagesSection, listing: Listing, now_utc: dt.datetime) -> list[Finding]:
    """Check a policy against what the registry holds.

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
    list of Finding
        Worst first: recommended image, cycle protection, pins, malformed tags.
    """
    listing = listing.with_aliases(policy.aliases)
    findings = _check_recommended(policy, listing, now_utc)
    if policy.cycle is not None and not any(
        image.cycle == policy.cycle and image.tag.type is not ImageType.ALIAS for image in listing.images
    ):
        findings.append(
            Finding(FindingKind.CYCLE_MATCHES_NOTHING, f"No image is of the allowed cycle {policy.cycle}.")
        )
    for pin in policy.pin:
        image = listing.image(pin)
        if image is None:
            findings.append(
                Finding(FindingKind.PIN_MISSING, f"The pinned tag {pin} is not in the registry.", (pin,))
            )
        elif (reason := cycle_reason(image, policy.cycle)) is not None:
            findings.append(
                Finding(FindingKind.PIN_HIDDEN, f"The pinned tag {pin} is not shown: {reason}", (pin,))
            )
    findings += [
        Finding(FindingKind.MALFORMED_TAG, f"{tag.tag}: {problem}", (tag.tag,))
        for tag in listing.tags
        for problem in tag.problems
    ]
    return findings


def _check_recommended(policy: ImagesSection, listing: Listing, now_utc: dt.datetime) -> list[Finding]:
    tag = policy.recommended_tag
    image = recommended_image(policy, listing)
    if image is None:
        return [
            Finding(
                FindingKind.RECOMMENDED_MISSING, f"The recommended tag {tag} is not in the registry.", (tag,)
            )
        ]
    findings = []
    if image.tag.type is ImageType.ALIAS and image.target is None:
        why = "its digest is not known" if image.digest is None else "no build has its digest"
        findings.append(
            Finding(
                FindingKind.RECOMMENDED_UNRESOLVED,
                f"What the recommended tag {tag} points to is unknown: {why}.",
                (tag,),
            )
        )
    if (reason := cycle_reason(image, policy.cycle)) is not None:
        kind = FindingKind.RECOMMENDED_OTHER_CYCLE
        findings.append(
            Finding(kind, f"The recommended image {_name(image)} is of another cycle: {reason}", (tag,))
        )
    named = _named_cycle(tag)
    if named is not None and image.target is not None and image.target.cycle != named:
        kind = FindingKind.NAME_AND_CYCLE_DIFFER
        message = f"The tag {tag} names cycle {named}, but points to {image.target.tag}."
        findings.append(Finding(kind, message, (tag, image.target.tag)))
    if image.target is not None and image.target.tag != tag:
        # Sites that resolve only the images that they pull cannot name a recommended image beyond these.
        shown = {row.image.tag.tag for row in make_menu(policy, listing, now_utc) if row.shown}
        same = {i.tag.tag for i in listing.images if i.digest == image.digest and i.tag.tag != tag}
        if not shown & same:
            kind = FindingKind.RECOMMENDED_NOT_PINNED
            message = (
                f"The recommended image {image.target.tag} is not in the menu: pin it, or its name is empty."
            )
            findings.append(Finding(kind, message, (image.target.tag,)))
    return findings


def check_change(
    previous: ConfigurationState, current: ConfigurationState, *, revert_note: str = ""
) -> list[Finding]:
    """Check that a configuration does not go backwards.

    Parameters
    ----------
    previous, current
        States before and after the change.
    revert_note
        Reason of a step backwards that is meant; empty where none was given.

    Returns
    -------
    list of Finding
        Of kind backwards: cycle, recommended tag, or the build that it points to.
    """
    if revert_note.strip():
        return []
    findings = []
    if previous.cycle is not None and (current.cycle is None or current.cycle < previous.cycle):
        after = "no cycle protection" if current.cycle is None else f"cycle {current.cycle}"
        findings.append(
            Finding(FindingKind.BACKWARDS, f"The site goes back from cycle {previous.cycle} to {after}.")
        )
    if _is_older(current.recommended_tag, previous.recommended_tag):
        findings.append(
            Finding(
                FindingKind.BACKWARDS,
                f"The recommended tag goes back from {previous.recommended_tag} to {current.recommended_tag}.",
                (previous.recommended_tag, current.recommended_tag),
            )
        )
    elif previous.target and current.target and _is_older(current.target, previous.target):
        findings.append(
            Finding(
                FindingKind.BACKWARDS,
                f"The recommended image goes back from {previous.target} to {current.target}.",
                (previous.target, current.target),
            )
        )
    return findings


def check_approvals(
    policy: ImagesSection, state: ConfigurationState, approvals: list[Approval]
) -> list[Finding]:
    """Check that a site's configuration was approved, and that its recommended tag has not moved since.

    Parameters
    ----------
    policy
        Policy of the site; where it names no approvers, nothing is checked.
    state
        Its state now.
    approvals
        Its approvals, oldest first.

    Returns
    -------
    list of Finding
        Of kinds tag-moved and not-approved.
    """
    if not policy.approvers or is_approved(policy, approvals, state):
        return []
    same = [a for a in approvals if a.state.fingerprint == state.fingerprint]
    moved = [a for a in same if a.state.digest is not None and a.state.digest != state.digest]
    if moved and state.digest is not None and same[-1] in moved:
        last = moved[-1]
        message = (
            f"The tag {state.recommended_tag} points to {state.digest} ({state.target}) now; approved by "
            f"{last.approver} at {last.at_utc.isoformat()} was {last.state.digest} ({last.state.target})."
        )
        return [Finding(FindingKind.TAG_MOVED, message, (state.recommended_tag,))]
    people = sorted({a.approver for a in approvals_of(approvals, state)} & set(policy.approvers))
    by = f"only by {', '.join(people)}, and {policy.approvals_needed} must" if people else "by nobody"
    changed = "" if same or not approvals else " It was changed since the last approval."
    return [
        Finding(FindingKind.NOT_APPROVED, f"The site's configuration of images was approved {by}.{changed}")
    ]


def current_state(policy: ImagesSection, listing: Listing | None) -> ConfigurationState:
    """Describe a site's configuration with what its recommended tag points to.

    Parameters
    ----------
    policy
        Policy of the site.
    listing
        What the registry holds; None where it was not asked.

    Returns
    -------
    ConfigurationState
        The state.
    """
    image = None if listing is None else recommended_image(policy, listing.with_aliases(policy.aliases))
    return state_of(policy, image)


def _name(image: Image) -> str:
    return image.tag.tag if image.target is None else f"{image.tag.tag} ({image.target.tag})"


def _named_cycle(tag: str) -> int | None:
    return parse_tag(tag).cycle


def _is_older(tag: str, than: str) -> bool:
    """Say whether a tag is an older one of the same kind: builds by their order, aliases of one name by cycle."""
    new, old = parse_tag(tag), parse_tag(than)
    if new.type is not old.type or tag == than:
        return False
    if new.cycle is not None and old.cycle is not None and new.cycle != old.cycle:
        return new.cycle < old.cycle
    if new.version is None or old.version is None:
        return False
    return (new.version.sort_key, new.cycle_build or 0, new.rsp_build or 0) < (
        old.version.sort_key,
        old.cycle_build or 0,
        old.rsp_build or 0,
    )

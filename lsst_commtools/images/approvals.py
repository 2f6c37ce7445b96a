"""Who approved which image for which site: an append-only record.

Each record carries the hash of the one before, so that a record that was changed or removed shows. "Recommended" is a
tag of the registry as a whole; what is approved here is a site's configuration and the digest that its recommended
tag had at that time.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from lsst_commtools.errors import RefusedError
from lsst_commtools.images.listing import Image
from lsst_commtools.site.images import ImagesSection

__all__ = [
    "Approval",
    "ApprovalStore",
    "ConfigurationState",
    "approvals_of",
    "check_approver",
    "is_approved",
    "state_of",
]


@dataclass(frozen=True)
class ConfigurationState:
    """What a site's configuration says about images, and what it meant at the time.

    Parameters
    ----------
    recommended_tag
        Recommended tag or digest.
    cycle
        Cycle that is allowed.
    pin, alias_tags
        Pinned tags and alias tags, sorted.
    num_releases, num_weeklies, num_dailies
        How many of each are shown.
    filters
        Filters by type as JSON text; empty without.
    digest
        Digest of the recommended tag; None where it was not known.
    target
        Build that it pointed to; None where it was not known.
    """

    recommended_tag: str
    cycle: int | None = None
    pin: tuple[str, ...] = ()
    alias_tags: tuple[str, ...] = ()
    num_releases: int = 1
    num_weeklies: int = 2
    num_dailies: int = 3
    filters: str = ""
    digest: str | None = None
    target: str | None = None

    @property
    def fingerprint(self) -> str:
        """Hash of the configuration alone, without what the registry adds."""
        values = {k: v for k, v in asdict(self).items() if k not in ("digest", "target")}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Approval:
    """One person's approval.

    Parameters
    ----------
    site
        Site that it is for.
    state
        Configuration that was approved.
    approver
        Who approved.
    at_utc
        When.
    note
        Why; a step backwards must say it.
    revert
        Whether it allows a step backwards.
    """

    site: str
    state: ConfigurationState
    approver: str
    at_utc: dt.datetime
    note: str = ""
    revert: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Give the approval as plain values.

        Returns
        -------
        dict
            Keys site, state, approver, at_utc, note, revert.
        """
        return asdict(self) | {"at_utc": self.at_utc.isoformat()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Approval:
        """Read an approval from plain values.

        Parameters
        ----------
        values
            As `to_dict` gives them.

        Returns
        -------
        Approval
            The approval.
        """
        state = values["state"]
        return cls(
            site=values["site"],
            state=ConfigurationState(
                **(state | {"pin": tuple(state["pin"]), "alias_tags": tuple(state["alias_tags"])})
            ),
            approver=values["approver"],
            at_utc=dt.datetime.fromisoformat(values["at_utc"]),
            note=values["note"],
            revert=values["revert"],
        )


class ApprovalStore(Protocol):
    """Where approvals are kept; nothing in it is ever changed."""

    def append(self, approval: Approval) -> None:
        """Add an approval.

        Parameters
        ----------
        approval
            The approval.
        """

    def approvals(self, site: str) -> list[Approval]:
        """List the approvals of a site.

        Parameters
        ----------
        site
            Name of the site.

        Returns
        -------
        list of Approval
            Oldest first.
        """


def state_of(policy: ImagesSection, recommended: Image | None = None) -> ConfigurationState:
    """Describe a site's configuration.

    Parameters
    ----------
    policy
        Its policy.
    recommended
        What its recommended tag is now; None where that is not known.

    Returns
    -------
    ConfigurationState
        The state.
    """
    return ConfigurationState(
        recommended_tag=policy.recommended_tag,
        cycle=policy.cycle,
        pin=tuple(sorted(policy.pin)),
        alias_tags=tuple(sorted(policy.alias_tags)),
        num_releases=policy.num_releases,
        num_weeklies=policy.num_weeklies,
        num_dailies=policy.num_dailies,
        filters="" if policy.filters is None else policy.filters.model_dump_json(exclude_defaults=True),
        digest=None if recommended is None else recommended.digest,
        target=None if recommended is None else recommended.build.tag,
    )


def check_approver(policy: ImagesSection, approver: str, *, backwards: bool, revert: bool, note: str) -> None:
    """Check that somebody may approve.

    Parameters
    ----------
    policy
        Policy of the site.
    approver
        Who wants to.
    backwards
        Whether the change goes back to an older cycle or image.
    revert, note
        Whether the step backwards is meant, and why.

    Raises
    ------
    RefusedError
        If the site does not name the approver, or if a step backwards is not declared with a reason.
    """
    if approver not in policy.approvers:
        names = ", ".join(policy.approvers) or "nobody"
        raise RefusedError(
            f"{approver!r} may not approve images here.",
            changed="Nothing was recorded.",
            advice=f"The site names {names} (images.approvers).",
        )
    if backwards and not (revert and note.strip()):
        raise RefusedError(
            "The configuration goes backwards.",
            changed="Nothing was recorded.",
            advice="If that is meant, say so with --revert and give the reason with --note.",
        )


def approvals_of(approvals: list[Approval], state: ConfigurationState) -> list[Approval]:
    """Find the approvals of a state: of the same configuration, with the same digest where both are known.

    Parameters
    ----------
    approvals
        Approvals of the site.
    state
        State in question.

    Returns
    -------
    list of Approval
        Those that hold for it, the latest of each person.
    """
    matching = {
        a.approver: a
        for a in approvals
        if a.state.fingerprint == state.fingerprint
        and (state.digest is None or a.state.digest == state.digest)
    }
    return list(matching.values())


def is_approved(policy: ImagesSection, approvals: list[Approval], state: ConfigurationState) -> bool:
    """Say whether as many different people approved a state as the site asks for.

    Parameters
    ----------
    policy
        Policy of the site.
    approvals
        Approvals of the site.
    state
        State in question.

    Returns
    -------
    bool
        Approvals of people that the site does not name any more do not count.
    """
    people = {a.approver for a in approvals_of(approvals, state)} & set(policy.approvers)
    return len(people) >= policy.approvals_needed

"""Lab images of a site: the verbs that notebooks use."""

from __future__ import annotations

import datetime as dt
import getpass
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsst_commtools.errors import NotFoundError
from lsst_commtools.images.approvals import (
    Approval,
    ApprovalStore,
    ConfigurationState,
    approvals_of,
    check_approver,
    is_approved,
    state_of,
)
from lsst_commtools.images.checks import (
    Finding,
    check_approvals,
    check_change,
    check_images,
    check_policy,
    current_state,
)
from lsst_commtools.images.grammar import parse_tag
from lsst_commtools.images.listing import Image, Listing, read_listing, sample_listing
from lsst_commtools.images.menu import MenuRow, make_menu, recommended_image
from lsst_commtools.images.registry import Registry
from lsst_commtools.images.tags import ImageTag, ImageType, sort_tags
from lsst_commtools.site import commtools_home

if TYPE_CHECKING:
    from lsst_commtools.site import Site
    from lsst_commtools.site.images import ImagesSection

__all__ = ["ApprovalOutcome", "CheckReport", "LabImages"]

MAX_DIGESTS = 300
"""Digests that are asked for, one request each, before an alias counts as not resolved."""


@dataclass(frozen=True)
class CheckReport:
    """What a check of a site's images found.

    Parameters
    ----------
    site
        Name of the site.
    judged
        What was judged: the configuration as merged, not what is deployed.
    state
        The configuration and what its recommended tag points to.
    findings
        What is wrong.
    """

    site: str
    judged: str
    state: ConfigurationState
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give the report as plain values.

        Returns
        -------
        dict
            Keys site, judged, recommended_tag, target, digest, cycle, findings.
        """
        return {
            "site": self.site,
            "judged": self.judged,
            "recommended_tag": self.state.recommended_tag,
            "target": self.state.target,
            "digest": self.state.digest,
            "cycle": self.state.cycle,
            "findings": [finding.to_dict() for finding in self.findings],
        }


@dataclass(frozen=True)
class ApprovalOutcome:
    """What became of an approval.

    Parameters
    ----------
    approval
        What was recorded.
    approved
        Whether the site's configuration is approved now.
    approvers
        Who approved it so far.
    needed
        How many different people must.
    """

    approval: Approval
    approved: bool
    approvers: tuple[str, ...]
    needed: int

    def to_dict(self) -> dict[str, Any]:
        """Give the outcome as plain values.

        Returns
        -------
        dict
            Keys approval, approved, approvers, needed.
        """
        return {
            "approval": self.approval.to_dict(),
            "approved": self.approved,
            "approvers": list(self.approvers),
            "needed": self.needed,
        }


class LabImages:
    """Lab images of a site.

    Parameters
    ----------
    site
        The site.
    policy
        Policy that takes the place of the site's, such as one that somebody proposes.
    listing
        What the registry holds; by default the site's source is asked when it is needed.
    approvals
        Record of approvals; by default the one that the site names.
    """

    def __init__(
        self,
        site: Site,
        *,
        policy: ImagesSection | None = None,
        listing: Listing | None = None,
        approvals: ApprovalStore | None = None,
    ) -> None:
        self.site = site
        self.policy = policy or site.images
        self._listing = None if listing is None else listing.with_aliases(self.policy.aliases)
        self._approvals = approvals

    def parse(self, tags: Iterable[str], aliases: Collection[str] = ()) -> list[ImageTag]:
        """Read tags.

        Parameters
        ----------
        tags
            Texts of tags.
        aliases
            Tags that are aliases besides those of the site.

        Returns
        -------
        list of ImageTag
            In the order given.
        """
        known = self.policy.aliases | set(aliases)
        return [parse_tag(tag, known) for tag in tags]

    def sort(self, tags: Iterable[str], aliases: Collection[str] = ()) -> list[ImageTag]:
        """Bring tags into the order of the menu.

        Parameters
        ----------
        tags, aliases
            As in `parse`.

        Returns
        -------
        list of ImageTag
            Grouped by type, each newest first.
        """
        return sort_tags(self.parse(tags, aliases))

    @property
    def listing(self) -> Listing:
        """What the registry holds; asked once."""
        if self._listing is None:
            self._listing = self._read().with_aliases(self.policy.aliases)
        return self._listing

    @property
    def recommended(self) -> Image | None:
        """The recommended image; None if the registry does not hold it."""
        return recommended_image(self.policy, self.listing)

    def menu(self, now_utc: dt.datetime | None = None) -> list[MenuRow]:
        """Decide for each image whether the spawner page shows it, and why.

        Parameters
        ----------
        now_utc
            Time from which ages count; by default now.

        Returns
        -------
        list of MenuRow
            All images in the order of the menu.
        """
        return make_menu(self.policy, self.listing, now_utc or dt.datetime.now(dt.UTC))

    def check(
        self,
        *,
        previous: ConfigurationState | None = None,
        revert_note: str = "",
        now_utc: dt.datetime | None = None,
    ) -> CheckReport:
        """Check the site's images.

        Parameters
        ----------
        previous
            State before the change; by default that of the last approval.
        revert_note
            Reason of a step backwards that is meant.
        now_utc
            Time from which ages count; by default now.

        Returns
        -------
        CheckReport
            What is wrong.
        """
        approvals = self.store.approvals(self.site.name)
        state = self.state
        if previous is None and approvals:
            previous = approvals[-1].state
        declared = [a.note for a in approvals_of(approvals, state) if a.revert]
        findings = check_policy(self.policy)
        findings += check_images(self.policy, self.listing, now_utc or dt.datetime.now(dt.UTC))
        if previous is not None:
            findings += check_change(previous, state, revert_note=revert_note or " ".join(declared))
        findings += check_approvals(self.policy, state, approvals)
        unique = list(dict.fromkeys(findings))
        judged = "the configuration as it was merged; what is deployed was not observed"
        if not self.policy.approvers:
            judged += ", and the site names no approvers, so that approvals were not checked"
        return CheckReport(self.site.name, judged, state, tuple(unique))

    @property
    def state(self) -> ConfigurationState:
        """The site's configuration and what its recommended tag points to now."""
        return current_state(self.policy, self.listing)

    @property
    def store(self) -> ApprovalStore:
        """The record of approvals."""
        if self._approvals is None:
            from lsst_commtools.images.store import SqlApprovals

            self._approvals = SqlApprovals(self.policy.approvals_url)
        return self._approvals

    def approve(self, approver: str = "", *, note: str = "", revert: bool = False) -> ApprovalOutcome:
        """Approve the site's configuration of images with what its recommended tag points to now.

        Parameters
        ----------
        approver
            Who approves; by default who is logged in.
        note
            Why.
        revert
            Whether a step backwards is meant.

        Returns
        -------
        ApprovalOutcome
            Whether enough people have approved.

        Raises
        ------
        RefusedError
            If the approver may not, or if the configuration goes backwards without saying so.
        NotFoundError
            If the recommended image is not in the registry.
        """
        image = self.recommended
        if image is None:
            raise NotFoundError(
                f"The recommended tag {self.policy.recommended_tag!r} is not in the registry.",
                changed="Nothing was recorded.",
            )
        approver = approver or getpass.getuser()
        state = state_of(self.policy, image)
        before = self.store.approvals(self.site.name)
        settled = [a.state for a in before if is_approved(self.policy, before, a.state)]
        backwards = bool(settled) and bool(check_change(settled[-1], state))
        check_approver(self.policy, approver, backwards=backwards, revert=revert, note=note)
        approval = Approval(self.site.name, state, approver, dt.datetime.now(dt.UTC), note, revert)
        self.store.append(approval)
        after = [*before, approval]
        people = tuple(sorted({a.approver for a in approvals_of(after, state)} & set(self.policy.approvers)))
        return ApprovalOutcome(
            approval, is_approved(self.policy, after, state), people, self.policy.approvals_needed
        )

    def registry(self) -> Registry:
        """Give the client of the site's registry.

        Returns
        -------
        Registry
            With the secrets ``registry_user`` and ``registry_password``, where the site has them.
        """
        source = self.policy.source
        user = self.site.secret("registry_user")
        return Registry(
            source.registry,
            source.repository,
            user=None if user is None else user.get_secret_value(),
            password=self.site.secret("registry_password"),
            token_hosts=source.token_hosts,
            timeout_s=source.timeout_s,
            cache=commtools_home() / "registry-cache",
        )

    def _read(self) -> Listing:
        source = self.policy.source
        if source.type == "file":
            return read_listing(Path(source.path).expanduser()) if source.path else sample_listing()
        registry = self.registry()
        try:
            return self._with_digests(registry, registry.tags())
        finally:
            registry.close()

    def _with_digests(self, registry: Registry, tags: list[str]) -> Listing:
        """Ask for the digests that the menu and the aliases need: each costs a request."""
        digests: dict[str, str | None] = dict.fromkeys(tags)
        plain = Listing(digests, self.policy.aliases)
        wanted = {t for t in (*self.policy.aliases, *self.policy.pin) if t in digests}
        unresolved = set()
        for tag in sorted(wanted):
            digests[tag] = registry.verified_digest(tag)
            if tag in self.policy.aliases:
                unresolved.add(digests[tag])
        shown = [
            row.image.tag.tag
            for row in make_menu(self.policy, plain, dt.datetime.now(dt.UTC))
            if row.shown and row.image.tag.tag not in wanted
        ]
        for tag in shown[:MAX_DIGESTS]:
            digests[tag] = registry.digest(tag)
        builds = [t for t in plain.tags if t.type not in (ImageType.ALIAS, ImageType.UNKNOWN)]
        unresolved -= {digests[t.tag] for t in builds}
        # Builds of the allowed cycle first: what an alias points to is mostly among the newest of them.
        rest = sorted(
            (t for t in builds if digests[t.tag] is None), key=lambda t: t.cycle != self.policy.cycle
        )
        for build in rest[:MAX_DIGESTS]:
            if not unresolved:
                break
            digests[build.tag] = registry.digest(build.tag)
            unresolved.discard(digests[build.tag])
        return Listing(digests, self.policy.aliases)

"""Checks of a site's images, over its configurations and approvals."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import replace

import pytest
import sqlalchemy as sa

from lsst_commtools.errors import DataError, NotFoundError, RefusedError, ServiceError
from lsst_commtools.images import Approval, LabImages, SqlApprovals, read_policy
from lsst_commtools.images.approvals import state_of
from lsst_commtools.images.checks import check_change
from lsst_commtools.site import Site
from lsst_commtools.site.images import ImagesSection

NOW = dt.datetime(2026, 6, 7, tzinfo=dt.UTC)
WEEKLIES = [f"w_2026_{week:02d}_c{43 + (week > 18):04d}.{week:03d}" for week in range(15, 24)]
TELESCOPE = {
    "num_releases": 0, "num_weeklies": 3, "num_dailies": 2, "cycle": 44, "recommended_tag": "recommended_c0044",
    "approvers": ("ana", "ben", "cleo"), "approvals_needed": 2,
}  # fmt: skip


@pytest.fixture
def registry(make_listing):
    return make_listing(*WEEKLIES, recommended_c0044=WEEKLIES[-2], recommended_c0043=WEEKLIES[3])


def lab(registry, **changes):
    site = Site(name="hilltop", images=ImagesSection.model_validate({**TELESCOPE, **changes}))
    return LabImages(site, listing=registry)


def kinds(report):
    return [finding.kind.value for finding in report.findings]


def approved(images):
    images.approve("ana")
    return images.approve("ben")


def test_an_approved_and_consistent_site_has_no_findings(registry):
    images = lab(registry)
    assert not images.approve("ana").approved
    assert approved(images).approved
    report = images.check(now_utc=NOW)
    assert kinds(report) == []
    assert "merged" in report.to_dict()["judged"]
    assert "not observed" in report.to_dict()["judged"]


def test_two_different_people_must_approve(registry):
    images = lab(registry)
    assert not images.approve("ana").approved
    assert not images.approve("ana").approved
    assert kinds(images.check(now_utc=NOW)) == ["not-approved"]
    assert images.approve("cleo").approvers == ("ana", "cleo")


def test_somebody_else_may_not_approve(registry):
    with pytest.raises(RefusedError):
        lab(registry).approve("mallory")
    with pytest.raises(RefusedError):
        lab(registry, approvers=()).approve("ana")
    assert lab(registry).store.approvals("hilltop") == []


def test_nobody_approved(registry):
    assert kinds(lab(registry).check(now_utc=NOW)) == ["not-approved"]
    assert kinds(lab(registry, approvers=()).check(now_utc=NOW)) == []


def test_a_configuration_that_changed_without_approval(registry):
    approved(lab(registry))
    report = lab(registry, num_weeklies=4).check(now_utc=NOW)
    assert kinds(report) == ["not-approved"]
    assert "changed since" in report.findings[0].message


def test_approvals_of_another_site_do_not_count(registry):
    approved(lab(registry))
    other = LabImages(Site(name="valley", images=ImagesSection.model_validate(TELESCOPE)), listing=registry)
    assert kinds(other.check(now_utc=NOW)) == ["not-approved"]


def test_a_tag_that_moved_since_it_was_approved(registry, make_listing):
    approved(lab(registry))
    moved = make_listing(*WEEKLIES, recommended_c0044=WEEKLIES[-1])
    report = lab(moved).check(now_utc=NOW)
    assert kinds(report) == ["tag-moved"]
    assert WEEKLIES[-1] in report.findings[0].message
    approved(lab(moved))
    assert kinds(lab(moved).check(now_utc=NOW)) == []
    assert kinds(lab(registry).check(now_utc=NOW)) == ["backwards"]  # back to the first one


def test_both_values_one_cycle_back_agree_with_each_other_and_are_found(registry):
    approved(lab(registry))
    back = lab(registry, cycle=43, recommended_tag="recommended_c0043")
    assert kinds(back.check(now_utc=NOW)).count("backwards") == 2
    with pytest.raises(RefusedError):
        back.approve("ana")
    with pytest.raises(RefusedError):
        back.approve("ana", revert=True)  # without a reason
    with pytest.raises(RefusedError):
        back.approve("ana", note="fault in cycle 44")  # without saying that it is meant
    back.approve("ana", revert=True, note="fault in cycle 44")
    assert back.approve("ben", revert=True, note="fault in cycle 44").approved
    assert kinds(back.check(now_utc=NOW)) == []


@pytest.mark.parametrize(
    ("before", "after", "findings"),
    [
        ({"cycle": 44}, {"cycle": 43}, 1),
        ({"cycle": 44}, {"cycle": None}, 1),
        ({"cycle": None}, {"cycle": 44}, 0),
        ({"cycle": 44}, {"cycle": 45}, 0),
        ({"recommended_tag": "recommended_c0044"}, {"recommended_tag": "recommended_c0043"}, 1),
        ({"recommended_tag": "recommended_c0044"}, {"recommended_tag": "recommended_c0045"}, 0),
        ({"recommended_tag": "w_2026_22"}, {"recommended_tag": "w_2026_21"}, 1),
        ({"recommended_tag": "w_2026_2"}, {"recommended_tag": "w_2026_10"}, 0),
        ({"recommended_tag": "r30_0_0_rc10"}, {"recommended_tag": "r30_0_0_rc2"}, 1),
        ({"recommended_tag": "r30_0_10_rsp2991"}, {"recommended_tag": "r30_0_10_rsp2801"}, 1),
        ({"recommended_tag": "r30_0_10"}, {"recommended_tag": "w_2021_01"}, 0),
        ({"recommended_tag": "recommended"}, {"recommended_tag": "recommended"}, 0),
    ],
)
def test_what_goes_backwards(before, after, findings):
    states = [state_of(ImagesSection.model_validate(values)) for values in (before, after)]
    assert len(check_change(*states)) == findings
    assert check_change(*states, revert_note="because of the fault") == []
    assert check_change(states[0], states[0]) == []


def test_the_build_behind_an_alias_goes_backwards():
    old = replace(state_of(ImagesSection()), target="w_2026_22")
    assert len(check_change(old, replace(old, target="w_2026_21"))) == 1
    assert check_change(old, replace(old, target="w_2026_23")) == []


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"recommended_tag": "recommended_c0045", "cycle": 45}, "recommended-missing"),
        ({"cycle": 45}, "cycle-matches-nothing"),
        ({"cycle": 43}, "recommended-other-cycle"),
        ({"cycle": 43}, "name-and-cycle-differ"),
        ({"recommended_tag": "recommended_c0043"}, "recommended-other-cycle"),
        ({"num_weeklies": 1}, "recommended-not-pinned"),
        ({"pin": ("w_2020_01",)}, "pin-missing"),
        ({"pin": (WEEKLIES[0],)}, "pin-hidden"),
    ],
)
def test_findings_of_the_state_alone(registry, changes, finding):
    assert finding in kinds(lab(registry, approvers=(), **changes).check(now_utc=NOW))


def test_a_pin_names_the_recommended_image(registry):
    images = lab(registry, approvers=(), num_weeklies=1, pin=(WEEKLIES[-2],))
    assert kinds(images.check(now_utc=NOW)) == []


def test_an_alias_that_points_to_another_cycle_than_its_name_says(make_listing):
    registry = make_listing(*WEEKLIES, recommended_c0044=WEEKLIES[3])
    found = kinds(lab(registry, approvers=()).check(now_utc=NOW))
    assert found[:2] == ["recommended-other-cycle", "name-and-cycle-differ"]


def test_an_alias_without_build(make_listing):
    registry = make_listing(*WEEKLIES, recommended_c0044="gone")
    assert kinds(lab(registry, approvers=()).check(now_utc=NOW)) == ["recommended-unresolved"]


def test_malformed_tags_are_findings(make_listing):
    registry = make_listing(*WEEKLIES, "w_2026_23_rsp1_c0044.001", recommended_c0044=WEEKLIES[-2])
    assert kinds(lab(registry, approvers=()).check(now_utc=NOW)) == ["malformed-tag"]


def test_what_is_not_there_cannot_be_approved(make_listing):
    with pytest.raises(NotFoundError):
        lab(make_listing(*WEEKLIES)).approve("ana")


def test_years_of_a_sites_configuration():
    """Cycles 35 to 44 as they followed each other; the one step back is found, whenever it comes."""
    cycles = [35, 36, 36, 38, 39, 41, 41, 40, 41, 42, 43, 44]
    states = [state_of(ImagesSection(cycle=c, recommended_tag=f"recommended_c{c:04d}")) for c in cycles]
    found = [len(check_change(a, b)) for a, b in itertools.pairwise(states)]
    assert found == [0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]


# The record of approvals.


def an_approval(**changes):
    state = state_of(ImagesSection.model_validate(TELESCOPE))
    return replace(Approval("hilltop", state, "ana", NOW, "it works"), **changes)


def test_the_record_gives_back_what_it_got(tmp_path):
    url = f"sqlite:///{tmp_path / 'record.sqlite3'}"
    first, second = an_approval(), an_approval(approver="ben", revert=True)
    SqlApprovals(url).append(first)
    SqlApprovals(url).append(second)
    SqlApprovals(url).append(an_approval(site="valley"))
    assert SqlApprovals(url).approvals("hilltop") == [first, second]


@pytest.mark.parametrize(
    "statement", ["DELETE FROM image_approvals", "UPDATE image_approvals SET site = 'x'"]
)
def test_the_record_refuses_changes(tmp_path, statement):
    url = f"sqlite:///{tmp_path / 'record.sqlite3'}"
    SqlApprovals(url).append(an_approval())
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
        connection.exec_driver_sql(statement)


def test_a_record_that_was_changed_shows(tmp_path):
    url = f"sqlite:///{tmp_path / 'record.sqlite3'}"
    for approver in ("ana", "ben"):
        SqlApprovals(url).append(an_approval(approver=approver))
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER image_approvals_no_update")
        connection.exec_driver_sql("UPDATE image_approvals SET document = replace(document, 'ana', 'eve')")
    with pytest.raises(DataError):
        SqlApprovals(url).approvals("hilltop")
    with pytest.raises(DataError):
        SqlApprovals(url).append(an_approval())


def test_a_record_that_cannot_be_reached_is_a_failed_service(tmp_path):
    with pytest.raises(ServiceError):
        SqlApprovals(f"sqlite:///{tmp_path / 'no' / 'folder.sqlite3'}").approvals("hilltop")


# Policies as Phalanx writes them.


def test_defaults_and_overrides_are_merged(tmp_path):
    defaults, overrides = tmp_path / "values.yaml", tmp_path / "values-base.yaml"
    defaults.write_text(
        "controller:\n  config:\n    images:\n      numReleases: 1\n      numWeeklies: 2\n      numDailies: 3\n"
        "      recommendedTag: recommended\n      cycle: null\n      pin: []\n      refreshInterval: 5m\n"
        "      source: {type: docker, registry: ghcr.io, repository: lsst-sqre/sciplat-lab}\n"
    )
    overrides.write_text(
        "controller:\n  config:\n    images:\n      numReleases: 0\n      cycle: 44\n"
        "      recommendedTag: recommended_c0044\n      source: {registry: ts.example.org}\n    lab: {}\n"
    )
    policy = read_policy([defaults, overrides])
    assert (policy.num_releases, policy.num_weeklies, policy.cycle) == (0, 2, 44)
    assert policy.source.registry == "ts.example.org"
    assert policy.source.repository == "lsst-sqre/sciplat-lab"


@pytest.mark.parametrize("text", ["[1]", "cycle: x", "numReleases: -1", "nonsense: 1", ": :", "a: &a [*a]"])
def test_what_is_no_policy_is_refused(tmp_path, text):
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match="policy"):
        read_policy([path])
    with pytest.raises(NotFoundError):
        read_policy([tmp_path / "none.yaml"])


def test_a_source_with_a_registry_is_asked_as_docker():
    section = ImagesSection.model_validate(
        {"source": {"registry": "ghcr.io", "repository": "lsst-sqre/sciplat-lab"}}
    )
    assert section.source.type == "docker"
    with pytest.raises(ValueError, match="repository"):
        ImagesSection.model_validate({"source": {"registry": "ghcr.io"}})

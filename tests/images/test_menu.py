"""Menus of sites: newest N, cycle protection, pins, recommended image."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.images import Listing, make_menu
from lsst_commtools.site import Site
from lsst_commtools.site.images import ImagesSection

NOW = dt.datetime(2026, 6, 7, tzinfo=dt.UTC)
WEEKLIES = [f"w_2026_{week:02d}_c{43 + (week > 18):04d}.{week:03d}" for week in range(15, 24)]
DAILIES = [f"d_2026_06_{day:02d}_c0044.007" for day in range(1, 6)]
OTHERS = [
    "r29_2_0_rsp2697", "r30_0_0_rsp2801", "r30_0_10_rsp2991", "r30_0_0_rc2", "r30_0_0_rc10", "exp_x", "odd",
    "w_2026_23_c0044.023-amd64", "w_2026_24", "d_2026_06_06",
]  # fmt: skip


@pytest.fixture
def registry(make_listing):
    return make_listing(
        *WEEKLIES, *DAILIES, *OTHERS, recommended=WEEKLIES[-2], recommended_c0044=WEEKLIES[-2],
        recommended_c0043=WEEKLIES[3],
    )  # fmt: skip


def menu(policy, listing):
    return make_menu(ImagesSection.model_validate(policy), listing, NOW)


def shown(policy, listing):
    return [row.image.tag.tag for row in menu(policy, listing) if row.shown]


TELESCOPE = {
    "numReleases": 0,
    "numWeeklies": 3,
    "numDailies": 2,
    "cycle": 44,
    "recommendedTag": "recommended_c0044",
}


def test_defaults_of_phalanx(registry):
    assert shown({}, registry) == [
        "recommended", "r30_0_10_rsp2991", "w_2026_24", "w_2026_23_c0044.023", "d_2026_06_06",
        "d_2026_06_05_c0044.007", "d_2026_06_04_c0044.007",
    ]  # fmt: skip


def test_a_telescope_site_shows_its_cycle_only(registry):
    assert shown(TELESCOPE, registry) == [
        "recommended_c0044", "w_2026_23_c0044.023", "w_2026_22_c0044.022", "w_2026_21_c0044.021",
        "d_2026_06_05_c0044.007", "d_2026_06_04_c0044.007",
    ]  # fmt: skip


def test_the_sites_of_the_package_have_their_policies(registry):
    for name in ("summit", "base", "tucson"):
        rows = make_menu(Site.load(name).images, registry, NOW)
        assert [r.image.tag.tag for r in rows if r.shown] == shown(TELESCOPE, registry)
    rows = make_menu(Site.load("usdf").images, registry, NOW)
    assert "r29_2_0_rsp2697" in [r.image.tag.tag for r in rows if r.shown]


def test_an_obsolete_cycle_is_not_shown_and_the_reason_is_said(registry):
    rows = {row.image.tag.tag: row for row in menu(TELESCOPE, registry)}
    assert not rows["w_2026_18_c0043.018"].shown
    assert rows["w_2026_18_c0043.018"].reason == "Its cycle 43 is not the allowed 44."
    assert rows["w_2026_24"].reason == "It has no cycle; 44 is allowed."
    assert all(row.reason for row in rows.values())
    assert len(rows) == len(registry)


def test_a_misplaced_cycle_does_not_vanish(make_listing):
    listing = make_listing("w_2026_23_rsp19_c0044.001", "w_2026_22_c0044")
    assert shown({"cycle": 44}, listing) == ["w_2026_23_rsp19_c0044.001", "w_2026_22_c0044"]


@pytest.mark.parametrize("tag", ["recommended", "recommended_c0043"])
def test_the_recommended_image_of_another_cycle_is_shown_with_the_problem(registry, tag):
    policy = {**TELESCOPE, "cycle": 45, "recommendedTag": tag}
    row = next(r for r in menu(policy, registry) if r.recommended)
    assert row.shown
    assert "another cycle" in row.problems[0]


def test_the_alias_counts_with_the_cycle_of_its_target(registry):
    policy = {**TELESCOPE, "recommendedTag": "recommended"}  # a name without cycle
    row = next(r for r in menu(policy, registry) if r.recommended)
    assert row.shown
    assert row.problems == ()
    assert row.to_dict()["cycle"] == 44


def test_zero_is_none_and_absent_is_the_default(registry):
    nothing = {"numReleases": 0, "numWeeklies": 0, "numDailies": 0}
    assert shown(nothing, registry) == ["recommended"]
    assert shown({**nothing, "filters": {"weekly": {"number": 0}}}, registry)[0] == "recommended"


def test_pins_are_shown_but_not_past_cycle_protection(registry):
    assert "r29_2_0_rsp2697" in shown({"pin": ["r29_2_0_rsp2697"]}, registry)
    row = next(
        r for r in menu({**TELESCOPE, "pin": ["r29_2_0_rsp2697"]}, registry) if "r29_2" in r.image.tag.tag
    )
    assert not row.shown
    assert row.problems == ("It is pinned, and hidden by cycle protection.",)


def test_architectures_are_hidden_and_not_counted(registry):
    rows = {row.image.tag.tag: row for row in menu({**TELESCOPE, "numWeeklies": 1}, registry)}
    assert rows["w_2026_23_c0044.023"].shown
    assert rows["w_2026_23_c0044.023-amd64"].reason == "It is for amd64 only."
    pinned = {row.image.tag.tag: row for row in menu({"pin": ["w_2026_23_c0044.023-amd64"]}, registry)}
    assert pinned["w_2026_23_c0044.023-amd64"].problems


def test_recommended_by_digest(registry, image_digest):
    row = next(
        r for r in menu({"recommendedTag": image_digest("r29_2_0_rsp2697")}, registry) if r.recommended
    )
    assert (row.image.tag.tag, row.shown) == ("r29_2_0_rsp2697", True)


def test_filters_take_the_place_of_numbers(registry):
    policy = {"filters": {"weekly": {"number": 1}, "daily": {"number": 0}, "releaseCandidate": {"number": 1}}}
    assert shown(policy, registry) == [
        "recommended", "r30_0_10_rsp2991", "r30_0_0_rsp2801", "r29_2_0_rsp2697", "w_2026_24", "r30_0_0_rc10", "exp_x"
    ]  # fmt: skip
    assert shown({"filters": {"showUnknown": True}}, registry)[-1] == "odd"


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from([*WEEKLIES, *DAILIES, *OTHERS, "recommended"]), unique=True),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from([None, 43, 44]),
)
def test_numbers_hold_for_any_registry(tags, releases, weeklies, dailies, cycle):
    policy = {"numReleases": releases, "numWeeklies": weeklies, "numDailies": dailies, "cycle": cycle}
    rows = menu(policy, Listing(dict.fromkeys(tags)))
    assert len(rows) == len(tags)
    counts = {"release": releases, "weekly": weeklies, "daily": dailies}
    for kind, number in counts.items():
        mine = [r for r in rows if r.image.tag.type.value == kind]
        assert sum(r.shown for r in mine) <= number
        fit = [
            r for r in mine if r.image.tag.architecture is None and (cycle is None or r.image.cycle == cycle)
        ]
        assert [r.shown for r in fit] == [n < number for n in range(len(fit))]

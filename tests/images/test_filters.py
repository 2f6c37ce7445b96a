"""Filters by type."""

from __future__ import annotations

import datetime as dt

import pytest
from pydantic import ValidationError

from lsst_commtools.images import filter_tags, parse_tag, sort_tags
from lsst_commtools.images.filters import filter_reasons
from lsst_commtools.site.images import ImageFilterPolicy, ImagesSection

NOW = dt.datetime(2021, 6, 10, 12, tzinfo=dt.UTC)
TAGS = [
    "recommended", "r21_0_0_rsp10", "r21_0_1", "r22_0_0_rsp12", "w_2021_20", "w_2021_21", "w_2021_22",
    "w_2021_22-amd64", "d_2021_06_01", "d_2021_06_09", "r22_0_0_rc2", "r22_0_0_rc10", "exp_r21_0_0_x",
    "exp_w_2021_21_x", "exp_random", "strange",
]  # fmt: skip


def kept(policy, tags=TAGS, **options):
    ordered = sort_tags(parse_tag(t, {"recommended"}) for t in tags)
    return {t.tag for t in filter_tags(ordered, ImageFilterPolicy.model_validate(policy), NOW, **options)}


ALL = set(TAGS) - {"w_2021_22-amd64", "strange"}


@pytest.mark.parametrize(
    ("policy", "gone"),
    [
        ({}, set()),
        ({"weekly": {"number": 1}}, {"w_2021_20", "w_2021_21"}),
        ({"weekly": {"number": 0}}, {"w_2021_20", "w_2021_21", "w_2021_22"}),
        ({"weekly": {"number": 7}}, set()),
        ({"weekly": {"age": "2w"}}, {"w_2021_20", "w_2021_21"}),
        ({"weekly": {"age": 0}}, {"w_2021_20", "w_2021_21", "w_2021_22"}),
        ({"daily": {"age": "1d12h"}}, {"d_2021_06_01"}),
        ({"daily": {"cutoffDate": "2021-06-09"}}, {"d_2021_06_01"}),
        ({"daily": {"cutoffDate": "2021-06-09T00:00:01Z"}}, {"d_2021_06_01", "d_2021_06_09"}),
        # The later of the two bounds wins, whichever it is.
        ({"daily": {"cutoffDate": "2021-06-05", "age": "365d"}}, {"d_2021_06_01"}),
        ({"daily": {"cutoffDate": "2020-01-01", "age": "3d"}}, {"d_2021_06_01"}),
        ({"release": {"cutoffBuild": 11}}, {"r21_0_0_rsp10"}),
        ({"release": {"cutoffBuild": 0}}, set()),
        ({"release": {"cutoffVersion": "21.0.1"}}, {"r21_0_0_rsp10"}),
        ({"releaseCandidate": {"cutoffVersion": "22.0.0-rc3"}}, {"r22_0_0_rc2"}),
        ({"releaseCandidate": {"cutoffVersion": "22.0.0"}}, {"r22_0_0_rc2", "r22_0_0_rc10"}),
        ({"experimental": {"cutoffVersion": "22.0.0"}}, {"exp_r21_0_0_x"}),
        ({"experimental": {"cutoffDate": "2021-06-01"}}, {"exp_w_2021_21_x"}),
        ({"weekly": {"cutoffVersion": "9999.0.0"}}, set()),
        # All conditions hold together, and number counts what is left.
        ({"release": {"cutoffBuild": 11, "number": 1}}, {"r21_0_0_rsp10", "r21_0_1"}),
    ],
)
def test_conditions(policy, gone):
    assert kept(policy) == ALL - gone


def test_unknown_tags_are_an_explicit_option():
    assert kept({"showUnknown": True}) == ALL | {"strange"}


def test_number_counts_after_architectures_are_removed():
    assert kept({"weekly": {"number": 1}}) & {"w_2021_22", "w_2021_22-amd64", "w_2021_21"} == {"w_2021_22"}
    assert kept({"weekly": {"number": 2}}, hide_architectures=False) >= {"w_2021_22", "w_2021_22-amd64"}


def test_a_build_number_zero_is_a_number():
    assert kept({"release": {"cutoffBuild": 5}}, ["r21_0_0_rsp0", "r21_0_0_rsp5"]) == {"r21_0_0_rsp5"}


def test_aliases_are_never_filtered():
    nothing = {
        kind: {"number": 0} for kind in ("release", "weekly", "daily", "releaseCandidate", "experimental")
    }
    assert kept(nothing) == {"recommended"}


def test_each_hidden_tag_has_a_reason():
    ordered = sort_tags(parse_tag(t, {"recommended"}) for t in TAGS)
    policy = ImageFilterPolicy.model_validate(
        {"weekly": {"number": 1, "age": "3w"}, "release": {"number": 0}}
    )
    reasons = filter_reasons(ordered, policy, NOW)
    assert set(reasons) == set(TAGS) - {t.tag for t in filter_tags(ordered, policy, NOW)}
    assert reasons["w_2021_21"] == "It is not among the newest 1 of type Weekly."
    assert reasons["w_2021_20"] == "Its date 2021-05-20 is before 2021-05-20T12:00 UTC."
    assert reasons["r21_0_1"] == "Images of type Release are not shown."
    assert reasons["w_2021_22-amd64"] == "It is for amd64 only."


@pytest.mark.parametrize(
    "filters",
    [
        {"weekly": {"nummer": 1}},
        {"weekly": {"number": -1}},
        {"weekly": {"age": "soon"}},
        {"weekly": {"cutoffDate": "yesterday"}},
        {"release": {"cutoffVersion": "22"}},
        {"release": {"cutoffVersion": "22.0.0\n"}},
        {"alias": {}},
        {"weekly": {"cutoffDate": "2021-01-01", "cutoff_date": "2021-01-01"}},
    ],
)
def test_unknown_keys_and_bad_values_are_refused(filters):
    with pytest.raises(ValidationError):
        ImagesSection.model_validate({"filters": filters})


@pytest.mark.parametrize(
    ("text", "days"), [("1w 2 d", 9), ("2 weeks", 14), ("36h", 1.5), (86400, 1), ("1d12h", 1.5)]
)
def test_ages_as_people_write_them(text, days):
    policy = ImageFilterPolicy.model_validate({"weekly": {"age": text}})
    assert policy.weekly.age == dt.timedelta(days=days)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text", [" " * 10_000, "1w" + " " * 10_000 + "x", "", "1d1w", "-1d", "9" * 5000 + "d"]
)
def test_what_is_no_age_is_refused(text):
    with pytest.raises(ValidationError):
        ImageFilterPolicy.model_validate({"weekly": {"age": text}})


def test_a_very_great_age_hides_nothing():
    assert kept({"weekly": {"age": "999999d"}, "daily": {"age": "900000w"}}) == ALL

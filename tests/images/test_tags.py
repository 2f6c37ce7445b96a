"""Tags: grammar, display, order."""

from __future__ import annotations

import datetime as dt
import itertools
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.images import ImageType, format_tag, parse_tag, sort_tags

# Rows of the contract: tag, type, display.
CONTRACT = [
    ("r21_0_1", "release", "Release r21.0.1"),
    ("r22_0_0_rc10", "candidate", "Release Candidate r22.0.0-rc10"),
    ("r170", "release", "Release r17.0.0"),
    ("r17_0_1_rsp19", "release", "Release r17.0.1 (RSP Build 19)"),
    ("r23_0_0_rsp7", "release", "Release r23.0.0 (RSP Build 7)"),
    ("r023_00_001", "release", "Release r23.0.1"),
    ("w_2021_22", "weekly", "Weekly 2021_22"),
    ("w_2021_19_c0019.001", "weekly", "Weekly 2021_19 (SAL Cycle 0019, Build 001)"),
    ("w_2020_53", "weekly", "Weekly 2020_53"),
    ("w_2021_1", "weekly", "Weekly 2021_1"),
    ("w_2021_53", "unknown", "w_2021_53"),
    ("w_2021_0", "unknown", "w_2021_0"),
    ("w_2021_22-arm64", "weekly", "Weekly 2021_22 [arm64]"),
    ("d_2021_02_30", "unknown", "d_2021_02_30"),
    ("d_2024_02_29", "daily", "Daily 2024_02_29"),
    (
        "d_2023_02_10_c0030.004_rsp19_20230210-amd64",
        "daily",
        "Daily 2023_02_10 (SAL Cycle 0030, Build 004) (RSP Build 19) [20230210] [amd64]",
    ),
    ("exp_w_2021_13_nosudo", "experimental", "Experimental Weekly 2021_13 [nosudo]"),
    ("exp_random", "experimental", "Experimental random"),
    ("exp_exp_r22_0_0_rc1", "experimental", "Experimental Experimental Release Candidate r22.0.0-rc1"),
    ("exp_", "unknown", "exp_"),
    ("exp_w_2021_53", "experimental", "Experimental w_2021_53"),
    ("v23_0_0", "unknown", "v23_0_0"),
    ("W_2021_22", "unknown", "W_2021_22"),
    ("r170-amd64", "unknown", "r170 [amd64]"),
    ("r1700", "unknown", "r1700"),
    (
        "latest_c0046-arm64",
        "unknown",
        "latest_c0046-arm64".replace("_c0046-arm64", " (SAL Cycle 0046) [arm64]"),
    ),
    ("w_2021_22\n", "unknown", "w_2021_22\\n"),
    ("w_2021_22_x\n", "unknown", "w_2021_22_x\\n"),
    ("r22_0_0_rc2x", "release", "Release r22.0.0 [rc2x]"),
    ("r22_0_0_rc2-AMD", "release", "Release r22.0.0 [rc2-AMD]"),
    ("w_2021_22-AMD", "unknown", "w_2021_22-AMD"),
    ("w_\uff12021_22", "unknown", "w_\uff12021_22"),
]


@pytest.mark.parametrize(("text", "kind", "display"), CONTRACT)
def test_contract(text, kind, display):
    tag = parse_tag(text)
    assert (tag.type.value, tag.display, tag.tag) == (kind, display, text)


@pytest.mark.parametrize(
    ("text", "display"),
    [
        ("recommended", "Recommended"),
        ("recommended_c0044", "Recommended (SAL Cycle 0044)"),
        ("latest_weekly_c0046", "Latest Weekly (SAL Cycle 0046)"),
        ("latest_c0046-arm64", "Latest (SAL Cycle 0046) [arm64]"),
        ("latest-amd64", "Latest [amd64]"),
    ],
)
def test_an_alias_is_one_only_where_configured(text, display):
    assert parse_tag(text).type is ImageType.UNKNOWN
    alias = parse_tag(text, {text})
    assert (alias.type, alias.display) == (ImageType.ALIAS, display)


def test_an_empty_tag_is_latest():
    assert parse_tag("").tag == "latest"
    assert parse_tag("", {"latest"}).type is ImageType.ALIAS


@pytest.mark.parametrize("prefix", ["", "exp_"])
@pytest.mark.parametrize("head", ["r22_0_0", "r22_0_0_rc1", "w_2021_22", "d_2021_05_27"])
@pytest.mark.parametrize("cycle", ["", "_c0020.001"])
@pytest.mark.parametrize("rsp", ["", "_rsp19"])
@pytest.mark.parametrize("extra", ["", "_20210527", "_two_words", "_with-dash_x"])
@pytest.mark.parametrize("arch", ["", "-amd64"])
def test_all_parts_in_their_order(prefix, head, cycle, rsp, extra, arch):
    tag = parse_tag(prefix + head + cycle + rsp + extra + arch)
    assert tag.version is not None
    assert (tag.cycle, tag.cycle_build) == ((20, 1) if cycle else (None, None))
    assert tag.rsp_build == (19 if rsp else None)
    assert tag.extra == (extra[1:] or None)
    assert tag.architecture == (arch[1:] or None)
    assert tag.problems == ()
    assert format_tag(tag) == tag.tag


@pytest.mark.parametrize(
    ("text", "cycle", "build", "rsp", "extra", "problems"),
    [
        ("w_2021_13_rsp19_c0020.001", 20, 1, 19, None, 1),
        ("w_2021_22_c0020", 20, None, None, None, 1),
        ("w_2021_22_c0020-amd64", 20, None, None, None, 1),
        ("w_2021_22_c0020_rsp19_hotfix", 20, None, 19, "hotfix", 1),
        ("d_2021_05_27_20210527_rsp7", None, None, 7, "20210527", 1),
        ("r22_0_0_hotfix_c0021.002", 21, 2, None, "hotfix", 1),
        ("w_2021_22_c0020.001_c0021.002", 20, 1, None, "c0021.002", 1),
        ("w_2021_22_c0020.", None, None, None, "c0020.", 1),
        ("w_2021_22__x", None, None, None, "_x", 1),
        ("w_2021_22_rsp19_", None, None, 19, "", 1),
        ("exp_w_2021_13_rsp19_c0020.001", 20, 1, 19, None, 1),
        ("w_2021_53_c0020.001", None, None, None, None, 2),
    ],
)
def test_a_part_in_the_wrong_place_is_kept_and_reported(text, cycle, build, rsp, extra, problems):
    tag = parse_tag(text)
    assert (tag.cycle, tag.cycle_build, tag.rsp_build, tag.extra) == (cycle, build, rsp, extra)
    assert len(tag.problems) == problems


def test_json_has_the_keys_of_the_command():
    assert parse_tag("r22_0_0_rc10_c0020.001_rsp7_x-amd64").to_dict() == {
        "tag": "r22_0_0_rc10_c0020.001_rsp7_x-amd64",
        "type": "candidate",
        "display": "Release Candidate r22.0.0-rc10 (SAL Cycle 0020, Build 001) (RSP Build 7) [x] [amd64]",
        "version": "22.0.0-rc10",
        "cycle": 20,
        "cycle_build": 1,
        "rsp_build": 7,
        "extra": "x",
        "architecture": "amd64",
        "problems": [],
    }


# Oldest first; every pair must stand in this order.
OLDEST_FIRST = [
    ["r21_0_1", "r21_0_1_rsp29", "r21_0_1_rsp103", "r21_0_1_rsp103_extra", "r21_0_1_rsp103_foo-amd64",
     "r21_0_1_rsp103_foo-arm64", "r21_0_1_rsp103_foo", "r21_0_1_c0031.004", "r21_0_1_c0031.004_rsp103",
     "r21_0_1_c0032.004_rsp102", "r21_0_1_c0032.004_rsp103", "r21_0_1_c0032.005_rsp101", "r21_0_2", "r21_0_10"],
    ["r22_0_0_rc1", "r22_0_0_rc2", "r22_0_0_rc10", "r22_0_1_rc1"],
    ["w_2020_53", "w_2021_01", "w_2021_9", "w_2021_10", "w_2021_10_c0009.001", "w_2021_10_c0010.001"],
    ["d_2023_02_09", "d_2023_02_10_c0030.004", "d_2023_02_10_c0031.004", "d_2023_02_10_c0031.005", "d_2023_10_01"],
    ["exp_r22_0_0_rc10", "exp_r22_0_0", "exp_w_2021_13", "exp_20230209", "exp_random"],
    ["latest-arm64", "latest", "latest_c0027-arm64", "latest_c0027", "recommended", "recommended_c0027"],
]  # fmt: skip


@pytest.mark.parametrize("tags", OLDEST_FIRST)
def test_order_within_a_type(tags):
    parsed = [parse_tag(t) for t in tags]
    for older, newer in itertools.combinations(parsed, 2):
        assert older < newer
        assert newer > older
        assert older <= newer
        assert newer >= older
    shuffled = random.Random(1).sample(parsed, len(parsed))
    assert sort_tags(shuffled) == parsed[::-1]


def test_types_are_not_compared():
    with pytest.raises(TypeError):
        assert parse_tag("r21_0_1") < parse_tag("w_2021_22")
    with pytest.raises(TypeError):
        assert parse_tag("r21_0_1") >= parse_tag("exp_r21_0_1")


def test_equal_is_equal_text():
    padded, plain = parse_tag("w_2021_01"), parse_tag("w_2021_1")
    assert padded != plain
    assert padded < plain
    assert len({padded, plain, parse_tag("w_2021_1")}) == 2


def test_groups_of_the_menu():
    tags = [
        "strange",
        "exp_x",
        "r22_0_0_rc1",
        "d_2021_01_01",
        "w_2021_01",
        "r21_0_0",
        "recommended",
        "w_2021_02",
    ]
    ordered = sort_tags(parse_tag(t, {"recommended"}) for t in tags)
    assert [t.tag for t in ordered] == [
        "recommended", "r21_0_0", "w_2021_02", "w_2021_01", "d_2021_01_01", "r22_0_0_rc1", "exp_x", "strange"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "built"),
    [
        ("w_2021_22", dt.datetime(2021, 6, 3, tzinfo=dt.UTC)),  # a Thursday
        ("w_2020_53", dt.datetime(2020, 12, 31, tzinfo=dt.UTC)),
        ("d_2023_02_10", dt.datetime(2023, 2, 10, tzinfo=dt.UTC)),
        ("r23_0_0_rsp7_20230210T031205Z", dt.datetime(2023, 2, 10, 3, 12, 5, tzinfo=dt.UTC)),
        ("d_2023_02_10_202302110304", dt.datetime(2023, 2, 11, 3, 4, tzinfo=dt.UTC)),
        ("d_2023_02_10_20231399", dt.datetime(2023, 2, 10, tzinfo=dt.UTC)),
        ("r23_0_0", None),
        ("recommended", None),
    ],
)
def test_build_datetime_where_there_is_one(text, built):
    assert parse_tag(text).built_utc == built


def test_hostile_text_is_harmless():
    for text in (
        "\x1b[2Jx",
        "w_2021_22_\x9b31m",
        "exp_" * 40_000,
        "r" + "9" * 10_000 + "_1_1",
        "_c" * 20_000,
        "\ud800",
    ):
        tag = parse_tag(text)
        assert tag.display.isprintable() or not text.isprintable()
        assert "\x1b" not in tag.display
        assert "\x9b" not in tag.display


def test_a_hundred_thousand_tags_in_two_seconds():
    rng = random.Random(3)
    texts = [
        f"{head}{tail}"
        for head in ("w_2021_{:02d}", "d_2022_03_{:02d}", "r{}_0_1", "exp_w_2020_{:02d}_x", "odd{}")
        for tail in ("", "_c0030.004", "_rsp7", "_c0031.001-amd64")
    ]
    texts = [rng.choice(texts).format(rng.randrange(1, 29)) for _ in range(100_000)]
    begun = time.process_time()
    ordered = sort_tags(parse_tag(text) for text in texts)
    assert time.process_time() - begun < 2.0
    assert len(ordered) == 100_000


number = st.integers(0, 99)
heads = st.one_of(
    st.builds("r{}_{}_{}".format, number, number, number),
    st.builds("r{}_{}_{}_rc{}".format, number, number, number, number),
    st.builds("w_{}_{:02d}".format, st.integers(2015, 2035), st.integers(1, 52)),
    st.dates(dt.date(2015, 1, 1), dt.date(2035, 1, 1)).map(lambda d: f"d_{d:%Y_%m_%d}"),
)
cycles = st.one_of(st.just(""), st.builds("_c{:04d}.{:03d}".format, number, number))
rsps = st.one_of(st.just(""), st.builds("_rsp{}".format, number))
extras = st.one_of(st.just(""), st.from_regex(r"_[a-b][a-z]{0,5}(_[a-b]{1,3})?", fullmatch=True))
archs = st.sampled_from(["", "-amd64", "-arm64"])
good_tags = st.builds(
    lambda exp, *parts: "exp_" * exp + "".join(parts), st.integers(0, 2), heads, cycles, rsps, extras, archs
)
any_tags = st.one_of(good_tags, st.text(max_size=20), st.sampled_from([t for t, _, _ in CONTRACT]))


@settings(deadline=None, max_examples=200)
@given(good_tags)
def test_parse_and_format_are_inverse(text):
    tag = parse_tag(text)
    assert tag.problems == ()
    assert format_tag(tag) == text


@settings(deadline=None, max_examples=200)
@given(any_tags)
def test_every_text_has_a_type_and_keeps_its_text(text):
    tag = parse_tag(text)
    assert tag.tag == (text or "latest")
    assert parse_tag(format_tag(tag)).sort_key[:-1] == tag.sort_key[:-1]


@settings(deadline=None, max_examples=100)
@given(st.lists(any_tags, max_size=12), st.randoms(use_true_random=False))
def test_order_is_total_and_does_not_depend_on_the_input(texts, rng):
    tags = [parse_tag(t) for t in texts]
    ordered = sort_tags(tags)
    rng.shuffle(tags)
    assert sort_tags(tags) == ordered
    for a, b in itertools.combinations(ordered, 2):
        if a.type is b.type:
            assert a >= b
            assert (a == b) == (not b < a)

"""Listings: aliases resolved by digest, and the forms of listing files."""

from __future__ import annotations

import pytest

from lsst_commtools.errors import NotFoundError, TableError
from lsst_commtools.images import ImageType, Listing, read_listing
from lsst_commtools.images.listing import sample_listing


def test_an_alias_is_resolved_by_digest(make_listing):
    listing = make_listing("w_2021_19_c0019.001", "w_2021_20", recommended="w_2021_19_c0019.001")
    image = listing.with_aliases({"recommended"}).image("recommended")
    assert image.display == "Recommended (Weekly 2021_19, SAL Cycle 0019, Build 001)"
    assert (image.cycle, image.target.tag) == (19, "w_2021_19_c0019.001")


def test_the_architecture_stands_at_the_end_once(image_digest):
    digests = {"w_2021_22-arm64": image_digest("a"), "latest-arm64": image_digest("a")}
    image = Listing(digests, {"latest-arm64"}).image("latest-arm64")
    assert image.display == "Latest (Weekly 2021_22) [arm64]"


@pytest.mark.parametrize("alias_digest", [None, "sha256:" + "0" * 64])
def test_an_alias_that_is_not_resolved_keeps_the_cycle_of_its_name(alias_digest):
    listing = Listing({"recommended_c0044": alias_digest}, {"recommended_c0044"})
    image = listing.image("recommended_c0044")
    assert image.target is None
    assert image.cycle == 44
    assert image.display == "Recommended (SAL Cycle 0044)"


def test_of_several_builds_the_first_in_the_menu_stands_for_the_digest(image_digest):
    same = image_digest("same")
    tags = ["d_2021_06_03", "w_2021_22-amd64", "w_2021_22", "exp_w_2021_22", "odd", "r21_0_1-amd64"]
    listing = Listing({**dict.fromkeys(tags, same), "recommended": same}, {"recommended"})
    assert listing.image("recommended").target.tag == "w_2021_22"
    assert listing.image(same).tag.tag == "w_2021_22"


def test_unknown_tags_do_not_become_aliases(make_listing):
    listing = make_listing("w_2021_22", latest="w_2021_22")
    assert listing.image("latest").tag.type is ImageType.UNKNOWN


def test_a_build_that_is_recommended_by_its_own_tag_is_its_own_target():
    image = Listing({"r30_0_10_rsp2991": None}, {"r30_0_10_rsp2991"}).image("r30_0_10_rsp2991")
    assert image.tag.type is ImageType.ALIAS
    assert image.target.type is ImageType.RELEASE


@pytest.mark.parametrize(
    "text",
    [
        "w_2021_22 sha256:{0}\nr21_0_1\n\n",
        "w_2021_22 sha256:{0}\r\nr21_0_1\r\n",
        '{{"w_2021_22": "sha256:{0}", "r21_0_1": null}}',
        '{{"tags": {{"w_2021_22": "sha256:{0}", "r21_0_1": null}}}}',
        '{{"name": "x", "tags": ["r21_0_1"]}}',
        '["r21_0_1"]',
        '[{{"tag": "r21_0_1"}}, {{"tag": "w_2021_22", "digest": "sha256:{0}"}}]',
    ],
)
def test_forms_of_a_listing(tmp_path, text):
    path = tmp_path / "listing"
    path.write_text(text.format("a" * 64))
    listing = read_listing(path)
    assert "r21_0_1" in listing
    assert listing.digest("r21_0_1") is None
    if len(listing) == 2:
        assert listing.digest("w_2021_22") == "sha256:" + "a" * 64


@pytest.mark.parametrize(
    "text",
    ['{"a": 3}', "[3]", '{"tags": 3}', "{", '[{"digest": "x"}]', "a sha256:zz", "[" * 100_000, '{"": null}'],
)
def test_what_is_no_listing_is_refused(tmp_path, text):
    path = tmp_path / "listing"
    path.write_text(text)
    with pytest.raises(TableError):
        read_listing(path)


def test_a_listing_that_is_not_there(tmp_path):
    with pytest.raises(NotFoundError):
        read_listing(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TableError):
        read_listing(tmp_path / "binary")


def test_the_sample_is_well_formed():
    listing = sample_listing({"recommended"})
    assert len(listing) > 20
    assert not [t for t in listing.tags if t.problems]
    assert listing.image("recommended").target is not None

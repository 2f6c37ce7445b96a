"""A work folder holds one night."""

import pytest

from lsst_commtools.errors import InputError, NotFoundError
from lsst_commtools.night import NightSettings, default_work, newest_night
from lsst_commtools.night.settings import read_claim
from lsst_commtools.site import Site


def night(work, **changes):
    told = {"day_obs": 20261120, "instrument": "LSSTComCam", "raw": work / "raw", "work": work, "reference": None,
            "origin": "a test"}  # fmt: skip
    return NightSettings(**told | changes)


def test_the_same_night_may_come_back_and_another_may_not(tmp_path):
    night(tmp_path).claim()
    night(tmp_path).claim()
    for changes in ({"day_obs": 20261121}, {"instrument": "LATISS"}, {"origin": "another"}):
        with pytest.raises(InputError, match="holds another night"):
            night(tmp_path, **changes).claim()
    assert read_claim(tmp_path)["origin"] == "a test"


def test_a_damaged_record_and_a_file_in_the_place_are_said(tmp_path):
    (tmp_path / "night.json").write_text("{")
    with pytest.raises(InputError, match="cannot be used"):
        night(tmp_path).claim()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be used"):
        night(tmp_path / "file").claim()


def test_newest_night_is_found_where_the_site_keeps_nights():
    site = Site.load()
    with pytest.raises(NotFoundError):
        newest_night(site)
    for day_obs in (20261118, 20261119):
        night(default_work(site, "ComCam", day_obs), day_obs=day_obs).claim()
    assert newest_night(site).name == "LSSTComCam_20261119"
    assert newest_night(site, 20261118).name == "LSSTComCam_20261118"
    with pytest.raises(NotFoundError):
        newest_night(site, instrument="LATISS")


def test_impossible_nights_are_refused(tmp_path):
    with pytest.raises(InputError):
        night(tmp_path, day_obs=20261399)

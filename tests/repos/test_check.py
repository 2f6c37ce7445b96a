"""What a check of the roots says; unknown is not good."""

from __future__ import annotations

import datetime as dt
import os

import pytest

from lsst_commtools.errors import NotFoundError
from lsst_commtools.repos import Repositories
from lsst_commtools.site.repos import ReposSection

NOW = dt.datetime(2019, 8, 20, 12, tzinfo=dt.UTC)


def check(path, **settings):
    entry = {"path": str(path), "instrument": "LATISS", "generation": 2, **settings}
    lines = Repositories(section=ReposSection.model_validate({"repositories": {"x": entry}})).check(NOW)
    return {line.what: (line.verdict.value, line.seen) for line in lines}


def age(folder, hours):
    then = NOW.timestamp() - hours * 3600
    for path in folder.rglob("*.fits"):
        os.utime(path, (then, then), follow_symlinks=False)


def test_all_good(teststand):
    age(teststand.root, 1)
    seen = check(teststand.shared, writable=True, max_age_hours=2, max_lag_hours=1)
    assert {what: verdict for what, (verdict, _) in seen.items()} == dict.fromkeys(
        ["mounted", "readable", "chain", "writable", "fresh"], "good"
    )


def test_not_mounted_and_deleted_as_scheduled(tmp_path):
    assert check(tmp_path / "gone") == {
        "mounted": ("bad", f"{tmp_path}/gone does not exist: not mounted, moved or deleted.")
    }
    assert check(tmp_path / "gone", deleted="2019-08-01")["mounted"][0] == "good"
    assert check(tmp_path / "gone", deleted="2019-09-05")["mounted"][0] == "bad"
    assert check("s3://bucket/x")["mounted"][0] == "unknown"


def test_to_be_deleted_is_a_warning(teststand):
    assert check(teststand.shared, deleted="2019-09-05")["schedule"] == (
        "warning",
        "It is to be deleted on 2019-09-05.",
    )


def test_traps_of_the_chain(teststand):
    (teststand.shared / "_parent").unlink()
    (teststand.shared / "_parent").symlink_to("/nowhere")
    assert check(teststand.shared)["chain"][0] == "bad"


def test_old_images_and_the_schedule_of_their_source(teststand):
    age(teststand.root, 50)
    assert check(teststand.shared, max_age_hours=24)["fresh"] == (
        "bad", "The newest image came 50.0 h ago, 24 h are allowed.",
    )  # fmt: skip
    assert check(teststand.shared, max_age_hours=24, halts="2019-08-05")["fresh"][0] == "good"
    assert check(teststand.shared, max_age_hours=24, halts="2019-08-25")["fresh"][0] == "bad"


def test_transferred_but_not_ingested_for_too_long(teststand):
    age(teststand.root, 50)
    late = teststand.archiver / "storage/2019-05-30/AT_O_20190530_000099.fits"
    late.touch()
    os.utime(late, (NOW.timestamp() - 7200,) * 2)
    assert "is not ingested" in check(teststand.shared, max_lag_hours=1)["fresh"][1]
    assert check(teststand.shared, max_lag_hours=3)["fresh"][0] == "good"


def test_no_image_is_unknown(teststand, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/_mapper").write_text("lsst.obs.lsst.auxTel.AuxTelMapper\n")
    assert check(tmp_path / "empty", max_age_hours=1)["fresh"][0] == "unknown"


@pytest.mark.parametrize(("mode", "writable", "verdict"), [(0o1777, True, "good"), (0o777, False, "bad")])
def test_writable_where_it_should_be(teststand, mode, writable, verdict):
    (teststand.shared / "rerun").chmod(mode)
    teststand.shared.chmod(mode)
    assert check(teststand.shared, writable=writable)["writable"][0] == verdict


def test_not_writable_and_no_reruns(teststand):
    (teststand.shared / "rerun").chmod(0o555)
    assert check(teststand.shared, writable=True)["writable"][0] in ("bad", "unknown")
    teststand.shared.chmod(0o555)
    assert check(teststand.shared)["writable"][0] == "good"
    teststand.shared.chmod(0o755)
    (teststand.shared / "rerun").rmdir()
    assert check(teststand.shared, writable=True)["writable"] == (
        "bad",
        f"{teststand.shared}/rerun does not exist.",
    )


def test_nothing_to_check_is_not_good():
    with pytest.raises(NotFoundError):
        Repositories(section=ReposSection()).check(NOW)

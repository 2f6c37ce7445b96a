"""Which detector images there should be."""

from hypothesis import given
from hypothesis import strategies as st

from lsst_commtools.instrument import get_camera
from lsst_commtools.night.counts import Counts, images_by_name

COMCAM = get_camera("LSSTComCam")


@given(st.sets(st.tuples(st.integers(1, 300), st.sampled_from(COMCAM.science_detectors)), max_size=20))
def test_names_give_their_images_back(images):
    names = [f"a/CC_O_20261120_{seq:06d}_{detector.name}.fits" for seq, detector in images]
    assert set(images_by_name(names, COMCAM)) == {(2026112000000 + seq, d.id) for seq, d in images}


def test_files_of_one_image_are_counted_together():
    name = "CC_O_20261120_000001_R22_S00.fits"
    assert images_by_name([name, f"ccs/{name}"], COMCAM) == {(2026112000001, 0): 2}


def test_other_cameras_and_odd_names_are_passed_over():
    names = [
        "AT_O_20261120_000001_R00_S00.fits",
        "notes.fits",
        "CC_O_20261120_000001_R01_S00.fits",
        "\x1b[2J.fits",
    ]
    assert images_by_name(names, COMCAM) == {}


def test_latiss_files_carry_another_raft_name():
    assert images_by_name(["AT_O_20240624_000106_R00_S00.fits"], get_camera("LATISS")) == {
        (2024062400106, 0): 1
    }


def test_counts_keep_the_order_of_the_stations():
    assert list(Counts(5, 4, 3, 2, 1).to_dict().values()) == [5, 4, 3, 2, 1]

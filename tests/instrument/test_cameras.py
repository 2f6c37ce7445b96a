import subprocess
import sys

import numpy as np
import pytest

from lsst_commtools.errors import NotFoundError
from lsst_commtools.instrument import CAMERAS, get_camera


@pytest.mark.parametrize("name", CAMERAS)
def test_detectors_are_numbered_and_named_once(name):
    camera = get_camera(name)
    assert [d.id for d in camera.detectors] == list(range(len(camera.detectors)))
    assert len({d.name for d in camera.detectors}) == len(camera.detectors)
    for detector in camera.detectors[:: max(1, len(camera.detectors) // 20)]:
        assert camera.detector(detector.id) is camera.detector(detector.name) is detector


@pytest.mark.parametrize(
    ("camera", "name", "number"),
    [
        ("LSSTCam", "R01_S00", 0),
        ("LSSTCam", "R10_S02", 29),
        ("LSSTCam", "R22_S11", 94),
        ("LSSTCam", "R43_S22", 188),
        ("LSSTCam", "R00_SG0", 189),
        ("LSSTCam", "R44_SW0", 203),
        ("ComCam", "R22_S22", 8),
        ("LATISS", "RXX_S00", 0),
        ("LSST-TS8", "RTM-004_S00", 18),
        ("LSST-TS8", "RTM-010_S11", 67),
    ],
)
def test_numbers_are_those_of_the_observatory(camera, name, number):
    assert get_camera(camera).detector(name).id == number


def test_sensors_do_not_overlap():
    detectors = get_camera("LSSTCam").detectors
    x, y = np.array([[d.x_mm, d.y_mm] for d in detectors]).T
    width, height = np.array([[d.columns, d.rows] for d in detectors]).T * 0.01
    upright = np.array([d.purpose != "WAVEFRONT" or d.raft in ("R00", "R44") for d in detectors])
    width, height = np.where(upright, width, height), np.where(upright, height, width)
    apart_x = np.abs(x[:, None] - x) >= (width[:, None] + width) / 2 - 1e-6
    apart_y = np.abs(y[:, None] - y) >= (height[:, None] + height) / 2 - 1e-6
    assert (apart_x | apart_y | np.eye(len(detectors), dtype=bool)).all()


@pytest.mark.parametrize("raft", ["R00", "R04", "R40", "R44"])
def test_corner_rafts_are_laid_around_the_inner_corner(raft):
    camera = get_camera("LSSTCam")
    centre = np.array([(int(raft[2]) - 2) * 127.0, (int(raft[1]) - 2) * 127.0])
    distance = {s: np.hypot(*_place(camera, f"{raft}_{s}")) for s in ("SG0", "SG1", "SW0", "SW1")}
    assert distance["SW0"] < distance["SW1"] < distance["SG0"] == pytest.approx(distance["SG1"])
    middle = (_place(camera, f"{raft}_SW0") + _place(camera, f"{raft}_SW1")) / 2
    assert middle == pytest.approx(centre - np.sign(centre) * 42.25)
    # Field angle of the wavefront sensors: 1.176 deg in each axis.
    assert np.abs(middle) / 0.01 * 0.2 / 3600 == pytest.approx(1.176, abs=0.001)


def _place(camera, name):
    detector = camera.detector(name)
    return np.array([detector.x_mm, detector.y_mm])


def test_each_raft_is_the_one_before_turned():
    camera = get_camera("LSSTCam")
    for sensor in ("SG0", "SG1", "SW0", "SW1"):
        x, y = _place(camera, f"R00_{sensor}")
        assert _place(camera, f"R44_{sensor}") == pytest.approx([-x, -y])
        assert _place(camera, f"R04_{sensor}") == pytest.approx([-y, x])
        assert _place(camera, f"R40_{sensor}") == pytest.approx([y, -x])


def test_filters_have_bands():
    latiss = get_camera("latiss")
    assert latiss.band("SDSSr_65mm~empty") == "r"
    assert latiss.band("empty~SDSSi_65mm") == "i"
    assert latiss.band("empty~holo4_003") == "white"
    assert latiss.band("RG610~ronchi90lpmm") == "r"
    assert latiss.band("new_filter~empty") is None
    assert get_camera("ComCam").band("g_01") == "g"
    assert get_camera("LSSTCam").band("950nm") is None


def test_unknown_names_are_refused():
    with pytest.raises(NotFoundError, match="LSSTComCam"):
        get_camera("HSC")
    with pytest.raises(NotFoundError, match="R22_S00"):
        get_camera("ComCam").detector("R11_S00")


def test_importing_the_room_is_light():
    code = (
        "import sys, lsst_commtools.instrument.headers;"
        "sys.exit(any(name in sys.modules for name in ('astropy', 'lsst.daf')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

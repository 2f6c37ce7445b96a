import numpy as np
import pytest
from astropy.wcs import WCS

from lsst_commtools.errors import NotFoundError, TableError
from lsst_commtools.instrument import CAMERAS, CalibratedImage, get_camera, nominal_wcs

butler_package = pytest.importorskip("lsst.daf.butler", reason="needs the extra butler")
pytest.importorskip("lsst.pipe.base", reason="needs the extra butler")

from lsst_commtools.instrument.butler import instrument_of, seed_config  # noqa: E402  after importorskip


@pytest.fixture(scope="module")
def stored_images(tmp_path_factory):
    """A repository that knows our images, the cameras registered."""
    folder = str(tmp_path_factory.mktemp("repository"))
    butler_package.Butler.makeRepo(folder, config=butler_package.Config(seed_config()))
    with butler_package.Butler.from_config(folder, writeable=True, run="test") as butler:
        for name in CAMERAS:
            instrument_of(name).register(butler.registry)
        butler.registry.registerDatasetType(
            butler_package.DatasetType(
                "image", butler.dimensions.conform(["instrument", "detector"]), "CommtoolsImage"
            )
        )
        yield butler


def _image(mask_value=63):
    rng = np.random.default_rng(1)
    return CalibratedImage(
        rng.normal(size=(30, 20)).astype(np.float32),
        rng.random((30, 20)).astype(np.float32),
        np.full((30, 20), mask_value, np.int32),
        {
            "OBSID": "x" * 200,
            "SEQNUM": 3,
            "RA": None,
            "SIMULATE MTMOUNT": True,
            "GAIN": np.float32(0.5),
            "Å": "é",
        },
        nominal_wcs(
            {"RA": 1.0, "DEC": -60.0, "ROTPA": 20.0},
            get_camera("ComCam"),
            get_camera("ComCam").detectors[0],
            (30, 20),
        ),
    )


@pytest.mark.parametrize("detector", [0, 1, 2])
def test_calibrated_images_come_back_as_they_were(stored_images, detector):
    image = _image(mask_value=(0, 63, 1 << 20)[detector])
    if detector == 1:
        image.wcs = None
    data_id = {"instrument": "LSSTComCam", "detector": detector}
    stored_images.put(image, "image", data_id)
    back = stored_images.get("image", data_id)
    for name in ("image", "variance", "mask"):
        ours, theirs = getattr(image, name), getattr(back, name)
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)
        assert np.array_equal(stored_images.get(f"image.{name}", data_id), ours)
    assert back.header == {**image.header, "GAIN": 0.5} == stored_images.get("image.header", data_id)
    if image.wcs is None:
        assert back.wcs is None
    else:
        pixels = [(0.0, 0.0), (19.0, 29.0)]
        assert back.wcs.wcs_pix2world(pixels, 0) == pytest.approx(
            image.wcs.wcs_pix2world(pixels, 0), abs=1e-11
        )
        assert isinstance(stored_images.get("image.wcs", data_id), WCS)


def test_distortion_of_the_wcs_is_kept(stored_images):
    image = _image()
    header = image.wcs.to_header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"
    header["A_ORDER"], header["B_ORDER"], header["A_2_0"], header["B_1_1"] = 2, 2, 1e-5, -2e-5
    image.wcs = WCS(header)
    data_id = {"instrument": "LSSTComCam", "detector": 3}
    stored_images.put(image, "image", data_id)
    back = stored_images.get("image.wcs", data_id)
    assert back.sip is not None
    assert back.all_pix2world([(5.0, 7.0)], 0) == pytest.approx(
        image.wcs.all_pix2world([(5.0, 7.0)], 0), abs=1e-11
    )


def test_all_detectors_and_filters_are_registered_once(stored_images):
    for name in CAMERAS:
        instrument_of(name).register(stored_images.registry)
        instrument_of(name).register(stored_images.registry, update=True)
        detectors = stored_images.query_dimension_records("detector", instrument=name)
        assert [d.full_name for d in sorted(detectors, key=lambda d: d.id)] == [
            d.name for d in get_camera(name).detectors
        ]
        filters = stored_images.query_dimension_records("physical_filter", instrument=name)
        assert {f.name for f in filters} == set(get_camera(name).filters)
        assert type(instrument_of(name)).fromName(name, stored_images.registry).camera is get_camera(name)


def test_other_fits_files_are_no_calibrated_images(raw_file):
    from astropy.io import fits

    from lsst_commtools.instrument.formatters import _read_component

    with (
        fits.open(raw_file) as units,
        pytest.raises(TableError, match=r"raw\.fits is not a calibrated image"),
    ):
        _read_component(units, "image", str(raw_file))


def test_unknown_cameras_are_refused():
    with pytest.raises(NotFoundError):
        instrument_of("HSC")

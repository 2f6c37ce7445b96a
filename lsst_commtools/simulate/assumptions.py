"""What the stand-in assumes about each camera, its telescope and its sky."""

from __future__ import annotations

from dataclasses import dataclass

from lsst_commtools.errors import InputError

__all__ = ["Assumptions", "assumptions_about"]


@dataclass(frozen=True)
class Assumptions:
    """What the stand-in assumes about a camera and its telescope.

    Parameters
    ----------
    physical_filter
        Filter of the night, by its Butler name.
    zero_point_mag
        AB magnitude that gives one electron per second.
    sky_mag_arcsec2
        Brightness of the sky.
    mag_range
        Brightest and faintest star.
    stars_per_arcmin2
        Density of stars in that range.
    reference_mag_limit
        Faintest star of the reference catalogue.
    """

    physical_filter: str
    zero_point_mag: float
    sky_mag_arcsec2: float
    mag_range: tuple[float, float]
    stars_per_arcmin2: float
    reference_mag_limit: float


# The faintest stars are measured at a signal-to-noise ratio near 80, so that the scatter of positions is mostly the
# atmosphere's, which is known, and not the photons'.
_ASSUMPTIONS = {
    # Zero point: LSST r, 28.36 mag for 1 electron per second (SMTN-002, throughputs 1.9); dark sky 21.2.
    "LSSTComCam": Assumptions("r_03", 28.36, 21.2, (14.0, 21.5), 20.0, 21.2),
    # The Auxiliary Telescope has 1/33 of the collecting area, and a field of a thirteenth at the same size
    # in pixels: a crowded field with brighter stars keeps the number of stars that can be measured.
    "LATISS": Assumptions("SDSSr_65mm~empty", 24.6, 21.2, (10.5, 18.5), 80.0, 18.2),
}


def assumptions_about(camera: str) -> Assumptions:
    """Give the assumptions about a camera.

    Parameters
    ----------
    camera
        Butler instrument name.

    Returns
    -------
    Assumptions
        Zero point, sky, stars.

    Raises
    ------
    InputError
        If this camera is not simulated.
    """
    if camera in _ASSUMPTIONS:
        return _ASSUMPTIONS[camera]
    raise InputError(f"{camera} is not simulated.", advice=f"Simulated are {', '.join(_ASSUMPTIONS)}.")

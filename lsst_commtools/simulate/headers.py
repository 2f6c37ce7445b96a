"""Headers and files of simulated raws: the keywords of real ones since 2024."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.instrument.cameras import Detector
from lsst_commtools.simulate.camera import SensorModel, segments_of
from lsst_commtools.simulate.paths import file_name
from lsst_commtools.simulate.plan import NightPlan
from lsst_commtools.simulate.schedule import Exposure, horizontal, sidereal_time_deg

if TYPE_CHECKING:
    from astropy.io import fits

__all__ = ["contradict", "primary_cards", "raw_bytes"]

READOUT_S = 2.4
SHUTTER_LAG_S = 0.43

_CAMERAS: dict[str, dict[str, Any]] = {
    "LSSTComCam": {
        "INSTRUME": "ComCam", "TELESCOP": "Simonyi Survey Telescope", "OBS-LONG": -70.749417, "OBS-LAT": -30.244639,
        "OBS-ELEV": 2663.0, "PLATFORM": "comcam", "TSTAND": "TMACCv1_SUM", "SIMULATED": (
            "MTMOUNT", "MTM1M3", "MTM2", "CAMHEXAPOD", "M2HEXAPOD", "MTROTATOR", "MTDOME", "MTDOMETRAJECTORY",
        ),
    },
    "LATISS": {
        "INSTRUME": "LATISS", "TELESCOP": "LSST AuxTelescope", "OBS-LONG": -70.7476862, "OBS-LAT": -30.2447889,
        "OBS-ELEV": 2663.0, "PLATFORM": "auxtel", "TSTAND": None, "SIMULATED": (
            "ATMCS", "ATHEXAPOD", "ATPNEUMATICS", "ATDOME", "ATSPECTROGRAPH",
        ),
    },
}  # fmt: skip


def primary_cards(plan: NightPlan, exposure: Exposure, detector: Detector) -> dict[str, Any]:
    """Fill a primary header.

    Parameters
    ----------
    plan, exposure, detector
        What the file holds.

    Returns
    -------
    dict
        Keyword to value; None where a real header has the keyword without a value.
    """
    camera = _CAMERAS[plan.camera_name]
    rows, columns = plan.shape
    obs_id = exposure.obs_id
    cards: dict[str, Any] = {
        "CCDGAIN": 1.0,
        "CCDNOISE": 10.0,
        "BINX": 1,
        "BINY": 1,
        "DETSIZE": f"[1:{columns},1:{rows}]",
        "IMGTYPE": exposure.image_type,
        **_time_cards(exposure),
        "OBSID": str(obs_id),
        "GROUPID": _iso(exposure.begin_mjd_tai - 1.0 / 86400.0),
        "BUNIT": "adu",
        **{key: camera[key] for key in ("INSTRUME", "TELESCOP", "OBS-LONG", "OBS-LAT", "OBS-ELEV")},
        "FACILITY": "Vera C. Rubin Observatory",
        **_pointing_cards(exposure),
        "OBJECT": f"field-{exposure.field:02d}" if exposure.is_visit else "",
        "VIGNETTE": "NO" if exposure.is_visit else "FULLY",
        "VIGN_MIN": "NO" if exposure.is_visit else "FULLY",
        "TESTTYPE": exposure.image_type,
        "CAMCODE": obs_id.camera,
        "CONTRLLR": obs_id.controller,
        "DAYOBS": f"{obs_id.day_obs:08d}",
        "SEQNUM": obs_id.seq_num,
        "PROGRAM": "BLOCK-T1" if exposure.is_visit else "BLOCK-CALIB",
        "REASON": "science" if exposure.is_visit else "calibration",
        "CURINDEX": 1,
        "MAXINDEX": 1,
        "TSTAND": camera["TSTAND"],
        "OBSANNOT": "",
        "CCD_MANU": "ITL",
        "CCD_TYPE": "3800C",
        "CCDSLOT": detector.sensor,
        "RAFTBAY": detector.raft.replace("RXX", "R00"),
        "LSST_NUM": "ITL-3800C-068" if plan.camera_name == "LATISS" else f"ITL-3800C-{900 + detector.id:03d}",
        "CCD_SERN": f"{90000 + detector.id}",
        "PLATFORM": camera["PLATFORM"],
        **_filter_cards(plan),
        "EXPTIME": exposure.exposure_time_s,
        "DARKTIME": exposure.exposure_time_s + SHUTTER_LAG_S,
        "SHUTTIME": exposure.exposure_time_s,
        "AIRTEMP": 11.8,
        "PRESSURE": 74120.0,
        "HUMIDITY": 24.0,
        "WINDSPD": 3.1,
        "WINDDIR": 341.0,
        "SEEING": None,
        "HEADVER": 2,
        "FILENAME": file_name(exposure, detector),
    }
    cards.update({f"HIERARCH SIMULATE {name}": 1 for name in camera["SIMULATED"]})
    return cards


def contradict(cards: dict[str, Any]) -> str:
    """Make a header wrong: its OBSID names another exposure than its DAYOBS, SEQNUM and file name.

    Parameters
    ----------
    cards
        From `primary_cards`; changed in place.

    Returns
    -------
    str
        What is wrong.
    """
    right, seq_num = cards["OBSID"], cards["SEQNUM"]
    cards["OBSID"] = f"{right[:-6]}{seq_num + 900:06d}"
    return f"OBSID is {cards['OBSID']}, SEQNUM is {seq_num}"


def raw_bytes(
    cards: dict[str, Any], read: list[NDArray[np.uint16]], plan: NightPlan, model: SensorModel
) -> bytes:
    """Write a raw file.

    Parameters
    ----------
    cards
        Primary header.
    read
        Pixels of each segment, adu.
    plan
        Size of the detector.
    model
        The detector, for the gains that the segments' headers state.

    Returns
    -------
    bytes
        FITS with 16 image extensions, CHECKSUM and DATASUM.
    """
    from astropy.io import fits

    rows, columns = plan.shape
    primary = fits.PrimaryHDU()
    _fill(primary.header, cards)
    units: list[Any] = [primary]
    for segment, pixels, gain, noise in zip(
        segments_of(plan.shape), read, model.gain, model.read_noise_electron, strict=True
    ):
        unit = fits.ImageHDU(pixels, name=f"Segment{segment.name[1:]}")
        _fill(
            unit.header,
            {
                "CHANNEL": segment.channel,
                "CCDSUM": "1 1",
                "DATASEC": segment.datasec,
                "DETSEC": segment.detsec,
                "DETSIZE": f"[1:{columns},1:{rows}]",
                "GAIN": round(float(gain), 4),
                "RDNOISE": round(float(noise), 3),
            },
        )
        # The constructor writes names in capitals; real files do not.
        unit.header["EXTNAME"] = f"Segment{segment.name[1:]}"
        units.append(unit)
    for unit in units:
        # Left to itself, astropy notes the time of writing, and the same seed would not give the same bytes.
        unit.add_checksum(when="of this header and data unit")
    buffer = io.BytesIO()
    fits.HDUList(units).writeto(buffer)
    return buffer.getvalue()


def _fill(header: fits.Header, cards: dict[str, Any]) -> None:
    for key, value in cards.items():
        header[key] = value


def _iso(mjd_tai: float) -> str:
    days = math.floor(mjd_tai)
    milliseconds = round((mjd_tai - days) * 86_400_000)
    moment = np.datetime64("1858-11-17") + np.timedelta64(days, "D")
    return str(moment.astype("datetime64[ms]") + np.timedelta64(milliseconds, "ms"))


def _time_cards(exposure: Exposure) -> dict[str, Any]:
    begin = exposure.begin_mjd_tai
    end = begin + (exposure.exposure_time_s + SHUTTER_LAG_S) / 86400.0
    trigger = end + READOUT_S / 86400.0
    cards: dict[str, Any] = {"DATE": _iso(trigger), "MJD": trigger}
    for key, mjd in (("OBS", begin), ("BEG", begin), ("END", end), ("TRG", end)):
        cards[f"DATE-{key}"] = _iso(mjd)
        cards[f"MJD-{key}"] = mjd
    cards["TIMESYS"] = "TAI"
    return cards


def _pointing_cards(exposure: Exposure) -> dict[str, Any]:
    if not exposure.is_visit:
        return dict.fromkeys(
            ("RA", "DEC", "RASTART", "DECSTART", "RAEND", "DECEND", "ROTPA", "ROTCOORD", "TRACKSYS"), None
        ) | {"RADESYS": "ICRS", "FOCUSZ": 0.0}
    cards: dict[str, Any] = {"RA": exposure.ra_deg, "DEC": exposure.dec_deg}
    for when, mjd in (
        ("START", exposure.begin_mjd_tai),
        ("END", exposure.begin_mjd_tai + exposure.exposure_time_s / 86400.0),
    ):
        azimuth, elevation, airmass = horizontal(exposure.ra_deg, exposure.dec_deg, mjd)
        hour_angle = (sidereal_time_deg(mjd) - exposure.ra_deg + 180.0) % 360.0 - 180.0
        cards |= {
            f"RA{when}": exposure.ra_deg,
            f"DEC{when}": exposure.dec_deg,
            f"HA{when}": hour_angle / 15.0,
        }
        cards |= {f"AZ{when}": azimuth, f"EL{when}": elevation, f"AM{when}": airmass}
    cards |= {"ROTPA": exposure.rotpa_deg, "ROTCOORD": "sky", "TRACKSYS": "RADEC", "RADESYS": "ICRS"}
    return cards | {"FOCUSZ": 0.0}


def _filter_cards(plan: NightPlan) -> dict[str, Any]:
    name = plan.assumed.physical_filter
    cards: dict[str, Any] = {
        "FILTBAND": plan.camera.filters[name],
        "FILTER": name.partition("~")[0],
        "FILTSLOT": 2,
    }
    if plan.camera_name == "LATISS":
        cards |= {
            "GRATING": "empty_1",
            "GRATBAND": "EMPTY",
            "GRATSLOT": 0,
            "LINSPOS": 67.0,
            "TEMP_SET": -104.15,
        }
    return cards

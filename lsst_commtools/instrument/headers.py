"""What a raw header says, in one form for all cameras and all years.

The rules are those of the translators of ``obs_lsst`` (`lsst.py`, `lsstCam.py`, `latiss.py`, `comCam.py`,
`comCamSim.py`, `ts8.py`, commit 0e84d75), with one difference of attitude: a value that the header does not hold
is None, and unknown is an answer.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lsst_commtools.errors import CommtoolsError, DataError, IdentifierError
from lsst_commtools.ids import CONTROLLERS, ObsId, check_day_obs, check_seq_num, exposure_id
from lsst_commtools.instrument.cameras import Camera, Detector, get_camera
from lsst_commtools.instrument.header_fixes import correct_header
from lsst_commtools.instrument.header_values import (
    begin_of,
    flag,
    number,
    parse_time,
    rolled_day_obs,
    text,
)

__all__ = ["ObservationInfo", "contradictions", "identify_camera", "translate"]

_OBS_ID = re.compile(r"[A-Z]{2}_[A-Z]_\d{8}_\d{6}", re.ASCII)
_CODE_OF_INSTRUMENT = {
    "LATISS": "AT", "LSSTComCam": "CC", "LSSTComCamSim": "CC", "LSSTCam": "MC", "LSST-TS8": "TS",
}  # fmt: skip
_PASCALS_ABOVE = 10_000.0  # no pressure on Earth is that high in hPa, none at 2660 m that low in Pa
_LONGEST_EXPOSURE_S = 86_400.0
_ON_TELESCOPE_FROM = dt.datetime(2025, 3, 1)  # noqa: DTZ001  LSSTCam on the mountain; TAI has no time zone
_LATISS_ON_SKY_FROM = dt.datetime(2020, 1, 1)  # noqa: DTZ001
# TS8 sequence numbers were not unique before; exposure ids are the time of observation there.
_TS8_COUNTS_FROM = dt.datetime(2023, 5, 24, 23)  # noqa: DTZ001
_TS8_FILTER_POSITIONS = {2: "g", 3: "r", 4: "i", 5: "z", 6: "y"}


@dataclass(frozen=True)
class ObservationInfo:
    """One exposure of one detector, as its corrected header describes it.

    Parameters
    ----------
    instrument, telescope
        Butler name of the instrument, and the telescope it is on.
    day_obs, seq_num, controller
        Identity of the exposure within the instrument.
    exposure_id
        Butler's exposure, and visit, since visits are exposures here.
    obs_id
        Name of the exposure, ``CC_O_20241108_000266``.
    group
        What was asked for together, GROUPID; the exposure id where there is none.
    detector, detector_name
        Number and name in the Butler.
    observation_type
        ``science``, ``bias``, ``dark``, ``flat``, ``cwfs``, ``acq``, ..., or ``unknown``.
    observation_reason, science_program, target
        REASON, PROGRAM, OBJECT; ``unknown`` where they are not given.
    physical_filter, band
        Name in the Butler, and its band, None where it has none or the filter is not known.
    exposure_time_s, exposure_time_requested_s, dark_time_s
        Shutter open (where it is believed), asked for, and integrating.
    begin_tai, end_tai
        Times without time zone on the TAI scale.
    ra_deg, dec_deg
        Boresight that was asked for, ICRS.
    rotation_deg, rotation_coordinate
        ROTPA and ROTCOORD.
    azimuth_deg, elevation_deg, airmass
        At the start.
    temperature_celsius, pressure_hpa, humidity_percent
        Of the air.
    focus_z_mm
        Hexapod's offset.
    first_seq_num, last_seq_num
        Of the group that this exposure belongs to.
    can_see_sky
        Whether the detector can see the sky; None for unknown.
    has_simulated_content
        Whether a part of the observatory was simulated.
    header
        The corrected header.
    corrections
        What was corrected, one line each.
    """

    instrument: str
    telescope: str | None
    day_obs: int
    seq_num: int
    controller: str
    exposure_id: int
    obs_id: str
    group: str
    detector: int
    detector_name: str
    observation_type: str
    observation_reason: str
    science_program: str
    target: str
    physical_filter: str
    band: str | None
    exposure_time_s: float | None
    exposure_time_requested_s: float | None
    dark_time_s: float | None
    begin_tai: dt.datetime
    end_tai: dt.datetime
    ra_deg: float | None
    dec_deg: float | None
    rotation_deg: float | None
    rotation_coordinate: str
    azimuth_deg: float | None
    elevation_deg: float | None
    airmass: float | None
    temperature_celsius: float | None
    pressure_hpa: float | None
    humidity_percent: float | None
    focus_z_mm: float | None
    first_seq_num: int
    last_seq_num: int
    can_see_sky: bool | None
    has_simulated_content: bool
    header: Mapping[str, Any]
    corrections: tuple[str, ...]


@dataclass(frozen=True)
class _Identity:
    day_obs: int
    seq_num: int
    controller: str
    obs_id: str


def identify_camera(header: Mapping[str, Any]) -> Camera:
    """Tell which camera wrote a header.

    Parameters
    ----------
    header
        Keyword to value.

    Returns
    -------
    Camera
        The camera.

    Raises
    ------
    DataError
        If it is none that is known.
    """
    told = (text(header, "INSTRUME") or "").lower()
    code = text(header, "TELCODE", "CAMCODE")
    if told in ("latiss", "lsst_atiss") or (not told and header.get("DETNAME") == "RXX_S00"):
        return get_camera("LATISS")
    if told in ("lsst-ts8", "ts8") or told.startswith("ts8-") or (not told and header.get("TSTAND") == "TS8"):
        return get_camera("LSST-TS8")
    if told in ("comcam", "lsstcomcam") or (told == "lsst_camera" and code == "CC"):
        return get_camera("LSSTComCam")
    if told in ("comcamsim", "lsstcomcamsim"):
        return get_camera("LSSTComCamSim")
    if told == "lsstcam" or (told == "lsst_camera" and code == "MC"):
        return get_camera("LSSTCam")
    raise DataError(f"The header is of no camera that is known: INSTRUME is {header.get('INSTRUME')!r}.")


def translate(header: Mapping[str, Any]) -> ObservationInfo:
    """Translate a raw header, its known lies corrected.

    Parameters
    ----------
    header
        Keyword to value, as written by the camera.

    Returns
    -------
    ObservationInfo
        What it says.

    Raises
    ------
    DataError
        If the header does not say which detector of which camera took which exposure, and when.
    """
    camera = identify_camera(header)
    raw = dict(header)
    begin_tai = begin_of(raw, camera.name)
    try:
        identity = _identity(raw, camera, begin_tai)
    except IdentifierError as error:
        raise DataError(f"The header does not identify its exposure: {error.message}") from error
    corrected = correct_header(raw, camera.name, identity.day_obs, identity.seq_num, begin_tai)
    fixed = corrected.header
    detector = _detector(fixed, camera)
    kind = _observation_type(fixed, camera.name, begin_tai)
    physical_filter = _physical_filter(fixed, camera.name)
    identifier = _exposure_id(raw, camera.name, identity, begin_tai)
    requested = number(fixed, "EXPTIME")
    exposure = _exposure_time(fixed, camera.name, requested)
    index, last_index = number(fixed, "CURINDEX"), number(fixed, "MAXINDEX")
    first = identity.seq_num if index is None else identity.seq_num - int(index) + 1
    last = (
        identity.seq_num
        if index is None or last_index is None
        else identity.seq_num + int(last_index - index)
    )
    pressure = number(fixed, "PRESSURE")
    return ObservationInfo(
        instrument=camera.name,
        telescope=None if camera.name == "LSST-TS8" else camera.telescope,
        day_obs=identity.day_obs,
        seq_num=identity.seq_num,
        controller=identity.controller,
        exposure_id=identifier,
        obs_id=identity.obs_id,
        group=text(fixed, "GROUPID") or str(identifier),
        detector=detector.id,
        detector_name=detector.name,
        observation_type=kind,
        observation_reason=(text(fixed, "REASON", "TESTTYPE") or "unknown").lower(),
        science_program=text(fixed, "PROGRAM", "RUNNUM") or "unknown",
        target=text(fixed, "OBJECT") or "unknown",
        physical_filter=physical_filter,
        band=camera.band(physical_filter),
        exposure_time_s=exposure,
        exposure_time_requested_s=requested,
        dark_time_s=_dark_time(fixed, camera.name, exposure),
        begin_tai=begin_tai,
        end_tai=_end(fixed, begin_tai, exposure),
        ra_deg=number(fixed, "RA"),
        dec_deg=number(fixed, "DEC"),
        rotation_deg=number(fixed, "ROTPA", "ROTANGLE"),
        rotation_coordinate=text(fixed, "ROTCOORD") or "unknown",
        azimuth_deg=number(fixed, "AZSTART"),
        elevation_deg=number(fixed, "ELSTART"),
        airmass=number(fixed, "AMSTART"),
        temperature_celsius=number(fixed, "AIRTEMP"),
        pressure_hpa=pressure / 100.0 if pressure is not None and pressure > _PASCALS_ABOVE else pressure,
        humidity_percent=number(fixed, "HUMIDITY"),
        focus_z_mm=number(fixed, "FOCUSZ"),
        first_seq_num=first,
        last_seq_num=last,
        can_see_sky=_can_see_sky(fixed, camera.name, kind, begin_tai, identity.controller),
        has_simulated_content=_is_simulated(fixed, identity.controller),
        header=fixed,
        corrections=corrected.corrections,
    )


def contradictions(header: Mapping[str, Any]) -> tuple[str, ...]:
    """List where a header contradicts itself on what it belongs to.

    The file's name and the keyword FILENAME are no evidence: files are renamed, and real simulated ones carry the
    night that they were made from.

    Parameters
    ----------
    header
        Keyword to value.

    Returns
    -------
    tuple of str
        One sentence each; empty for a header that agrees with itself.

    Raises
    ------
    DataError
        If the header cannot be translated.
    """
    info = translate(header)
    found: list[str] = []
    try:
        obs_id = ObsId.parse(text(header, "OBSID", "IMGNAME") or "")
    except IdentifierError:
        return ()  # simulations have obs ids of their own form
    if obs_id.camera != _CODE_OF_INSTRUMENT[info.instrument]:
        found.append(f"OBSID {obs_id} is of another camera than INSTRUME {header.get('INSTRUME')!r}.")
    if obs_id.day_obs != info.day_obs:
        found.append(f"OBSID {obs_id} is of another night than DAYOBS {info.day_obs}.")
    if obs_id.seq_num != info.seq_num:
        found.append(f"OBSID {obs_id} has another number than SEQNUM {info.seq_num}.")
    if obs_id.controller != info.controller:
        found.append(f"OBSID {obs_id} is of another controller than CONTRLLR {info.controller!r}.")
    noon = dt.datetime.strptime(f"{info.day_obs}12", "%Y%m%d%H")  # noqa: DTZ007  TAI
    # A day either way for other rollovers in the laboratory; what is simulated may borrow its times.
    if info.controller in "OC" and not dt.timedelta(-1) <= info.begin_tai - noon <= dt.timedelta(2):
        found.append(
            f"The exposure began at {info.begin_tai.isoformat()} TAI, which is not in DAYOBS {info.day_obs}."
        )
    return tuple(found)


def _identity(header: dict[str, Any], camera: Camera, begin_tai: dt.datetime) -> _Identity:
    name = text(header, "OBSID", "IMGNAME")
    if name is None:
        match = _OBS_ID.search(text(header, "FILENAME") or "")
        name = match.group() if match else None
    try:
        parsed = ObsId.parse(name) if name else None
    except IdentifierError:
        parsed = None
    told_day = text(header, "DAYOBS") or (str(parsed.day_obs) if parsed else text(header, "OBS-NITE"))
    day_obs = check_day_obs(told_day.replace("-", "")) if told_day else rolled_day_obs(begin_tai, camera.name)
    told_seq = header.get("SEQNUM")
    if told_seq is None and parsed is None and camera.name == "LSST-TS8":
        told_seq = 0  # the test stand did not count at first, and its exposure ids are times
    seq_num = check_seq_num(told_seq if told_seq is not None else (parsed.seq_num if parsed else "missing"))
    controller = text(header, "CONTRLLR") or (parsed.controller if parsed else "O")
    if len(controller) != 1 or controller not in CONTROLLERS:
        raise IdentifierError(f"{controller!r} is not a controller.")
    code = _CODE_OF_INSTRUMENT[camera.name]
    return _Identity(day_obs, seq_num, controller, name or str(ObsId(code, controller, day_obs, seq_num)))


def _exposure_id(header: dict[str, Any], instrument: str, identity: _Identity, begin_tai: dt.datetime) -> int:
    counted = begin_tai > _TS8_COUNTS_FROM and identity.obs_id.startswith("TS_C_")
    if instrument == "LSST-TS8" and not counted:
        return int(re.sub(r"\D", "", (text(header, "DATE-OBS") or begin_tai.isoformat())[:21]))
    return exposure_id(identity.day_obs, identity.seq_num, identity.controller)


def _detector(header: dict[str, Any], camera: Camera) -> Detector:
    if camera.name == "LATISS":
        return camera.detectors[0]
    raft, slot = text(header, "RAFTBAY"), text(header, "CCDSLOT")
    if camera.name == "LSST-TS8":
        serial = re.search(r"RTM-\d{3}", text(header, "RAFTNAME") or "", re.ASCII)
        raft = serial.group() if serial else None
    name = f"{raft}_{slot}" if raft and slot else text(header, "CHIPID", "DETNAME")
    if name is None:
        raise DataError("The header does not name its detector.", advice="RAFTBAY and CCDSLOT do that.")
    try:
        return camera.detector(name)
    except CommtoolsError as error:
        raise DataError(error.message, advice=error.advice) from error


def _observation_type(header: dict[str, Any], instrument: str, begin_tai: dt.datetime) -> str:
    told = text(header, "OBSTYPE", "IMGTYPE") if instrument == "LATISS" else text(header, "IMGTYPE")
    if told is None:
        return "bias" if number(header, "EXPTIME") == 0.0 else "unknown"
    kind = told.lower()
    if instrument == "LATISS" and kind == "object" and begin_tai <= _LATISS_ON_SKY_FROM:
        return "labobject"
    return "science" if kind in ("skyexp", "object") else kind


def _emptied(name: str | None) -> str:
    if name is None:
        return "unknown"
    return "empty" if re.fullmatch(r"empty_?\d*", name, re.IGNORECASE) else name


def _physical_filter(header: dict[str, Any], instrument: str) -> str:
    if instrument == "LATISS":
        grating = text(header, "GRATING")
        disperser = "empty" if grating and grating.lower().startswith("empty") else grating or "unknown"
        return f"{_emptied(text(header, 'FILTER'))}~{disperser}"
    if instrument == "LSST-TS8" and number(header, "FILTPOS") is not None:
        return _TS8_FILTER_POSITIONS.get(int(number(header, "FILTPOS") or 0), "unknown")
    parts = [part for key in ("FILTER", "FILTER1", "FILTER2") if (part := text(header, key))]
    name = "~".join(parts).replace("NONE", "none")
    while name.endswith("~empty"):
        name = name.removesuffix("~empty")
    return "unknown" if not name or "unspecified" in name else name


def _exposure_time(header: dict[str, Any], instrument: str, requested: float | None) -> float | None:
    shutter = number(header, "SHUTTIME") if instrument.startswith(("LSSTCam", "LSSTComCam")) else None
    return shutter or requested


def _dark_time(header: dict[str, Any], instrument: str, exposure: float | None) -> float | None:
    dark = number(header, "DARKTIME")
    if dark is None or (instrument == "LATISS" and dark < (exposure or 0.0)):
        return exposure
    return dark


def _end(header: dict[str, Any], begin_tai: dt.datetime, exposure: float | None) -> dt.datetime:
    end = parse_time(header.get("DATE-END"), text(header, "TIMESYS"))
    if end is not None and end >= begin_tai:
        return end
    return begin_tai + dt.timedelta(seconds=min(max(exposure or 0.0, 0.0), _LONGEST_EXPOSURE_S))


def _can_see_sky(
    header: dict[str, Any], instrument: str, kind: str, begin_tai: dt.datetime, controller: str
) -> bool | None:
    in_laboratory = instrument == "LSSTCam" and begin_tai <= _ON_TELESCOPE_FROM and controller != "H"
    if instrument == "LSST-TS8" or in_laboratory or number(header, "SHUTTIME") == 0.0:
        return False
    if vignetting := text(header, "VIGN_MIN"):
        return vignetting != "FULLY"
    return {"science": True, "bias": False, "dark": False, "flat": False}.get(kind)


def _is_simulated(header: dict[str, Any], controller: str) -> bool:
    return controller in "HPQS" or any(flag(v) for k, v in header.items() if k.startswith("SIMULATE "))

"""Identifiers of the observatory: day_obs, seq_num, exposure ids, obs ids, CSC names.

The rules are those of ``obs_lsst`` (translators ``lsst.py``): an exposure id is ``day_obs`` and a five-digit
``seq_num`` written one after the other, with 1000 years added to the date for each step of the controller in
``OCHPQS``. The mountain's day rolls over at 12 h TAI.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from typing_extensions import override

from lsst_commtools.errors import IdentifierError

if TYPE_CHECKING:
    from astropy.time import Time

__all__ = [
    "CAMERA_CODES",
    "CONTROLLERS",
    "CscName",
    "FileId",
    "ObsId",
    "check_day_obs",
    "check_seq_num",
    "day_obs_date",
    "day_obs_from_tai",
    "day_obs_from_time",
    "exposure_id",
    "parse_exposure_id",
]

CONTROLLERS = "OCHPQS"
"""Controllers in the order of the thousands of years that they add to an exposure id."""

CAMERA_CODES = {"AT": "LATISS", "CC": "LSSTComCam", "MC": "LSSTCam", "TS": "LSST-TS8"}
"""Camera code of an obs id to the Butler's instrument name."""

MAX_SEQ_NUM = 99_999
_ROLLOVER = dt.timedelta(hours=12)
# Dates after which a controller adds nothing to the exposure id (obs_lsst translators, lsst.py).
_CONTROLLER_ADDS_UNTIL = {"C": 20231004, "P": 20250417, "Q": 20250417, "S": 20250417}

_OBS_ID = re.compile(
    r"(?P<camera>AT|CC|MC|TS)_(?P<controller>[OCHPQS])_(?P<day_obs>\d{8})_(?P<seq_num>\d{6})"
)
_FILE_ID = re.compile(_OBS_ID.pattern + r"_(?P<raft>[A-Z0-9-]{3,7})_(?P<sensor>[A-Z0-9]{3})", re.ASCII)
_CSC_NAME = re.compile(r"(?P<name>[A-Za-z_-][A-Za-z0-9_-]*)(?::(?P<index>\d{1,9}|\*))?", re.ASCII)


def check_day_obs(value: object) -> int:
    """Check that a value is a day_obs.

    Parameters
    ----------
    value
        An integer, or text of eight digits, ``YYYYMMDD``.

    Returns
    -------
    int
        The day_obs as an integer.

    Raises
    ------
    IdentifierError
        If it is not a date of the calendar between 1990 and 2099.
    """
    text = str(value).strip()
    if not isinstance(value, bool) and re.fullmatch(r"(19[9]|20\d)\d{5}", text, re.ASCII):
        try:
            dt.date(int(text[:4]), int(text[4:6]), int(text[6:]))
        except ValueError:
            pass
        else:
            return int(text)
    raise IdentifierError(
        f"{value!r} is not a day_obs.", advice="Give a calendar date as YYYYMMDD, for instance 20261120."
    )


def check_seq_num(value: object) -> int:
    """Check that a value is a seq_num.

    Parameters
    ----------
    value
        An integer, or its text.

    Returns
    -------
    int
        The seq_num, 0 to 99999.

    Raises
    ------
    IdentifierError
        If it is not an integer in that range.
    """
    text = str(value).strip()
    if not isinstance(value, bool) and re.fullmatch(r"\d{1,6}", text, re.ASCII) and int(text) <= MAX_SEQ_NUM:
        return int(text)
    raise IdentifierError(
        f"{value!r} is not a seq_num.", advice=f"Give a whole number from 0 to {MAX_SEQ_NUM}."
    )


def day_obs_date(day_obs: int) -> dt.date:
    """Give the calendar date at which a day_obs begins.

    Parameters
    ----------
    day_obs
        Day of observation, ``YYYYMMDD``.

    Returns
    -------
    datetime.date
        The date; the day_obs lasts from 12 h TAI of it to 12 h TAI of the next.
    """
    text = str(check_day_obs(day_obs))
    return dt.date(int(text[:4]), int(text[4:6]), int(text[6:]))


def day_obs_from_tai(tai: dt.datetime) -> int:
    """Give the day_obs of a TAI time at the mountain.

    Parameters
    ----------
    tai
        Time on the TAI scale, without time zone.

    Returns
    -------
    int
        Date of TAI minus 12 h.

    Raises
    ------
    IdentifierError
        If the time carries a time zone: civil time zones belong to UTC, not to TAI.
    """
    if tai.tzinfo is not None:
        raise IdentifierError(
            "day_obs_from_tai needs a TAI time without time zone.",
            advice="Use day_obs_from_time with an astropy Time.",
        )
    return int((tai - _ROLLOVER).strftime("%Y%m%d"))


def day_obs_from_time(time: Time) -> int:
    """Give the day_obs of an astropy Time of any scale.

    Parameters
    ----------
    time
        A scalar time; its scale is converted to TAI.

    Returns
    -------
    int
        Date of TAI minus 12 h.
    """
    return day_obs_from_tai(time.tai.datetime)


def exposure_id(day_obs: int, seq_num: int, controller: str = "O") -> int:
    """Compute the exposure id.

    Parameters
    ----------
    day_obs
        Day of observation, ``YYYYMMDD``.
    seq_num
        Sequence number of the exposure within the day.
    controller
        One letter of ``OCHPQS``.

    Returns
    -------
    int
        13 digits: year (with the controller's thousands), month, day, and five digits of seq_num.

    Raises
    ------
    IdentifierError
        If a part is not valid.
    """
    day_obs, seq_num = check_day_obs(day_obs), check_seq_num(seq_num)
    if len(controller) != 1 or controller not in CONTROLLERS:
        raise IdentifierError(
            f"{controller!r} is not a controller.", advice=f"Give one of {', '.join(CONTROLLERS)}."
        )
    adds = day_obs <= _CONTROLLER_ADDS_UNTIL.get(controller, 99999999)
    thousands = CONTROLLERS.index(controller) if adds else 0
    return (day_obs + thousands * 10_000_000) * 100_000 + seq_num


def parse_exposure_id(value: object) -> tuple[int, int, str]:
    """Split an exposure id.

    Parameters
    ----------
    value
        13 digits, integer or text.

    Returns
    -------
    day_obs : int
        Day of observation.
    seq_num : int
        Sequence number.
    controllers : str
        All controllers that give this id: the id does not tell O from C, P, Q and S on later dates.

    Raises
    ------
    IdentifierError
        If it is not an exposure id.
    """
    text = str(value).strip()
    if not isinstance(value, bool) and re.fullmatch(r"\d{13}", text, re.ASCII):
        thousands, rest = divmod(int(text[:8]) - 20_000_000, 10_000_000)
        if 0 <= thousands < len(CONTROLLERS):
            day_obs = check_day_obs(rest + 20_000_000)
            seq_num = int(text[8:])
            found = "".join(c for c in CONTROLLERS if exposure_id(day_obs, seq_num, c) == int(text))
            if found:
                return day_obs, seq_num, found
    raise IdentifierError(f"{value!r} is not an exposure id.", advice="Give 13 digits such as 2024062400106.")


@dataclass(frozen=True, order=True)
class ObsId:
    """Name of one exposure, such as ``AT_O_20240624_000106``.

    Parameters
    ----------
    camera
        Camera code: AT, CC, MC or TS.
    controller
        One letter of ``OCHPQS``.
    day_obs, seq_num
        When it was taken.
    """

    camera: str
    controller: str
    day_obs: int
    seq_num: int

    def __post_init__(self) -> None:
        if self.camera not in CAMERA_CODES:
            raise IdentifierError(
                f"{self.camera!r} is not a camera code.", advice=f"Give one of {', '.join(CAMERA_CODES)}."
            )
        exposure_id(self.day_obs, self.seq_num, self.controller)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an obs id.

        Parameters
        ----------
        text
            For instance ``AT_O_20240624_000106``.

        Returns
        -------
        ObsId
            Its parts.

        Raises
        ------
        IdentifierError
            If it is not one.
        """
        match = _OBS_ID.fullmatch(text.strip()) if text.isascii() else None
        if match is None:
            raise IdentifierError(
                f"{text!r} is not an obs id.", advice="Give for instance AT_O_20240624_000106."
            )
        return cls(
            match["camera"],
            match["controller"],
            check_day_obs(match["day_obs"]),
            check_seq_num(match["seq_num"]),
        )

    @override
    def __str__(self) -> str:
        return f"{self.camera}_{self.controller}_{self.day_obs:08d}_{self.seq_num:06d}"

    @property
    def exposure_id(self) -> int:
        """Exposure id of this exposure."""
        return exposure_id(self.day_obs, self.seq_num, self.controller)

    @property
    def instrument(self) -> str:
        """Butler name of the instrument that the camera code stands for."""
        return CAMERA_CODES[self.camera]


@dataclass(frozen=True, order=True)
class FileId:
    """Name of one raw file: an obs id and a detector, such as ``CC_O_20241108_000266_R22_S00``.

    Parameters
    ----------
    obs_id
        The exposure.
    detector
        Detector name, raft and sensor: ``R22_S00``.
    """

    obs_id: ObsId
    detector: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a raw file's name, with or without folder and ending.

        Parameters
        ----------
        text
            For instance ``CC_O_20241108_000266_R22_S00.fits``.

        Returns
        -------
        FileId
            Its parts.

        Raises
        ------
        IdentifierError
            If it is not one.
        """
        stem = text.rsplit("/", 1)[-1].split(".", 1)[0]
        match = _FILE_ID.fullmatch(stem)
        if match is None:
            raise IdentifierError(
                f"{text!r} is not the name of a raw file.",
                advice="Give for instance CC_O_20241108_000266_R22_S00.fits.",
            )
        return cls(ObsId.parse(stem[: match.start("raft") - 1]), f"{match['raft']}_{match['sensor']}")

    @override
    def __str__(self) -> str:
        return f"{self.obs_id}_{self.detector}"


@dataclass(frozen=True, order=True)
class CscName:
    """Name and index of a CSC, such as ``DIMM:1``; an index of 0 stands for a CSC that has none.

    Parameters
    ----------
    name
        SAL component name.
    index
        SAL index, 0 or more.
    """

    name: str
    index: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a CSC name as ``salobj.name_to_name_index`` does, wildcards refused.

        Parameters
        ----------
        text
            ``NAME`` or ``NAME:INDEX``.

        Returns
        -------
        CscName
            Its parts.

        Raises
        ------
        IdentifierError
            If it is not a CSC name, or if the index is ``*``: a wildcard finds only CSCs that are running, so it
            never means the same set twice.
        """
        match = _CSC_NAME.fullmatch(text)
        if match is None:
            raise IdentifierError(
                f"{text!r} is not a CSC name.", advice="Give NAME or NAME:INDEX, for instance DIMM:1."
            )
        if match["index"] == "*":
            raise IdentifierError(
                f"{text!r} is a wildcard, which is not safe here: it finds only CSCs that are running now.",
                advice=f"Name each CSC, for instance {match['name']}:1.",
            )
        return cls(match["name"], int(match["index"] or 0))

    @override
    def __str__(self) -> str:
        return f"{self.name}:{self.index}" if self.index else self.name

"""Names of raw files: as transferred, and as a Gen2 repository writes them.

Templates are those of ``obs_lsst`` w.2019.21 and later; from 2020 ``visit`` is ``expId`` and has 13 digits.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from lsst_commtools.errors import IdentifierError, NotFoundError
from lsst_commtools.ids import CAMERA_CODES, MAX_SEQ_NUM, ObsId
from lsst_commtools.instrument.cameras import get_camera

__all__ = ["RawName", "StoredName", "instrument_of_mapper", "parse_raw_name", "parse_stored_name", "raw_path"]

RAW_ENDINGS = (".fits", ".fits.fz", ".fits.gz")
_STORED = re.compile(
    r"(AT|CC|MC|TS)_([OCHPQS])_(\d{8})_(\d{6})(?:_([A-Za-z0-9-]{3,7}_[A-Za-z0-9]{3}))?",
    re.ASCII,
)
_RAW = re.compile(
    r"(?P<id>\d{8,13})-(?:(?P<raft>R[A-Za-z0-9-]{2,6})-(?P<sensor>S[A-Za-z0-9]{2})-)?det(?P<detector>\d{3})"
    r"(?:-(?P<snap>\d{3}))?\.fits(?:\.fz|\.gz)?",
    re.ASCII,
)
_MAPPERS = {
    "auxtel": "LATISS", "latiss": "LATISS", "ts8": "LSST-TS8", "comcam": "LSSTComCam", "lsstcam": "LSSTCam",
}  # fmt: skip


class StoredName(NamedTuple):
    """What the name of a transferred file tells; a tuple, for there are 10^5 of them.

    Parameters
    ----------
    camera, controller
        Their codes.
    day_obs, seq_num
        When it was taken.
    exposure_id
        Id with the controller's term.
    detector
        Detector number, None where the name does not tell it.
    """

    camera: str
    controller: str
    day_obs: int
    seq_num: int
    exposure_id: int
    detector: int | None

    @property
    def obs_id(self) -> ObsId:
        """The image."""
        return ObsId(self.camera, self.controller, self.day_obs, self.seq_num)

    @property
    def plain_id(self) -> int:
        """Id without the controller's term, as the Gen2 stack computed it until 2019-11-19."""
        return self.day_obs * 100_000 + self.seq_num


@dataclass(frozen=True)
class RawName:
    """What the name of a file below ``raw`` tells.

    Parameters
    ----------
    exposure_id
        The id, with or without the controller's term.
    detector
        Detector number.
    """

    exposure_id: int
    detector: int


def parse_stored_name(name: str) -> StoredName | None:
    """Read the name of a transferred raw file.

    Parameters
    ----------
    name
        File name without folder, such as ``AT_O_20190529_000001.fits`` or ``MC_C_20190406_000001_R22_S11.fits``.

    Returns
    -------
    StoredName or None
        None if it names no image.
    """
    match = _STORED.match(name)
    if match is None:
        return None
    code, controller, day, number, detector = match.groups()
    first = _first_id(code, controller, day)
    seq_num = int(number)
    if first is None or seq_num > MAX_SEQ_NUM:
        return None
    found = _detector(code, detector)
    return StoredName(code, controller, int(day), seq_num, first + seq_num, found)


@functools.lru_cache(maxsize=4096)
def _first_id(code: str, controller: str, day: str) -> int | None:
    try:
        return ObsId(code, controller, int(day), 0).exposure_id
    except IdentifierError:
        return None


@functools.lru_cache(maxsize=4096)
def _detector(code: str, name: str | None) -> int | None:
    camera = get_camera(CAMERA_CODES[code])
    if len(camera.detectors) == 1:
        return camera.detectors[0].id
    try:
        return camera.detector(name).id if name else None
    except NotFoundError:
        return None


def parse_raw_name(name: str) -> RawName | None:
    """Read the name of a file below ``raw``.

    Parameters
    ----------
    name
        File name without folder, such as ``2019052900001-det000.fits``.

    Returns
    -------
    RawName or None
        None if the old stack would not have written it.
    """
    match = _RAW.fullmatch(name)
    return RawName(int(match["id"]), int(match["detector"])) if match else None


def raw_path(row: Mapping[str, Any]) -> str | None:
    """Give the path at which the old stack looks for the raw of a registry row.

    Parameters
    ----------
    row
        Columns of the row.

    Returns
    -------
    str or None
        Path relative to the root; None if the row lacks a column that the template needs.
    """
    number = row.get("expId", row.get("visit"))
    detector = row.get("detector")
    if not isinstance(number, int) or not isinstance(detector, int):
        return None
    digits = f"{number:013d}" if row.get("expId") is not None else f"{number:08d}"
    if row.get("run") is not None and row.get("raftName") and row.get("detectorName"):
        raft, sensor, snap = row["raftName"], row["detectorName"], row.get("snap")
        snap = snap if isinstance(snap, int) else 0
        return f"raw/{row['run']}/{raft}/{digits}-{raft}-{sensor}-det{detector:03d}-{snap:03d}.fits"
    if not row.get("dayObs"):
        return None
    return f"raw/{row['dayObs']}/{digits}-det{detector:03d}.fits"


def day_folder(day_obs: int) -> str:
    """Give the name of a night's folder below ``raw``.

    Parameters
    ----------
    day_obs
        Day of observation, ``YYYYMMDD``.

    Returns
    -------
    str
        ``YYYY-MM-DD``.
    """
    return dt.datetime.strptime(str(day_obs), "%Y%m%d").date().isoformat()  # noqa: DTZ007 - a date without time


def instrument_of_mapper(mapper: str | None) -> str | None:
    """Tell which camera a mapper is for.

    Parameters
    ----------
    mapper
        Dotted name, such as ``lsst.obs.lsst.auxTel.AuxTelMapper``.

    Returns
    -------
    str or None
        Butler instrument name, None if it is not a known one.
    """
    name = (mapper or "").rsplit(".", 1)[-1].lower()
    return next((instrument for word, instrument in _MAPPERS.items() if word in name), None)

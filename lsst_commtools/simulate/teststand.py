"""Teststand data as they lay on disk in 2019: storage, Gen2 repositories, logs, and the repositories linked to them.

The tree is the one of the announcement "Production location for teststand data": production below
``lsstdata/offline/teststand``, the repositories for users below ``project/shared``, a temporary copy that holds fewer
nights below ``project/production/tmpdataloc``. Images are tiny FITS files. The ingest behaves like ``ingestImages.py``
of w.2019.21, its broken states included, and writes the same lines into its log.
"""

from __future__ import annotations

import datetime as dt
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from lsst_commtools.ids import ObsId

__all__ = ["IngestFault", "OldIngest", "Teststand", "make_teststand", "write_raw"]

_BLOCK = 2880
_SEGMENT_ROWS, _SEGMENT_COLUMNS = 12, 4
AUXTEL_MAPPER = "lsst.obs.lsst.auxTel.AuxTelMapper"
_COLUMNS = {
    "dayObs": "text", "seqNum": "int", "visit": "int", "detector": "int", "detectorName": "text", "filter": "text",
    "dateObs": "text", "date": "text", "expTime": "double", "object": "text", "imageType": "text",
    "wavelength": "int",
}  # fmt: skip


@dataclass(frozen=True)
class Teststand:
    """A simulated teststand.

    Parameters
    ----------
    root
        Folder that holds everything.
    archiver, daq
        The two sources of auxTel data, each with ``storage``, ``gen2repo`` and ``log``.
    shared
        Repository for users, linked to the archiver's.
    temporary
        Temporary copy of the archiver's source, with the first night only.
    obs_ids
        Images of the archiver, in order.
    """

    root: Path
    archiver: Path
    daq: Path
    shared: Path
    temporary: Path
    obs_ids: tuple[ObsId, ...]


def write_raw(
    path: Path,
    obs_id: ObsId,
    *,
    exposure_s: float = 2.0,
    target: str = "FLAT",
    without: Iterable[str] = (),
) -> Path:
    """Write a tiny raw file: the keywords that an ingest reads, and 16 segments of 12 x 4 pixels.

    Parameters
    ----------
    path
        File to write.
    obs_id
        The image; also the seed of its pixels.
    exposure_s
        Exposure time in seconds.
    target
        Value of OBJECT.
    without
        Keywords to leave out.

    Returns
    -------
    pathlib.Path
        The file.
    """
    values = _primary(obs_id, exposure_s, target)
    left_out = set(without)
    parts = [_header({key: value for key, value in values.items() if key not in left_out})]
    rng = np.random.default_rng(obs_id.exposure_id)
    for row in (1, 0):
        for column in range(8):
            pixels = rng.normal(1000, 30, (_SEGMENT_ROWS, _SEGMENT_COLUMNS)).astype(">i4").tobytes()
            parts += [_header(_segment(row, column)), pixels.ljust(_BLOCK, b"\0")]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(parts))
    return path


def _primary(obs_id: ObsId, exposure_s: float, target: str) -> dict[str, object]:
    day = str(obs_id.day_obs)
    start = dt.datetime.strptime(day, "%Y%m%d") + dt.timedelta(hours=20, seconds=obs_id.seq_num * 30)  # noqa: DTZ007 - TAI
    end = start + dt.timedelta(seconds=exposure_s)
    times = {
        f"DATE-{key}": f"{time.isoformat()}" for key, time in (("OBS", start), ("BEG", start), ("END", end))
    }
    return {
        "SIMPLE": True, "BITPIX": 8, "NAXIS": 0, "EXTEND": True, "INSTRUME": "LATISS", "TELESCOP": "LSST AuxTelescope",
        "CAMCODE": obs_id.camera, "CONTRLLR": obs_id.controller, "OBSID": str(obs_id), "GROUPID": str(obs_id),
        "DAYOBS": day, "SEQNUM": obs_id.seq_num, "TIMESYS": "TAI", **times, "EXPTIME": exposure_s,
        "DARKTIME": exposure_s, "SHUTTIME": exposure_s, "OBJECT": target, "IMGTYPE": "FLAT", "TESTTYPE": "FLAT",
        "FILTER": "empty", "FILTBAND": "white", "RAFTBAY": "R00", "CCDSLOT": "S00", "TSTAND": "AUXTEL",
    }  # fmt: skip


def _segment(row: int, column: int) -> dict[str, object]:
    """Give the header of a segment: both rows read upwards, prescans and overscans left out."""
    first_x, first_y = column * _SEGMENT_COLUMNS, row * _SEGMENT_ROWS
    section = f"[{first_x + 1}:{first_x + _SEGMENT_COLUMNS},{first_y + 1}:{first_y + _SEGMENT_ROWS}]"
    return {
        "XTENSION": "IMAGE", "BITPIX": 32, "NAXIS": 2, "NAXIS1": _SEGMENT_COLUMNS, "NAXIS2": _SEGMENT_ROWS,
        "PCOUNT": 0, "GCOUNT": 1, "EXTNAME": f"Segment{row}{column}",
        "DATASEC": f"[1:{_SEGMENT_COLUMNS},1:{_SEGMENT_ROWS}]", "DETSEC": section,
        "DETSIZE": f"[1:{8 * _SEGMENT_COLUMNS},1:{2 * _SEGMENT_ROWS}]", "CCDSUM": "1 1",
    }  # fmt: skip


def _header(values: Mapping[str, object]) -> bytes:
    text = "".join(_card(key, value) for key, value in values.items()) + "END".ljust(80)
    return text.encode().ljust(-(-len(text) // _BLOCK) * _BLOCK)


def _card(key: str, value: object) -> str:
    if isinstance(value, bool):
        text = f"{'T' if value else 'F':>20}"
    elif isinstance(value, str):
        text = f"'{value:8}'"
    else:
        text = f"{value!s:>20}"
    return f"{key:8}= {text}".ljust(80)


class IngestFault(Exception):  # noqa: N818 - it is the end of a simulated run, not an error of this package
    """The simulated ingest ended early, as the old one did."""


@dataclass
class OldIngest:
    """``ingestImages.py`` of w.2019.21, as far as its marks on disk go.

    Parameters
    ----------
    repository
        The Gen2 repository.
    log
        File to which its messages are added.
    seed
        Seed of the names of temporary registries.
    """

    repository: Path
    log: Path
    seed: int = 1
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self.repository.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)

    @property
    def registry(self) -> Path:
        """The registry."""
        return self.repository / "registry.sqlite3"

    def run(
        self,
        files: Iterable[Path],
        *,
        ignore_ingested: bool = False,
        clobber: bool = False,
        started: bytes | None = None,
    ) -> None:
        """Ingest files in link mode.

        Parameters
        ----------
        files
            Raw files.
        ignore_ingested
            Pass over images that have a row, without a word.
        clobber
            Replace links that exist.
        started
            Registry as it was when the run began; that of now by default. With an older one this is the second of two
            runs at once, which loses the rows of the first.

        Raises
        ------
        IngestFault
            If the run breaks: a column is missing, or a row exists.
        """
        name = "".join(self._random.choices("abcdefghijklmnopqrstuvwxyz0123456789_", k=8))
        copy = self.registry.with_name(self.registry.name + name)
        if started is not None:
            copy.write_bytes(started)
        elif self.registry.exists():
            shutil.copyfile(self.registry, copy)
        with self.log.open("a") as log, sqlite3.connect(copy) as registry:
            _create_tables(registry)
            for file in files:
                self._one(file, registry, log.write, ignore_ingested=ignore_ingested, clobber=clobber)
        registry.close()
        copy.rename(self.registry)

    def _one(
        self,
        file: Path,
        registry: sqlite3.Connection,
        write: Callable[[str], object],
        *,
        ignore_ingested: bool,
        clobber: bool,
    ) -> None:
        header = _read_header(file)
        if "SEQNUM" not in header:
            write("ingest.parse WARN: Unable to find value for seqNum (derived from SEQNUM)\n")
            write("ingest.parse WARN: translate_visit failed to translate visit: 'SEQNUM'\n")
            write(f"ingest WARN: Failed to ingest file {file}: 'visit'\n")
            return
        day = header["DAYOBS"]
        row = {
            "dayObs": f"{day[:4]}-{day[4:6]}-{day[6:]}", "seqNum": int(header["SEQNUM"]),
            "visit": int(day) * 100_000 + int(header["SEQNUM"]), "detector": 0, "detectorName": "S00",
            "filter": header.get("FILTER", "NONE"), "dateObs": header["DATE-OBS"], "date": header["DATE-OBS"],
            "object": header["OBJECT"], "imageType": header["IMGTYPE"], "wavelength": -666,
        }  # fmt: skip
        out = self.repository / "raw" / str(row["dayObs"]) / f"{row['visit']:08d}-det000.fits"
        known = registry.execute(
            "SELECT 1 FROM raw WHERE visit = ? AND detector = 0", (row["visit"],)
        ).fetchone()
        if known and ignore_ingested:
            return
        if known:
            write(f"ingest WARN: {file}: already ingested: {row}\n")
        if out.is_symlink() and not clobber:
            exists = f"File {out} already exists; consider --config clobber=True"
            write(f"ingest WARN: Failed to link {file} to {out}: {exists}\n")
            write(f"ingest WARN: Failed to ingest file {file}: {exists}\n")
            return
        out.parent.mkdir(parents=True, exist_ok=True)
        out.unlink(missing_ok=True)
        out.symlink_to(file)
        write(f"ingest INFO: {file} --link--> {out}\n")
        if "EXPTIME" not in header:
            write("Traceback (most recent call last):\nKeyError: 'expTime'\n")
            raise IngestFault("KeyError: 'expTime'")
        row["expTime"] = float(header["EXPTIME"])
        try:
            registry.execute(
                f"INSERT INTO raw ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})",  # noqa: S608
                [row[key] for key in _COLUMNS],
            )
        except sqlite3.IntegrityError as error:
            write(f"Traceback (most recent call last):\nsqlite3.IntegrityError: {error}\n")
            raise IngestFault(str(error)) from None


def _create_tables(registry: sqlite3.Connection) -> None:
    columns = ", ".join(f"{key} {kind}" for key, kind in _COLUMNS.items())
    key = "id integer primary key autoincrement"
    registry.execute(f"CREATE TABLE IF NOT EXISTS raw ({key}, {columns}, unique(visit, detector))")
    registry.execute(
        "CREATE TABLE IF NOT EXISTS raw_visit (visit int, filter text, dateObs text, expTime double, unique(visit))"
    )


def _read_header(file: Path) -> dict[str, str]:
    text = file.read_bytes()[:_BLOCK].decode("ascii", "replace")
    cards = (text[start : start + 80] for start in range(0, len(text), 80))
    return {
        card[:8].strip(): card[10:].split("/")[0].strip().strip("'").strip()
        for card in cards
        if card[8:10] == "= "
    }


def make_teststand(
    folder: Path,
    *,
    day_obs: tuple[int, ...] = (20190529, 20190530),
    images: int = 4,
    linked_to: Literal["archiver", "temporary"] = "archiver",
) -> Teststand:
    """Make a teststand in which everything is in order.

    Parameters
    ----------
    folder
        Folder to make it in.
    day_obs
        Nights.
    images
        Images of each night.
    linked_to
        Where the repository for users leads: before the switchover it was the temporary copy.

    Returns
    -------
    Teststand
        Where its parts are.
    """
    root = folder.resolve()
    production = root / "lsstdata/offline/teststand/auxTel"
    archiver, daq = production / "L1Archiver", production / "DAQ"
    temporary = root / "project/production/tmpdataloc/auxTel/L1Archiver"
    obs_ids = tuple(ObsId("AT", "O", day, seq) for day in day_obs for seq in range(1, images + 1))
    _fill(archiver, obs_ids)
    _fill(daq, tuple(ObsId("AT", "C", o.day_obs, o.seq_num) for o in obs_ids if o.seq_num <= images // 2))
    _fill(temporary, tuple(o for o in obs_ids if o.day_obs == day_obs[0]))
    shared = root / "project/shared/auxTel"
    (shared / "rerun").mkdir(parents=True)
    (shared / "rerun").chmod(0o1777)
    (shared / "_mapper").write_text(AUXTEL_MAPPER + "\n")
    (shared / "_parent").symlink_to((archiver if linked_to == "archiver" else temporary) / "gen2repo")
    _make_calib(shared / "CALIB")
    return Teststand(root, archiver, daq, shared, temporary, obs_ids)


def _fill(source: Path, obs_ids: tuple[ObsId, ...]) -> None:
    files = [write_raw(_stored(source, obs_id), obs_id) for obs_id in obs_ids]
    repository = source / "gen2repo"
    repository.mkdir(parents=True)
    (repository / "_mapper").write_text(AUXTEL_MAPPER + "\n")
    OldIngest(repository, source / "log/auto/ingest_output.log").run(files)


def _stored(source: Path, obs_id: ObsId) -> Path:
    day = str(obs_id.day_obs)
    return source / "storage" / f"{day[:4]}-{day[4:6]}-{day[6:]}" / f"{obs_id}.fits"


def _make_calib(folder: Path) -> None:
    folder.mkdir(parents=True)
    with sqlite3.connect(folder / "calibRegistry.sqlite3") as registry:
        for name in ("bias", "dark", "flat"):
            columns = "filter text, detector int, calibDate text, validStart text, validEnd text"
            registry.execute(f"CREATE TABLE {name} ({columns}, unique(filter, detector, calibDate))")
    registry.close()

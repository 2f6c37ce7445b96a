"""Where the files of a simulated night lie, and how they are written."""

from __future__ import annotations

from pathlib import Path

from lsst_commtools.instrument.cameras import Detector
from lsst_commtools.simulate.schedule import Exposure

__all__ = ["file_name", "raw_path", "second_path", "star_path", "write_bytes"]


def file_name(exposure: Exposure, detector: Detector) -> str:
    """Name a raw file.

    Parameters
    ----------
    exposure, detector
        What it holds.

    Returns
    -------
    str
        Obs id, raft and sensor. Headers and files call the raft of LATISS R00, the Butler RXX.
    """
    return f"{exposure.obs_id}_{detector.raft.replace('RXX', 'R00')}_{detector.sensor}.fits"


def raw_path(exposure: Exposure, detector: Detector) -> Path:
    """Say where a raw file lies within the night's folder.

    Parameters
    ----------
    exposure, detector
        What it holds.

    Returns
    -------
    Path
        ``raw/<DAYOBS>/<OBSID>/<file>``.
    """
    return Path("raw", str(exposure.obs_id.day_obs), str(exposure.obs_id), file_name(exposure, detector))


def second_path(exposure: Exposure, detector: Detector) -> Path:
    """Say where the second file of a duplicate or collision lies.

    Parameters
    ----------
    exposure, detector
        What it holds.

    Returns
    -------
    Path
        ``raw/<DAYOBS>-ccs/<OBSID>/<file>``.
    """
    return Path("raw", f"{exposure.obs_id.day_obs}-ccs", str(exposure.obs_id), file_name(exposure, detector))


def star_path(exposure: Exposure, detector: Detector) -> Path:
    """Say where the true stars of an image lie within the night's folder.

    Parameters
    ----------
    exposure, detector
        Which image.

    Returns
    -------
    Path
        ``truth/<file stem>.parquet``.
    """
    return Path("truth", file_name(exposure, detector)).with_suffix(".parquet")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file that is either whole or not there.

    Parameters
    ----------
    path
        The file; its folder is made.
    content
        All of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.replace(path)

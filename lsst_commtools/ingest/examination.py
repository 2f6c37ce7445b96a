"""One file before the Butler sees it: read, checked, translated."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsst_commtools.errors import CommtoolsError, NotFoundError, TableError
from lsst_commtools.ingest.ledger import Key
from lsst_commtools.ingest.outcomes import FileOutcome, Outcome
from lsst_commtools.instrument.cameras import Camera
from lsst_commtools.instrument.headers import ObservationInfo, contradictions, identify_camera, translate
from lsst_commtools.instrument.raws import inspect_raw

__all__ = ["Candidate", "ExposureFacts", "data_id_of", "examine", "list_files", "majority"]

_ENDINGS = (".fits", ".fits.fz")


@dataclass(frozen=True)
class Candidate:
    """A file that may be ingested.

    Parameters
    ----------
    path
        The file.
    size_bytes, mtime_ns, sha256
        Its state when it was read.
    info
        Its translated header.
    shape
        Rows and columns of the image.
    """

    path: Path
    size_bytes: int
    mtime_ns: int
    sha256: str
    info: ObservationInfo
    shape: tuple[int, int]

    @property
    def key(self) -> Key:
        """Data id: instrument, exposure, detector."""
        return self.info.instrument, self.info.exposure_id, self.info.detector

    def outcome(self, outcome: Outcome, reason: str = "", kept_aside: Path | None = None) -> FileOutcome:
        """Say what became of it.

        Parameters
        ----------
        outcome, reason, kept_aside
            As in `FileOutcome`.

        Returns
        -------
        FileOutcome
            With this file's identity.
        """
        data_id = data_id_of(self.key, self.info.day_obs, self.info.seq_num)
        return FileOutcome(self.path, outcome, reason, data_id, self.sha256, kept_aside)


@dataclass(frozen=True)
class ExposureFacts:
    """What all detectors of an exposure must agree on.

    Parameters
    ----------
    obs_id, observation_type, physical_filter
        As in `ObservationInfo`.
    """

    obs_id: str
    observation_type: str
    physical_filter: str

    @classmethod
    def of(cls, info: ObservationInfo) -> ExposureFacts:
        """Take them from a header.

        Parameters
        ----------
        info
            Translated header.

        Returns
        -------
        ExposureFacts
            The facts.
        """
        return cls(info.obs_id, info.observation_type, info.physical_filter)

    def disagreement(self, info: ObservationInfo) -> str:
        """Say where a header disagrees with its exposure.

        Parameters
        ----------
        info
            Translated header of one detector.

        Returns
        -------
        str
            One sentence; empty where all is well.
        """
        other = ExposureFacts.of(info)
        differing = [
            f"{name} {theirs!r} where the exposure has {ours!r}"
            for name, theirs, ours in (
                ("obs id", other.obs_id, self.obs_id),
                ("type", other.observation_type, self.observation_type),
                ("filter", other.physical_filter, self.physical_filter),
            )
            if theirs != ours
        ]
        return (
            f"The header disagrees with its exposure {info.exposure_id}: {', '.join(differing)}."
            if differing
            else ""
        )


def data_id_of(key: Key, day_obs: int, seq_num: int) -> dict[str, Any]:
    """Write a data id for a report.

    Parameters
    ----------
    key
        Instrument, exposure, detector.
    day_obs, seq_num
        Which exposure it was.

    Returns
    -------
    dict
        With these five keys.
    """
    instrument, exposure, detector = key
    return {
        "instrument": instrument, "exposure": exposure, "detector": detector, "day_obs": day_obs, "seq_num": seq_num,
    }  # fmt: skip


def list_files(paths: Iterable[str | Path]) -> list[Path]:
    """List the files to ingest.

    Parameters
    ----------
    paths
        Files, which are taken whatever their name, and folders, in which all ``.fits`` and ``.fits.fz`` are found.

    Returns
    -------
    list of pathlib.Path
        Absolute, each once: in the order given, within a folder sorted.

    Raises
    ------
    NotFoundError
        If a path does not exist.
    """
    found: dict[Path, None] = {}
    for given in paths:
        path = Path(os.path.abspath(given))  # noqa: PTH100  symbolic links stay: they are what the user named
        if path.is_dir():
            found |= dict.fromkeys(sorted(p for p in path.rglob("*.fits*") if _is_raw(path, p)))
        elif path.exists() or path.is_symlink():
            found[path] = None
        else:
            raise NotFoundError(f"There is no {path}.", advice="Give raw files, or folders that hold some.")
    return list(found)


def _is_raw(folder: Path, path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)  # transfers under way
    return path.name.endswith(_ENDINGS) and not hidden and not path.is_dir()


def examine(path: Path, camera: Camera, only_day_obs: int | None = None) -> Candidate | FileOutcome:
    """Read a file and decide whether it may be ingested.

    Parameters
    ----------
    path
        The file.
    camera
        Camera that the repository's run is for.
    only_day_obs
        Night outside of which files are refused; None for all nights.

    Returns
    -------
    Candidate or FileOutcome
        The candidate; or why it is unreadable or refused.
    """
    try:
        state = path.stat()
        raw = inspect_raw(path)
    except (TableError, OSError) as error:
        return FileOutcome(path, Outcome.UNREADABLE, str(error))
    try:
        found = identify_camera(raw.header)
        if found is not camera and found.name != camera.name:
            reason = f"It is of {found.name}, not of {camera.name}."
            return FileOutcome(path, Outcome.HEADER_REFUSED, reason, None, raw.sha256)
        wrong = contradictions(raw.header)
        info = translate(raw.header)
    except CommtoolsError as error:
        return FileOutcome(path, Outcome.HEADER_REFUSED, str(error), None, raw.sha256)
    candidate = Candidate(path, raw.size_bytes, state.st_mtime_ns, raw.sha256, info, raw.shape)
    if wrong:
        # The contradiction is about what it belongs to, so no data id is told.
        return FileOutcome(path, Outcome.HEADER_REFUSED, " ".join(wrong), None, raw.sha256)
    if only_day_obs is not None and info.day_obs != only_day_obs:
        return candidate.outcome(
            Outcome.HEADER_REFUSED, f"It is of the night {info.day_obs}, not {only_day_obs}."
        )
    return candidate


def majority(candidates: Sequence[Candidate]) -> Mapping[int, ExposureFacts]:
    """Take for each exposure what most of its detectors say.

    Parameters
    ----------
    candidates
        Files of any exposures.

    Returns
    -------
    dict
        Exposure to facts; the first file decides a tie.
    """
    votes: dict[int, Counter[ExposureFacts]] = {}
    for candidate in candidates:
        votes.setdefault(candidate.info.exposure_id, Counter())[ExposureFacts.of(candidate.info)] += 1
    return {exposure: counter.most_common(1)[0][0] for exposure, counter in votes.items()}

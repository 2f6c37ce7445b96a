"""One Gen2 repository: where an image is in its chain, and what it holds of a night."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lsst_commtools.errors import NotFoundError, TableError
from lsst_commtools.instrument.cameras import get_camera
from lsst_commtools.repos.audit import TeststandPaths, find_teststand_paths
from lsst_commtools.repos.chain import find_in_chain, resolve_chain
from lsst_commtools.repos.image import ImageId
from lsst_commtools.repos.ingest_log import find_logs, read_logs
from lsst_commtools.repos.names import day_folder, parse_raw_name, parse_stored_name, raw_path
from lsst_commtools.repos.registry import RegistryRow, read_rows
from lsst_commtools.repos.tree import Folders, is_folder, is_there, list_tree
from lsst_commtools.repos.values import Chain, Location, Repository

__all__ = ["Gen2Repository", "Holding", "Lost"]


@dataclass(frozen=True)
class Lost:
    """What is known of an image that a repository does not find.

    Parameters
    ----------
    stored
        Files of it in the storage.
    other
        Places in the repository that lead to these files under another id.
    occupied
        Places that another image of the same id holds.
    registered
        Rows without a file.
    log
        Line of the ingest log that says why.
    unread
        What could not be looked at.
    """

    stored: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    occupied: tuple[str, ...] = ()
    registered: tuple[RegistryRow, ...] = ()
    log: str | None = None
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class Holding:
    """What a repository holds of one detector of one exposure.

    Parameters
    ----------
    exposure_id, seq_num, detector
        Which.
    transferred
        Whether the raw file is in the storage; None where the storage is not known.
    registered
        Whether the registry has it.
    present
        Whether the file is there.
    """

    exposure_id: int
    seq_num: int
    detector: int
    transferred: bool | None
    registered: bool
    present: bool


class Gen2Repository:
    """A Gen2 repository with its parents, read as it is on disk at this moment.

    Parameters
    ----------
    repository
        What the site says of it.
    """

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self._folders = Folders()

    @functools.cached_property
    def chain(self) -> Chain:
        """Its roots in search order."""
        return resolve_chain(self.repository.root)

    @functools.cached_property
    def paths(self) -> TeststandPaths:
        """Its registry's repository, storage and log."""
        try:
            return find_teststand_paths(self.repository.source or self.repository.root)
        except NotFoundError:
            return TeststandPaths(self.repository.root, None, None)

    def locate(self, image: ImageId) -> list[Location]:
        """Find an image in the chain.

        Parameters
        ----------
        image
            The image.

        Returns
        -------
        list of Location
            Those that win first; a dangling link wins as well, as it does in the old stack.
        """
        found: list[Location] = []
        taken: set[int] = set()
        for relative, path in self._candidates(image):
            location = self._location(image, relative, path, taken)
            if location is not None:
                found.append(location)
        return sorted(found, key=lambda location: not location.wins)

    def _location(self, image: ImageId, relative: str, path: str, taken: set[int]) -> Location | None:
        name = parse_raw_name(relative.rsplit("/", 1)[-1])
        target = self._target(path)
        stored = parse_stored_name(target.rsplit("/", 1)[-1])
        if name is None or (stored is not None and stored.obs_id not in image):
            return None
        if image.detector and image.instrument:
            wanted = get_camera(image.instrument).detector(image.detector).id
            if name.detector != wanted:
                return None
        wins = name.detector not in taken
        taken.add(name.detector)
        root = path[: len(path) - len(relative) - 1]
        label, exists = self.repository.label, is_there(path)
        return Location(label, root, "", path, target, name.exposure_id, name.detector, exists, wins)

    def _target(self, path: str) -> str:
        try:
            text = os.readlink(path)  # noqa: PTH115 - kept as it is written
        except OSError:
            text = None
        return self._folders.target(path, text)

    def _candidates(self, image: ImageId) -> Iterator[tuple[str, str]]:
        """Give relative and absolute paths at which the image could be, in search order."""
        relatives: dict[str, None] = {}
        for row in self.rows(image):
            place = raw_path(row.values)
            if place is not None and ".." not in place.split("/"):
                relatives[place] = None
        for root in self.chain.roots:
            for relative in _named(root, image):
                relatives[relative] = None
        for relative in relatives:
            for path in find_in_chain(self.chain, relative):
                yield relative, path

    def rows(self, image: ImageId) -> list[RegistryRow]:
        """Give the registry rows of an image, over all registries of the chain.

        Parameters
        ----------
        image
            The image.

        Returns
        -------
        list of RegistryRow
            Empty where no registry can be read.
        """
        rows: list[RegistryRow] = []
        for path in dict.fromkeys(member.registry for member in self.chain.members):
            if path is not None:
                try:
                    rows += read_rows(path, exposure_ids=image.exposure_ids)
                except TableError:
                    continue
        return rows

    def lost(self, image: ImageId) -> Lost:
        """Find out what became of an image that the chain does not have.

        Parameters
        ----------
        image
            The image.

        Returns
        -------
        Lost
            Its traces, station by station.
        """
        unread = [
            f"{p.where}: {p.what}" for p in self.chain.problems if p.kind in ("unreadable", "dangling-link")
        ]
        stored: list[str] = []
        if self.paths.storage is None:
            unread.append(f"The storage of {self.repository.label} is not known or not mounted.")
        else:
            tree = list_tree(self.paths.storage)
            unread += tree.unread
            stored = sorted(self._folders.real(path) for path in tree.files if _is_of(path, image))
        occupied = [path for _, path in self._candidates(image) if not _is_of(self._target(path), image)]
        rows = tuple(self.rows(image)) if not occupied else ()
        other = self._other(stored, image) if stored else []
        return Lost(
            tuple(stored), tuple(other), tuple(occupied), rows, self._log(stored, image), tuple(unread)
        )

    def _other(self, stored: list[str], image: ImageId) -> list[str]:
        wanted = set(stored)
        tree = list_tree(f"{self.paths.repository}/raw")
        links = (path for path, text in tree.files.items() if self._folders.target(path, text) in wanted)
        names = ((path, parse_raw_name(path.rsplit("/", 1)[-1])) for path in links)
        return sorted(
            path for path, name in names if name is None or name.exposure_id not in image.exposure_ids
        )

    def _log(self, stored: list[str], image: ImageId) -> str | None:
        if self.paths.log is None:
            return None
        log = read_logs(find_logs(self.paths.log))
        entry = log.reason(*stored) if stored else None
        if entry is None:
            entry = next((e for path, e in log.refused.items() if _is_of(path, image)), None)
        if entry is None and log.aborts and stored:
            entry = log.aborts[-1]
        return entry.cited if entry else None

    def holdings(self, day_obs: int) -> list[Holding]:
        """Count what is there of a night, for each science detector of each exposure that anything knows of.

        Parameters
        ----------
        day_obs
            The night.

        Returns
        -------
        list of Holding
            By exposure and detector.
        """
        camera = get_camera(self.repository.instrument)
        registered = {
            (row.exposure_id, row.detector or 0)
            for row in self._all_rows()
            if _day_of(row.exposure_id) == day_obs
        }
        present: set[tuple[int, int]] = set()
        for root in self.chain.roots:
            for path in _night_files(root, day_obs):
                name = parse_raw_name(path.rsplit("/", 1)[-1])
                if name is not None and is_there(path):
                    present.add((name.exposure_id, name.detector))
        transferred = self._transferred(day_obs, registered | present)
        known = {exposure for exposure, _ in registered | present | (transferred or set())}
        wanted = [(exposure, d.id) for exposure in sorted(known) for d in camera.science_detectors]
        return [
            Holding(
                exposure,
                exposure % 100_000,
                detector,
                None if transferred is None else (exposure, detector) in transferred,
                (exposure, detector) in registered,
                (exposure, detector) in present,
            )
            for exposure, detector in wanted
        ]

    def _all_rows(self) -> list[RegistryRow]:
        if self.chain.registry is None:
            return []
        try:
            return read_rows(self.chain.registry)
        except TableError:
            return []

    def _transferred(self, day_obs: int, known: set[tuple[int, int]]) -> set[tuple[int, int]] | None:
        if self.paths.storage is None:
            return None
        ids = {exposure for exposure, _ in known}
        found: set[tuple[int, int]] = set()
        for path in list_tree(self.paths.storage).files:
            stored = parse_stored_name(path.rsplit("/", 1)[-1])
            if stored is None or stored.day_obs != day_obs or stored.detector is None:
                continue
            number = stored.exposure_id if stored.obs_id.exposure_id in ids else stored.plain_id
            found.add((number, stored.detector))
        return found


def _is_of(path: str, image: ImageId) -> bool:
    stored = parse_stored_name(path.rsplit("/", 1)[-1])
    return stored is not None and stored.obs_id in image


def _day_of(exposure_id: int) -> int:
    return exposure_id // 100_000 % 10_000_000 + 20_000_000


def _named(root: str, image: ImageId) -> Iterator[str]:
    """Give the files of an image below ``raw`` of one root, by their names."""
    starts = tuple(f"{number}-" for number in image.exposure_ids)
    for path in _night_files(root, image.day_obs):
        if path.rsplit("/", 1)[-1].startswith(starts):
            yield path[len(root) + 1 :]


def _night_files(root: str, day_obs: int) -> Iterator[str]:
    """Give the files of a night: in its own folder, or by run and raft, where the name alone tells the night."""
    day = str(Path(root, "raw", day_folder(day_obs)))
    if is_folder(day):
        yield from list_tree(day).files
        return
    try:
        with os.scandir(f"{root}/raw") as entries:
            runs = [entry.path for entry in entries if entry.is_dir() and not _is_day(entry.name)]
    except OSError:
        return
    for run in runs:
        for path in list_tree(run).files:
            name = parse_raw_name(path.rsplit("/", 1)[-1])
            if name is not None and _day_of(name.exposure_id) == day_obs:
                yield path


def _is_day(name: str) -> bool:
    return len(name) == len("2019-05-29") and name[4] == name[7] == "-"

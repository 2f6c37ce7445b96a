"""Audit of a Gen3 repository: registry against datastore against files against the storage they came from.

The registry is asked once for each dataset type, the datastore's records come thousands at a time, and each file is
looked at once; asking the Butler dataset by dataset costs milliseconds each.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsst_commtools.repos.audit import Progress
from lsst_commtools.repos.compare import compare_files
from lsst_commtools.repos.gen3 import RAW, Gen3Repository, StoredFile, stored_files
from lsst_commtools.repos.names import StoredName, parse_stored_name
from lsst_commtools.repos.tree import list_tree
from lsst_commtools.repos.values import AUDIT_KINDS, AuditProblem, AuditReport

__all__ = ["audit_gen3"]

_CHUNK = 1 << 20
_MAX_ALGORITHM = 16


def audit_gen3(
    repository: Gen3Repository,
    storage: str | None = None,
    *,
    verify: bool = False,
    progress: Progress | None = None,
) -> AuditReport:
    """Audit a Gen3 repository.

    Parameters
    ----------
    repository
        The repository.
    storage
        Folder of raw files as transferred.
    verify
        Read every file whose checksum is recorded; otherwise only those that changed after their ingest.
    progress
        Told what is being done.

    Returns
    -------
    AuditReport
        Counts and problems. ``linked`` counts the files that are there.
    """
    return _Audit(repository, storage, progress or (lambda _: None), verify=verify).run()


@dataclass(frozen=True, slots=True)
class _Dataset:
    """What is needed of a dataset; the reference itself is let go, for memory."""

    data_id: tuple[Any, ...]
    run: str
    identifier: int
    path: str


@dataclass
class _Audit:
    repository: Gen3Repository
    storage: str | None
    tell: Progress
    verify: bool
    problems: list[AuditProblem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    raw_names: list[str] = field(default_factory=list)

    def run(self) -> AuditReport:
        self.known: set[str] = set()
        self.roots: set[str] = set()
        self.bad: set[str] = set()
        self.registered = self.there = 0
        raws = self._datasets()
        self._orphans()
        self._shadowed(raws)
        stored = self._stored(raws)
        order = {kind: place for place, kind in enumerate(AUDIT_KINDS)}
        self.problems.sort(key=lambda problem: (order[problem.kind], problem.path))
        in_order = self.there - len(self.bad) if self.storage is None else stored[1]
        return AuditReport(
            root=self.repository.repository.root,
            storage=stored[0],
            registered=self.registered,
            linked=self.there,
            in_order=in_order,
            problems=tuple(self.problems),
            notes=tuple(self.notes),
        )

    def _say(self, kind: str, path: str, data_id: dict[str, Any], what: str) -> None:
        self.problems.append(AuditProblem(kind, path, data_id, None, what))
        self.bad.add(path)

    def _datasets(self) -> list[_Dataset]:
        """Look at every dataset once; give the raws."""
        raws: list[_Dataset] = []
        butler = self.repository.butler
        dates = self._ingest_dates()
        for dataset_type in butler.registry.queryDatasetTypes("*"):
            self.tell(f"reading {dataset_type.name}")
            refs = butler.query_datasets(
                dataset_type, collections=self.repository.runs, find_first=False, explain=False, limit=None
            )
            self.registered += len(refs)
            names = list(dataset_type.dimensions.required)
            for ref, file in stored_files(butler, refs):
                values = ref.dataId.required_values
                data_id = dict(zip(names, values, strict=True))
                self._look(data_id, ref.run, file, dates.get(ref.id))
                if dataset_type.name == RAW:
                    raws.append(_Dataset(values, ref.run, ref.id.int, file.path if file else ""))
            if dataset_type.name == RAW:
                self.raw_names = names
        return raws

    def _ingest_dates(self) -> dict[Any, float]:
        """Give when each raw was ingested, in seconds of POSIX time."""
        butler = self.repository.butler
        types = list(butler.registry.queryDatasetTypes(RAW))
        if not types or self.verify or not self.repository.runs:
            return {}
        with butler.query() as query:
            rows = query.join_dataset_search(RAW, self.repository.runs).general(
                types[0].dimensions, dataset_fields={RAW: {"dataset_id", "ingest_date"}}, find_first=False
            )
            return {row[f"{RAW}.dataset_id"]: _posix(row[f"{RAW}.ingest_date"]) for row in rows}

    def _look(
        self, data_id: dict[str, Any], run: str, file: StoredFile | None, ingested: float | None
    ) -> None:
        data_id = {**data_id, "run": run}
        if file is None:
            self._say(
                "missing-artifact", "", data_id, "The registry has it, the datastore has no record of a file."
            )
            return
        self.known.add(file.path)
        if file.root.startswith("/"):
            self.roots.add(file.root)
        size, changed = _stat(file.path)
        if size is None:
            self._say("missing-artifact", file.path, data_id, "It is recorded, but the file is not there.")
            return
        self.there += 1
        if file.size_bytes >= 0 and size != file.size_bytes:
            what = f"The file has {size} bytes, {file.size_bytes} are recorded."
            self._say("checksum-differs", file.path, data_id, what)
        elif file.checksum and (
            self.verify or (ingested is not None and changed is not None and changed > ingested)
        ):
            if not _agrees(file.path, file.checksum):
                self._say(
                    "checksum-differs", file.path, data_id, "The content is not the one that was ingested."
                )
        elif (
            file.checksum is None
            and ingested is not None
            and changed is not None
            and changed > ingested + 1.0
        ):
            self.notes.append(
                f"{file.path} was changed after its ingest; no checksum is recorded to judge it by."
            )

    def _orphans(self) -> None:
        for root in sorted(self.roots):
            self.tell(f"listing {root}")
            tree = list_tree(root)
            self.notes += tree.unread
            for path in sorted(set(tree.files) - self.known):
                self._say(
                    "link-without-row", path, {}, "The file lies in the repository, but nothing records it."
                )

    def _shadowed(self, raws: Iterable[_Dataset]) -> None:
        """Find data ids that are in two runs, and tell which of them the searched collections find."""
        groups: dict[tuple[Any, ...], list[_Dataset]] = defaultdict(list)
        for raw in raws:
            groups[raw.data_id].append(raw)
        search = self.repository.butler.collections.query(self.repository.collections, flatten_chains=True)
        rank = {name: place for place, name in enumerate(search if self.repository.collections else ())}
        for data_id, members in groups.items():
            if len(members) > 1:
                members.sort(key=lambda member: (rank.get(member.run, len(rank)), member.run))
                self._say_shadowed(data_id, members, found=members[0].run in rank)

    def _say_shadowed(self, data_id: tuple[Any, ...], members: list[_Dataset], *, found: bool) -> None:
        first = members[0]
        for member in members[1:]:
            sameness = compare_files(first.path, member.path).value
            finds = (
                f"The chain finds the one in {first.run}"
                if found
                else "The searched collections find neither"
            )
            what = f"{finds}; {sameness}."
            self._say(
                "shadowed",
                member.path,
                {**dict(zip(self.raw_names, data_id, strict=True)), "run": member.run},
                what,
            )

    def _stored(self, raws: list[_Dataset]) -> tuple[int, int]:
        """Account for the files of the storage; give how many there are, and how many are in order."""
        if self.storage is None:
            return 0, 0
        self.tell(f"listing {self.storage}")
        tree = list_tree(self.storage)
        self.notes += tree.unread
        by_real = {os.path.realpath(raw.path): raw for raw in raws if raw.path}
        by_id = {raw.data_id: raw for raw in raws}
        good = 0
        for path in tree.files:
            stored = parse_stored_name(path.rsplit("/", 1)[-1])
            raw = by_real.get(os.path.realpath(path)) or _match(stored, by_id, self.raw_names)
            if raw is None:
                self._say(
                    "not-ingested", path, _stored_id(stored), "The file was transferred, but never ingested."
                )
            elif raw.path not in self.bad and path not in self.bad:
                good += 1
        return len(tree.files), good


def _match(stored: StoredName | None, by_id: dict[Any, _Dataset], names: list[str]) -> _Dataset | None:
    if stored is None or stored.detector is None or set(names) != {"instrument", "detector", "exposure"}:
        return None
    values = {
        "instrument": stored.obs_id.instrument,
        "detector": stored.detector,
        "exposure": stored.exposure_id,
    }
    return by_id.get(tuple(values[name] for name in names))


def _stored_id(stored: StoredName | None) -> dict[str, Any]:
    if stored is None:
        return {}
    named = {"instrument": stored.obs_id.instrument, "exposure": stored.exposure_id}
    return {**named, "detector": stored.detector, "obs_id": str(stored.obs_id)}


def _posix(date: Any) -> float:
    """Give POSIX seconds of an ingest date: an astropy Time, or a datetime in UTC."""
    return float(date.unix if hasattr(date, "unix") else date.timestamp())


def _stat(path: str) -> tuple[int | None, float | None]:
    if path.startswith("/"):
        try:
            seen = os.stat(path)  # noqa: PTH116 - once for each of 10^5 files
        except OSError:
            return None, None
        return seen.st_size, seen.st_mtime
    from lsst.resources import ResourcePath

    try:
        return ResourcePath(path).size(), None
    except OSError:
        return None, None


def _agrees(path: str, checksum: str) -> bool:
    """Compare a file with a recorded checksum: ``algorithm:hex``, or hex whose length tells the algorithm."""
    algorithm, colon, digits = checksum.partition(":")
    if not colon:
        digits = checksum
        algorithm = {32: "md5", 40: "sha1", 64: "sha256", 128: "blake2b"}.get(len(digits), "")
    if len(algorithm) > _MAX_ALGORITHM or algorithm not in hashlib.algorithms_available:
        return True
    digest = hashlib.new(algorithm, usedforsecurity=False)
    for chunk in _chunks(path):
        digest.update(chunk)
    return digest.hexdigest() == digits


def _chunks(path: str) -> Iterator[bytes]:
    with Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk

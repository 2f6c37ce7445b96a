"""Audit of a Gen2 repository: storage against registry against links against log.

Each tree is listed once, the registry is read by one query, the logs in one pass; the rest is set arithmetic. Only
files under suspicion are opened.
"""

from __future__ import annotations

import functools
import os
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lsst_commtools.errors import NotFoundError, TableError
from lsst_commtools.repos.chain import resolve_chain
from lsst_commtools.repos.compare import Sameness, compare_files, describes, read_header
from lsst_commtools.repos.ingest_log import IngestLog, find_logs, read_logs
from lsst_commtools.repos.marks import REGISTRY_NAME
from lsst_commtools.repos.names import RawName, StoredName, parse_raw_name, parse_stored_name, raw_path
from lsst_commtools.repos.registry import RegistryRow, read_rows
from lsst_commtools.repos.tree import Folders, is_folder, is_there, list_tree
from lsst_commtools.repos.values import AUDIT_KINDS, AuditProblem, AuditReport

__all__ = ["Progress", "TeststandPaths", "audit_gen2", "find_teststand_paths"]

Progress = Callable[[str], None]
"""Called now and then with one line for people."""

# tempfile's names: the copy of the registry that an ingest changes, left behind when it breaks.
_ORPHAN = re.compile(re.escape(REGISTRY_NAME) + r"[A-Za-z0-9_]{6,8}")
_CONTROLLER_IDS_FROM = 3_000_000_000_000
_MAX_COMPARED_BYTES = 4 << 30


@dataclass(frozen=True)
class TeststandPaths:
    """Folders of one source of images.

    Parameters
    ----------
    repository
        The Gen2 repository that holds the registry.
    storage
        Raw files as transferred, None if there is no such folder.
    log
        Folder of the logs, None if there is none.
    """

    repository: str
    storage: str | None
    log: str | None


def find_teststand_paths(
    path: str | os.PathLike[str], storage: str | None = None, log: str | None = None
) -> TeststandPaths:
    """Find the folders of a source of images from any of its ends.

    Parameters
    ----------
    path
        The source with ``storage``, ``gen2repo`` and ``log``, its ``gen2repo``, or a repository linked to that.
    storage, log
        Folders that lie elsewhere.

    Returns
    -------
    TeststandPaths
        What is there.

    Raises
    ------
    NotFoundError
        If there is no repository with a registry.
    """
    given = os.path.realpath(path)
    repository = str(Path(given, "gen2repo")) if is_folder(given, "gen2repo") else given
    if not is_there(repository, REGISTRY_NAME):
        roots = resolve_chain(repository).roots
        holders = [root for name in (REGISTRY_NAME, "raw") for root in roots if is_there(root, name)]
        if not holders:
            raise NotFoundError(
                f"Neither {repository} nor its parents hold a registry or raw files.",
                advice="'commtools repo chain' shows the parents.",
            )
        repository = holders[0]
    beside = Path(repository).parent
    return TeststandPaths(
        repository,
        storage or next((str(p) for p in (beside / "storage", Path(given, "storage")) if is_folder(p)), None),
        log or next((str(p) for p in (beside / "log", Path(given, "log")) if is_folder(p)), None),
    )


def audit_gen2(paths: TeststandPaths, progress: Progress | None = None) -> AuditReport:
    """Audit a Gen2 repository.

    Parameters
    ----------
    paths
        Its folders.
    progress
        Told what is being done.

    Returns
    -------
    AuditReport
        Counts and problems; nothing is written.
    """
    return _Audit(paths, progress or (lambda _: None)).run()


class _Linked(NamedTuple):
    """One file below ``raw``."""

    path: str
    relative: str
    target: str
    is_link: bool
    name: RawName | None


class _Audit:
    """What one audit has seen so far."""

    def __init__(self, paths: TeststandPaths, progress: Progress) -> None:
        self.paths = paths
        self.tell = progress
        self.folders = Folders()
        self.problems: list[AuditProblem] = []
        self.notes: list[str] = []
        self.compared_bytes = 0

    def run(self) -> AuditReport:
        self._list()
        self._read_rows()
        self.log = self._read_logs()
        self._orphans()
        good = self._match()
        self._match_storage(good)
        order = {kind: place for place, kind in enumerate(AUDIT_KINDS)}
        self.problems.sort(key=lambda problem: (order[problem.kind], problem.path))
        return AuditReport(
            root=self.paths.repository,
            storage=len(self.stored),
            registered=self.registered,
            linked=len(self.linked),
            in_order=self.in_order,
            problems=tuple(self.problems),
            notes=tuple(self.notes),
        )

    def _say(self, kind: str, path: str, data_id: dict[str, Any], what: str, log: object = None) -> None:
        self.problems.append(AuditProblem(kind, path, data_id, str(log) if log else None, what))

    def _list(self) -> None:
        self.tell(f"listing {self.paths.repository}/raw")
        root = self.paths.repository
        tree = list_tree(f"{root}/raw")
        self.linked = {
            path[len(root) + 1 :]: _Linked(
                path,
                path[len(root) + 1 :],
                self.folders.target(path, text),
                text is not None,
                parse_raw_name(path.rsplit("/", 1)[1]),
            )
            for path, text in tree.files.items()
        }
        self.notes += tree.unread
        self.stored: dict[str, StoredName | None] = {}
        if self.paths.storage is None:
            self.notes.append("There is no storage folder: what was never ingested cannot be told.")
            return
        self.tell(f"listing {self.paths.storage}")
        tree = list_tree(self.paths.storage)
        self.notes += tree.unread
        self.stored = {
            self.folders.real(path): parse_stored_name(path.rsplit("/", 1)[1]) for path in tree.files
        }

    def _read_rows(self) -> None:
        path = f"{self.paths.repository}/{REGISTRY_NAME}"
        self.tell(f"reading {path}")
        rows: list[RegistryRow] = []
        if not is_there(path):
            self.notes.append(f"{path} does not exist: no image is registered.")
        else:
            try:
                rows = read_rows(path)
            except TableError as error:
                self._say("orphan-registry", path, {}, error.message)
        self.registered = len(rows)
        self.rows: dict[str, RegistryRow] = {}
        by_name = {
            (item.name.exposure_id, item.name.detector): r for r, item in self.linked.items() if item.name
        }
        places = [raw_path(row.values) for row in rows]
        # A camera whose template is not known here is matched by the ids in the names alone.
        known = not by_name or any(place in self.linked for place in places)
        for row, place in zip(rows, places, strict=True):
            named = by_name.get((row.exposure_id, row.detector or 0))
            fallback = f"raw/{row.exposure_id}-det{row.detector}"
            self.rows[(place if known else None) or named or place or fallback] = row
        self.with_controller = any(row.exposure_id >= _CONTROLLER_IDS_FROM for row in rows)

    def _read_logs(self) -> IngestLog:
        if self.paths.log is None:
            self.notes.append("There is no log folder: reasons cannot be told.")
            return IngestLog()
        files = find_logs(self.paths.log)
        if not files:
            self.notes.append(f"There is no ingest_output.log below {self.paths.log}.")

        def show(path: str, position: int, size: int) -> None:
            self.tell(f"reading {path}: {position / max(size, 1):.0%}")

        log = read_logs(files, show)
        self.notes += log.notes
        if log.not_understood:
            self.notes.append(f"{log.not_understood} of {log.lines} lines of the logs were not understood.")
        return log

    def _orphans(self) -> None:
        try:
            with os.scandir(self.paths.repository) as entries:
                names = sorted(entry.name for entry in entries if _ORPHAN.fullmatch(entry.name))
        except OSError as error:
            self.notes.append(f"{self.paths.repository} cannot be read: {error.strerror}.")
            return
        abort = self.log.aborts[-1].cited if self.log.aborts else None
        for name in names:
            self._say(
                "orphan-registry",
                f"{self.paths.repository}/{name}",
                {},
                "An ingest broke before it could rename its copy of the registry.",
                abort,
            )

    def _match(self) -> set[str]:
        """Match rows and links; give the targets of those that agree."""
        good: set[str] = set()
        self.in_order = 0
        for relative, row in self.rows.items():
            item = self.linked.get(relative)
            if item is None:
                self._say(
                    "row-without-file",
                    f"{self.paths.repository}/{relative}",
                    row.data_id,
                    "The row has no file.",
                )
            elif not self._there(item):
                self._say(
                    "row-without-file",
                    item.path,
                    row.data_id,
                    f"The link leads to {item.target}, which is gone.",
                )
            elif wrong := self._wrong_target(item, row):
                self._say("wrong-target", item.path, row.data_id, wrong[0], wrong[1])
            else:
                good.add(item.target)
        abort = self.log.aborts[-1].cited if self.log.aborts else None
        for relative, item in self.linked.items():
            if relative not in self.rows:
                self._link_without_row(item, abort)
        return good

    def _there(self, item: _Linked) -> bool:
        return not item.is_link or item.target in self.stored or self.folders.exists(item.target)

    def _link_without_row(self, item: _Linked, abort: str | None) -> None:
        data_id = {"visit": item.name.exposure_id, "detector": item.name.detector} if item.name else {}
        what = "The file has no row in the registry"
        what += "." if self._there(item) else f", and its target {item.target} is gone."
        self._say("link-without-row", item.path, data_id, what, abort)

    def _wrong_target(self, item: _Linked, row: RegistryRow) -> tuple[str, str | None] | None:
        """Tell why a link does not lead to the file that the row describes, None if it does."""
        if not item.is_link:
            return None
        known = item.target in self.stored
        stored = self.stored[item.target] if known else parse_stored_name(item.target.rsplit("/", 1)[1])
        if stored is not None and row.exposure_id not in (stored.plain_id, stored.exposure_id):
            confirmed = describes(row.values, read_header(item.target))
            told = " Its header agrees with the row: it was ingested under another id." if confirmed else ""
            return f"The row is of {row.exposure_id}, the link leads to {item.target}.{told}", None
        if (
            stored is not None
            and None not in (stored.detector, row.detector)
            and stored.detector != row.detector
        ):
            return f"The row is of detector {row.detector}, the link leads to {item.target}.", None
        if stored is None and not known and self.paths.storage is not None:
            return f"The link leads out of the storage, to {item.target}.", None
        return self._replaced(item, row)

    def _replaced(self, item: _Linked, row: RegistryRow) -> tuple[str, str | None] | None:
        """Tell whether a link was moved to another file after its row was made (clobber, then IntegrityError)."""
        inputs = self.log.linked.get(item.relative, ())
        rivals = self._rivals.get(item.target, ())
        if len({source for source, _ in inputs}) < 2 and not rivals:
            return None
        fits = describes(row.values, read_header(item.target))
        if fits is False:
            right = [path for path in rivals if describes(row.values, read_header(path))]
            meant = f" It describes {right[0]}." if right else ""
            cited = next((e.cited for source, e in inputs if self._is_source(source, item.target)), None)
            return (
                f"The row does not describe {item.target}, to which the link leads.{meant}",
                cited,
            )
        if fits is None and inputs and not self._is_source(inputs[0][0], item.target):
            return (
                f"The row was made from {inputs[0][0]}, the link leads to {item.target}.",
                inputs[-1][1].cited,
            )
        return None

    def _key(self, stored: StoredName) -> tuple[int, int | None]:
        number = stored.exposure_id if self.with_controller else stored.plain_id
        return number, stored.detector

    @functools.cached_property
    def _rivals(self) -> dict[str, list[str]]:
        """For each transferred file whose id others have as well: those others."""
        groups: dict[tuple[int, int | None], list[str]] = defaultdict(list)
        for path, stored in self.stored.items():
            if stored is not None:
                groups[self._key(stored)].append(path)
        crowded = [paths for paths in groups.values() if len(paths) > 1]
        return {path: [p for p in paths if p != path] for paths in crowded for path in paths}

    @functools.cached_property
    def _holders(self) -> dict[tuple[int, int | None], _Linked]:
        """For each id of a transferred file: the link that leads to it."""
        items = self.linked.values()
        return {self._key(stored): item for item in items if (stored := self.stored.get(item.target))}

    @functools.cached_property
    def _copies(self) -> dict[tuple[int, int | None], _Linked]:
        """For each id: the registered file of the repository that is no link."""
        return {
            (item.name.exposure_id, item.name.detector): item
            for relative, item in self.linked.items()
            if item.name and not item.is_link and relative in self.rows
        }

    def _match_storage(self, good: set[str]) -> None:
        """Account for every transferred file: in order, a second copy, or never ingested."""
        if self.paths.storage is None:
            self.in_order = len(good)
            return
        targets = {item.target for item in self.linked.values()}
        for path, stored in self.stored.items():
            if path in good:
                self.in_order += 1
                if again := self.log.repeated.get(path):
                    data_id = _data_id(stored)
                    self._say("duplicate", path, data_id, "The same file was ingested again.", again.cited)
                continue
            if path in targets:
                continue
            holder = self._holders.get(self._key(stored)) if stored else None
            copy = self._copies.get((self._key(stored)[0], stored.detector or 0)) if stored else None
            if stored and holder is not None:
                self._second_copy(path, stored, holder)
            elif stored and copy is not None:
                self._hard_copy(path, stored, copy)
            else:
                self._never(path, stored)

    def _second_copy(self, path: str, stored: StoredName, holder: _Linked) -> None:
        sameness = self._compare(path, holder.target)
        first = parse_stored_name(holder.target.rsplit("/", 1)[1])
        same_image = first is not None and first.obs_id == stored.obs_id
        kind = "duplicate" if same_image and sameness is Sameness.SAME_BYTES else "collision"
        inputs = self.log.linked.get(holder.relative, ())
        earlier = inputs[0][0] if inputs else holder.target
        came = f"{earlier} came first" if inputs else f"{holder.target} is in the repository"
        self._say(
            kind,
            path,
            _data_id(stored),
            f"{came}; {path} is shadowed; {sameness.value}.",
            _cited(self.log, path),
        )

    def _hard_copy(self, path: str, stored: StoredName, copy: _Linked) -> None:
        if _size(path) == _size(copy.path):
            self.in_order += 1
            return
        sameness = self._compare(path, copy.path)
        self._say(
            "collision", path, _data_id(stored), f"{copy.path} is in the repository; {sameness.value}.",
            _cited(self.log, path),
        )  # fmt: skip

    def _never(self, path: str, stored: StoredName | None) -> None:
        entry = self.log.reason(path)
        what = "The file was transferred, but never ingested."
        if entry is None:
            what += " No log tells why." if self.log.files else ""
        self._say("not-ingested", path, _data_id(stored), what, entry.cited if entry else None)

    def _compare(self, first: str, second: str) -> Sameness:
        self.compared_bytes += _size(first) + _size(second)
        if self.compared_bytes > _MAX_COMPARED_BYTES:
            return Sameness.UNKNOWN
        self.tell(f"comparing {first} and {second}")
        return compare_files(first, second)

    def _is_source(self, source: str, target: str) -> bool:
        """Tell whether the input that a log names is a file: the log may spell its folder in another way."""
        if self.folders.real(source) == target:
            return True
        return source not in self.stored and source.rsplit("/", 1)[-1] == target.rsplit("/", 1)[-1]


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def _cited(log: IngestLog, path: str) -> str | None:
    entry = log.reason(path)
    return entry.cited if entry else None


def _data_id(stored: StoredName | None) -> dict[str, Any]:
    if stored is None:
        return {}
    data_id: dict[str, Any] = {
        "obs_id": str(stored.obs_id),
        "visit": stored.plain_id,
        "dayObs": stored.day_obs,
        "seqNum": stored.obs_id.seq_num,
    }
    return data_id if stored.detector is None else {**data_id, "detector": stored.detector}

"""One Gen3 repository: its collections as a tree, where an image is, what it holds of a night."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lsst_commtools.instrument.cameras import get_camera
from lsst_commtools.repos.butlers import default_collections, open_butler
from lsst_commtools.repos.gen2 import Holding
from lsst_commtools.repos.image import ImageId
from lsst_commtools.repos.tree import Folders
from lsst_commtools.repos.values import Location, Repository

if TYPE_CHECKING:
    from lsst.daf.butler import Butler, DatasetRef, DimensionRecord

__all__ = [
    "CollectionNode",
    "CollectionTree",
    "Gen3Repository",
    "StoredFile",
    "find_exposures",
    "stored_files",
]

RAW = "raw"
_BATCH = 5000


@dataclass(frozen=True)
class CollectionNode:
    """A collection, what it holds, and its members if it is a chain.

    Parameters
    ----------
    name
        The collection.
    kind
        ``CHAINED``, ``RUN``, ``TAGGED`` or ``CALIBRATION``.
    dataset_types
        Dataset type to number of datasets; for calibrations and tags the number is None.
    members
        Of a chain, in search order.
    """

    name: str
    kind: str
    dataset_types: Mapping[str, int | None]
    members: tuple[CollectionNode, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give the tree as plain values."""
        return {
            "name": self.name,
            "kind": self.kind,
            "dataset_types": dict(self.dataset_types),
            "members": [member.to_dict() for member in self.members],
        }

    def lines(self, depth: int = 0) -> Iterator[str]:
        """Give the collection and its members as indented lines.

        Parameters
        ----------
        depth
            Depth at which to begin.

        Yields
        ------
        str
            One line a collection.
        """
        held = ", ".join(
            name if n is None else f"{name} {n}" for name, n in sorted(self.dataset_types.items())
        )
        yield f"{'  ' * depth}{self.name}  {self.kind}  {held}".rstrip()
        for member in self.members:
            yield from member.lines(depth + 1)


@dataclass(frozen=True)
class CollectionTree:
    """The collections of a repository.

    Parameters
    ----------
    nodes
        Those that no chain holds.
    """

    nodes: tuple[CollectionNode, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give the tree as plain values."""
        return {"collections": [node.to_dict() for node in self.nodes]}

    @property
    def text(self) -> str:
        """The tree as indented lines."""
        return "\n".join(line for node in self.nodes for line in node.lines())


@dataclass(frozen=True)
class StoredFile:
    """What a datastore has recorded of a dataset's file.

    Parameters
    ----------
    path
        Local path, or URI.
    size_bytes
        Recorded size, -1 if it is not known.
    checksum
        Recorded checksum, None if there is none.
    root
        Root of the datastore.
    """

    path: str
    size_bytes: int
    checksum: str | None
    root: str


def stored_files(
    butler: Butler, refs: Iterable[DatasetRef]
) -> Iterator[tuple[DatasetRef, StoredFile | None]]:
    """Give the datastore's records of many datasets, by one query for thousands of them.

    Parameters
    ----------
    butler
        The repository; a served one is asked dataset by dataset.
    refs
        Datasets.

    Yields
    ------
    ref : lsst.daf.butler.DatasetRef
        A dataset.
    file : StoredFile or None
        Its file; None if the datastore has no record of it.
    """
    datastore = getattr(butler, "_datastore", None)  # the public interface asks dataset by dataset
    if datastore is None:  # a served repository
        for ref in refs:
            yield ref, StoredFile(str(butler.getURI(ref)), -1, None, "")
        return
    pending = iter(refs)
    while batch := list(itertools.islice(pending, _BATCH)):
        files = _recorded(datastore, batch)
        for ref in batch:
            yield ref, files.get(ref.id)


def _recorded(datastore: Any, refs: list[DatasetRef]) -> dict[Any, StoredFile]:
    parts = getattr(datastore, "datastores", None) or [datastore]
    roots = {part.name: _local(str(getattr(part, "root", ""))) for part in parts}
    files: dict[Any, StoredFile] = {}
    for name, data in datastore.export_records(refs).items():
        root = roots.get(name, "")
        for dataset_id, tables in data.records.items():
            for info in itertools.chain.from_iterable(tables.values()):
                files[dataset_id] = StoredFile(_join(root, info.path), info.file_size, info.checksum, root)
    return files


def _join(root: str, path: str) -> str:
    from urllib.parse import unquote

    if "://" in path or path.startswith("/"):
        return _local(path)
    # Relative paths are quoted where a URI needs it.
    return f"{root.rstrip('/')}/{unquote(path) if '://' not in root else path}"


def _local(uri: str) -> str:
    from urllib.parse import unquote

    return unquote(uri.removeprefix("file://")) if uri.startswith("file://") else uri


def find_exposures(butler: Butler, image: ImageId, instrument: str) -> list[DimensionRecord]:
    """Find the exposure records of an image.

    Parameters
    ----------
    butler
        The repository.
    image
        The image.
    instrument
        Camera.

    Returns
    -------
    list of lsst.daf.butler.DimensionRecord
        Those with its obs id, or with its night and number.
    """
    if get_camera(instrument).name not in {
        record.name for record in butler.query_dimension_records("instrument")
    }:
        return []
    bind: dict[str, Any] = {"day": image.day_obs, "seq": image.seq_num, "obs": image.text}
    where = "(exposure.day_obs = :day AND exposure.seq_num = :seq) OR exposure.obs_id = :obs"
    records = butler.query_dimension_records(
        "exposure", where=where, bind=bind, instrument=get_camera(instrument).name, explain=False, limit=None
    )
    known = [record for record in records if _controller(record.obs_id) in (*image.controllers, "")]
    return sorted(known, key=lambda record: record.id)


def _controller(obs_id: str) -> str:
    parts = obs_id.split("_")
    return parts[1] if len(parts) == 4 and len(parts[1]) == 1 else ""


class Gen3Repository:
    """A Gen3 repository, opened to be read.

    Parameters
    ----------
    repository
        What the site says of it.
    index
        Known labels.
    output_chain
        Chain of the site's results below the instrument.
    """

    def __init__(
        self, repository: Repository, index: Mapping[str, str] | None = None, output_chain: str = ""
    ) -> None:
        self.repository = repository
        self.instrument = get_camera(repository.instrument).name
        self.butler = open_butler(repository.root, index=index)
        there = {info.name: info.type.name for info in self.butler.collections.query_info("*")}
        self.runs = sorted(name for name, kind in there.items() if kind == "RUN")
        wanted = repository.collections or default_collections(self.instrument, output_chain)
        self.collections = tuple(name for name in wanted if name in there)

    def close(self) -> None:
        """Close the repository."""
        self.butler.close()

    def tree(self, *names: str) -> CollectionTree:
        """Give collections with their members and what each holds.

        Parameters
        ----------
        *names
            Collections or wildcards; those at the top by default, which no chain holds.

        Returns
        -------
        CollectionTree
            In the order of their names.
        """
        found = self.butler.collections.query_info("*", include_summary=True, include_parents=True)
        infos = {info.name: info for info in found}
        wanted = (
            self.butler.collections.query(names)
            if names
            else [n for n, info in infos.items() if not info.parents]
        )
        return CollectionTree(tuple(self._node(name, infos) for name in sorted(wanted)))

    def _node(self, name: str, infos: Mapping[str, Any]) -> CollectionNode:
        info = infos[name]
        kind = info.type.name
        members = tuple(self._node(child, infos) for child in info.children)
        held = {} if members else {t: self._count(t, name, kind) for t in sorted(info.dataset_types or ())}
        return CollectionNode(name, kind, held, members)

    def _count(self, dataset_type: str, collection: str, kind: str) -> int | None:
        if kind != "RUN":
            return None
        with self.butler.query() as query:
            return int(query.datasets(dataset_type, collections=collection, find_first=False).count())

    def locate(self, image: ImageId) -> list[Location]:
        """Find an image.

        Parameters
        ----------
        image
            The image.

        Returns
        -------
        list of Location
            In every run that holds it; those that the searched collections find come first.
        """
        camera = get_camera(self.instrument)
        records = [
            r for r in find_exposures(self.butler, image, self.instrument) if r.id in image.exposure_ids
        ]
        if not records or not self._has_raw():
            return []
        wanted = {camera.detector(image.detector).id} if image.detector else None
        winners = {ref.id for ref in self._raws([r.id for r in records], self.collections, first=True)}
        refs = [
            ref
            for ref in self._raws([r.id for r in records], self.runs, first=False)
            if wanted is None or ref.dataId["detector"] in wanted
        ]
        folders = Folders()
        found = [
            Location(
                self.repository.label,
                self.repository.root,
                ref.run,
                file.path if file else "",
                file.path if file else "",
                int(ref.dataId["exposure"]),
                int(ref.dataId["detector"]),
                file is not None and _there(file.path, folders),
                ref.id in winners,
            )
            for ref, file in stored_files(self.butler, refs)
        ]
        return sorted(found, key=lambda place: (not place.wins, place.collection, place.detector or 0))

    def newest_seconds(self) -> float | None:
        """Give when the newest exposure ended, in seconds of POSIX time; None if there is none."""
        if self.instrument not in {
            record.name for record in self.butler.query_dimension_records("instrument")
        }:
            return None
        records = self.butler.query_dimension_records(
            "exposure", instrument=self.instrument, order_by="-exposure.timespan.end", limit=1, explain=False
        )
        return float(records[0].timespan.end.unix) if records else None

    def other_ids(self, image: ImageId) -> list[int]:
        """Give exposure ids under which an image was registered by mistake.

        Parameters
        ----------
        image
            The image.

        Returns
        -------
        list of int
            Ids of records with its obs id that its name does not give.
        """
        records = find_exposures(self.butler, image, self.instrument)
        return [record.id for record in records if record.id not in image.exposure_ids]

    def _has_raw(self) -> bool:
        return bool(list(self.butler.registry.queryDatasetTypes(RAW)))

    def _raws(self, exposures: list[int], collections: Any, *, first: bool) -> list[DatasetRef]:
        if not collections:
            return []
        refs: list[DatasetRef] = self.butler.query_datasets(
            RAW,
            collections=collections,
            find_first=first,
            where="exposure IN (:ids)",
            bind={"ids": exposures},
            instrument=self.instrument,
            explain=False,
            limit=None,
        )
        return refs

    def holdings(self, day_obs: int) -> list[Holding]:
        """Count what is there of a night, for each science detector of each exposure.

        Parameters
        ----------
        day_obs
            The night.

        Returns
        -------
        list of Holding
            By exposure and detector.
        """
        camera = get_camera(self.instrument)
        if self.instrument not in {r.name for r in self.butler.query_dimension_records("instrument")}:
            return []
        records = self.butler.query_dimension_records(
            "exposure",
            where="exposure.day_obs = :day",
            bind={"day": day_obs},
            instrument=self.instrument,
            explain=False,
            limit=None,
        )
        registered: set[tuple[int, int]] = set()
        present: set[tuple[int, int]] = set()
        folders = Folders()
        if records and self._has_raw():
            for ref, file in stored_files(
                self.butler, self._raws([r.id for r in records], self.runs, first=False)
            ):
                key = (int(ref.dataId["exposure"]), int(ref.dataId["detector"]))
                registered.add(key)
                if file is not None and _there(file.path, folders):
                    present.add(key)
        return [
            Holding(r.id, r.seq_num, d.id, None, (r.id, d.id) in registered, (r.id, d.id) in present)
            for r in sorted(records, key=lambda r: r.id)
            for d in camera.science_detectors
        ]


def _there(path: str, folders: Folders) -> bool:
    if path.startswith("/"):
        return folders.exists(folders.real(path))
    from lsst.resources import ResourcePath

    return bool(ResourcePath(path).exists())

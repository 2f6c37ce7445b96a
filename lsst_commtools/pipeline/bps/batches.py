"""Batches on disk: what was submitted where, so that it is found again and not submitted twice."""

from __future__ import annotations

import contextlib
import enum
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from lsst_commtools.errors import LeaseError, ServiceError
from lsst_commtools.pipeline.bps.clusters import Cluster
from lsst_commtools.pipeline.bps.marks import hold

__all__ = ["Batch", "GroupRecord", "GroupState", "batch_key", "locked"]


class GroupState(enum.StrEnum):
    """How a submission stands."""

    NEW = "new"
    SUBMITTED = "submitted"
    REFUSED = "refused"
    ENDED = "ended"


@dataclass(frozen=True)
class GroupRecord:
    """What is known of one submission.

    Parameters
    ----------
    name
        Such as ``g001``.
    state
        How it stands.
    attempts
        How often it was given to BPS.
    runs
        How often it ran and left something undone.
    run_id
        Name of the run in the batch system; empty where it has none, as with Parsl.
    pid
        Number of the process ``bps submit``, which for Parsl lives as long as the run.
    reason
        Why it was not submitted, or how the batch system ended it.
    """

    name: str
    state: GroupState = GroupState.NEW
    attempts: int = 0
    runs: int = 0
    run_id: str = ""
    pid: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Batch:
    """One quantum graph and its submissions.

    Parameters
    ----------
    folder
        Where all of it lies.
    key
        Hash of what is run: repository, query, pipeline, collections.
    repository, inputs, output_run
        As the pipeline is run.
    order
        All quanta, as they are reported: id, task, data id.
    done
        Ids of those that an earlier run finished.
    groups
        Name of each submission to its jobs.
    """

    folder: Path
    key: str
    repository: str
    inputs: tuple[str, ...]
    output_run: str
    order: tuple[tuple[str, str, dict[str, int | str]], ...] = field(repr=False)
    done: frozenset[str] = field(repr=False)
    groups: dict[str, tuple[Cluster, ...]] = field(repr=False)

    @property
    def graph(self) -> Path:
        """The graph's file."""
        return self.folder / "quanta.qg"

    @property
    def outcomes(self) -> Path:
        """Folder of outcomes."""
        return self.folder / "outcomes"

    def group_folder(self, name: str) -> Path:
        """Name the folder of a submission.

        Parameters
        ----------
        name
            Such as ``g001``.

        Returns
        -------
        pathlib.Path
            Which need not exist.
        """
        return self.folder / name

    def quanta(self, name: str) -> list[str]:
        """List the quanta of a submission.

        Parameters
        ----------
        name
            Such as ``g001``.

        Returns
        -------
        list of str
            Their ids, in order.
        """
        return [quantum for cluster in self.groups[name] for quantum in cluster.quanta]

    def write(self) -> None:
        """Write the batch, last of all its files: where it is, it is whole."""
        _write_json(
            self.folder / "batch.json",
            {
                "key": self.key,
                "repository": self.repository,
                "inputs": list(self.inputs),
                "output_run": self.output_run,
                "order": [list(entry) for entry in self.order],
                "done": sorted(self.done),
                "groups": {
                    name: [asdict(cluster) for cluster in clusters] for name, clusters in self.groups.items()
                },
            },
        )

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read a batch.

        Parameters
        ----------
        folder
            Its folder.

        Returns
        -------
        Batch or None
            None where there is none, or half of one.
        """
        values = _read_json(folder / "batch.json")
        if values is None:
            return None
        return cls(
            folder=folder,
            key=str(values["key"]),
            repository=str(values["repository"]),
            inputs=tuple(values["inputs"]),
            output_run=str(values["output_run"]),
            order=tuple((str(q), str(task), dict(data_id)) for q, task, data_id in values["order"]),
            done=frozenset(values["done"]),
            groups={
                name: tuple(_cluster(cluster) for cluster in clusters)
                for name, clusters in values["groups"].items()
            },
        )

    def record(self, name: str) -> GroupRecord:
        """Read how a submission stands.

        Parameters
        ----------
        name
            Such as ``g001``.

        Returns
        -------
        GroupRecord
            New where nothing was done.
        """
        values = _read_json(self.group_folder(name) / "submission.json")
        if values is None:
            return GroupRecord(name)
        return GroupRecord(**(values | {"state": GroupState(values["state"])}))

    def note(self, record: GroupRecord) -> GroupRecord:
        """Write how a submission stands.

        Parameters
        ----------
        record
            The state.

        Returns
        -------
        GroupRecord
            The same.
        """
        folder = self.group_folder(record.name)
        folder.mkdir(parents=True, exist_ok=True)
        _write_json(folder / "submission.json", asdict(record))
        return record

    @property
    def ended(self) -> bool:
        """Whether its outputs were brought in, and no more is to be submitted."""
        return (self.folder / "ended").is_file()

    def end(self) -> None:
        """Note that it is over."""
        (self.folder / "ended").touch()


def batch_key(*parts: str) -> str:
    """Hash what a batch runs.

    Parameters
    ----------
    *parts
        Repository, query, content of the pipeline, collections.

    Returns
    -------
    str
        Hash.
    """
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _cluster(values: dict[str, Any]) -> Cluster:
    tuples = {name: tuple(values[name]) for name in ("quanta", "tasks", "waits_for")}
    return Cluster(**(values | tuples))


def _write_json(path: Path, document: Any) -> None:
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise ServiceError(
            f"The record {path} cannot be written: {error.strerror}.",
            changed="What was submitted goes on.",
            advice="The same command goes on from here.",
        ) from error


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ServiceError(f"The record {path} cannot be read: {error}.") from error
    return document


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from submitting the same.

    Parameters
    ----------
    folder
        Folder of batches; it is made.

    Raises
    ------
    LeaseError
        If another process is at it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = hold(folder / "lock")
    except OSError as error:
        raise ServiceError(f"The folder {folder} cannot be used: {error.strerror}.") from error
    if file is None:
        raise LeaseError(
            f"Another process submits from {folder} just now.",
            changed="Nothing was submitted.",
            advice="Wait for it; what it submits is found again.",
        )
    with file:
        yield

"""What is known of a production CSC in Argo CD, and of a CSC under test on the bench."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from typing_extensions import override

__all__ = ["BenchContainer", "Checkout", "CscJob", "JobState", "Production", "Restored"]


@dataclass(frozen=True)
class CscJob:
    """The Job by which Argo CD runs a CSC.

    Parameters
    ----------
    csc
        The CSC, such as ``DIMM:1``.
    application, project
        Application that holds it, with its siblings, and the project of that.
    namespace
        Kubernetes namespace.
    name
        Name of the Job.
    """

    csc: str
    application: str
    project: str
    namespace: str
    name: str

    def to_dict(self) -> dict[str, str]:
        """Give it as plain values, by which `CscJob` can be made again.

        Returns
        -------
        dict
            Keys are the parameters.
        """
        return asdict(self)

    @override
    def __str__(self) -> str:
        return f"Job {self.name} of application {self.application}"


@dataclass(frozen=True)
class JobState:
    """What was observed of a Job.

    Parameters
    ----------
    uid
        Identity of the Job that exists now; empty if there is none.
    sync
        ``Synced``, ``OutOfSync`` or ``Unknown``, of this resource.
    health
        Health of the Job: Progressing while its CSC runs, Healthy when that has ended.
    pod
        Name of its newest pod; empty if there is none.
    pod_phase
        ``Pending``, ``Running``, ``Succeeded``, ``Failed`` or ``Unknown``; empty if there is none.
    """

    uid: str
    sync: str
    health: str
    pod: str
    pod_phase: str

    @property
    def running(self) -> bool:
        """Whether the process of the CSC runs or is about to: Healthy would say that it has ended."""
        return self.pod_phase in ("Pending", "Running")

    def to_dict(self) -> dict[str, str]:
        """Give it as plain values.

        Returns
        -------
        dict
            Keys are the parameters.
        """
        return asdict(self)

    @override
    def __str__(self) -> str:
        if not self.uid:
            return f"there is no Job ({self.sync})"
        return f"Job {self.sync} and {self.health}, pod {self.pod_phase or 'missing'}"


@dataclass(frozen=True)
class Production:
    """Where a production CSC stands.

    Parameters
    ----------
    csc
        The CSC.
    job
        Its Job; None if Argo CD has none.
    was_running
        Whether the pod of that Job runs, and its heart beats.
    state
        Its summary state.
    """

    csc: str
    job: CscJob | None
    was_running: bool
    state: str

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values.

        Returns
        -------
        dict
            Keys are the parameters.
        """
        return asdict(self)

    @classmethod
    def of_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make it again of plain values.

        Parameters
        ----------
        values
            As `to_dict` gives them.

        Returns
        -------
        Production
            The same.
        """
        job = values["job"]
        known = CscJob(**job) if job is not None else None
        return cls(values["csc"], known, values["was_running"], values["state"])


@dataclass(frozen=True)
class Restored:
    """How a production CSC came back.

    Parameters
    ----------
    csc
        The CSC.
    did
        ``redeployed``; ``brought to STANDBY`` where its process had never ended; or ``nothing`` where it was there.
    uid_before, uid_after
        Identity of its Job.
    state
        Summary state that was observed.
    alive
        Whether its heart beats.
    observed_at
        When that was observed, ISO 8601, UTC.
    """

    csc: str
    did: str
    uid_before: str
    uid_after: str
    state: str
    alive: bool
    observed_at: str

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values.

        Returns
        -------
        dict
            Keys are the parameters.
        """
        return asdict(self)


@dataclass(frozen=True)
class BenchContainer:
    """The container of the bench.

    Parameters
    ----------
    id
        Identity of the container.
    name
        Name.
    image
        Image that it was made of.
    did
        ``nothing``, ``started`` or ``made``.
    """

    id: str
    name: str
    image: str
    did: str

    def to_dict(self) -> dict[str, str]:
        """Give it as plain values.

        Returns
        -------
        dict
            Keys are the parameters.
        """
        return asdict(self)


@dataclass(frozen=True)
class Checkout:
    """A repository in the container.

    Parameters
    ----------
    repository
        Name.
    branch
        Branch that was asked for.
    commit
        What that is now; 40 hexadecimal digits.
    """

    repository: str
    branch: str
    commit: str

    def to_dict(self) -> dict[str, str]:
        """Give it as plain values.

        Returns
        -------
        dict
            Keys are the parameters.
        """
        return asdict(self)

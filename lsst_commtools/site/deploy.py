"""Settings of the places where CSCs run: Argo CD, and the container for tests."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from lsst_commtools.ids import CscName
from lsst_commtools.site.sections import Endpoint, Section

__all__ = ["ArgoCdSection", "BenchSection", "DeploySection"]

_JOB = re.compile(r"([a-z0-9][a-z0-9.-]*/)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.ASCII)
_PROGRAM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class ArgoCdSection(Section):
    """Argo CD, which keeps the production CSCs running.

    Parameters
    ----------
    url
        Address with its root path, for instance ``https://argo.example.org/argo-cd``; empty at a site where the
        simulator stands in.
    user
        Name to log in with, where the secret ``argocd_password`` is used; the secret ``argocd_token`` needs none.
    projects
        Projects that are looked through; all by default.
    jobs
        CSC to its Job, ``JOB`` or ``APPLICATION/JOB``, where it cannot be told by the name.
    connect_timeout_s, reply_timeout_s
        How long it may take to be reached and to answer, in seconds.
    wait_timeout_s
        How long a Job may take to go, and a new one to run, in seconds.
    poll_s
        Time between two looks, in seconds.
    boot_timeout_s
        How long a CSC may take from the start of its pod to STANDBY, in seconds.
    """

    url: Endpoint = ""
    user: str = ""
    projects: tuple[str, ...] = ()
    jobs: dict[str, str] = Field(default_factory=dict)
    connect_timeout_s: float = Field(default=5.0, gt=0)
    reply_timeout_s: float = Field(default=30.0, gt=0)
    wait_timeout_s: float = Field(default=300.0, gt=0)
    poll_s: float = Field(default=1.0, gt=0)
    boot_timeout_s: float = Field(default=180.0, gt=0)

    @field_validator("jobs")
    @classmethod
    def _names(cls, value: dict[str, str]) -> dict[str, str]:
        for csc, job in value.items():
            CscName.parse(csc)
            if not _JOB.fullmatch(job):
                raise ValueError(f"{job!r} is not JOB or APPLICATION/JOB")
        return value


class BenchSection(Section):
    """The container in which a CSC under test runs.

    Parameters
    ----------
    docker
        Docker API of its host: ``ssh://HOST`` (with ``/PATH`` of the socket where it is another),
        ``unix:///var/run/docker.sock``, or ``tcp://127.0.0.1:PORT``; empty at a site where the simulator stands in.
    ssh_options
        Further options of ``ssh``, for instance ``-i FILE``.
    container
        Name of the container.
    image
        Image of which it is made where it does not exist; empty if somebody must make it by hand.
    network
        Its network where it is made.
    command
        What it runs where it is made.
    limits
        Its limits where it is made, for instance ``nofile: 65536``.
    companions
        Containers that must run beside it, and whom to call where one does not.
    repos
        Folder of the repositories in the container, from the home of its user.
    git
        Where the repositories are cloned from, https where nothing else is said; ``/REPOSITORY.git`` is added.
    programs
        CSC name without index to its program in its repository, where that is not ``bin/<name>_csc.py``.
    sources
        CSC name without index to its repository, where that is not ``ts_<name>``.
    config_sources
        CSC name without index to its ``ts_config_*`` repository.
    environment
        Variables for the CSC; the middleware's, such as ``LSST_KAFKA_BROKER_ADDR``, belong here.
    setup
        Shell lines before the CSC is started, such as ``source /home/saluser/.setup_dev.sh``; what the middleware needs
        computed, such as ``OSPL_URI``, belongs here.
    shell
        Shell of the container that runs these lines.
    connect_timeout_s, reply_timeout_s
        How long the host may take to be reached, and Docker to answer, in seconds.
    start_timeout_s
        How long the CSC may take to be in STANDBY, in seconds.
    stop_timeout_s
        How long its processes may take to end when they are told to, in seconds.
    """

    docker: Endpoint = ""
    ssh_options: tuple[str, ...] = ()
    container: str = "develop-env"
    image: str = ""
    network: str = "host"
    command: tuple[str, ...] = ("sleep", "infinity")
    limits: dict[str, int] = Field(default_factory=dict)
    companions: dict[str, str] = Field(default_factory=dict)
    repos: str = "repos"
    git: str = "github.com/lsst-ts"
    programs: dict[str, str] = Field(default_factory=dict)
    sources: dict[str, str] = Field(default_factory=dict)
    config_sources: dict[str, str] = Field(default_factory=dict)
    environment: dict[str, str] = Field(default_factory=dict)
    setup: tuple[str, ...] = ()
    shell: str = "bash"
    connect_timeout_s: float = Field(default=15.0, gt=0)
    reply_timeout_s: float = Field(default=120.0, gt=0)
    start_timeout_s: float = Field(default=120.0, gt=0)
    stop_timeout_s: float = Field(default=20.0, gt=0)

    @field_validator("programs", "sources", "config_sources")
    @classmethod
    def _paths(cls, value: dict[str, str]) -> dict[str, str]:
        for csc, path in value.items():
            if CscName.parse(csc).index:
                raise ValueError(f"{csc!r} has an index, which is not wanted here")
            if not _PROGRAM.fullmatch(path) or ".." in path.split("/"):
                raise ValueError(f"{path!r} is not a relative path")
        return value

    @field_validator("environment")
    @classmethod
    def _variables(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not _VARIABLE.fullmatch(name):
                raise ValueError(f"{name!r} is not the name of a variable")
        return value


class DeploySection(Section):
    """Where CSCs run.

    Parameters
    ----------
    argocd
        Argo CD, for production.
    bench
        The container for tests.
    """

    argocd: ArgoCdSection = Field(default_factory=ArgoCdSection)
    bench: BenchSection = Field(default_factory=BenchSection)

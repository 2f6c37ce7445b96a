"""The bench: a container in which a CSC under test runs, reached by the Docker API.

Contract: the founding document "Testing A CSC At The Summit"; Docker Engine API.
"""

from __future__ import annotations

import re
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from lsst_commtools.deploy import scripts
from lsst_commtools.deploy.docker_host import DockerHost
from lsst_commtools.deploy.values import BenchContainer, Checkout
from lsst_commtools.errors import (
    InputError,
    ProtocolError,
    RefusedError,
    RejectedError,
)
from lsst_commtools.ids import CscName
from lsst_commtools.site.dry_run import refuse_in_dry_run

if TYPE_CHECKING:
    import docker

    from lsst_commtools.deploy.scripts import Script
    from lsst_commtools.site import Site

__all__ = ["Bench"]

_BRANCH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_POLL_S = 0.2


class Bench:
    """The bench of a site; a connection is made when it is first needed.

    Parameters
    ----------
    site
        Where it is; where the site names none and is not real, the running simulator stands in.
    """

    def __init__(self, site: Site) -> None:
        self._section = site.deploy.bench
        self.host = DockerHost(site)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; what runs in the container goes on."""
        self.host.close()

    def containers(self) -> dict[str, str]:
        """List the containers of the host.

        Returns
        -------
        dict
            Name to state: ``running``, ``exited`` and others.
        """
        return {name: found["State"] for name, found in self._containers().items()}

    def hindrances(self) -> list[str]:
        """Find what keeps a CSC from being tested here, before anything is taken down.

        Returns
        -------
        list of str
            Sentences; empty if the bench is up, or can be brought up.
        """
        found = self._containers()
        missing = [
            f"The container {name} does not run: call {whom}."
            for name, whom in self._section.companions.items()
            if found.get(name, {}).get("State") != "running"
        ]
        if self._section.container not in found and not self._section.image:
            missing.append(
                f"There is no container {self._section.container}: make it on the host, for instance with "
                f"docker-compose up -d {self._section.container}."
            )
        return missing

    def up(self) -> BenchContainer:
        """Have the container run, and see that its companions do.

        Returns
        -------
        BenchContainer
            The container.

        Raises
        ------
        RefusedError
            If a companion does not run, or if there is no container and no image to make it of.
        """
        if hindrances := self.hindrances():
            raise RefusedError(" ".join(hindrances), changed="Nothing was done.")
        name = self._section.container
        found = self._containers().get(name)
        did = "nothing"
        if found is None:
            refuse_in_dry_run("Making a container")
            self.host.call(self._make)
            did = "made"
        if found is None or found["State"] != "running":
            refuse_in_dry_run("Starting a container")
            self.host.call(lambda api: api.start(name))
            did = did if did == "made" else "started"
        found = self._containers().get(name, {})
        if found.get("State") != "running":
            raise RejectedError(
                f"The container {name} was started, and does not run: {found.get('Status', 'it is gone')}.",
                advice=f"See `docker logs {name}` on its host.",
            )
        return BenchContainer(str(found["Id"]), name, str(found.get("Image", "")), did)

    def fetch(self, csc: str, branch: str, *, config: bool = False) -> Checkout:
        """Clone or pull a branch of a CSC, or of its configuration.

        Parameters
        ----------
        csc
            For instance ``DIMM:1``.
        branch
            Branch, as it was pushed.
        config
            Whether its ``ts_config_*`` repository is meant.

        Returns
        -------
        Checkout
            With the commit.

        Raises
        ------
        InputError
            If the branch cannot be one, or if the site does not say which repository it is.
        RefusedError
            If somebody has changed files in the container.
        RejectedError
            If git fails.
        """
        if not _BRANCH.fullmatch(branch) or ".." in branch:
            raise InputError(f"{branch[:80]!r} is not a branch.", changed="Nothing was done.")
        refuse_in_dry_run("Fetching a branch")
        name = CscName.parse(csc).name
        repository = self._config_source(name) if config else self._source(name)
        folder = f"{self._section.repos}/{repository}"
        base = self._section.git.rstrip("/")
        url = f"{base if '://' in base or base.startswith('/') else f'https://{base}'}/{repository}.git"
        code, out, error = self._run(scripts.FETCH, folder, url, branch)
        if code == scripts.LOCAL_CHANGES:
            raise RefusedError(
                f"Somebody has changed files of {repository} in the container: {out.strip()[:300]}",
                changed="Nothing was fetched.",
                advice="Have them committed and pushed, or put back.",
            )
        if code:
            raise RejectedError(
                f"git could not give {branch} of {repository}: {(error or out).strip()[-300:]}",
                advice="See that the branch is pushed, and that the container reaches its host.",
            )
        commit = out.strip().splitlines()[-1] if out.strip() else ""
        if not _COMMIT.fullmatch(commit):
            raise ProtocolError(f"git gave {commit[:60]!r} for the commit of {repository}.")
        return Checkout(repository, branch, commit)

    def start(self, csc: str) -> list[int]:
        """Start a CSC under test; it goes on when the connection is lost.

        Parameters
        ----------
        csc
            For instance ``DIMM:1``.

        Returns
        -------
        list of int
            Its processes, as they are numbered in the container.

        Raises
        ------
        RefusedError
            If it runs already.
        RejectedError
            If it ends at once.
        """
        refuse_in_dry_run("Starting a CSC")
        name = CscName.parse(csc)
        if running := self.processes(csc):
            raise RefusedError(
                f"{csc} runs on the bench already (processes {', '.join(map(str, running))}).",
                changed="Nothing was started.",
            )
        arguments = (
            self._log(name),
            f"{self._section.repos}/{self._source(name.name)}",
            f"./{self._section.programs.get(name.name, f'bin/{name.name.lower()}_csc.py')}",
            str(name.index),
            "\n".join(self._section.setup),
        )
        command = scripts.START.command(self._section.shell, *arguments)
        environment = {**self._section.environment, scripts.MARK: str(name)}

        def begin(api: docker.APIClient) -> None:
            made = api.exec_create(self._section.container, command, environment=environment)
            api.exec_start(made["Id"], detach=True)

        self.host.call(begin)
        ends_s = time.monotonic() + self._section.stop_timeout_s
        while not (running := self.processes(csc)):
            text, code = self.output(csc)
            if code is not None or time.monotonic() > ends_s:
                raise RejectedError(
                    f"{csc} did not start on the bench (exit code {code}): {text.strip()[-500:] or 'no output'}",
                    advice=f"See {self._log(name)} in the container.",
                )
            time.sleep(_POLL_S)
        return running

    def processes(self, csc: str) -> list[int]:
        """List the processes of a CSC under test, whoever started them.

        Parameters
        ----------
        csc
            For instance ``DIMM:1``.

        Returns
        -------
        list of int
            Empty if it does not run; also if the container does not, or is gone.
        """
        if self.containers().get(self._section.container) != "running":
            return []
        code, out, error = self._run(scripts.PROCESSES, f"{scripts.MARK}={CscName.parse(csc)}")
        words = out.split()
        if code or not all(word.isdigit() for word in words):
            raise ProtocolError(f"The processes of {csc} cannot be listed: {(error or out).strip()[:200]}")
        return [int(word) for word in words]

    def output(self, csc: str, skip_bytes: int = 0) -> tuple[str, int | None]:
        """Read what a CSC under test has written.

        Parameters
        ----------
        csc
            For instance ``DIMM:1``.
        skip_bytes
            How much of it is known already, in bytes.

        Returns
        -------
        text : str
            What it wrote, 100 000 bytes at most.
        exit_code : int or None
            None as long as it runs.
        """
        _, out, error = self._run(scripts.OUTPUT, self._log(CscName.parse(csc)), str(skip_bytes))
        code = error.strip()
        return out, int(code) if re.fullmatch(r"\d{1,3}", code) else None

    def wait_until_gone(self, csc: str, timeout_s: float | None = None) -> bool:
        """Wait until a CSC under test has ended by itself, as it does when it goes OFFLINE.

        Parameters
        ----------
        csc
            For instance ``DIMM:1``.
        timeout_s
            How long, in seconds; by default as the site says.

        Returns
        -------
        bool
            Whether it has.
        """
        ends_s = time.monotonic() + (self._section.stop_timeout_s if timeout_s is None else timeout_s)
        while self.processes(csc):
            if time.monotonic() >= ends_s:
                return False
            time.sleep(_POLL_S)
        return True

    def stop(self, csc: str) -> list[int]:
        """End the processes of a CSC under test: they are asked to, then made to.

        Parameters
        ----------
        csc
            For instance ``DIMM:1``.

        Returns
        -------
        list of int
            What still runs: empty.

        Raises
        ------
        RejectedError
            If they do not end.
        """
        refuse_in_dry_run("Ending a CSC")
        mark = f"{scripts.MARK}={CscName.parse(csc)}"
        for signal in ("TERM", "KILL"):
            if not self.processes(csc):
                return []
            self._run(scripts.STOP, mark, signal)
            if self.wait_until_gone(csc):
                return []
        left = self.processes(csc)
        raise RejectedError(
            f"{csc} goes on running on the bench (processes {', '.join(map(str, left))}).",
            advice=f"Restart the container {self._section.container}.",
        )

    def _log(self, name: CscName) -> str:
        return f"{scripts.SCRIPT_FOLDER}/{str(name).replace(':', '-')}.log"

    def _source(self, name: str) -> str:
        return self._section.sources.get(name, f"ts_{name.lower()}")

    def _config_source(self, name: str) -> str:
        if name not in self._section.config_sources:
            raise InputError(
                f"The site does not say which ts_config repository {name} uses.",
                advice=f"Add it: deploy.bench.config_sources: {{{name}: ts_config_...}}.",
            )
        return self._section.config_sources[name]

    def _containers(self) -> dict[str, dict[str, Any]]:
        rows: list[dict[str, Any]] = self.host.call(lambda api: api.containers(all=True))
        return {name.lstrip("/"): row for row in rows for name in row.get("Names") or []}

    def _make(self, api: docker.APIClient) -> None:
        import docker.types

        limits = [
            docker.types.Ulimit(name=name, soft=value, hard=value)
            for name, value in self._section.limits.items()
        ]
        config = api.create_host_config(network_mode=self._section.network, ulimits=limits or None)
        api.create_container(
            self._section.image,
            list(self._section.command),
            name=self._section.container,
            host_config=config,
        )

    def _run(self, script: Script, *arguments: str) -> tuple[int, str, str]:
        """Run a script to its end: exit code, standard output, standard error."""
        command = script.command(self._section.shell, *arguments)

        def run(api: docker.APIClient) -> tuple[int, str, str]:
            made = api.exec_create(self._section.container, command)
            out, error = api.exec_start(made["Id"], demux=True)
            code = api.exec_inspect(made["Id"])["ExitCode"]
            return (
                int(code or 0),
                (out or b"").decode(errors="replace"),
                (error or b"").decode(errors="replace"),
            )

        return self.host.call(run)

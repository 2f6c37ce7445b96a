"""The simulated bench: containers of a host, and CSCs under test that run in one of them.

No command is carried out here: the scripts of the bench are known by their names, their effect on the simulated CSCs is
played, and anything else fails as a command that is not found.
"""

from __future__ import annotations

import hashlib
import itertools
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lsst_commtools.simulate.observatory.cscs import SimulatedCsc

__all__ = ["SimulatedBench", "SimulatedContainer"]

_HOST = "bench"
_PUSHED = ("tickets/", "develop", "main")


@dataclass
class SimulatedContainer:
    """A container.

    Parameters
    ----------
    name, image
        As Docker tells them.
    running
        Whether it runs.
    """

    name: str
    image: str
    running: bool = True
    id: str = field(default_factory=lambda: uuid.uuid4().hex * 2)


class SimulatedBench:
    """Containers, and what runs in them.

    Parameters
    ----------
    cscs
        All CSCs.
    """

    def __init__(self, cscs: Mapping[str, SimulatedCsc]) -> None:
        self._cscs = cscs
        self._pids = itertools.count(100)
        self._pid: dict[str, int] = {}
        self._fetched: Counter[tuple[str, str]] = Counter()
        self.two_at_once: list[str] = []
        self.containers = {
            name: SimulatedContainer(name, image)
            for name, image in (
                ("develop-env", "simulated/develop-env:c0044"),
                ("kafka-daemon", "simulated/kafka:1"),
            )
        }

    def truth(self) -> dict[str, Any]:
        """Say what is true of the bench.

        Returns
        -------
        dict
            Containers, and the CSCs under test that run.
        """
        return {
            "containers": {name: "running" if c.running else "exited" for name, c in self.containers.items()},
            "under_test": [name for name in self._cscs if self._runs(name)],
        }

    def find(self, name: str) -> SimulatedContainer | None:
        """Find a container.

        Parameters
        ----------
        name
            Its name or identity.

        Returns
        -------
        SimulatedContainer or None
            None if there is none.
        """
        return next((c for c in self.containers.values() if name in (c.name, c.id)), None)

    def make(self, name: str, image: str) -> SimulatedContainer:
        """Make a container, which does not run yet.

        Parameters
        ----------
        name, image
            As Docker was told.

        Returns
        -------
        SimulatedContainer
            The container.
        """
        self.containers[name] = SimulatedContainer(name, image, running=False)
        return self.containers[name]

    def remove(self, name: str) -> None:
        """Remove a container with all that runs in it.

        Parameters
        ----------
        name
            Its name.
        """
        self.containers.pop(name, None)
        for csc in self._cscs.values():
            if self._runs(str(csc.name)):
                csc.kill()

    def execute(self, command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str, str]:
        """Play a command.

        Parameters
        ----------
        command
            Shell, ``-c``, script, its name, and its arguments.
        environment
            Variables that it is given.

        Returns
        -------
        code, output, error : tuple
            As of a process that has ended.
        """
        name, arguments = command[3] if len(command) > 3 else "", list(command[4:])
        match name, arguments:
            case "commtools-fetch", [folder, _, branch]:
                return self._fetch(folder, branch)
            case "commtools-start", [_, _, program, _, _]:
                return self._start(environment.get("COMMTOOLS_BENCH", ""), program)
            case "commtools-processes", [mark]:
                csc = mark.partition("=")[2]
                return 0, f"{self._pid[csc]}\n" if self._runs(csc) else "", ""
            case "commtools-stop", [mark, _]:
                csc = mark.partition("=")[2]
                if self._runs(csc):
                    self._cscs[csc].kill()
                return 0, "", ""
            case "commtools-output", [log, skip]:
                return self._output(log, int(skip))
            case _:
                return 127, "", f"{command[0] if command else ''}: not simulated\n"

    def _runs(self, name: str) -> bool:
        csc = self._cscs.get(name)
        return csc is not None and csc.host == _HOST and (csc.running or csc.booting)

    def _fetch(self, folder: str, branch: str) -> tuple[int, str, str]:
        if not branch.startswith(_PUSHED):
            return 128, "", f"fatal: couldn't find remote ref refs/heads/{branch}\n"
        self._fetched[folder, branch] += 1
        text = f"{folder} {branch} {self._fetched[folder, branch]}"
        return 0, f"{hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()}\n", ""

    def _start(self, name: str, program: str) -> tuple[int, str, str]:
        csc = self._cscs.get(name)
        if csc is None:
            return 1, "", f"{program}: no CSC {name} in the simulated observatory\n"
        if csc.running or csc.booting:
            self.two_at_once.append(name)
            return 1, "", f"{name} runs already\n"
        self._pid[name] = next(self._pids)
        csc.start_process(_HOST)
        return 0, "", ""

    def _output(self, log: str, skip: int) -> tuple[int, str, str]:
        name = log.rpartition("/")[2].removesuffix(".log").replace("-", ":")
        csc = self._cscs.get(name)
        if csc is None or csc.host != _HOST:
            return 0, "", ""
        text = "".join(f"{row['level']} {row['message']}\n" for row in csc.history)
        code = "" if self._runs(name) else "0\n" if csc.state == "OFFLINE" else "143\n"
        return 0, text.encode()[skip:].decode(errors="replace"), code

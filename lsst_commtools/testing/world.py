"""A small world for notebooks: a home of its own, and in it, as they are needed, what notebooks work with."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

from lsst_commtools.errors import InputError, ServiceError, StepError

if TYPE_CHECKING:
    from lsst_commtools.rehearsal import Rehearsal

__all__ = ["World", "copy_notebook"]

_KEPT = re.compile(r"(PATH|PYTHON.*|LD_.*|LANG|LC_.*|TZ|TMPDIR|NUMBA_.*|VIRTUAL_ENV|SSL_.*)")
_NIGHT_S = 900.0
_SPEED = 20.0
# One small detector, few visits, and a night that passes in half a minute.
_REHEARSAL = {
    "COMMTOOLS_DATA_INSTRUMENT": "LATISS",
    "COMMTOOLS_REHEARSAL_VISITS": "2",
    "COMMTOOLS_REHEARSAL_IMAGE_ROWS": "512",
    "COMMTOOLS_REHEARSAL_IMAGE_COLUMNS": "512",
}
_REHEARSAL_SPEED = 60.0


class World:
    """What stands around a notebook under test, at site ``local``.

    Parameters
    ----------
    folder
        Folder of this world alone.
    shared
        Folder in which a processed night is kept for all worlds that name it, also in other processes.
    """

    def __init__(self, folder: Path, shared: Path) -> None:
        self.folder = folder
        self.home = folder / "commtools"
        self.home.mkdir(parents=True)
        (folder / "home").mkdir()
        self._shared = shared
        self._running = False
        self._places: dict[str, str] = {"folder": str(folder)}

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of a process that lives in this world."""
        kept = {name: value for name, value in os.environ.items() if _KEPT.fullmatch(name)}
        return {
            **kept,
            "HOME": str(self.folder / "home"),
            "COMMTOOLS_HOME": str(self.home),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def provide(self, *needs: str) -> None:
        """Make what a notebook needs, once.

        Parameters
        ----------
        *needs
            ``observatory``: the simulated observatory, running. ``night``: three processed visits of LATISS.
            ``rehearsal``: a rehearsal of one small night, held by stand-ins to its end. ``teststand``: a small file
            system of a test stand.

        Raises
        ------
        InputError
            If a need is unknown.
        """
        makers = {
            "observatory": self._observatory,
            "night": self._night,
            "rehearsal": self._rehearsal,
            "teststand": self._teststand,
        }
        for need in needs:
            if need not in makers:
                raise InputError(f"Nobody knows how to make {need!r}.", advice=f"Known: {', '.join(makers)}.")
            makers[need]()

    def fill(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Fill places of this world into parameters.

        Parameters
        ----------
        values
            By name; texts may hold ``{folder}``, ``{night}``, ``{rehearsal}``, ``{teststand}``.

        Returns
        -------
        dict
            By name.
        """
        return {n: v.format_map(self._places) if isinstance(v, str) else v for n, v in values.items()}

    def commtools(self, *words: str, environment: Mapping[str, str] | None = None) -> Any:
        """Run the command in this world.

        Parameters
        ----------
        *words
            Its arguments.
        environment
            Its whole environment, by default that of this world.

        Returns
        -------
        object
            The JSON document that it printed.

        Raises
        ------
        ServiceError
            If it fails.
        """
        command = [sys.executable, "-m", "lsst_commtools.cli", "--format", "json", *words]
        done = subprocess.run(
            command,
            env=dict(environment or self.environment),
            capture_output=True,
            text=True,
            timeout=_NIGHT_S,
            check=False,
        )
        if done.returncode not in (0, 1):
            raise ServiceError(f"commtools {' '.join(words)} failed: {done.stderr[-2000:]}")
        return json.loads(done.stdout)

    @contextlib.contextmanager
    def attended(self) -> Iterator[None]:
        """Have stand-ins sign at the holds of the rehearsal, and answer its polls, while the block lasts.

        Raises
        ------
        StepError
            At the end of the block, if a stand-in might not sign.
        """
        if "rehearsal" not in self._places:
            yield
            return
        from lsst_commtools.rehearsal.stand_ins import StandIns

        refused: list[str] = []
        with StandIns(self.rehearsal, refused.append):
            yield
        if refused:
            raise StepError(f"Stand-ins could not sign: {'; '.join(dict.fromkeys(refused))}")

    @property
    def rehearsal(self) -> Rehearsal:
        """The rehearsal of this world; it was provided."""
        from lsst_commtools.rehearsal import Rehearsal
        from lsst_commtools.site import Site

        site = Site.load("local")
        ledger = site.procedure.model_copy(update={"ledger_url": f"sqlite:///{self.home / 'ledger.sqlite'}"})
        return Rehearsal.open(site.model_copy(update={"procedure": ledger}), self._places["rehearsal"])

    def close(self) -> None:
        """Stop what runs."""
        if self._running:
            self.commtools("sim", "down")
            self._running = False

    def _observatory(self) -> None:
        if not self._running:
            self.commtools("sim", "up", "--speed", str(_SPEED))
            self._running = True

    def _night(self) -> None:
        if "night" in self._places:
            return
        nights = self._shared / "nights"
        with _locked(self._shared / "night.lock"):
            if not (self._shared / "made").is_file():
                words = ("night", "--instrument", "LATISS", "--visits", "3", "--seed", "3")
                maker = World(self._shared / "maker", self._shared)
                maker.commtools(*words, "--work", str(nights / "LATISS_20261120"))
                (maker.home / "trend.sqlite3").replace(self._shared / "trend.sqlite3")
                (self._shared / "made").touch()
        (self.home / "nights").symlink_to(nights)
        (self.home / "trend.sqlite3").write_bytes((self._shared / "trend.sqlite3").read_bytes())
        self._places["night"] = str(nights / "LATISS_20261120")

    def _rehearsal(self) -> None:
        if "rehearsal" in self._places:
            return
        from lsst_commtools.testing.lab import jupyter_environment

        work = self.home / "rehearsals" / "simulated_1"
        words = ("rehearse", "--nights", "1", "--unattended", "--speed", str(_REHEARSAL_SPEED))
        with jupyter_environment(self.environment) as environment:
            self.commtools(*words, "--work", str(work), environment={**environment, **_REHEARSAL})
        self._places["rehearsal"] = str(work)

    def _teststand(self) -> None:
        from lsst_commtools.simulate.teststand import make_teststand

        if "teststand" not in self._places:
            self._places["teststand"] = str(make_teststand(self.folder / "teststand").root)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def copy_notebook(
    source: Path, target: Path, parameters: Mapping[str, Any], *, kernel_name: str = "commtools-warm"
) -> Path:
    """Copy a notebook with other values in its parameters cell, and for another kernel.

    Parameters
    ----------
    source, target
        The notebook, and where its copy goes.
    parameters
        Values by name, instead of the defaults; the cell must set each.
    kernel_name
        Name of the kernelspec.

    Returns
    -------
    pathlib.Path
        The copy.

    Raises
    ------
    InputError
        If the notebook has no such parameter.
    """
    nb = nbformat.read(source, as_version=4)
    left = dict(parameters)
    for cell in nb.cells:
        if "parameters" in cell.metadata.get("tags", []):
            for name in list(left):
                line = re.compile(rf"^({re.escape(name)}\b[^=\n]*=\s*)([^#\n]*?)(\s*(?:#.*)?)$", re.MULTILINE)
                match = line.search(cell.source)
                if match is not None:
                    set_to = f"{match[1]}{left.pop(name)!r}{match[3]}"
                    cell.source = cell.source[: match.start()] + set_to + cell.source[match.end() :]
    if left:
        raise InputError(f"{source.name} has no parameter {', '.join(left)}.")
    spec = {"name": kernel_name, "display_name": kernel_name, "language": "python"}
    nb.metadata.kernelspec = nbformat.from_dict(spec)
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, target)
    return target

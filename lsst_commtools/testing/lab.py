"""A JupyterLab of its own for tests: on loopback, with an empty home, gone at the end."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests

from lsst_commtools.errors import ServiceTimeoutError
from lsst_commtools.testing.browser import Watched

if TYPE_CHECKING:
    from playwright.sync_api import Locator

__all__ = ["Lab", "LabNotebook", "jupyter_environment", "running_lab", "running_voila"]

_FRAME = 260
_START_S = 90.0
_STOP_S = 10.0
_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    # All cells are in the page, also those that are not in view.
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
_CELLS = "jupyterapp.shell.currentWidget.content.widgets.map(w => w.model).filter(m => m.type === 'code')"
_THEMES = {False: "JupyterLab Light", True: "JupyterLab Dark"}


@contextlib.contextmanager
def jupyter_environment(environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Give an environment in which Jupyter, IPython and warm kernels keep everything in a folder of their own.

    Parameters
    ----------
    environment
        The rest of it.

    Yields
    ------
    dict
        All variables. The folder is ``XDG_RUNTIME_DIR``; with the block end the warm kernels' parents, and the folder.
    """
    names = {
        "HOME": "home",
        "IPYTHONDIR": "ipython",
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    }
    folder = Path(tempfile.mkdtemp(prefix="lab-"))  # a short name: paths of sockets may have 107 bytes
    for name in names.values():
        (folder / name).mkdir()
    own = {variable: str(folder / name) for variable, name in names.items()}
    try:
        yield {**environment, **own, "XDG_RUNTIME_DIR": str(folder)}
    finally:
        _stop_zygotes(folder)
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab.

    Parameters
    ----------
    url
        Its address, which ends in a slash.
    token
        What it wants to see.
    folder
        What it serves.
    """

    url: str
    token: str
    folder: Path

    def open(self, watched: Watched, path: str) -> LabNotebook:
        """Open a notebook, with no tab of before.

        Parameters
        ----------
        watched
            A page.
        path
            The notebook, below the folder.

        Returns
        -------
        LabNotebook
            Once its kernel can be used.
        """
        watched.page.goto(f"{self.url}lab/tree/{quote(path)}?token={self.token}&reset")
        return LabNotebook(watched)


class LabNotebook:
    """A notebook in a page of JupyterLab, whose kernel can be used.

    Parameters
    ----------
    watched
        The page.
    """

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self.page = watched.page
        # The indicator of the page says idle also while there is no kernel yet.
        self.page.wait_for_function(
            "window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'",
            timeout=60_000,
        )

    def run(self, timeout_s: float = 120.0) -> None:
        """Run all cells by the menu, and wait until each has run or one has failed.

        Parameters
        ----------
        timeout_s
            Longest wait, in seconds.
        """
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        self.page.wait_for_function(
            f"() => {{ const cells = {_CELLS}; return cells.every(m => m.executionState !== 'running') &&"
            " (cells.every(m => m.executionCount !== null || !m.sharedModel.source.trim())"
            " || cells.some(m => m.outputs.toJSON().some(o => o.output_type === 'error'))); }",
            timeout=timeout_s * 1e3,
        )

    def end(self) -> None:
        """End the kernel, and with it what its notebook holds."""
        self.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")

    @property
    def failures(self) -> list[str]:
        """Errors that cells have raised."""
        found: list[str] = self.page.evaluate(
            f"{_CELLS}.flatMap(m => m.outputs.toJSON()).filter(o => o.output_type === 'error')"
            ".map(o => `${o.ename}: ${o.evalue}`)"
        )
        return found

    @property
    def warnings(self) -> list[str]:
        """What cells have written to standard error."""
        found: list[str] = self.page.evaluate(
            f"{_CELLS}.flatMap(m => m.outputs.toJSON()).filter(o => o.name === 'stderr').map(o => o.text)"
        )
        return found

    @property
    def outputs(self) -> Locator:
        """What cells have given, widgets included."""
        return self.page.locator(".jp-Cell-outputWrapper")

    def use_theme(self, *, dark: bool) -> None:
        """Change JupyterLab's colours.

        Parameters
        ----------
        dark
            Light text on dark ground, or the other way.
        """
        self.page.evaluate(
            "theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", _THEMES[dark]
        )
        self.page.wait_for_selector(
            f'body[data-jp-theme-light="{"false" if dark else "true"}"]', state="attached"
        )

    def shoot(self, stem: Path) -> list[Path]:
        """Keep pictures of the whole notebook, narrow and wide, light and dark.

        Parameters
        ----------
        stem
            File name without its end.

        Returns
        -------
        list of pathlib.Path
            PNG files.
        """
        made = []
        for dark in (False, True):
            self.use_theme(dark=dark)
            for width in (1280, 1920):
                self.page.set_viewport_size({"width": width, "height": 1000})
                height = self.page.evaluate(
                    "() => [...document.querySelectorAll('.jp-Notebook-cell')]"
                    ".reduce((sum, cell) => sum + cell.offsetHeight, 0)"
                )
                name = stem.with_name(f"{stem.name}-{'dark' if dark else 'light'}")
                made += self.watched.shoot(name, widths=(width,), height=height + _FRAME)
        self.page.set_viewport_size({"width": 1280, "height": 1000})
        self.use_theme(dark=False)
        return made


@contextlib.contextmanager
def running_lab(folder: Path, environment: Mapping[str, str]) -> Iterator[Lab]:
    """Run JupyterLab on a free port of this computer.

    Parameters
    ----------
    folder
        What it serves.
    environment
        Whole environment of the server and of its kernels; folders of Jupyter are added.

    Yields
    ------
    Lab
        Once it answers.

    Raises
    ------
    ServiceTimeoutError
        If it does not come up.
    """
    token = secrets.token_hex(16)
    with jupyter_environment(environment) as variables:
        own = Path(variables["XDG_RUNTIME_DIR"])
        for name, values in _SETTINGS.items():
            package, plugin = name.split("/")
            file = own / "settings" / "@jupyterlab" / package / f"{plugin}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values))
        disabled = {"@jupyterlab/apputils-extension:announcements": True}
        (own / "config" / "labconfig").mkdir()
        (own / "config" / "labconfig" / "page_config.json").write_text(
            json.dumps({"disabledExtensions": disabled})
        )
        options = {
            "ServerApp.root_dir": folder,
            "IdentityProvider.token": token,
            "LabApp.expose_app_in_browser": True,
            "ServerApp.allow_root": os.geteuid() == 0,
            "LabApp.news_url": "",
        }
        words = ["jupyterlab", "--no-browser", *(f"--{name}={value}" for name, value in options.items())]
        with _running(words, folder, variables, own / "lab.log", f"api/status?token={token}") as url:
            yield Lab(url, token, folder)


@contextlib.contextmanager
def running_voila(notebook: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Serve a notebook as a page by Voila on a free port of this computer.

    Parameters
    ----------
    notebook
        The notebook.
    environment
        Whole environment of the server and of its kernels.

    Yields
    ------
    str
        Address of the page.
    """
    with jupyter_environment(environment) as variables:
        own = Path(variables["XDG_RUNTIME_DIR"])
        words = ["voila", "--no-browser", str(notebook)]
        with _running(words, own, variables, own / "voila.log", "voila/static/") as url:
            yield url


@contextlib.contextmanager
def _running(
    words: list[str], folder: Path, environment: Mapping[str, str], log: Path, asked: str
) -> Iterator[str]:
    """Run a module that serves, until the end of the block; kernels end with it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    where = ["--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    if words[0] == "voila":
        where = [f"--port={port}", "--Voila.ip=127.0.0.1"]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", *words, *where],
            cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
            start_new_session=True,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}/"
    try:
        _wait_for(process, url + asked, log)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    ends = time.monotonic() + _START_S
    while time.monotonic() < ends and process.poll() is None:
        with contextlib.suppress(requests.RequestException):
            if requests.get(url, timeout=2.0).status_code < 500:
                return
        time.sleep(0.1)
    told = log.read_text(errors="replace")[-2000:]
    raise ServiceTimeoutError(f"{url.split('?', maxsplit=1)[0]} does not answer: {told}")


def _stop_zygotes(folder: Path) -> None:
    """End the parents of warm kernels that listen below a folder."""
    from lsst_commtools.procedure.warm.wire import PeerGoneError, receive, send

    for address in folder.glob("*/*.socket"):
        with contextlib.suppress(OSError, PeerGoneError), socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(address))
            send(connection, {"do": "stop"})
            receive(connection)

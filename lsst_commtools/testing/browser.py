"""Pages in a real browser: Debian's chromium, driven by Playwright, and watched for what should not happen.

A page fails its test by an error on its console, by a request that fails, and by one that goes to another computer.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lsst_commtools.errors import NotFoundError

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Page, Request, Response

__all__ = ["Watched", "open_browser"]

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_HERE = ("127.0.0.1", "localhost", "")
_WAIT_MS = 20_000
_NARROW, _WIDE = 1280, 1920
_TALLEST = 12_000


class Watched:
    """A page with a record of what went wrong on it.

    Parameters
    ----------
    page
        The page of Playwright, not yet opened.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.strangers: list[str] = []
        page.set_default_timeout(_WAIT_MS)
        page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error}"))
        page.on("console", self._hear)
        page.on("request", self._see_request)
        page.on("requestfailed", self._see_failure)
        page.on("response", self._see_response)

    @property
    def wrong(self) -> list[str]:
        """What went wrong so far: errors, and requests to other computers."""
        return [*self.errors, *(f"asked for {url}" for url in self.strangers)]

    def forget(self) -> None:
        """Begin a new record."""
        self.errors.clear()
        self.strangers.clear()

    def shoot(self, stem: Path, *, widths: tuple[int, ...] = (_NARROW, _WIDE), height: int = 0) -> list[Path]:
        """Keep pictures of the page.

        Parameters
        ----------
        stem
            File name without its end, to which the width is added.
        widths
            Widths of the window in pixels.
        height
            Height of the window in pixels; 0 for the whole page.

        Returns
        -------
        list of pathlib.Path
            PNG files.
        """
        stem.parent.mkdir(parents=True, exist_ok=True)
        made = []
        for width in widths:
            self.page.set_viewport_size({"width": width, "height": min(height, _TALLEST) or 1000})
            self.page.evaluate("document.querySelector('.jp-WindowedPanel-outer')?.scrollTo(0, 0)")
            self.page.wait_for_timeout(300)  # figures and panels take their new width
            made.append(stem.with_name(f"{stem.name}-{width}.png"))
            self.page.screenshot(path=made[-1], full_page=not height)
        return made

    def sources(self, column: str) -> list[list[Any]]:
        """Give a column of the data behind the page's figures.

        Parameters
        ----------
        column
            Its name.

        Returns
        -------
        list of list
            One for each of bokeh's data sources that has it.
        """
        found: list[list[Any]] = self.page.evaluate(
            "column => (window.Bokeh?.documents ?? []).flatMap(d => [...d._all_models.values()])"
            ".filter(m => m.type === 'ColumnDataSource' && m.data[column] !== undefined)"
            ".map(m => Array.from(m.data[column]))",
            column,
        )
        return found

    @property
    def blank_figures(self) -> list[str]:
        """Titles of figures that have data and show none: bokeh says nothing where it cannot find their range."""
        found: list[str] = self.page.evaluate(
            "() => (window.Bokeh?.documents ?? []).flatMap(d => [...d._all_models.values()])"
            ".filter(m => m.type === 'Figure')"
            ".filter(m => m.renderers.some(r => r.data_source && r.visible && r.data_source.get_length() > 0))"
            ".filter(m => [m.x_range, m.y_range].some(r => !Number.isFinite(r.start) || !Number.isFinite(r.end)))"
            ".map(m => m.title?.text ?? '')"
        )
        return found

    def wait_for_figures(self) -> None:
        """Wait until bokeh has drawn all figures of the page."""
        self.page.wait_for_function(
            "window.Bokeh && Bokeh.documents.length > 0 && Bokeh.documents.every(d => d.is_idle)"
        )

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _see_request(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme not in ("data", "blob", "file") and url.hostname not in _HERE:
            self.strangers.append(request.url)

    def _see_failure(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the page itself gave it up
            self.errors.append(f"failed: {request.url} ({request.failure})")

    def _see_response(self, response: Response) -> None:
        if response.status >= 500:
            self.errors.append(f"answered {response.status}: {response.url}")


@contextlib.contextmanager
def open_browser() -> Iterator[Callable[[], Watched]]:
    """Start the system's chromium without a window.

    Yields
    ------
    callable
        Gives a new watched page, with cookies and storage of its own.

    Raises
    ------
    NotFoundError
        If there is no chromium, or no Playwright.
    """
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        raise NotFoundError("There is no chromium on this computer.", advice="apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise NotFoundError("Playwright is not installed.", advice="pip install playwright") from None
    arguments = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=arguments)
        try:
            yield lambda: Watched(browser.new_page(viewport={"width": _NARROW, "height": 1000}))
        finally:
            browser.close()

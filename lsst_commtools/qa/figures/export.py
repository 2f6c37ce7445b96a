"""Figures to one HTML file that needs no network."""

from __future__ import annotations

import html
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bokeh.embed import components
from bokeh.embed.bundle import bundle_for_objs_and_resources
from bokeh.resources import INLINE

from lsst_commtools.errors import NotFoundError, ServiceError

__all__ = ["html_page", "write_html", "write_png"]

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:"
)
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_STYLE = (
    "body{font-family:sans-serif;margin:1.5em;max-width:1200px;color:#222}"
    "table{border-collapse:collapse;margin:.5em 0}td,th{border:1px solid #bbb;padding:.25em .6em;text-align:left}"
    "h1{font-size:1.4em}h2{font-size:1.1em;margin-top:1.5em}"
)


def html_page(title: str, blocks: Sequence[Any]) -> str:
    """Build a page of text, tables and figures; a browser asks no other host for anything.

    Parameters
    ----------
    title
        Of the page.
    blocks
        In order: a text is a paragraph, a pair (heading, text) a section, a list of rows a table (the first row its
        header), anything else a bokeh model. Texts are escaped.

    Returns
    -------
    str
        HTML with BokehJS in it, and a policy that forbids loading anything.
    """
    models = [b for b in blocks if not isinstance(b, str | tuple | list)]
    script, divisions = components(tuple(models)) if models else ("", ())
    pending = iter(divisions)
    body = "\n".join(_block(b) if isinstance(b, str | tuple | list) else next(pending) for b in blocks)
    resources = _resources(models)
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n{resources}\n</head>\n"
        f"<body>\n<h1>{html.escape(title)}</h1>\n{body}\n{script}\n</body></html>\n"
    )


def _resources(models: Sequence[Any]) -> str:
    """Give the parts of BokehJS that the models need, as text of the page."""
    if not models:
        return ""
    bundle = bundle_for_objs_and_resources(tuple(models), INLINE)
    styles = "".join(f"<style>{css}</style>\n" for css in bundle.css_raw)
    return styles + "".join(f"<script>{js}</script>\n" for js in bundle.js_raw)


def _block(block: Any) -> str:
    if isinstance(block, str):
        return f"<p>{html.escape(block)}</p>"
    if isinstance(block, tuple):
        heading, text = block
        return f"<h2>{html.escape(str(heading))}</h2>\n" + (
            f"<p>{html.escape(str(text))}</p>" if text else ""
        )
    header, *rows = block
    cells = ["".join(f"<th>{html.escape(str(c))}</th>" for c in header)]
    cells += ["".join(f"<td>{html.escape(str(c))}</td>" for c in row) for row in rows]
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"


def write_html(path: Path, title: str, blocks: Sequence[Any]) -> Path:
    """Write a page; a reader never sees half of it.

    Parameters
    ----------
    path
        File; its folder must exist.
    title, blocks
        As for `html_page`.

    Returns
    -------
    pathlib.Path
        The file.
    """
    text = html_page(title, blocks)
    handle, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path


def write_png(
    path: Path,
    title: str,
    blocks: Sequence[Any],
    *,
    width: int = 1240,
    height: int = 1000,
    timeout_s: float = 60.0,
) -> Path:
    """Write a page as a picture, by the system's chromium and without a network.

    Parameters
    ----------
    path
        File; its folder must exist.
    title, blocks
        As for `html_page`.
    width, height
        Of the picture, in pixels.
    timeout_s
        When to give up.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    NotFoundError
        If there is no chromium.
    ServiceError
        If it gives no picture.
    """
    browser = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise NotFoundError(
            "There is no chromium to make a picture with.", advice="Install it, or write HTML instead."
        )
    with tempfile.TemporaryDirectory() as folder:
        page, picture = Path(folder) / "page.html", Path(folder) / "page.png"
        write_html(page, title, blocks)
        command = [
            browser, "--headless", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder}/profile",
            f"--window-size={width},{height}", "--virtual-time-budget=5000", f"--screenshot={picture}",
            "--proxy-server=127.0.0.1:9", "--host-resolver-rules=MAP * ~NOTFOUND", page.as_uri(),
        ]  # fmt: skip
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # chromium has none for root
        try:
            subprocess.run(command, capture_output=True, timeout=timeout_s, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            raise ServiceError(f"{browser} made no picture: {type(error).__name__}.") from error
        if not picture.exists():
            raise ServiceError(f"{browser} made no picture.")
        shutil.copyfile(picture, path)
    return path

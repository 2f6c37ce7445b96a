"""What all pages of a rehearsal share: text that is escaped, and files that are never half there."""

from __future__ import annotations

import html
import os
import re
import tempfile
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsst_commtools.errors import ServiceError

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["UNATTENDED", "Framed", "markdown", "render", "write_whole"]

UNATTENDED = "Unattended: signed by stand-ins"
"""Stands on each page of a rehearsal in which no people signed."""

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:"
)
_STILL_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_MARKUP = re.compile(r"([\\`*_\[\]|~$]|^[#+=-]|^\d+(?=[.)]\s))")


def render(template: str, values: Mapping[str, Any], *, scripts: bool = False) -> str:
    """Fill a template of this room.

    Parameters
    ----------
    template
        Its name; ``.html`` is escaped by itself, ``.md`` by its filter ``md``.
    values
        What it shows.
    scripts
        Whether the page draws figures; other pages run no script at all.

    Returns
    -------
    str
        The page.
    """
    policy = _POLICY if scripts else _STILL_POLICY
    return _environment().get_template(template).render(policy=policy, unattended_text=UNATTENDED, **values)


def markdown(value: object) -> str:
    """Write text from outside into Markdown, so that Slack and wikis show it as it is.

    Parameters
    ----------
    value
        Anything.

    Returns
    -------
    str
        One line; marks, angle brackets and mentions have lost their meaning.
    """
    text = " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
    text = "".join(c for c in text if unicodedata.category(c) != "Cf")
    text = _MARKUP.sub(lambda match: f"\\{match[0]}" if not match[0].isdigit() else f"{match[0]}\u200b", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("@", "@\u200b").replace("://", ":\u200b//")


@dataclass(frozen=True)
class Framed:
    """A page, as a notebook shows it: in a frame, for put there as it is, its style would change all of JupyterLab.

    Parameters
    ----------
    page
        A file that needs nothing else and runs no script.
    """

    page: Path

    def _repr_html_(self) -> str:
        content = html.escape(self.page.read_text(encoding="utf-8"))
        style = "width: 100%; height: 40em; border: 1px solid #c9ced6; background: #ffffff"
        title = html.escape(self.page.name)
        return f'<iframe title="{title}" sandbox="" style="{style}" srcdoc="{content}"></iframe>'


def write_whole(path: Path, text: str) -> Path:
    """Write a file beside its place and move it there, so that a reader never sees half of it.

    Parameters
    ----------
    path
        The file; its folder is made.
    text
        What it holds.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ServiceError
        If it cannot be written; the one that was there is kept.
    """
    part = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        umask = os.umask(0)
        os.umask(umask)
        Path(part).chmod(0o666 & ~umask)
        return Path(part).replace(path)
    except OSError as error:
        raise ServiceError(
            f"{path} cannot be written: {error.strerror}.", changed="The one before, if any, is kept."
        ) from error
    finally:
        if part:
            Path(part).unlink(missing_ok=True)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("lsst_commtools.rehearsal"),
        autoescape=select_autoescape(["html"]),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["md"] = markdown
    environment.filters["moment"] = _moment
    environment.filters["flat"] = _flat
    return environment


def _moment(text: object) -> str:
    """Show a time of the journal to the second."""
    told = str(text or "")
    return f"{told[:19].replace('T', ' ')}" if told else "-"


def _flat(value: Any) -> str:
    """Show a value of the journal in one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_flat(v)}" for key, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_flat, value))
    if isinstance(value, float):
        return f"{value:.6g}"
    return "-" if value is None or value == "" else str(value)

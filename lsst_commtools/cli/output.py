"""What the command line prints: one JSON document, or text for people."""

from __future__ import annotations

import enum
import json
import math
import re
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lsst_commtools.errors import CommtoolsError

if TYPE_CHECKING:
    from lsst_commtools.site import Site

__all__ = ["Context", "Output", "print_error", "safe_text", "to_json"]


class Output(enum.Enum):
    """Form of the output."""

    TABLE = "table"
    JSON = "json"


def safe_text(value: object) -> str:
    """Make text from outside harmless for a terminal.

    Parameters
    ----------
    value
        Anything.

    Returns
    -------
    str
        Its text, control and format characters written as escapes.
    """
    return "".join(
        c
        if unicodedata.category(c) not in ("Cc", "Cf", "Cs")
        else c.encode("unicode_escape", "replace").decode()
        for c in str(value)
    )


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, str | int | bool):
        return value
    if hasattr(value, "item"):
        return _plain(value.item())
    return str(value)


def to_json(document: Any) -> str:
    """Write a document as strict JSON: numbers that are not finite become null.

    Parameters
    ----------
    document
        Plain values, numpy scalars, paths.

    Returns
    -------
    str
        Indented JSON.
    """
    text = json.dumps(_plain(document), indent=2, ensure_ascii=False, allow_nan=False)
    # json escapes C0 controls only; DEL and C1 controls move a terminal's cursor too.
    return re.sub(r"[\x7f-\x9f]", lambda match: f"\\u{ord(match[0]):04x}", text)


@dataclass
class Context:
    """What each subcommand gets from the global options.

    Parameters
    ----------
    site_name
        Name or file of the site; None for the default.
    output
        Form of the output.
    """

    site_name: str | None
    output: Output

    @property
    def site(self) -> Site:
        """The site, loaded at first use."""
        from lsst_commtools.site import Site

        return Site.load(self.site_name)

    @property
    def json(self) -> bool:
        """Whether standard output belongs to one JSON document."""
        return self.output is Output.JSON

    def emit(self, document: Any, text: str | None = None) -> None:
        """Print a result.

        Parameters
        ----------
        document
            What ``--format json`` prints.
        text
            What people read; JSON where there is none.
        """
        print(to_json(document) if self.json or text is None else text)

    def emit_table(self, document: Any, rows: Iterable[Sequence[object]], header: Sequence[str]) -> None:
        """Print a result as an aligned table.

        Parameters
        ----------
        document
            What ``--format json`` prints.
        rows, header
            Cells, escaped for the terminal here.
        """
        cells = [[safe_text("-" if cell is None else cell) for cell in row] for row in (header, *rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in cells
        ]
        lines.insert(1, "  ".join("-" * w for w in widths))
        self.emit(document, "\n".join(lines))


def print_error(error: CommtoolsError, output: Output) -> None:
    """Print an error: a line for people on standard error, and the JSON document where one was asked for.

    Parameters
    ----------
    error
        What went wrong.
    output
        Form of the output.
    """
    sentence = str(error) if error.advice else f"{error} {error.next_step}"
    print(f"commtools: {safe_text(sentence)} [{error.code}]", file=sys.stderr)
    if output is Output.JSON:
        print(to_json({"error": error.to_dict()}))

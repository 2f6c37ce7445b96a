"""The pages that are made from the code each time: reference, settings, command line, errors, house, changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import changes
import errors_page
import house
import reference

ROOT = Path(__file__).parents[2]


def setup(app: Any) -> dict[str, Any]:
    """Have the pages written before Sphinx looks for pages."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}


def write_pages(app: Any) -> None:
    """Write all generated pages; those that did not change keep their time, and are not built again."""
    folder = Path(app.srcdir) / "reference"
    pages = {
        **reference.pages(),
        "errors.md": errors_page.page(),
        "house.svg": house.draw(house.read_house(ROOT / "pyproject.toml")),
        "unreleased.txt": changes.unreleased(ROOT),
    }
    folder.mkdir(exist_ok=True)
    for stale in {path.name for path in folder.iterdir()} - {*pages, ".gitignore"}:
        (folder / stale).unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")

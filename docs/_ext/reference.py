"""Reference pages: each room's public names, the settings of a site, the command line."""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import os
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import click

import lsst_commtools
from lsst_commtools.site import Site
from lsst_commtools.site.description import describe_settings

_PACKAGE = "lsst_commtools"
# Faces and commands have a page of their own; the errors too.
_APART = ("cli", "errors")


def pages() -> dict[str, str]:
    """Write all reference pages, by file name."""
    rooms = [m.name for m in pkgutil.iter_modules(lsst_commtools.__path__) if m.name not in _APART]
    found = {f"{room}.md": _room_page(room) for room in rooms}
    found["settings.md"] = _settings_page()
    found["commands.md"] = _commands_page()
    found["index.md"] = _index_page(rooms)
    return found


def _index_page(rooms: list[str]) -> str:
    tops = "\n".join(
        f"- {{py:obj}}`{name} <{_home(name)}.{name}>`: {_first_line(getattr(lsst_commtools, name))}"
        for name in lsst_commtools.__all__
    )
    entries = "\n".join(["commands", "settings", "errors", *rooms])
    return (
        "# Reference\n\n"
        "What a notebook begins with comes from the package itself, `from lsst_commtools import Control, Site`:\n\n"
        f"{tops}\n\n"
        "All else comes from its room. Private modules are not for import.\n\n"
        f"```{{toctree}}\n:maxdepth: 1\n\n{entries}\n```\n"
    )


def _home(name: str) -> str:
    return ".".join(getattr(lsst_commtools, name).__module__.split(".")[:2])


def _first_line(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").split("\n", 1)[0]


def _room_page(room: str) -> str:
    name = f"{_PACKAGE}.{room}"
    module = importlib.import_module(name)
    lines = [f"# {room}", "", "```{eval-rst}", f".. automodule:: {name}", "   :no-members:", ""]
    for public in sorted(module.__all__, key=str.lower):
        lines += [_directive(name, public, getattr(module, public)), ""]
    return "\n".join([*lines, "```", ""])


def _directive(module: str, public: str, thing: Any) -> str:
    if inspect.isclass(thing):
        return f".. autoclass:: {module}.{public}\n   :show-inheritance:"
    if callable(thing) and hasattr(thing, "__name__"):
        return f".. autofunction:: {module}.{public}"
    return "\n".join(
        [f".. py:data:: {module}.{public}", "", *(f"   {line}" for line in _of_data(module, public, thing))]
    )


def _of_data(module: str, public: str, thing: Any) -> Iterator[str]:
    """Tell of a constant: the text below its assignment, and its value as a table or as it is written."""
    yield _text_below(module, public)
    yield ""
    if isinstance(thing, Mapping) and all(is_dataclass(value) for value in thing.values()):
        columns = [field.name for field in fields(next(iter(thing.values())))]
        yield from (".. list-table::", "   :header-rows: 1", "")
        for row in (columns, *([getattr(value, name) for name in columns] for value in thing.values())):
            yield from (
                f"   {'-' if i else '* -'} {cell}".replace("   - ", "     - ") for i, cell in enumerate(row)
            )
    elif not isinstance(thing, Path) and len(repr(thing)) < 200:
        yield f"``{thing!r}``"


def _text_below(module: str, public: str) -> str:
    """Find the text that stands below the assignment of a name, in any module of the room."""
    source = Path(importlib.import_module(module).__file__ or "")
    for path in sorted(source.parent.rglob("*.py")) if source.name == "__init__.py" else [source]:
        body = ast.parse(path.read_text(encoding="utf-8")).body
        for statement, below in itertools.pairwise(body):
            targets = (
                statement.targets
                if isinstance(statement, ast.Assign)
                else [getattr(statement, "target", None)]
            )
            named = any(isinstance(target, ast.Name) and target.id == public for target in targets)
            if named and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                return str(below.value.value)
    return ""


def _settings_page() -> str:
    lines = [
        "# Settings of a site",
        "",
        "How they are given: [](../guides/add_a_site.md). A setting `love.url` is also the variable",
        "`COMMTOOLS_LOVE_URL`. What is not given has its default.",
    ]
    for section in describe_settings(Site):
        lines += ["", f"## {'.'.join(section.path) or 'Top level'}", "", section.title, ""]
        lines += ["| setting | type | default | |", "|---|---|---|---|"]
        for setting in section.settings:
            default = "required" if setting.required else f"`{setting.default!r}`"
            cells = (f"`{setting.name}`", f"`{setting.kind}`", default, setting.meaning)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


def _commands_page() -> str:
    from lsst_commtools.cli.app import app

    # Help texts name places and variables of whoever builds the page unless these are absent.
    for name in [n for n in os.environ if n.startswith("COMMTOOLS_")]:
        del os.environ[name]
    lines = ["# The command line", ""]
    for path, command in _commands(app, ("commtools",)):
        context = click.Context(command, info_name=" ".join(path), max_content_width=100, terminal_width=100)
        lines += [
            f"{'#' * min(len(path) + 1, 4)} {' '.join(path)}",
            "",
            "```text",
            command.get_help(context),
            "```",
            "",
        ]
    return "\n".join(lines)


def _commands(
    command: click.Command, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path[-1])
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                yield from _commands(child, (*path, name))

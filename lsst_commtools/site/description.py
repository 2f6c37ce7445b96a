"""The settings of a site as people read them: each with its meaning, its kind and its default."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

__all__ = ["SectionDescription", "SettingDescription", "describe_settings"]

_MODULES = re.compile(r"\b(?:lsst_commtools|typing|collections|datetime|pathlib)\.(?:\w+\.)*")


@dataclass(frozen=True)
class SettingDescription:
    """One setting.

    Parameters
    ----------
    name
        Its key in the section.
    kind
        Type as it is written in Python.
    required
        Whether it has no default.
    default
        Its default, None where it is required.
    meaning
        What it is, from the docstring of its section.
    """

    name: str
    kind: str
    required: bool
    default: Any
    meaning: str


@dataclass(frozen=True)
class SectionDescription:
    """One section, or the top level.

    Parameters
    ----------
    path
        Keys that lead to it; none for the top level.
    title
        What it is about, one line.
    settings
        Its settings, without those of sections in it.
    """

    path: tuple[str, ...]
    title: str
    settings: tuple[SettingDescription, ...]


def describe_settings(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[SectionDescription]:
    """Describe a section and those in it.

    Parameters
    ----------
    model
        Class of the section; `Site` for all.
    path
        Keys that lead to it.

    Yields
    ------
    SectionDescription
        The section itself, then those in it, in their order.
    """
    text = inspect.getdoc(model) or ""
    meanings = _parameters(text)
    own = [(n, f) for n, f in model.model_fields.items() if not _is_section(f.annotation)]
    settings = tuple(_setting(name, field, meanings.get(name, "")) for name, field in own)
    yield SectionDescription(path, text.split("\n", 1)[0], settings)
    for name, field in model.model_fields.items():
        section = field.annotation
        if inspect.isclass(section) and issubclass(section, BaseModel):
            yield from describe_settings(section, (*path, name))


def _setting(name: str, field: FieldInfo, meaning: str) -> SettingDescription:
    kind = _MODULES.sub("", inspect.formatannotation(field.annotation))
    required = field.is_required()
    default = None if required else field.get_default(call_default_factory=True)
    return SettingDescription(name, kind, required, default, field.description or meaning)


def _is_section(kind: Any) -> bool:
    return inspect.isclass(kind) and issubclass(kind, BaseModel)


def _parameters(docstring: str) -> dict[str, str]:
    """Read what parameters mean from a numpydoc docstring; several names may share one text."""
    meanings: dict[str, str] = {}
    names: list[str] = []
    for line in docstring.partition("Parameters\n----------\n")[2].splitlines():
        if line and not line[0].isspace():
            names = [name.strip() for name in line.split(",")]
        else:
            for name in names:
                meanings[name] = f"{meanings.get(name, '')} {line.strip()}".strip()
    return meanings

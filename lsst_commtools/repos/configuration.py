"""``repositoryCfg.yaml``: the configuration of a Gen2 repository, read without the old stack.

The file carries two tags, ``!RepositoryCfg_v1`` and ``!!python/name:``. The loader knows exactly these; any other
tag, and so every one that would execute something, is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lsst_commtools.errors import TableError

__all__ = ["CONFIGURATION_NAME", "Configuration", "parse_configuration", "read_configuration"]

CONFIGURATION_NAME = "repositoryCfg.yaml"
_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Configuration:
    """Configuration of a Gen2 repository.

    Parameters
    ----------
    root
        Where its data are; None for the folder of the file.
    mapper
        Dotted name of the mapper class.
    parents
        In search order: a path, absolute or relative to the real root, or the nested configuration of a v1 parent.
    """

    root: str | None
    mapper: str | None
    parents: tuple[str | Configuration, ...]


class _MapperName(str):
    """A dotted name that stood behind ``!!python/name:``; it is never imported."""

    __slots__ = ()


class _Loader(yaml.SafeLoader):
    """Safe loader that knows the two tags of the file."""


def _configuration(loader: _Loader, node: yaml.Node) -> Configuration:
    if not isinstance(node, yaml.MappingNode):
        raise yaml.constructor.ConstructorError(
            None, None, "a configuration must be a mapping", node.start_mark
        )
    values: dict[Any, Any] = loader.construct_mapping(node, deep=True)
    root, mapper, parents = values.get("_root"), values.get("_mapper"), values.get("_parents")
    parents = [] if parents is None else parents
    if (
        not isinstance(root, str | None)
        or not isinstance(mapper, str | None)
        or not isinstance(parents, list)
        or not all(isinstance(parent, str | Configuration) for parent in parents)
    ):
        raise yaml.constructor.ConstructorError(
            None, None, "_root, _mapper or _parents has a type that is not expected", node.start_mark
        )
    return Configuration(root, mapper, tuple(parents))


def _python_name(_loader: _Loader, suffix: str, _node: yaml.Node) -> _MapperName:
    return _MapperName(suffix)


_Loader.add_constructor("!RepositoryCfg_v1", _configuration)
_Loader.add_multi_constructor("tag:yaml.org,2002:python/name:", _python_name)


def parse_configuration(text: str) -> Configuration:
    """Read the text of a ``repositoryCfg.yaml``.

    Parameters
    ----------
    text
        The YAML document.

    Returns
    -------
    Configuration
        What it says.

    Raises
    ------
    TableError
        If it is not a configuration, or carries a tag that does not belong there.
    """
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader with two constructors more
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise TableError(f"The repository configuration cannot be read: {reason}") from None
    if not isinstance(document, Configuration):
        raise TableError("The repository configuration is not tagged !RepositoryCfg_v1.")
    return document


def read_configuration(folder: str) -> Configuration | None:
    """Read the configuration of a repository.

    Parameters
    ----------
    folder
        The repository.

    Returns
    -------
    Configuration or None
        None if it has no ``repositoryCfg.yaml``.

    Raises
    ------
    TableError
        If the file cannot be read, is larger than 1 MiB or is not a configuration.
    """
    path = Path(folder, CONFIGURATION_NAME)
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise TableError(f"{path} is larger than 1 MiB, which no repository configuration is.")
        return parse_configuration(content.decode())
    except UnicodeDecodeError:
        raise TableError(f"{path} is not UTF-8 text.") from None
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror}.") from None

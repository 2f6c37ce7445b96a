"""The search order of a Gen2 repository and its parents, resolved without the old stack.

The order is that of ``daf_persistence`` 5674e7b: depth first, a repository before its parents, each parent with its
ancestors before the next, each root once. Where the old stack fails or silently finds less, the chain holds what is
meant and names the trap as a problem.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lsst_commtools.errors import InputError, NotFoundError, TableError
from lsst_commtools.repos.configuration import CONFIGURATION_NAME, Configuration, read_configuration
from lsst_commtools.repos.marks import (
    MAPPER_NAME,
    PARENT_NAME,
    REGISTRY_NAME,
    is_old,
    probe_folder,
    read_link,
    read_mapper,
)
from lsst_commtools.repos.tree import is_folder, is_there
from lsst_commtools.repos.values import Chain, ChainProblem, ChainRoot

__all__ = ["find_in_chain", "resolve_chain"]

CALIB_REGISTRY_NAME = "calibRegistry.sqlite3"
_SQLITE_MAGIC = b"SQLite format 3\0"
_NO_PARENTS = "Finds no parents and says nothing: images of the parents are 'NoResults'."


def resolve_chain(*inputs: str | os.PathLike[str]) -> Chain:
    """Resolve the roots that are searched for one or more repositories.

    Parameters
    ----------
    *inputs
        Repositories, in search order; each comes with its ancestors before the next.

    Returns
    -------
    Chain
        Roots as absolute real paths, the registry and CALIB of the first, and the problems met.

    Raises
    ------
    NotFoundError
        If an input does not exist or is no folder.
    """
    walk = _Walk()
    for given in inputs:
        folder = os.fspath(given)
        if not is_folder(folder):
            raise NotFoundError(
                f"There is no folder {folder!r}.", advice="'commtools repo list' shows the repositories."
            )
        walk.run(_Edge(folder, folder, "input"))
    members = tuple(ChainRoot(node.path, node.mapper, _registry(node)) for node in walk.emitted)
    problems = tuple(dict.fromkeys(walk.problems))
    if not walk.tops:
        return Chain(members, None, None, problems)
    return Chain(members, _registry(walk.tops[0]), _calib(walk.tops[0]), problems)


def find_in_chain(chain: Chain, relative: str) -> list[str]:
    """Find a file in the roots of a chain.

    Parameters
    ----------
    chain
        The chain.
    relative
        Path of the file below a root.

    Returns
    -------
    list of str
        All that are there, in search order: the first is the one that the old stack takes, the others are shadowed.
        A dangling link counts, as it does in the old stack.

    Raises
    ------
    InputError
        If the path leads out of the roots.
    """
    if os.path.isabs(relative) or ".." in Path(relative).parts:  # noqa: PTH117 - text, not a path
        raise InputError(f"{relative!r} is not a path below a repository's root.")
    paths = (str(Path(root, relative)) for root in chain.roots)
    return [path for path in paths if os.path.lexists(path)]


@dataclass(frozen=True)
class _Edge:
    """A step to a repository: by the user's input, a link or a configuration, which may nest the parent's."""

    path: str
    where: str
    by: str
    nested: Configuration | None = None


_View = tuple[str, str]
"""A real path, and as what it is read: ``old``, ``new``, or ``nested`` with the identity of the configuration."""


def _view(edge: _Edge, real: str) -> _View:
    if edge.nested is not None:
        return real, f"nested {id(edge.nested)}"
    return real, "new" if edge.by != "link" and is_there(real, CONFIGURATION_NAME) else "old"


@dataclass
class _Node:
    path: str
    mapper: str | None
    registry: str | None = None
    modern: bool = False
    parents: list[_Node] = field(default_factory=list)


class _Walk:
    """Depth-first walk over repositories, with the problems met on the way."""

    def __init__(self) -> None:
        self.tops: list[_Node] = []
        self.emitted: list[_Node] = []
        self.problems: list[ChainProblem] = []
        self._roots: set[str] = set()
        self._read: dict[_View, _Node] = {}
        self._nested: dict[int, tuple[_Node, Configuration]] = {}

    def run(self, edge: _Edge) -> None:
        """Walk one input; the stack is explicit, so that no chain is too deep."""
        top = _Node("", None)
        pending: list[tuple[_Node, Iterator[_Edge]]] = [(top, iter((edge,)))]
        on_path: list[_View] = []
        while pending:
            child, edges = pending[-1]
            step = next(edges, None)
            if step is None:
                pending.pop()
                if on_path:
                    on_path.pop()
                continue
            node, more = self._open(step, on_path)
            if node is None:
                continue
            child.parents.append(node)
            if child is not top:
                self._compare(child, node, step)
            if more is not None:
                pending.append((node, iter(more)))
                on_path.append(_view(step, os.path.realpath(step.path)))
        self.tops += top.parents

    def _say(self, kind: str, where: str, what: str, old_stack: str) -> None:
        self.problems.append(ChainProblem(kind, where, what, old_stack))

    def _open(self, edge: _Edge, on_path: list[_View]) -> tuple[_Node | None, list[_Edge] | None]:
        """Read what an edge leads to: its node, and its own edges unless these were walked before."""
        if not self._reachable(edge):
            return None, None
        real = os.path.realpath(edge.path)
        view = _view(edge, real)
        if view in on_path:
            self._cycle(edge, [place for place, _ in (*on_path[on_path.index(view) :], view)])
            return None, None
        known = self._known(edge, view)
        if known is not None:
            return known, None
        if not self._searched(edge, real):
            return None, None
        node, edges = self._nested_node(edge, real) if edge.nested else self._disk_node(edge, real)
        self._read.setdefault(view, node)
        if node.path not in self._roots:
            self._roots.add(node.path)
            self.emitted.append(node)
        return node, edges

    def _known(self, edge: _Edge, view: _View) -> _Node | None:
        """Find a repository that was walked before: for a path, the first that has its root."""
        if edge.nested is not None:
            return self._nested.get(id(edge.nested), (None,))[0]
        if edge.by == "link":
            return self._read.get(view)
        return next((node for (place, _), node in self._read.items() if place == view[0]), None)

    def _searched(self, edge: _Edge, real: str) -> bool:
        """Tell whether the old stack searches a folder that is there; say why not."""
        if edge.by == "input" or edge.nested is not None or is_old(real):
            return True
        modern = is_there(real, CONFIGURATION_NAME)
        if modern and edge.by == "link":
            self._say(
                "mixed-parents",
                edge.where,
                f"{edge.where} leads to a repository that has only a {CONFIGURATION_NAME}, which links do not know.",
                _NO_PARENTS,
            )
        elif not modern:
            self._say(
                "no-mapper",
                real,
                f"{real} is no repository: it has no {MAPPER_NAME}, registry, configuration or parents.",
                _NO_PARENTS
                if edge.by == "link"
                else "AttributeError: 'NoneType' object has no attribute 'root'.",
            )
        return modern and edge.by != "link"

    def _reachable(self, edge: _Edge) -> bool:
        reason = probe_folder(edge.path)
        if reason is None:
            return True
        silent = _NO_PARENTS + " Without a mapper of its own: 'No default mapper could be established'."
        loud = "AttributeError: 'NoneType' object has no attribute 'root'."
        old_stack = silent if edge.by == "link" else loud
        if reason == errno.ELOOP:
            self._say("link-cycle", edge.where, f"{edge.path} leads back to itself.", old_stack)
        elif reason == errno.ENOENT:
            target = os.path.realpath(edge.path)
            self._say(
                "dangling-link",
                edge.where,
                f"{edge.where} leads to {target}, which does not exist.",
                old_stack,
            )
        else:
            self._say(
                "unreadable", edge.where, f"{edge.path} cannot be read: {os.strerror(reason)}.", old_stack
            )
        return False

    def _cycle(self, edge: _Edge, loop: list[str]) -> None:
        what = "The parents form a cycle: " + " -> ".join(loop) + "."
        if edge.by == "link":
            self._say("link-cycle", edge.where, what, "RecursionError: maximum recursion depth exceeded.")
        else:
            self._say("config-cycle", edge.where, what, "Never returns: an endless loop.")

    def _disk_node(self, edge: _Edge, real: str) -> tuple[_Node, list[_Edge]]:
        try:
            configuration = read_configuration(real)
        except TableError as error:
            where = str(Path(real, CONFIGURATION_NAME))
            self._say(
                "unreadable",
                where,
                error.message,
                "A YAML error ends the program, or an unsafe tag is executed.",
            )
            return _Node(real, None, self._registry_file(real), modern=True), []
        if configuration is None:
            return self._linked_node(real)
        if edge.by == "link":
            self._say(
                "mixed-parents",
                edge.where,
                f"{edge.where} leads to a repository with a {CONFIGURATION_NAME}, which links do not know.",
                "Searches this parent as an old repository: the parents of its configuration are not searched.",
            )
            return self._linked_node(real)
        return self._configured_node(configuration, real, str(Path(real, CONFIGURATION_NAME)))

    def _linked_node(self, real: str) -> tuple[_Node, list[_Edge]]:
        node = _Node(real, self._mapper(real), self._registry_file(real))
        parent = Path(real, PARENT_NAME)
        link = read_link(real)
        if node.mapper is None:
            self._say(
                "no-mapper",
                real,
                f"Neither {real} nor its parents have a usable {MAPPER_NAME}.",
                "'No default mapper could be established from inputs', or no image is found here.",
            )
        if link is None:
            return node, [_Edge(str(parent), str(parent), "link")] if is_there(real, PARENT_NAME) else []
        if not os.path.isabs(link.text) and probe_folder(link.path) is None:  # noqa: PTH117 - text, not a path
            self._say(
                "relative-link",
                link.path,
                f"The link says {link.text!r}, which means {link.target}.",
                f"Reads {link.text!r} against the working directory of its process: no parents, unless it is started "
                f"in {real}.",
            )
        return node, [_Edge(link.path, link.path, "link")]

    def _nested_node(self, edge: _Edge, real: str) -> tuple[_Node, list[_Edge]]:
        configuration = edge.nested
        if configuration is None:  # pragma: no cover - the caller asks only for nested edges
            raise AssertionError
        node = _Node(real, configuration.mapper, self._registry_file(real))
        self._nested[id(configuration)] = (node, configuration)
        return node, self._parent_edges(configuration, real, edge.where)

    def _configured_node(
        self, configuration: Configuration, folder: str, where: str
    ) -> tuple[_Node, list[_Edge]]:
        root = folder
        if configuration.root is not None:
            root = os.path.realpath(_absolute(folder, configuration.root))
            if not os.path.isabs(_plain(configuration.root)):  # noqa: PTH117 - text, not a path
                self._say(
                    "relative-link",
                    where,
                    f"_root is {configuration.root!r}, which means {root}.",
                    "Reads it against the working directory of its process.",
                )
        if configuration.mapper is None:
            self._say(
                "no-mapper",
                where,
                "_mapper is null.",
                "'No default mapper could be established from inputs'.",
            )
        node = _Node(root, configuration.mapper, self._registry_file(root), modern=True)
        edges = self._parent_edges(configuration, root, where)
        if _is_mixed(edges):
            self._say(
                "mixed-parents",
                where,
                "_parents holds both paths and old (v1) repositories.",
                "Once it is written to: AttributeError: 'str' object has no attribute 'root'.",
            )
        return node, edges

    def _parent_edges(self, configuration: Configuration, root: str, where: str) -> list[_Edge]:
        edges = []
        for parent in configuration.parents:
            if isinstance(parent, str):
                edges.append(_Edge(_absolute(root, parent), where, "configuration"))
            elif parent.root is None:
                self._say(
                    "unreadable",
                    where,
                    "A nested parent has no _root.",
                    "TypeError while it reads the parents.",
                )
            else:
                edges.append(_Edge(_absolute(root, parent.root), where, "configuration", parent))
        return edges

    def _compare(self, child: _Node, parent: _Node, edge: _Edge) -> None:
        if child.mapper and parent.mapper and child.mapper != parent.mapper:
            self._say(
                "mapper-mismatch",
                edge.where,
                f"{child.path} has the mapper {child.mapper}, its parent {parent.path} has {parent.mapper}.",
                "Does not use the parent's registry; as input and output of one command: the mappers must match.",
            )

    def _mapper(self, real: str) -> str | None:
        """Find the mapper of an old repository, its own or that of the nearest ancestor by links."""
        seen: set[str] = set()
        while real not in seen:
            seen.add(real)
            try:
                configuration = read_configuration(real)
            except TableError:
                return None
            if configuration is not None:
                return configuration.mapper
            if is_there(real, MAPPER_NAME):
                return read_mapper(real)
            if not is_there(real, PARENT_NAME):
                return None
            real = os.path.realpath(Path(real, PARENT_NAME))
        return None

    def _registry_file(self, root: str) -> str | None:
        path = Path(root, REGISTRY_NAME)
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                reason = "is no file"
            else:
                with path.open("rb") as file:
                    start = file.read(len(_SQLITE_MAGIC))
                if start in (b"", _SQLITE_MAGIC):
                    return str(path)
                reason = "is no sqlite database"
        except FileNotFoundError:
            return None
        except OSError as error:
            reason = f"cannot be read: {error.strerror}"
        self._say(
            "unreadable", str(path), f"{path} {reason}.", "sqlite3.DatabaseError: file is not a database."
        )
        return None


def _plain(text: str) -> str:
    return text.removeprefix("file://")


def _absolute(root: str, text: str) -> str:
    """Resolve a path of a configuration as the old stack does: lexically, from the real root."""
    return os.path.normpath(os.path.join(os.path.realpath(root), _plain(text)))  # noqa: PTH118 - lexical on purpose


def _is_mixed(edges: list[_Edge]) -> bool:
    nested = [edge.nested is not None for edge in edges]
    modern = [edge.nested is None and is_there(edge.path, CONFIGURATION_NAME) for edge in edges]
    old = [
        edge.nested is None and not new
        for edge, new in zip(edges, modern, strict=True)
        if probe_folder(edge.path) is None
    ]
    return (any(nested) and not all(nested)) or (any(old) and any(modern))


def _registry(node: _Node) -> str | None:
    """Find the first registry, depth first, over parents that have the same mapper."""
    pending, seen = [node], {id(node)}
    while pending:
        current = pending.pop()
        if current.registry is not None:
            return current.registry
        same = [p for p in current.parents if p.mapper == current.mapper and id(p) not in seen]
        seen.update(map(id, same))
        pending.extend(reversed(same))
    return None


def _calib(node: _Node) -> str | None:
    """Find the calibrations as ``LsstCamMapper`` does: own CALIB, parents' CALIB, parents; no grandparents."""
    parents = [Path(parent.path) for parent in node.parents]
    for folder in (Path(node.path, "CALIB"), *(parent / "CALIB" for parent in parents), *parents):
        if is_there(str(folder), CALIB_REGISTRY_NAME):
            return str(folder)
    return None

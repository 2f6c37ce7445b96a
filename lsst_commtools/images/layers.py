"""What an image is made of: layers, packages, who asked for them, and what changed between two images.

The cake, from the bottom: the stack, what T&S sanctioned (cycle), third-party packages that people asked for, and the
machinery of the lab. Each package belongs to one layer, so that service machinery and users' wishes stay apart.
"""

from __future__ import annotations

import datetime as dt
import enum
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from lsst_commtools.errors import NotFoundError, TableError

__all__ = [
    "ContentsDiff",
    "CycleContents",
    "ImageContents",
    "LayerName",
    "PackageChange",
    "PackageRequest",
    "check_cycle_step",
    "check_layers",
    "check_requests",
    "diff_contents",
    "parse_cycle_env",
    "read_contents",
    "read_requests",
]


class LayerName(enum.Enum):
    """Layers of a lab image, from the bottom."""

    STACK = "stack"
    TS = "ts"
    THIRD_PARTY = "third-party"
    LAB = "lab"


@dataclass(frozen=True)
class ImageContents:
    """Packages of an image by layer.

    Parameters
    ----------
    image
        Tag of the image.
    layers
        Layer to its packages and their versions.
    built_from
        Layer to the container that it was taken from, where that is known.
    """

    image: str
    layers: Mapping[LayerName, Mapping[str, str]]
    built_from: Mapping[LayerName, str]

    @property
    def packages(self) -> dict[str, tuple[LayerName, str]]:
        """Package to its layer and version; of several the topmost, which is the one that is used."""
        return {
            name: (layer, version)
            for layer in LayerName
            for name, version in self.layers.get(layer, {}).items()
        }


@dataclass(frozen=True)
class PackageChange:
    """A package that differs between two images.

    Parameters
    ----------
    name
        The package.
    old, new
        Layer and version before and after; None where it is absent.
    """

    name: str
    old: tuple[LayerName, str] | None
    new: tuple[LayerName, str] | None

    def to_dict(self) -> dict[str, str | None]:
        """Give the change as plain values.

        Returns
        -------
        dict
            Keys name, old_layer, old_version, new_layer, new_version.
        """
        old_layer, old_version = (None, None) if self.old is None else (self.old[0].value, self.old[1])
        new_layer, new_version = (None, None) if self.new is None else (self.new[0].value, self.new[1])
        return {
            "name": self.name,
            "old_layer": old_layer,
            "old_version": old_version,
            "new_layer": new_layer,
            "new_version": new_version,
        }


@dataclass(frozen=True)
class ContentsDiff:
    """What changed between two images.

    Parameters
    ----------
    added, removed, updated, moved
        Packages by what happened to them; moved ones lie in another layer (their version may differ too).
    """

    added: tuple[PackageChange, ...]
    removed: tuple[PackageChange, ...]
    updated: tuple[PackageChange, ...]
    moved: tuple[PackageChange, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give the difference as plain values.

        Returns
        -------
        dict
            Keys added, removed, updated, moved.
        """
        return {
            kind: [change.to_dict() for change in getattr(self, kind)]
            for kind in ("added", "removed", "updated", "moved")
        }


@dataclass(frozen=True)
class PackageRequest:
    """Somebody's wish for a package.

    Parameters
    ----------
    package
        The package.
    who, why
        Who asked for it, and what for.
    when
        Day of the request.
    test
        Test that shows it to work; empty where there is none.
    approved_by
        Who decided for it; empty while nobody has.
    """

    package: str
    who: str
    why: str
    when: dt.date
    test: str = ""
    approved_by: str = ""


@dataclass(frozen=True)
class CycleContents:
    """What T&S sanctioned in one cycle (``ts_cycle_build`` ``cycle/cycle.env``).

    Parameters
    ----------
    cycle, revision
        Number of the cycle and of its build.
    versions
        All other settings: ``stack``, ``ts_xml`` and so on.
    """

    cycle: int
    revision: int
    versions: Mapping[str, str]


def read_contents(path: Path | str) -> ImageContents:
    """Read the contents of an image.

    Parameters
    ----------
    path
        JSON: ``{"image": TAG, "layers": {"stack": {PACKAGE: VERSION}, ...}, "built_from": {...}}``. A layer may also be
        a list of objects with ``name`` and ``version``, as ``conda list --json`` and ``pip list`` print them.

    Returns
    -------
    ImageContents
        The contents.

    Raises
    ------
    NotFoundError
        If there is no such file.
    TableError
        If it is of another form.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"There are no contents {str(path)!r}.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise TableError(f"The contents {str(path)!r} cannot be read: {type(error).__name__}.") from None
    if not isinstance(document, dict) or not isinstance(document.get("layers"), dict):
        raise TableError(f"The contents {str(path)!r} hold no layers.")
    known = {layer.value: layer for layer in LayerName}
    layers = {}
    for name, packages in document["layers"].items():
        if name not in known:
            raise TableError(
                f"The contents {str(path)!r} have an unknown layer {name!r}.",
                advice=f"Known are {', '.join(known)}.",
            )
        layers[known[name]] = _packages(packages, str(path))
    built_from = document.get("built_from") or {}
    if not isinstance(built_from, dict):
        raise TableError(f"The contents {str(path)!r} have something for built_from that is no table.")
    return ImageContents(
        image=str(document.get("image", Path(path).stem)),
        layers=layers,
        built_from={known[k]: str(v) for k, v in built_from.items() if k in known},
    )


def _packages(packages: Any, label: str) -> dict[str, str]:
    if isinstance(packages, list) and all(isinstance(p, dict) and "name" in p for p in packages):
        return {str(p["name"]): str(p.get("version", "")) for p in packages}
    if isinstance(packages, dict):
        return {str(name): str(version) for name, version in packages.items()}
    raise TableError(f"A layer of {label!r} is no list of packages.")


def read_requests(path: Path | str) -> list[PackageRequest]:
    """Read requests for packages.

    Parameters
    ----------
    path
        YAML: a list of tables with ``package``, ``who``, ``why``, ``when`` (a date), and, where there are any,
        ``test`` and ``approved_by``.

    Returns
    -------
    list of PackageRequest
        The requests.

    Raises
    ------
    NotFoundError
        If there is no such file.
    TableError
        If it is of another form.
    """
    try:
        document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"There are no requests {str(path)!r}.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError):
        raise TableError(f"The requests {str(path)!r} are not YAML.") from None
    try:
        return TypeAdapter(list[PackageRequest]).validate_python(document or [])
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the top level"
        raise TableError(f"The requests {str(path)!r} cannot be used: {where}: {first['msg']}.") from None


def diff_contents(old: ImageContents, new: ImageContents) -> ContentsDiff:
    """Say what changed between two images.

    Parameters
    ----------
    old, new
        Contents before and after.

    Returns
    -------
    ContentsDiff
        Packages added, removed, updated in their layer, moved to another; each sorted by name.
    """
    before, after = old.packages, new.packages
    changes = [
        PackageChange(name, before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    return ContentsDiff(
        added=tuple(c for c in changes if c.old is None),
        removed=tuple(c for c in changes if c.new is None),
        updated=tuple(c for c in changes if c.old and c.new and c.old[0] is c.new[0]),
        moved=tuple(c for c in changes if c.old and c.new and c.old[0] is not c.new[0]),
    )


def check_layers(contents: ImageContents) -> list[str]:
    """Check that layers do not get in each other's way (SQR-054).

    Parameters
    ----------
    contents
        Contents of an image.

    Returns
    -------
    list of str
        A sentence for each package that lies in several layers, and for a Python that is not the stack's.
    """
    homes: dict[str, list[LayerName]] = {}
    for layer in LayerName:
        for name in contents.layers.get(layer, {}):
            homes.setdefault(name, []).append(layer)
    problems = [
        f"{name} lies in the layers {' and '.join(layer.value for layer in layers)}."
        for name, layers in sorted(homes.items())
        if len(layers) > 1
    ]
    if homes.get("python", [LayerName.STACK])[0] is not LayerName.STACK:
        problems.append("Python does not come from the stack.")
    return problems


def check_requests(
    contents: ImageContents, requests: Collection[PackageRequest], tests: Collection[str]
) -> list[str]:
    """Check that each third-party package was asked for, decided on, and is tested.

    Parameters
    ----------
    contents
        Contents of an image.
    requests
        Requests for packages.
    tests
        Names of the tests that there are.

    Returns
    -------
    list of str
        A sentence for each package that nobody asked for, that lies in another layer, that was not decided on, or
        that has no test; and for each approved request that the image does not hold.
    """
    by_package = {request.package: request for request in requests}
    held = contents.packages
    problems = [
        f"Nobody asked for the third-party package {name}."
        for name in sorted(contents.layers.get(LayerName.THIRD_PARTY, {}))
        if name not in by_package
    ]
    for name, request in sorted(by_package.items()):
        layer = held[name][0] if name in held else None
        if layer is None and request.approved_by:
            problems.append(f"{name}, which {request.who} asked for, is not in the image.")
        elif layer is not None and not request.approved_by:
            problems.append(f"{name} is in the image, but nobody decided on the request of {request.who}.")
        if layer is LayerName.LAB:
            problems.append(
                f"{name} was asked for by {request.who}, but lies among the machinery of the lab."
            )
        if layer is not None and request.test not in tests:
            problems.append(f"No test shows that {name} works, which {request.who} asked for.")
    return problems


def parse_cycle_env(text: str) -> CycleContents:
    """Read a ``cycle.env``.

    Parameters
    ----------
    text
        Lines ``NAME=VALUE``; comments begin with ``#``.

    Returns
    -------
    CycleContents
        What the cycle holds.

    Raises
    ------
    TableError
        If CYCLE (``c0044``) or rev (``.007``) is missing or malformed.
    """
    values: dict[str, str] = {}
    for line in text.splitlines():
        name, separator, value = line.partition("#")[0].strip().removeprefix("export ").partition("=")
        if separator:
            values[name.strip()] = value.strip().strip("\"'")
    cycle, revision = values.pop("CYCLE", ""), values.pop("rev", "")
    if not (cycle[:1] == "c" and cycle[1:].isdecimal() and revision[:1] == "." and revision[1:].isdecimal()):
        raise TableError(f"The cycle {cycle!r} or its revision {revision!r} cannot be read.")
    return CycleContents(int(cycle[1:]), int(revision[1:]), values)


def check_cycle_step(old: CycleContents, new: CycleContents, core: Collection[str]) -> list[str]:
    """Check that a change of a cycle is numbered as the rule asks.

    Parameters
    ----------
    old, new
        Contents before and after.
    core
        Packages whose change makes a new cycle, such as ``ts_xml``.

    Returns
    -------
    list of str
        Sentences; empty where a core change made a new cycle with revision 0, and any other change one revision more.
    """
    names = sorted(old.versions.keys() | new.versions.keys())
    changed = [name for name in names if old.versions.get(name) != new.versions.get(name)]
    core_changed = [name for name in changed if name in core]
    step = (new.cycle - old.cycle, new.revision)
    if core_changed and step != (1, 0):
        return [f"{', '.join(core_changed)} changed, so that c{old.cycle + 1:04d}.000 is due."]
    if not core_changed and changed and (new.cycle, new.revision) != (old.cycle, old.revision + 1):
        return [f"{', '.join(changed)} changed, so that c{old.cycle:04d}.{old.revision + 1:03d} is due."]
    if not changed and (new.cycle, new.revision) != (old.cycle, old.revision):
        return ["The number changed, but nothing in the cycle did."]
    return []

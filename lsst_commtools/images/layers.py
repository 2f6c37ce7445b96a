"""What an image is made of: layers, packages, who asked for them, and what changed between two images.

The cake, from the bottom: the stack, what T&S sanctioned (cycle), third-party packages that people asked for, and the
machinery of the lab. Each package belongs to one layer, so that service machinery and users' wishes stay apart.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsst_commtools.errors import NotFoundError, TableError

__all__ = [
    "ContentsDiff",
    "ImageContents",
    "LayerName",
    "PackageChange",
    "check_layers",
    "diff_contents",
    "read_contents",
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

"""What a registry holds: tags with their digests, and what each alias points to."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from lsst_commtools.errors import NotFoundError, TableError
from lsst_commtools.images.grammar import parse_tag
from lsst_commtools.images.tags import MENU_ORDER, ImageTag, ImageType, sort_tags

__all__ = ["Image", "Listing", "parse_listing", "read_listing", "sample_listing"]

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NO_TARGETS = (ImageType.ALIAS, ImageType.UNKNOWN)


@dataclass(frozen=True)
class Image:
    """A tag in a registry.

    Parameters
    ----------
    tag
        Its parts.
    digest
        Digest that it points to; None where it was not asked for.
    target
        Build that an alias points to, found by digest; None for anything else and where no build has the digest.
    """

    tag: ImageTag
    digest: str | None = None
    target: ImageTag | None = None

    @property
    def build(self) -> ImageTag:
        """The build: of an alias what it points to, where that is known."""
        return self.target or self.tag

    @property
    def cycle(self) -> int | None:
        """SAL cycle of the build; of an alias that is not resolved, the one in its name."""
        return self.build.cycle

    @property
    def display(self) -> str:
        """Name for people: ``Recommended (Weekly 2021_19, SAL Cycle 0019, Build 001)``."""
        if self.target is None:
            return self.tag.display
        architecture = self.tag.architecture or self.target.architecture
        suffix = f" [{architecture}]" if architecture else ""
        inner = self.target.display.replace(" (", ", ").replace(")", "")
        name = (self.tag.name or self.tag.tag).replace("_", " ").title()
        return f"{name} ({inner.removesuffix(suffix) if suffix else inner}){suffix}"


class Listing:
    """All tags of a repository.

    Parameters
    ----------
    digests
        Tag to digest; None for a tag whose digest is not known.
    aliases
        Tags that the site has configured as aliases.
    """

    def __init__(self, digests: Mapping[str, str | None], aliases: Collection[str] = ()) -> None:
        self._digests = dict(digests)
        self._aliases = frozenset(aliases)

    def __len__(self) -> int:
        return len(self._digests)

    def __contains__(self, tag: object) -> bool:
        return tag in self._digests

    def digest(self, tag: str) -> str | None:
        """Give the digest of a tag.

        Parameters
        ----------
        tag
            Text of the tag.

        Returns
        -------
        str or None
            None if the tag is not there or its digest is not known.
        """
        return self._digests.get(tag)

    def with_aliases(self, aliases: Collection[str]) -> Listing:
        """Give the same tags, read with other aliases.

        Parameters
        ----------
        aliases
            Tags that count as aliases.

        Returns
        -------
        Listing
            The listing.
        """
        return Listing(self._digests, aliases)

    @functools.cached_property
    def tags(self) -> tuple[ImageTag, ...]:
        """The tags in the order of the menu."""
        return tuple(sort_tags(parse_tag(tag, self._aliases) for tag in self._digests))

    @functools.cached_property
    def images(self) -> tuple[Image, ...]:
        """The images in the order of the menu, aliases resolved by digest where one is known."""
        targets = self._targets()
        return tuple(self._image(tag, targets) for tag in self.tags)

    def image(self, tag_or_digest: str) -> Image | None:
        """Find an image.

        Parameters
        ----------
        tag_or_digest
            Tag, or digest beginning with ``sha256:``.

        Returns
        -------
        Image or None
            The image; of several with one digest the first build in the order of the menu.
        """
        for image in self.images:
            if image.tag.tag == tag_or_digest:
                return image
        same = [i for i in self.images if i.digest == tag_or_digest] if ":" in tag_or_digest else []
        return min(same, key=lambda i: _rank(i.tag), default=None)

    def to_dict(self) -> dict[str, str | None]:
        """Give tags and digests as plain values, in the form that `read_listing` reads.

        Returns
        -------
        dict
            Tag to digest.
        """
        return dict(self._digests)

    def _targets(self) -> dict[str, ImageTag]:
        """Find for each digest the build that stands for it: first in the menu, of no special architecture."""
        found: dict[str, ImageTag] = {}
        for tag in sorted((t for t in self.tags if t.type not in _NO_TARGETS), key=_rank):
            digest = self._digests[tag.tag]
            if digest is not None:
                found.setdefault(digest, tag)
        return found

    def _image(self, tag: ImageTag, targets: Mapping[str, ImageTag]) -> Image:
        digest = self._digests.get(tag.tag)
        if tag.type is not ImageType.ALIAS:
            return Image(tag, digest)
        target = targets.get(digest) if digest is not None else None
        if target is None:
            # A site may recommend a build by its own tag: it is then its own target.
            own = parse_tag(tag.tag)
            target = own if own.type not in _NO_TARGETS else None
        return Image(tag, digest, target)


def _rank(tag: ImageTag) -> tuple[bool, bool, int]:
    """Rank builds that share a digest; sorting is stable, so that the newest of a type stays first."""
    return (tag.type in _NO_TARGETS, tag.architecture is not None, MENU_ORDER[tag.type])


def read_listing(path: Path | str, aliases: Collection[str] = ()) -> Listing:
    """Read a listing from a file.

    Parameters
    ----------
    path
        JSON (``{tag: digest}``, or the registry's own ``{"tags": [...]}``, or a list of tags or of objects with
        ``tag`` and ``digest``), or text with a tag and, where it is known, its digest on each line.
    aliases
        Tags that count as aliases.

    Returns
    -------
    Listing
        Its tags.

    Raises
    ------
    NotFoundError
        If there is no such file.
    TableError
        If it is in none of these forms.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFoundError(f"There is no listing {str(path)!r}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"The listing {str(path)!r} cannot be read: {error}.") from None
    return parse_listing(text, str(path), aliases)


def parse_listing(text: str, label: str, aliases: Collection[str] = ()) -> Listing:
    """Read a listing from text.

    Parameters
    ----------
    text
        In one of the forms of `read_listing`.
    label
        What to call it in errors.
    aliases
        Tags that count as aliases.

    Returns
    -------
    Listing
        Its tags.

    Raises
    ------
    TableError
        If it is in none of these forms.
    """
    return Listing(_parse(text, label), aliases)


def _parse(text: str, label: str) -> dict[str, str | None]:
    if text.lstrip()[:1] in ("{", "["):
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            raise TableError(f"The listing {label!r} is not JSON.") from None
        return _from_document(document, label)
    rows = [line.split() for line in text.split("\n")]
    return _checked(((row[0], row[1] if len(row) > 1 else None) for row in rows if row), label)


def _from_document(document: Any, label: str) -> dict[str, str | None]:
    if isinstance(document, dict) and isinstance(document.get("tags"), list | dict):
        document = document["tags"]
    if isinstance(document, dict):
        return _checked(document.items(), label)
    if isinstance(document, list):
        rows = [(r.get("tag"), r.get("digest")) if isinstance(r, dict) else (r, None) for r in document]
        return _checked(rows, label)
    raise TableError(f"The listing {label!r} holds no tags.")


def _checked(rows: Iterable[tuple[Any, Any]], label: str) -> dict[str, str | None]:
    digests: dict[str, str | None] = {}
    for tag, digest in rows:
        if not isinstance(tag, str) or not tag:
            raise TableError(f"The listing {label!r} holds a tag that is no text: {tag!r}.")
        if digest is not None and (not isinstance(digest, str) or not DIGEST.fullmatch(digest)):
            raise TableError(
                f"The listing {label!r} has a digest that is none for the tag {tag!r}.",
                advice="A digest is sha256: and 64 hexadecimal digits.",
            )
        digests[tag] = digest
    return digests


def sample_listing(aliases: Collection[str] = ()) -> Listing:
    """Give the sample that comes with the package, made up after a telescope site's registry.

    Parameters
    ----------
    aliases
        Tags that count as aliases.

    Returns
    -------
    Listing
        Its tags.
    """
    text = (resources.files("lsst_commtools.images") / "data" / "sample_listing.json").read_text(
        encoding="utf-8"
    )
    return parse_listing(text, "sample", aliases)

"""At which station an image is, or was lost: transferred, ingested, registered, reached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from lsst_commtools.errors import CommtoolsError
from lsst_commtools.repos.gen2 import Gen2Repository, Lost
from lsst_commtools.repos.gen3 import Gen3Repository
from lsst_commtools.repos.image import ImageId
from lsst_commtools.repos.names import parse_stored_name
from lsst_commtools.repos.tree import list_tree
from lsst_commtools.repos.values import Located, Location, Repository, Station

__all__ = ["OpenGen3", "locate_image"]

OpenGen3 = Callable[[Repository, str], AbstractContextManager[Gen3Repository]]
"""Opens a Gen3 repository for a camera."""


def locate_image(
    image: ImageId,
    asked: Sequence[Repository],
    others: Sequence[Repository],
    open_gen3: OpenGen3,
    notes: Sequence[str] = (),
) -> Located:
    """Find out where an image is, or at which station it was lost.

    Parameters
    ----------
    image
        The image.
    asked
        Repositories that should have it.
    others
        Repositories that may have it.
    open_gen3
        Opens a Gen3 repository.
    notes
        What could not be looked at before.

    Returns
    -------
    Located
        All places, and the station.
    """
    unread = list(notes)
    places = _places(asked, image, open_gen3, unread)
    if places:
        return _found(image, places, unread)
    elsewhere = _places(others, image, open_gen3, unread)
    if elsewhere:
        first, labels = elsewhere[0], ", ".join(repr(r.label) for r in asked) or "no repository for people"
        reason = f"It is in {first.repository!r} ({first.root}), which is not reached from {labels}."
        lost = tuple(replace(place, wins=False) for place in elsewhere)
        return Located(image.text, Station.UNREACHED, reason, lost, unread=tuple(unread))
    return _lost(image, [*asked, *others], open_gen3, unread)


def _places(
    repositories: Sequence[Repository], image: ImageId, open_gen3: OpenGen3, unread: list[str]
) -> list[Location]:
    places: list[Location] = []
    for repository in repositories:
        try:
            if repository.generation == 2:
                places += Gen2Repository(repository).locate(image)
                continue
            with open_gen3(repository, image.instrument or repository.instrument or "LSSTCam") as gen3:
                places += gen3.locate(image)
        except CommtoolsError as error:
            unread.append(f"{repository.label}: {error.message}")
    return sorted(places, key=lambda place: not place.wins)


def _lost(
    image: ImageId, repositories: Sequence[Repository], open_gen3: OpenGen3, unread: list[str]
) -> Located:
    storages = 0
    traces: list[Located] = []
    for repository in repositories:
        try:
            if repository.generation == 3:
                seen, trace = _lost_gen3(image, repository, open_gen3)
            else:
                seen, trace = _lost_gen2(image, repository, unread)
        except CommtoolsError as error:
            unread.append(f"{repository.label}: {error.message}")
            continue
        storages += seen
        traces += [trace] if trace is not None else []
    order = [Station.OTHER_ID, Station.NOT_INGESTED, Station.FILE_GONE]
    if traces:
        best = min(traces, key=lambda trace: order.index(trace.station))
        return replace(best, unread=tuple(unread))
    if unread or not storages:
        reason = "It was not found, but not everything could be looked at."
        if not storages:
            unread.append("No storage folder of this camera is known and could be read.")
        return Located(image.text, Station.UNKNOWN, reason, unread=tuple(unread))
    reason = f"It is in none of the {storages} storage folders: it was not transferred."
    return Located(image.text, Station.NOT_TRANSFERRED, reason)


def _lost_gen2(image: ImageId, repository: Repository, unread: list[str]) -> tuple[bool, Located | None]:
    """Tell whether the whole storage was seen, and what became of the image."""
    lost = Gen2Repository(repository).lost(image)
    unread += [line for line in lost.unread if line not in unread]
    return not lost.unread, _trace(image, repository, lost)


def _lost_gen3(image: ImageId, repository: Repository, open_gen3: OpenGen3) -> tuple[bool, Located | None]:
    with open_gen3(repository, image.instrument or repository.instrument or "LSSTCam") as gen3:
        ids = gen3.other_ids(image)
    if ids:
        reason = f"{repository.label!r} has it under the exposure id {', '.join(map(str, ids))}."
        return True, Located(image.text, Station.OTHER_ID, reason)
    if not repository.source:
        return False, None
    tree = list_tree(repository.source)
    names = ((path, parse_stored_name(path.rsplit("/", 1)[-1])) for path in tree.files)
    stored = sorted(path for path, name in names if name is not None and name.obs_id in image)
    if not stored:
        return not tree.unread, None
    reason = f"{stored[0]} was transferred, but {repository.label!r} has not ingested it. No log tells why."
    return True, Located(image.text, Station.NOT_INGESTED, reason)


def _found(image: ImageId, places: list[Location], unread: list[str]) -> Located:
    winners = [place for place in places if place.wins] or places
    there = [place for place in winners if place.exists]
    labels = sorted({place.repository for place in places})
    if not there:
        reason = (
            f"{winners[0].repository!r} has {winners[0].path}, but the file is gone: {winners[0].target}."
        )
        return Located(image.text, Station.FILE_GONE, reason, tuple(places), unread=tuple(unread))
    how_many = f"It is in {len(labels)} {'repository' if len(labels) == 1 else 'repositories'}"
    shadowed = sum(not place.wins for place in places)
    more = f", {shadowed} further {'copy is' if shadowed == 1 else 'copies are'} shadowed" if shadowed else ""
    lacking = len(winners) - len(there)
    gone = f"; of {lacking} of its {len(winners)} files only the entry is left" if lacking else ""
    reason = f"{how_many}; {there[0].repository!r} finds {there[0].path}{more}{gone}."
    return Located(image.text, Station.FOUND, reason, tuple(places), unread=tuple(unread))


def _trace(image: ImageId, repository: Repository, lost: Lost) -> Located | None:
    if lost.other:
        reason = f"{lost.stored[0]} was ingested under another id: {lost.other[0]}."
        return Located(image.text, Station.OTHER_ID, reason, log=lost.log)
    if lost.stored:
        held = f" Its place {lost.occupied[0]} is held by another image." if lost.occupied else ""
        why = "" if lost.log else " No log tells why."
        reason = f"{lost.stored[0]} was transferred, but {repository.label!r} has not ingested it.{held}{why}"
        return Located(image.text, Station.NOT_INGESTED, reason, log=lost.log)
    if lost.registered:
        reason = f"The registry of {repository.label!r} has it, but the file is gone."
        return Located(image.text, Station.FILE_GONE, reason, log=lost.log)
    return None

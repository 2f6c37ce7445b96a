"""From Gen2 to Gen3: what an ingest of a Gen2 repository's raws would do, id by id.

Only the plan is here; the ingest itself stands above this room.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lsst_commtools.errors import IdentifierError
from lsst_commtools.ids import ObsId
from lsst_commtools.instrument.cameras import get_camera
from lsst_commtools.repos.chain import resolve_chain
from lsst_commtools.repos.compare import Sameness, compare_files, read_header
from lsst_commtools.repos.gen3 import RAW, Gen3Repository, stored_files
from lsst_commtools.repos.names import RawName, parse_raw_name, parse_stored_name
from lsst_commtools.repos.tree import Folders, list_tree

__all__ = ["ConversionAction", "ConversionItem", "plan_conversion"]


class ConversionAction(enum.Enum):
    """What happens to one raw file."""

    INGEST = "ingest"
    PRESENT = "present"
    COLLISION = "collision"
    FILE_GONE = "file-gone"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class ConversionItem:
    """One raw of the Gen2 repository.

    Parameters
    ----------
    path
        File in the Gen2 repository.
    target
        File that it leads to.
    gen2_id, detector
        Its data id in Gen2.
    obs_id, exposure_id
        Its data id in Gen3; None where it cannot be told.
    action
        What an ingest would do with it.
    reason
        Why.
    """

    path: str
    target: str
    gen2_id: int | None
    detector: int | None
    obs_id: str | None
    exposure_id: int | None
    action: ConversionAction
    reason: str


def plan_conversion(
    gen2: str, gen3: Gen3Repository | None, instrument: str, progress: Callable[[str], None] | None = None
) -> list[ConversionItem]:
    """Find out what an ingest of a Gen2 repository's raws into a Gen3 one would do.

    Parameters
    ----------
    gen2
        The Gen2 repository; its parents belong to it.
    gen3
        The Gen3 repository, None for one that is yet to be made.
    instrument
        Camera.
    progress
        Told what is being done.

    Returns
    -------
    list of ConversionItem
        In the order of their paths.
    """
    tell = progress or (lambda _: None)
    there = _present(gen3) if gen3 else {}
    folders = Folders()
    seen: dict[str, None] = {}
    items: list[ConversionItem] = []
    taken: dict[tuple[int, int], str] = {}
    for root in resolve_chain(gen2).roots:
        tell(f"listing {root}/raw")
        for path, link in sorted(list_tree(f"{root}/raw").files.items()):
            relative = path[len(root) + 1 :]
            if relative in seen:
                continue
            seen[relative] = None
            target = folders.target(path, link)
            items.append(_item(path, target, folders, instrument, there, taken))
    return items


def _present(gen3: Gen3Repository) -> dict[tuple[int, int], str]:
    butler = gen3.butler
    if not gen3.runs or not list(butler.registry.queryDatasetTypes(RAW)):
        return {}
    if gen3.instrument not in {record.name for record in butler.query_dimension_records("instrument")}:
        return {}
    refs = butler.query_datasets(
        RAW, collections=gen3.runs, find_first=False, instrument=gen3.instrument, explain=False, limit=None
    )
    return {
        (int(ref.dataId["exposure"]), int(ref.dataId["detector"])): file.path if file else ""
        for ref, file in stored_files(butler, refs)
    }


def _item(
    path: str,
    target: str,
    folders: Folders,
    instrument: str,
    there: Mapping[tuple[int, int], str],
    taken: dict[tuple[int, int], str],
) -> ConversionItem:
    name = parse_raw_name(path.rsplit("/", 1)[-1])
    gen2_id, detector = (name.exposure_id, name.detector) if name else (None, None)
    if not folders.exists(target):
        return ConversionItem(
            path, target, gen2_id, detector, None, None, ConversionAction.FILE_GONE, f"{target} is gone."
        )
    obs_id, where = _obs_id(target, instrument)
    number = _detector(target, name)
    if obs_id is None or number is None:
        reason = "Neither its name nor its header tells the exposure and the detector."
        return ConversionItem(
            path, target, gen2_id, detector, None, None, ConversionAction.UNREADABLE, reason
        )
    key = (obs_id.exposure_id, number)
    action, reason = _decide(target, there.get(key), taken.get(key), gen2_id, obs_id, where)
    if action is ConversionAction.INGEST:
        taken[key] = target
    return ConversionItem(path, target, gen2_id, number, str(obs_id), obs_id.exposure_id, action, reason)


def _decide(
    target: str, present: str | None, taken: str | None, gen2_id: int | None, obs_id: ObsId, where: str
) -> tuple[ConversionAction, str]:
    for other, phrase in (
        (present, "The repository has it"),
        (taken, "Another file of this conversion has the id"),
    ):
        if other is None:
            continue
        sameness = compare_files(target, other) if other else Sameness.UNKNOWN
        if sameness is Sameness.SAME_BYTES:
            return ConversionAction.PRESENT, f"{phrase}: {sameness.value}."
        return ConversionAction.COLLISION, f"{phrase}, from {other or 'an unknown file'}; {sameness.value}."
    changed = (
        f"id {gen2_id} becomes {obs_id.exposure_id}" if gen2_id != obs_id.exposure_id else "the id stays"
    )
    return ConversionAction.INGEST, f"{changed}, by its {where}"


def _obs_id(target: str, instrument: str) -> tuple[ObsId | None, str]:
    stored = parse_stored_name(target.rsplit("/", 1)[-1])
    if stored is not None:
        return stored.obs_id, "name"
    header = read_header(target)
    try:
        if header.get("OBSID"):
            return ObsId.parse(str(header["OBSID"])), "header"
        day_obs = int(str(header["DAYOBS"]).replace("-", ""))
        return ObsId(
            get_camera(instrument).code, str(header["CONTRLLR"]), day_obs, int(header["SEQNUM"])
        ), "header"
    except (KeyError, ValueError, IdentifierError):
        return None, ""


def _detector(target: str, name: RawName | None) -> int | None:
    stored = parse_stored_name(Path(target).name)
    if stored is not None and stored.detector is not None:
        return stored.detector
    return name.detector if name else None

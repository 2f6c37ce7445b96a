"""Faults of the data facility and of the way there: room, rate, job slots, registry, lab images."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from lsst_commtools.errors import CommtoolsError, NotFoundError, RefusedError
from lsst_commtools.images import LabImages
from lsst_commtools.ingest.rate import Rate
from lsst_commtools.procedure.identity import ProcessId
from lsst_commtools.rehearsal.batch import BatchQueue, Reservation
from lsst_commtools.rehearsal.injects.durations import Duration
from lsst_commtools.rehearsal.injects.ground import FaultKind, FaultParameters, Ground, Plan
from lsst_commtools.rehearsal.injects.raws import ImageParameters, find_images
from lsst_commtools.rehearsal.lab_site import environments_file, lab_site, listing_file
from lsst_commtools.rehearsal.line import Disturbance, Line
from lsst_commtools.rehearsal.quota import Quota

__all__ = ["FACILITY_FAULTS"]

_FLOOD_JOBS = 4
_REGISTRY = "gen3.sqlite3"
# Holds the registry as an export does that takes too long. It is nobody's child, and ends by itself.
_HOLDER = """
import os, sqlite3, sys, time
child = os.fork()
if child:
    print(child, flush=True)
    os._exit(0)
os.dup2(os.open(os.devnull, os.O_RDWR), 1)
registry = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
registry.execute("BEGIN IMMEDIATE")
time.sleep(float(sys.argv[2]))
registry.execute("ROLLBACK")
"""


class _Disk(FaultParameters):
    """How much room is left.

    Parameters
    ----------
    left_bytes
        Bytes that can still be stored.
    """

    left_bytes: int = Field(default=0, ge=0)


class _Line(FaultParameters):
    """How the long haul is slowed down.

    Parameters
    ----------
    delay_per_file
        Pause after each file, on the wall, with its unit.
    limit
        Rate with its unit; empty for none.
    """

    delay_per_file: Duration = Field(default="5 s", validate_default=True)
    limit: str = ""

    @field_validator("limit")
    @classmethod
    def _rate(cls, value: str) -> str:
        if value:
            try:
                Rate.parse(value)
            except CommtoolsError as error:
                raise ValueError(str(error)) from None
        return value


class _Slots(FaultParameters):
    """Who holds how many job slots.

    Parameters
    ----------
    slots
        How many; None for all.
    """

    slots: int | None = Field(default=None, ge=1)


class _Flood(_Slots):
    """Who floods the cluster.

    Parameters
    ----------
    owner
        Account of the instance that nobody watches.
    """

    owner: str = Field(default="dev-instance", pattern=r"^[a-z][a-z0-9-]{0,30}\z")


class _Group(FaultParameters):
    """Which group is refused.

    Parameters
    ----------
    group
        Its number, from 1.
    """

    group: int = Field(default=1, ge=1)


class _Registry(FaultParameters):
    """How long the registry is held.

    Parameters
    ----------
    held
        On the wall, with its unit; at most a minute.
    """

    held: Duration = Field(default="10 s", validate_default=True)

    @field_validator("held")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if not 0.0 < value.total_seconds() <= 60.0:
            raise ValueError("give more than 0 s and at most 60 s")
        return value


class _Image(FaultParameters):
    """Nothing can be chosen."""


def _prepare_disk(ground: Ground, parameters: _Disk, _: Path) -> Plan:
    quota = Quota(ground.work)
    return Plan(
        f"Others filled the storage: {parameters.left_bytes} bytes were left.",
        (),
        {"left_bytes": parameters.left_bytes, "before": quota.limit_bytes},
    )


def _apply_disk(ground: Ground, plan: Plan) -> None:
    quota = Quota(ground.work)
    quota.set_limit(quota.used_bytes + plan.details["left_bytes"])


def _undo_disk(ground: Ground, plan: Plan) -> None:
    Quota(ground.work).set_limit(plan.details["before"])


def _prepare_line(_: Ground, parameters: _Line, kept: Path) -> Plan:
    delay_s = parameters.delay_per_file.total_seconds()
    return Plan(
        f"The transfer paused for {delay_s:g} s after each file"
        + (f" and was held down to {parameters.limit}." if parameters.limit else "."),
        (),
        {"name": kept.name, "limit": parameters.limit, "delay_s": delay_s},
    )


def _apply_line(ground: Ground, plan: Plan) -> None:
    disturbance = Disturbance(plan.details["limit"], plan.details["delay_s"])
    Line(ground.work).disturb(plan.details["name"], disturbance)


def _undo_line(ground: Ground, plan: Plan) -> None:
    Line(ground.work).mend(plan.details["name"])


def _queue(ground: Ground) -> BatchQueue:
    return BatchQueue(ground.work / "batch", ground.site.rehearsal.job_slots)


def _prepare_held(ground: Ground, parameters: _Slots, kept: Path) -> Plan:
    slots = parameters.slots or _queue(ground).slots
    purpose = f"QA of night {ground.night - 1}" if ground.night > 1 else "QA of the rehearsal before"
    return Plan(
        f"{purpose} held {slots} job slots.",
        ((purpose,),),
        {"held": [vars(Reservation(f"inject-{kept.name}", "LDF", purpose, slots))]},
    )


def _prepare_flood(ground: Ground, parameters: _Flood, kept: Path) -> Plan:
    slots = parameters.slots or _queue(ground).slots
    jobs = [
        vars(Reservation(f"inject-{kept.name}-{n}", parameters.owner, f"job {n + 1}", slots))
        for n in range(_FLOOD_JOBS)
    ]
    return Plan(f"{parameters.owner} flooded the cluster.", ((parameters.owner,),), {"held": jobs})


def _apply_held(ground: Ground, plan: Plan) -> None:
    for held in plan.details["held"]:
        _queue(ground).hold(Reservation(**held))


def _undo_held(ground: Ground, plan: Plan) -> None:
    for held in plan.details["held"]:
        _queue(ground).release(held["id"])


def _prepare_group(ground: Ground, parameters: _Group, _: Path) -> Plan:
    group = parameters.group
    marks: list[tuple[str, ...]] = [(f"group {group}:",)]
    with contextlib.suppress(
        NotFoundError
    ):  # where each visit is a group of its own, it is known by its visit too
        image = find_images(ground, ImageParameters(visit=group, detector=None))[0][0]
        marks.append((f"visit {image.obs_id.exposure_id}",))
    return Plan(f"The batch system refused group {group}.", tuple(marks), {"group": group})


def _apply_group(ground: Ground, plan: Plan) -> None:
    _queue(ground).refuse(plan.details["group"], "Failed to submit: the scheduler did not answer")


def _undo_group(ground: Ground, plan: Plan) -> None:
    _queue(ground).accept(plan.details["group"])


def _prepare_registry(ground: Ground, parameters: _Registry, kept: Path) -> Plan:
    registry = ground.repository / _REGISTRY
    if not registry.is_file():
        raise NotFoundError("There is no sqlite registry yet.")
    ground.check_inside(registry)
    held_s = parameters.held.total_seconds()
    return Plan(
        f"An export held the registry for {held_s:g} s.",
        (),
        {"registry": str(registry), "held_s": held_s, "process": str(kept / "process.json")},
    )


def _apply_registry(_: Ground, plan: Plan) -> None:
    record = Path(plan.details["process"])
    if record.exists():
        return  # it was held already; it ends by itself
    record.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [sys.executable, "-c", _HOLDER, plan.details["registry"], str(plan.details["held_s"])]
    started = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True, check=True
    )
    record.write_text(json.dumps(ProcessId.of(int(started.stdout)).to_dict()), encoding="utf-8")


def _undo_registry(_: Ground, plan: Plan) -> None:
    record = Path(plan.details["process"])
    if not record.exists():
        return
    process = ProcessId.from_dict(json.loads(record.read_text(encoding="utf-8")))
    if process.alive():
        os.kill(process.pid, signal.SIGTERM)


def _prepare_cycle(ground: Ground, _: _Image, __: Path) -> Plan:
    images = _images(ground)
    recommended = images.recommended
    if recommended is None or recommended.target is None or recommended.target.cycle is None:
        raise RefusedError("It is not known what the recommended image is.")
    cycle = recommended.target.cycle
    older = [i for i in images.listing.images if i.cycle is not None and i.cycle < cycle and i.digest]
    if not older:
        raise RefusedError("The registry has no image of an older cycle.")
    chosen = max(older, key=lambda image: (image.cycle or 0, image.tag.tag))
    digests = {i.tag.tag: i.digest for i in images.listing.images}
    digests[images.policy.recommended_tag] = chosen.digest
    return Plan(
        f"{images.policy.recommended_tag} was moved to {chosen.tag.tag}, of cycle {chosen.cycle} instead of {cycle}.",
        (),
        {"tags": digests},
    )


def _apply_cycle(ground: Ground, plan: Plan) -> None:
    _write(listing_file(ground.work), {"tags": plan.details["tags"]})


def _undo_cycle(ground: Ground, _: Plan) -> None:
    listing_file(ground.work).unlink(missing_ok=True)


def _prepare_old(ground: Ground, _: _Image, kept: Path) -> Plan:
    images = _images(ground)
    recommended = images.recommended
    if recommended is None:
        raise RefusedError("The registry holds no recommended image.")
    tag = recommended.target.tag if recommended.target is not None else recommended.tag.tag
    return Plan(
        f"The image {tag} came with a stack that knows nothing of the night's data.",
        ((tag,), (images.policy.recommended_tag,)),
        {"tags": sorted({tag, images.policy.recommended_tag}), "environment": str(kept / "environment")},
    )


def _apply_old(ground: Ground, plan: Plan) -> None:
    environment = Path(plan.details["environment"])
    python = environment / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    # A Python without any package is the oldest stack of all: it has nothing with which to read the data.
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n', encoding="utf-8")
    python.chmod(0o700)
    _write(environments_file(ground.work), dict.fromkeys(plan.details["tags"], str(environment)))


def _undo_old(ground: Ground, _: Plan) -> None:
    environments_file(ground.work).unlink(missing_ok=True)


def _images(ground: Ground) -> LabImages:
    site = ground.site
    if site.images.source.type != "file":
        raise RefusedError("The images of a real registry are not touched.", changed="Nothing was changed.")
    return LabImages(lab_site(site, ground.work))


def _write(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(document, indent=1), encoding="utf-8")
    part.replace(path)


FACILITY_FAULTS = (
    FaultKind(
        "disk-full",
        "The quota of the storage is full.",
        "fifth rehearsal: batch processing was stopped by a full disk quota",
        ("disk-full",),
        _Disk,
        _prepare_disk,
        _apply_disk,
        _undo_disk,
        follows=("missing-detector", "disk-nearly-full"),
        needs_end=True,
    ),
    FaultKind(
        "slow-transfer",
        "The transfer pauses after each file, or has a slow line.",
        "first rehearsal: a delay of 5 s, left in, made the transfer far too slow",
        ("slow-transfer",),
        _Line,
        _prepare_line,
        _apply_line,
        _undo_line,
        follows=("late-transfer",),
    ),
    FaultKind(
        "held-reservation",
        "QA of the night before holds the job slots.",
        "first rehearsal: in night 3 jobs waited for 30 min because QA of night 2 held the reservation",
        ("jobs-wait",),
        _Slots,
        _prepare_held,
        _apply_held,
        _undo_held,
        needs_end=True,
    ),
    FaultKind(
        "cluster-flood",
        "A development instance that nobody watches fills the cluster with jobs.",
        "fifth rehearsal: an unwatched dev instance flooded the cluster",
        ("foreign-load",),
        _Flood,
        _prepare_flood,
        _apply_held,
        _undo_held,
        needs_end=True,
    ),
    FaultKind(
        "group-not-submitted",
        "The batch system does not take one group of visits.",
        "fifth rehearsal: one of 10 groups failed to submit",
        ("group-not-submitted",),
        _Group,
        _prepare_group,
        _apply_group,
        _undo_group,
        follows=("not-processed", "processing-failed", "not-measured"),
    ),
    FaultKind(
        "slow-registry",
        "An export holds the registry, and all that writes to it waits.",
        "fifth rehearsal: the registry export was the bottleneck",
        ("slow-registry",),
        _Registry,
        _prepare_registry,
        _apply_registry,
        _undo_registry,
    ),
    FaultKind(
        "wrong-cycle-image",
        "The recommended lab image is moved to one of an older cycle.",
        "",
        ("wrong-cycle",),
        _Image,
        _prepare_cycle,
        _apply_cycle,
        _undo_cycle,
    ),
    FaultKind(
        "old-image",
        "The recommended lab image has a stack that cannot read the data.",
        "second rehearsal: the image had an old stack and could not read the images",
        ("image-cannot-read",),
        _Image,
        _prepare_old,
        _apply_old,
        _undo_old,
    ),
)

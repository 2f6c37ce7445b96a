"""Faults of files: what the summit writes, what is lost on the way, and what comes too late."""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lsst_commtools.errors import NotFoundError, RefusedError
from lsst_commtools.ids import FileId
from lsst_commtools.ingest.transfer import find_raw_files
from lsst_commtools.ingest.transfer_journal import KnownCopy
from lsst_commtools.night.counts import file_of_image
from lsst_commtools.rehearsal.injects.ground import FaultKind, FaultParameters, Ground, Plan
from lsst_commtools.rehearsal.injects.raws import (
    ImageParameters,
    change_files,
    find_calibrations,
    find_images,
    hide_files,
    marks_of,
    put_back,
    replacements,
    rewrite_header,
    rewrite_pixels,
    truncated,
)
from lsst_commtools.rehearsal.line import Disturbance, Line

__all__ = ["FILE_FAULTS"]

LIGHT_ADU = 1000.0


class _Filter(ImageParameters):
    """Which image says the wrong filter.

    Parameters
    ----------
    physical_filter
        What the header shall say; empty for the camera's first filter that is not the right one.
    """

    physical_filter: str = ""


class _Calibration(FaultParameters):
    """Which calibration is wrong.

    Parameters
    ----------
    image_type
        Type of the exposures.
    detector
        Number of the detector; None for all.
    slope
        Of flats, the part of the light that is missing at the last row; to the others the same part of 1000 adu is
        added there. Between them it grows evenly.
    """

    image_type: Literal["bias", "dark", "flat"] = "flat"
    detector: int | None = Field(default=0, ge=0)
    slope: float = Field(default=0.3, gt=0.0, le=0.9)


class _Visit(FaultParameters):
    """Which visit.

    Parameters
    ----------
    visit
        Which of the night's science exposures, in the order of their sequence numbers, from 1.
    """

    visit: int = Field(default=1, ge=1)


def _images(file_ids: list[FileId]) -> str:
    return ", ".join(map(str, file_ids[:3])) + (f" and {len(file_ids) - 3} more" if len(file_ids) > 3 else "")


def _struck(
    ground: Ground, images: list[tuple[FileId, list[Path]]], kept: Path, told: str, **details: Any
) -> Plan:
    files = [file for file, _ in images]
    marks = marks_of(files)
    pairs = replacements(ground, images, kept)
    return Plan(told.format(_images(files)), marks, {"files": pairs, **details})


def _prepare_missing(ground: Ground, parameters: ImageParameters, kept: Path) -> Plan:
    return _struck(ground, find_images(ground, parameters), kept, "{} was never written at the summit.")


def _prepare_truncated(ground: Ground, parameters: ImageParameters, kept: Path) -> Plan:
    return _struck(ground, find_images(ground, parameters), kept, "{} was cut short at the summit.")


def _prepare_filter(ground: Ground, parameters: _Filter, kept: Path) -> Plan:
    from lsst_commtools.instrument.headers import translate
    from lsst_commtools.instrument.raws import read_raw_header

    images = find_images(ground, parameters)
    right = translate(read_raw_header(images[0][1][0])).physical_filter
    filters = ground.camera.filters
    wrong = parameters.physical_filter or next((name for name in filters if name != right), "")
    if wrong not in filters or wrong == right:
        raise RefusedError(f"{wrong!r} is no other filter of {ground.camera.name}.")
    cards = {"FILTER": wrong.partition("~")[0], "FILTBAND": filters[wrong]}
    plan = _struck(
        ground, images, kept, f"The header of {{}} says filter {wrong} instead of {right}.", cards=cards
    )
    if parameters.detector is None:  # told of the exposure, not of each detector
        marks = {(str(file.obs_id.exposure_id),) for file, _ in images}
        return Plan(plan.told, plan.marks + tuple(sorted(marks)), plan.details)
    return plan


def _apply_header(_: Ground, plan: Plan) -> None:
    change_files(plan, lambda content: rewrite_header(content, plan.details["cards"]))


def _prepare_obs_id(ground: Ground, parameters: ImageParameters, kept: Path) -> Plan:
    images = find_images(ground, parameters)
    obs_id = images[0][0].obs_id
    other = f"{str(obs_id)[:-6]}{obs_id.seq_num + 900:06d}"
    told = f"The header of {{}} names the exposure {other}."
    return _struck(ground, images, kept, told, cards={"OBSID": other})


def _prepare_calibration(ground: Ground, parameters: _Calibration, kept: Path) -> Plan:
    images = find_calibrations(ground, parameters.image_type, parameters.detector)
    names = {file.detector for file, _ in images}
    struck = [d for d in ground.camera.detectors if d.name.replace("RXX", "R00") in names]
    return Plan(
        f"Each {parameters.image_type} of {len(struck)} detectors has a gradient of {parameters.slope:g}.",
        # A wrong bias makes darks and flats wrong too: the detectors are its place as well as the type.
        (*((f"detector {d.id}:",) for d in struck), (parameters.image_type,)),
        {
            "files": replacements(ground, images, kept),
            "image_type": parameters.image_type,
            "slope": parameters.slope,
        },
    )


def _apply_calibration(_: Ground, plan: Plan) -> None:
    slope, is_flat = float(plan.details["slope"]), plan.details["image_type"] == "flat"

    def change(pixels: NDArray[np.float64], level: float) -> NDArray[np.float64]:
        grows = np.linspace(0.0, slope, pixels.shape[0])[:, np.newaxis]
        changed: NDArray[np.float64] = (
            level + (pixels - level) * (1.0 - grows) if is_flat else pixels + LIGHT_ADU * grows
        )
        return changed

    change_files(plan, lambda content: rewrite_pixels(content, change))


def _prepare_late(ground: Ground, parameters: _Visit, kept: Path) -> Plan:
    images = find_images(ground, ImageParameters(visit=parameters.visit, detector=None))
    obs_id = images[0][0].obs_id
    return Plan(
        f"{obs_id} was held back on the line.",
        ((str(obs_id.exposure_id),), (str(obs_id),)),
        {"name": kept.name, "obs_id": str(obs_id)},
    )


def _apply_late(ground: Ground, plan: Plan) -> None:
    Line(ground.work).disturb(plan.details["name"], Disturbance(held=(plan.details["obs_id"],)))


def _undo_late(ground: Ground, plan: Plan) -> None:
    Line(ground.work).mend(plan.details["name"])


def _prepare_lost(ground: Ground, parameters: ImageParameters, kept: Path) -> Plan:
    wanted = {file for file, _ in find_images(ground, parameters)}
    arrived = [
        (file, [path])
        for path in (find_raw_files(ground.storage) if ground.storage.is_dir() else [])
        if (file := file_of_image(path.name, ground.camera)) in wanted and file is not None
    ]
    if not arrived:
        raise NotFoundError("The image has not arrived in storage yet.")
    return _struck(ground, arrived, kept, "{} was lost in storage after it had arrived.")


def _prepare_unacknowledged(ground: Ground, parameters: _Visit, _: Path) -> Plan:
    images = find_images(ground, ImageParameters(visit=parameters.visit, detector=None))
    obs_id = str(images[0][0].obs_id)
    record = ground.work / "transfers" / f"{ground.day_obs}.jsonl"
    if not record.is_file() or obs_id not in record.read_text(encoding="utf-8", errors="replace"):
        raise NotFoundError(f"No arrival of {obs_id} is recorded yet.")
    ground.check_inside(record)
    lines = [line for line in record.read_text(encoding="utf-8").splitlines() if obs_id in line]
    marks = ((obs_id,), (str(images[0][0].obs_id.exposure_id),))
    return Plan(
        f"The acknowledgements of {len(lines)} files of {obs_id} were lost.",
        marks,
        {"record": str(record), "lines": lines},
    )


def _apply_unacknowledged(_: Ground, plan: Plan) -> None:
    lost = set(plan.details["lines"])
    with _record(Path(plan.details["record"])) as lines:
        lines[:] = [line for line in lines if line not in lost]


def _undo_unacknowledged(_: Ground, plan: Plan) -> None:
    with _record(Path(plan.details["record"])) as lines:
        there = {known[0] for line in lines if (known := KnownCopy.read(line)) is not None}
        # What was transferred again meanwhile has a newer record.
        lines += [line for line in plan.details["lines"] if json.loads(line).get("path") not in there]


@contextlib.contextmanager
def _record(path: Path) -> Iterator[list[str]]:
    """Change the record of a transfer in its place, while no transfer writes to it."""
    with path.open("r+", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        lines = stream.read().splitlines()
        before = list(lines)
        yield lines
        if lines != before:
            stream.seek(0)
            stream.write("".join(f"{line}\n" for line in lines))
            stream.truncate()


def _prepare_replay(ground: Ground, parameters: _Visit, _: Path) -> Plan:
    # They come among the files of one of tonight's visits, as a second write to the same folder does.
    tonight = find_images(ground, ImageParameters(visit=parameters.visit, detector=None))[0][1][0]
    source = next(folder for folder in ground.sources if tonight.is_relative_to(folder))
    beside = (ground.sources[-1] / tonight.relative_to(source)).parent
    for folder in reversed(ground.earlier):
        try:
            night = int(folder.parent.name)
        except ValueError:
            continue
        before = Ground(
            ground.site, ground.work, ground.night, night, ground.instrument, (folder,), folder, folder
        )
        try:
            images = find_images(before, ImageParameters(visit=parameters.visit, detector=None))
        except NotFoundError:
            continue
        copies = [{"from": str(paths[0]), "to": str(beside / paths[0].name)} for _, paths in images]
        obs_id = images[0][0].obs_id
        return Plan(
            f"{obs_id} of an earlier night was sent again.",
            ((str(obs_id),), (str(obs_id.exposure_id),)),
            {"copies": copies},
        )
    raise NotFoundError("There is no earlier night whose exposures could come again.")


def _apply_replay(ground: Ground, plan: Plan) -> None:
    for pair in plan.details["copies"]:
        source, target = Path(pair["from"]), Path(pair["to"])
        ground.check_inside(target.parent)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}.part")
            part.write_bytes(source.read_bytes())
            part.replace(target)


def _undo_replay(_: Ground, plan: Plan) -> None:
    for pair in plan.details["copies"]:
        Path(pair["to"]).unlink(missing_ok=True)


def _put_back(_: Ground, plan: Plan) -> None:
    put_back(plan)


def _hide(_: Ground, plan: Plan) -> None:
    hide_files(plan)


def _truncate(_: Ground, plan: Plan) -> None:
    change_files(plan, truncated)


FILE_FAULTS = (
    FaultKind(
        "missing-detector",
        "A detector's file of one visit is never written at the summit.",
        "first rehearsal: the count of CCDs was no multiple of 9 because one was missing in the input, not lost",
        ("missing-detector",),
        ImageParameters,
        _prepare_missing,
        _hide,
        _put_back,
    ),
    FaultKind(
        "lost-file",
        "A file that had arrived is gone from storage.",
        "",
        ("lost-in-transfer",),
        ImageParameters,
        _prepare_lost,
        _hide,
        _put_back,
        follows=("missing-detector", "processing-failed", "not-measured"),
    ),
    FaultKind(
        "truncated-file",
        "A file is cut short at the summit.",
        "",
        ("truncated-file",),
        ImageParameters,
        _prepare_truncated,
        _truncate,
        _put_back,
        follows=("unreadable-file",),
    ),
    FaultKind(
        "wrong-filter",
        "The header of one detector, or of all of a visit, says another filter.",
        "",
        ("wrong-filter",),
        _Filter,
        _prepare_filter,
        _apply_header,
        _put_back,
        follows=("wrong-header", "processing-failed", "not-measured", "no-calibration"),
    ),
    FaultKind(
        "wrong-header",
        "The header of an image names another exposure than its file.",
        "",
        ("wrong-header",),
        ImageParameters,
        _prepare_obs_id,
        _apply_header,
        _put_back,
    ),
    FaultKind(
        "wrong-calibration",
        "The calibration exposures of one type have a gradient, as light leaks or a closed dome give.",
        "",
        ("bad-calibration",),
        _Calibration,
        _prepare_calibration,
        _apply_calibration,
        _put_back,
        follows=("calibration-passed-over", "no-calibration", "calibration-failed", "not-measured"),
    ),
    FaultKind(
        "late-transfer",
        "The files of one visit do not get through for a while.",
        "",
        ("late-transfer",),
        _Visit,
        _prepare_late,
        _apply_late,
        _undo_late,
        follows=("missing-detector",),
        needs_end=True,
    ),
    FaultKind(
        "unacknowledged-transfer",
        "The files of one visit arrive, but their acknowledgements do not.",
        "second rehearsal: rsync gives no acknowledgement",
        ("unacknowledged-transfer",),
        _Visit,
        _prepare_unacknowledged,
        _apply_unacknowledged,
        _undo_unacknowledged,
    ),
    FaultKind(
        "replayed-ids",
        "A visit of an earlier night is sent again, under its old ids.",
        "fifth rehearsal: replayed ids disturbed the alert brokers",
        ("replayed-exposure",),
        _Visit,
        _prepare_replay,
        _apply_replay,
        _undo_replay,
        follows=("duplicate", "missing-detector"),
    ),
)

"""A choice as the journal has it: what it holds, how it differs from another, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from lsst_commtools.ingest import raw_run
from lsst_commtools.ingest.repository import REFCATS
from lsst_commtools.instrument.cameras import get_camera
from lsst_commtools.night.counts import Problem
from lsst_commtools.qa.limits import Status
from lsst_commtools.rehearsal.journal import Entry, Kind

__all__ = [
    "CalibrationChoice",
    "Choice",
    "Difference",
    "ImageChoice",
    "all_choices",
    "current_choice",
    "differences",
]


@dataclass(frozen=True)
class CalibrationChoice:
    """One type of calibration as it was chosen.

    Parameters
    ----------
    dataset_type
        ``bias``, ``dark`` or ``flat``.
    collection
        CALIBRATION collection.
    identity
        Hash of its datasets' ids.
    begin_tai, end_tai
        Validity, ISO 8601 in TAI.
    status
        Verdict on it.
    override
        Why it was taken although it is bad; empty where it is not.
    """

    dataset_type: str
    collection: str
    identity: str
    begin_tai: str
    end_tai: str
    status: Status
    override: str = ""


@dataclass(frozen=True)
class ImageChoice:
    """The lab image that the night's work is done with.

    Parameters
    ----------
    tag
        Build; empty where it could not be found out.
    digest
        Its digest, where it is known.
    cycle
        SAL cycle of the image, where it has one.
    expected_cycle
        Cycle that the site allows, where it says one.
    unknown
        Why the image could not be found out; empty where it was.
    """

    tag: str = ""
    digest: str | None = None
    cycle: int | None = None
    expected_cycle: int | None = None
    unknown: str = ""

    @property
    def wrong_cycle(self) -> bool:
        """Whether the image is of another cycle than the site allows."""
        return bool(self.tag) and self.expected_cycle is not None and self.cycle != self.expected_cycle


@dataclass(frozen=True)
class Difference:
    """One thing that two choices do not share.

    Parameters
    ----------
    what
        Such as ``calibration flat`` or ``settings of measure``.
    old, new
        As text; empty where there is none.
    """

    what: str
    old: str
    new: str


@dataclass(frozen=True)
class Choice:
    """What a night is processed with.

    Parameters
    ----------
    day_obs
        Night that it was chosen for.
    pipeline
        Pipeline file with every setting.
    pipeline_name
        What it was made from.
    configuration
        Hash of that file.
    tasks
        Task label to the hash of its settings.
    overrides
        Settings that were chosen besides the pipeline's own.
    instrument
        Butler name of the camera.
    calibrations
        One for each type that there is.
    missing
        Type to why none was chosen.
    passed_over
        Newer calibrations that were not taken, with the reason.
    image
        Lab image.
    back_to
        Number of the entry that was gone back to; 0 where it was chosen afresh.
    reason
        Why it was gone back.
    number, night
        Entry of the journal and its night; 0 before it was recorded.
    differences
        To the choice that was in force before.
    """

    day_obs: int
    pipeline: Path
    pipeline_name: str
    configuration: str
    tasks: Mapping[str, str]
    overrides: Mapping[str, Any]
    instrument: str
    calibrations: tuple[CalibrationChoice, ...]
    missing: Mapping[str, str]
    passed_over: Mapping[str, str]
    image: ImageChoice
    back_to: int = 0
    reason: str = ""
    number: int = 0
    night: int = 0
    differences: tuple[Difference, ...] = field(default=(), compare=False)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Collections that the pipeline reads: raws, the chosen calibrations, reference catalogues."""
        return (raw_run(get_camera(self.instrument)), *(c.collection for c in self.calibrations), REFCATS)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What a person should know before the night is processed."""
        where = str(self.day_obs)
        found = [Problem("no-calibration", f"No {kind}: {why}", where) for kind, why in self.missing.items()]
        found += [
            Problem("calibration-passed-over", f"{name} was not taken: {why}", where)
            for name, why in self.passed_over.items()
        ]
        found += [
            Problem("bad-calibration-chosen", f"{c.collection} is bad and was taken: {c.override}", where)
            for c in self.calibrations
            if c.override
        ]
        if self.image.wrong_cycle:
            is_of = "no cycle" if self.image.cycle is None else f"cycle {self.image.cycle}"
            found.append(
                Problem(
                    "wrong-cycle",
                    f"The lab image {self.image.tag} is of {is_of}, the site's is {self.image.expected_cycle}.",
                    where,
                )
            )
        if self.image.unknown:
            found.append(Problem("image-unknown", f"The lab image is not known: {self.image.unknown}", where))
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values, as the journal has them."""
        return {
            "day_obs": self.day_obs,
            "instrument": self.instrument,
            "pipeline": str(self.pipeline),
            "pipeline_name": self.pipeline_name,
            "configuration": self.configuration,
            "tasks": dict(self.tasks),
            "overrides": dict(self.overrides),
            "calibrations": [asdict(c) | {"status": str(c.status)} for c in self.calibrations],
            "missing": dict(self.missing),
            "passed_over": dict(self.passed_over),
            "image": asdict(self.image),
            "back_to": self.back_to,
            "reason": self.reason,
            "differences": [asdict(d) for d in self.differences],
        }

    @classmethod
    def from_entry(cls, entry: Entry) -> Self:
        """Read it from the journal.

        Parameters
        ----------
        entry
            Of kind ``choice``.

        Returns
        -------
        Choice
            As it was recorded.
        """
        data = entry.data
        return cls(
            day_obs=int(data["day_obs"]),
            instrument=str(data["instrument"]),
            pipeline=Path(data["pipeline"]),
            pipeline_name=str(data["pipeline_name"]),
            configuration=str(data["configuration"]),
            tasks=dict(data["tasks"]),
            overrides=dict(data["overrides"]),
            calibrations=tuple(
                CalibrationChoice(**(c | {"status": Status(c["status"])})) for c in data["calibrations"]
            ),
            missing=dict(data["missing"]),
            passed_over=dict(data["passed_over"]),
            image=ImageChoice(**data["image"]),
            back_to=int(data["back_to"]),
            reason=str(data["reason"]),
            number=entry.number,
            night=entry.night,
            differences=tuple(Difference(**d) for d in data["differences"]),
        )


def all_choices(entries: Iterable[Entry]) -> list[Choice]:
    """Read all choices.

    Parameters
    ----------
    entries
        Of a journal; those of other kinds are passed over.

    Returns
    -------
    list of Choice
        In the order in which they were made; the last one is in force.
    """
    return [Choice.from_entry(entry) for entry in entries if entry.kind is Kind.CHOICE]


def current_choice(entries: Iterable[Entry], night: int | None = None) -> Choice | None:
    """Tell which choice is in force.

    Parameters
    ----------
    entries
        Of a journal.
    night
        Only choices for this night; by default any.

    Returns
    -------
    Choice or None
        The last one; None if there is none.
    """
    found = [choice for choice in all_choices(entries) if night is None or choice.night == night]
    return found[-1] if found else None


def differences(new: Choice, old: Choice | None) -> tuple[Difference, ...]:
    """Tell what two choices do not share.

    Parameters
    ----------
    new, old
        The choices; without an old one everything is new.

    Returns
    -------
    tuple of Difference
        Pipeline, settings of each task, calibrations, image and its cycle.
    """
    before, after = _parts(old) if old is not None else {}, _parts(new)
    return tuple(
        Difference(what, before.get(what, ""), after.get(what, ""))
        for what in dict.fromkeys([*after, *before])
        if before.get(what, "") != after.get(what, "")
    )


def _parts(choice: Choice) -> dict[str, str]:
    """Take a choice apart into what can be compared, as people should read it."""
    parts = {"pipeline": choice.pipeline_name}
    for label, sha256 in choice.tasks.items():
        own = {k.partition(".")[2]: v for k, v in choice.overrides.items() if k.partition(".")[0] == label}
        told = ", ".join(f"{name} = {value}" for name, value in own.items())
        parts[f"settings of {label}"] = f"{told or 'as in the pipeline'} ({sha256[:12]})"
    for c in choice.calibrations:
        verdict = f"{c.status}, taken because: {c.override}" if c.override else str(c.status)
        parts[f"calibration {c.dataset_type}"] = (
            f"{c.collection} ({c.identity[:12]}), valid from {c.begin_tai} to {c.end_tai} TAI, {verdict}"
        )
    for kind, why in choice.missing.items():
        parts[f"calibration {kind}"] = f"none: {why}"
    parts["lab image"] = f"{choice.image.tag or 'unknown'} {choice.image.digest or ''}".strip()
    parts["cycle"] = "none" if choice.image.cycle is None else str(choice.image.cycle)
    return parts

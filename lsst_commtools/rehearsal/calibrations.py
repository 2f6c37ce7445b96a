"""The night's calibrations: combined, judged against the last ones, certified with validity, and recorded."""

from __future__ import annotations

import datetime as dt
import hashlib
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from lsst_commtools.errors import DataError
from lsst_commtools.ids import day_obs_date
from lsst_commtools.ingest import calib_collection, calib_run, certify, open_repository
from lsst_commtools.night import stages
from lsst_commtools.night.counts import Problem
from lsst_commtools.night.settings import NightSettings
from lsst_commtools.qa.calibrations import judge_calibration
from lsst_commtools.qa.limits import Status, worst
from lsst_commtools.rehearsal.journal import Entry, Journal, Kind

if TYPE_CHECKING:
    from lsst.daf.butler import Butler, DatasetRef

    from lsst_commtools.instrument.cameras import Camera
    from lsst_commtools.night.stages import Progress

__all__ = ["GeneratedCalibrations", "JudgedType", "calibration_collection", "generate", "judged_types"]

VALIDITY_DAYS = 7
_MOST_REASONS = 5
_WORST_FIRST = (Status.BAD, Status.UNKNOWN, Status.WARNING, Status.GOOD)


@dataclass(frozen=True)
class JudgedType:
    """One type of calibration of one night: where it is, how long it holds, and what is thought of it.

    Parameters
    ----------
    dataset_type
        ``bias``, ``dark`` or ``flat``.
    day_obs
        Night that it was made of.
    collection
        CALIBRATION collection that holds it and nothing else.
    run
        RUN collection in which it was made.
    identity
        Hash of the datasets' ids: the same calibration has the same.
    begin_tai, end_tai
        Validity, ISO 8601 in TAI; the end is not inside.
    status
        The worst of its frames; unknown where there was nothing to compare with.
    compared_with
        Collection of the last ones; empty where there were none.
    members
        One for each frame: ``detector``, ``physical_filter``, ``status``, ``figures``, ``statuses``, ``reasons``.
    reasons
        The first reasons of frames that are not good, with their detectors.
    """

    dataset_type: str
    day_obs: int
    collection: str
    run: str
    identity: str
    begin_tai: str
    end_tai: str
    status: Status
    compared_with: str = ""
    members: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    reasons: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values, as the journal has them."""
        return {
            "dataset_type": self.dataset_type,
            "day_obs": self.day_obs,
            "collection": self.collection,
            "run": self.run,
            "identity": self.identity,
            "begin_tai": self.begin_tai,
            "end_tai": self.end_tai,
            "status": str(self.status),
            "compared_with": self.compared_with,
            "members": [dict(member) for member in self.members],
            "reasons": list(self.reasons),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read what `to_dict` gave.

        Parameters
        ----------
        values
            Data of an entry.

        Returns
        -------
        JudgedType
            The same.
        """
        return cls(
            **{
                **values,
                "status": Status(values["status"]),
                "members": tuple(values["members"]),
                "reasons": tuple(values["reasons"]),
            }
        )

    def holds_for(self, moment_tai: dt.datetime) -> bool:
        """Tell whether a moment lies within the validity.

        Parameters
        ----------
        moment_tai
            TAI, without time zone.

        Returns
        -------
        bool
            True from the begin until before the end.
        """
        begin, end = dt.datetime.fromisoformat(self.begin_tai), dt.datetime.fromisoformat(self.end_tai)
        return begin <= moment_tai < end


@dataclass(frozen=True)
class GeneratedCalibrations:
    """What a night's calibration exposures gave.

    Parameters
    ----------
    day_obs
        The night.
    run
        RUN collection of the frames.
    types
        What was made, in the order bias, dark, flat.
    problems
        What could not be made, and what is bad.
    """

    day_obs: int
    run: str
    types: tuple[JudgedType, ...]
    problems: tuple[Problem, ...]

    @property
    def status(self) -> Status:
        """The worst of the types; unknown where there are none."""
        return worst(judged.status for judged in self.types)

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {
            "day_obs": self.day_obs,
            "run": self.run,
            "status": str(self.status),
            "types": [judged.to_dict() for judged in self.types],
            "problems": [problem.to_dict() for problem in self.problems],
        }


def calibration_collection(camera: Camera, day_obs: int, dataset_type: str) -> str:
    """Name the CALIBRATION collection of one type of one night.

    Parameters
    ----------
    camera
        The camera.
    day_obs
        Night that it is made of.
    dataset_type
        ``bias``, ``dark`` or ``flat``.

    Returns
    -------
    str
        Such as ``LSSTComCam/calib/20261120/flat``.
    """
    return f"{calib_collection(camera)}/{day_obs}/{dataset_type}"


def judged_types(entries: Iterable[Entry]) -> list[JudgedType]:
    """Read what was judged, the latest verdict on each collection.

    Parameters
    ----------
    entries
        Of a journal; those of other kinds are passed over.

    Returns
    -------
    list of JudgedType
        In the order in which they were first judged.
    """
    found: dict[str, JudgedType] = {}
    for entry in entries:
        if entry.kind is Kind.CALIBRATION:
            judged = JudgedType.from_dict(entry.data)
            found[judged.collection] = judged
    return list(found.values())


def _quiet(_stage: str, _done: int, _total: int) -> None:
    return None


def generate(
    settings: NightSettings,
    journal: Journal,
    *,
    night: int,
    role: str = "LDF",
    who: str = "",
    progress: Progress = _quiet,
) -> GeneratedCalibrations:
    """Combine, judge, certify and record a night's calibrations; called again it does what is missing.

    Each type gets a collection of its own, so that each can be chosen, and left, by itself. What is judged bad is
    certified there as well, with its verdict in the journal; choosing it needs a reason.

    Parameters
    ----------
    settings
        The night.
    journal
        Journal of the rehearsal, which knows the verdicts on earlier ones.
    night
        Number of the night.
    role, who
        Who does it.
    progress
        Shows how far it is.

    Returns
    -------
    GeneratedCalibrations
        Verdicts and problems.
    """
    camera, day = settings.camera, settings.day_obs
    run = calib_run(camera, str(day))
    report = stages.make_calibrations(settings, progress)
    problems = stages.calibration_problems(report)
    refused = {j.collection for j in judged_types(journal.entries()) if j.status is Status.BAD}
    types: list[JudgedType] = []
    with open_repository(settings.repository, writeable=True) as butler:
        expected = stages.expected_calibrations(report)
        for number, kind in enumerate(expected):
            progress("judge calibrations", number, len(expected))
            try:
                judged = _judge_and_certify(butler, camera, day, kind, refused)
            except DataError as error:
                problems.append(Problem("no-calibration", f"There is no {kind}: {error.message}", str(day)))
                continue
            journal.append_once(
                Kind.CALIBRATION, night, key="identity", role=role, who=who, **judged.to_dict()
            )
            types.append(judged)
    problems += [
        Problem("bad-calibration", f"The {judged.dataset_type} is bad: {'; '.join(judged.reasons)}", str(day))
        for judged in types
        if judged.status is Status.BAD
    ]
    return GeneratedCalibrations(day, run, tuple(types), tuple(problems))


def _judge_and_certify(
    butler: Butler, camera: Camera, day_obs: int, kind: str, refused: Collection[str]
) -> JudgedType:
    begin = dt.datetime.combine(day_obs_date(day_obs), dt.time(12))
    end = begin + dt.timedelta(days=VALIDITY_DAYS)
    run, collection = (
        calib_run(camera, str(day_obs)),
        calibration_collection(camera, day_obs, kind),
    )
    certify(butler, camera, kind, run, begin_tai=begin, end_tai=end, collection=collection)
    refs = sorted(
        butler.query_datasets(kind, collections=run, find_first=False, limit=None),
        key=lambda ref: tuple(map(str, ref.dataId.required_values)),
    )
    last = _last_certified(butler, camera, kind, begin, {*refused, collection})
    members: list[dict[str, Any]] = []
    compared: set[str] = set()
    for ref in refs:
        before, where = last.get(ref.dataId.required_values, (None, ""))
        verdict = judge_calibration(kind, butler.get(ref), None if before is None else butler.get(before))
        compared |= {where} - {""}
        members.append(
            {
                "detector": int(ref.dataId["detector"]),
                "physical_filter": str(ref.dataId.required.get("physical_filter", "")),
            }
            | verdict.to_dict()
        )
    return JudgedType(
        dataset_type=kind,
        day_obs=day_obs,
        collection=collection,
        run=run,
        identity=hashlib.sha256(" ".join(sorted(str(ref.id) for ref in refs)).encode()).hexdigest(),
        begin_tai=begin.isoformat(),
        end_tai=end.isoformat(),
        status=worst(Status(member["status"]) for member in members),
        compared_with=", ".join(sorted(compared)),
        members=tuple(members),
        reasons=_reasons(members),
    )


def _reasons(members: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    """Give the first reasons, those of the worst frames before others, and the number of the rest."""
    ranked = sorted(members, key=lambda member: _WORST_FIRST.index(Status(member["status"])))
    lines = [f"detector {m['detector']}: {reason}" for m in ranked for reason in m["reasons"]]
    more = len(lines) - _MOST_REASONS
    return tuple(lines[:_MOST_REASONS]) + ((f"and {more} more",) if more > 0 else ())


def _last_certified(
    butler: Butler, camera: Camera, kind: str, before_tai: dt.datetime, without: Collection[str]
) -> dict[tuple[Any, ...], tuple[DatasetRef, str]]:
    """Find what was certified last before a moment for each detector and filter, and in which collection."""
    from astropy.time import Time
    from lsst.daf.butler import CollectionType

    root = calib_collection(camera)
    collections = [
        name
        for name in butler.collections.query(
            (root, f"{root}/*"), collection_types={CollectionType.CALIBRATION}
        )
        if name not in without
    ]
    found: dict[tuple[Any, ...], tuple[float, DatasetRef, str]] = {}
    limit = float(Time(before_tai, scale="tai").mjd)
    for name in collections:
        for association in butler.registry.queryDatasetAssociations(kind, collections=[name]):
            bound = association.timespan.begin if association.timespan is not None else None
            begin = float(bound.tai.mjd) if isinstance(bound, Time) else -math.inf
            values = association.ref.dataId.required_values
            if begin < limit and (values not in found or begin > found[values][0]):
                found[values] = (begin, association.ref, name)
    return {values: (ref, name) for values, (_, ref, name) in found.items()}

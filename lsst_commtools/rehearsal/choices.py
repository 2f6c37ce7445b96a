"""What a night is processed with: chosen by people, compared with the night before, recorded, and taken back.

A choice is the pipeline with every setting written down, one collection for each type of calibration, and the lab
image that people work with. All of it stands in one entry of the journal; going back is another entry.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsst_commtools.errors import CommtoolsError, NotFoundError, RefusedError
from lsst_commtools.ids import day_obs_date
from lsst_commtools.night.settings import NightSettings
from lsst_commtools.qa.calibrations import CALIBRATION_KINDS
from lsst_commtools.qa.limits import Status
from lsst_commtools.rehearsal.calibrations import JudgedType, judged_types
from lsst_commtools.rehearsal.choice_values import (
    CalibrationChoice,
    Choice,
    Difference,
    ImageChoice,
    all_choices,
    current_choice,
    differences,
)
from lsst_commtools.rehearsal.journal import Entry, Journal, Kind

if TYPE_CHECKING:
    from lsst_commtools.site import Site

__all__ = [
    "CalibrationChoice",
    "Choice",
    "Difference",
    "ImageChoice",
    "all_choices",
    "back_to",
    "current_choice",
    "differences",
    "select",
]


def select(
    settings: NightSettings,
    site: Site,
    journal: Journal,
    *,
    night: int,
    role: str = "SciOps",
    who: str = "",
    pipeline: str | Path | None = None,
    configuration: Mapping[str, Any] | None = None,
    calibrations: Mapping[str, str] | None = None,
    image: str = "",
    overrides: Mapping[str, str] | None = None,
) -> Choice:
    """Choose what a night is processed with, and record it; the same choice is recorded once.

    Parameters
    ----------
    settings
        The night.
    site
        Says which lab images there are.
    journal
        Journal of the rehearsal, with the verdicts on calibrations.
    night
        Number of the night.
    role, who
        Who chooses.
    pipeline
        Pipeline file; by default the night's.
    configuration
        Settings besides the pipeline's own, such as ``{"measure.threshold": 6.0}``.
    calibrations
        Type to collection; for others the newest that is valid and not bad is taken.
    image
        Tag of the lab image; by default the one that the site recommends.
    overrides
        Collection or type to the reason why it is taken although it was judged bad.

    Returns
    -------
    Choice
        As it was recorded, with what differs from the choice before.

    Raises
    ------
    RefusedError
        If a calibration is named that was judged bad, and no reason is given.
    NotFoundError
        If a pipeline, calibration or image is named that is not there.
    InputError
        If a setting does not fit.
    """
    from lsst_commtools.pipeline import NIGHT_PIPELINE
    from lsst_commtools.pipeline.freeze import freeze_pipeline

    entries = journal.entries({Kind.CALIBRATION, Kind.CHOICE})
    frozen = freeze_pipeline(
        str(pipeline or NIGHT_PIPELINE), journal.path.parent / "pipelines", configuration
    )
    chosen = _choose_calibrations(settings, judged_types(entries), calibrations or {}, overrides or {})
    choice = Choice(
        day_obs=settings.day_obs,
        pipeline=frozen.path,
        pipeline_name=frozen.name,
        configuration=frozen.sha256,
        tasks=frozen.tasks,
        overrides=frozen.overrides,
        instrument=settings.instrument,
        calibrations=chosen.taken,
        missing=chosen.missing,
        passed_over=chosen.passed_over,
        image=_choose_image(site, image),
    )
    return _record(journal, choice, entries, night=night, role=role, who=who)


def back_to(
    settings: NightSettings,
    journal: Journal,
    previous: int | None = None,
    *,
    night: int,
    reason: str,
    role: str = "SciOps",
    who: str = "",
) -> Choice:
    """Go back to an earlier choice: pipeline, settings, calibrations and image, all as they were.

    Parameters
    ----------
    settings
        The night that is processed with it.
    journal
        Journal of the rehearsal.
    previous
        Number of the choice's entry; by default the last one that differs from the one in force.
    night
        Number of the night.
    reason
        Why.
    role, who
        Who decides.

    Returns
    -------
    Choice
        The earlier one, recorded anew.

    Raises
    ------
    NotFoundError
        If there is no such choice.
    RefusedError
        If there is no reason, or a calibration of it was judged bad since.
    """
    if not reason.strip():
        raise RefusedError("Going back needs a reason.", changed="Nothing was chosen.")
    entries = journal.entries({Kind.CALIBRATION, Kind.CHOICE})
    choices = all_choices(entries)
    if previous is None:
        others = [choice for choice in choices if differences(choices[-1], choice)]
    else:
        others = [choice for choice in choices if choice.number == previous]
    if not others:
        raise NotFoundError(
            "There is no other choice to go back to."
            if previous is None
            else f"Entry {previous} of the journal is no choice."
        )
    old = others[-1]
    bad = {judged.collection for judged in judged_types(entries) if judged.status is Status.BAD}
    since = [c.collection for c in old.calibrations if c.collection in bad and not c.override]
    if since:
        raise RefusedError(
            f"The choice of entry {old.number} cannot be taken: {', '.join(since)} was judged bad since.",
            changed="Nothing was chosen.",
            advice="Select calibrations by name.",
        )
    if not old.pipeline.is_file():
        raise NotFoundError(f"The pipeline {old.pipeline} of entry {old.number} is gone.")
    choice = replace(
        old, day_obs=settings.day_obs, back_to=old.number, reason=reason, number=0, night=0, differences=()
    )
    return _record(journal, choice, entries, night=night, role=role, who=who)


def _record(
    journal: Journal, choice: Choice, entries: Sequence[Entry], *, night: int, role: str, who: str
) -> Choice:
    """Append a choice, unless it is the one in force for this night."""
    before = current_choice(entries)
    if before is not None and replace(before, number=0, night=0) == choice and before.night == night:
        return before
    choice = replace(choice, differences=differences(choice, before))
    return Choice.from_entry(journal.append(Kind.CHOICE, night, role=role, who=who, **choice.to_dict()))


@dataclass(frozen=True)
class _Calibrations:
    taken: tuple[CalibrationChoice, ...]
    missing: dict[str, str]
    passed_over: dict[str, str]


def _choose_calibrations(
    settings: NightSettings,
    judged: Sequence[JudgedType],
    named: Mapping[str, str],
    overrides: Mapping[str, str],
) -> _Calibrations:
    unknown = sorted(set(named) - set(CALIBRATION_KINDS))
    if unknown:
        raise NotFoundError(
            f"There is no calibration {unknown[0]!r}.", advice=f"There are {', '.join(CALIBRATION_KINDS)}."
        )
    taken: list[CalibrationChoice] = []
    missing: dict[str, str] = {}
    passed_over: dict[str, str] = {}
    for kind in CALIBRATION_KINDS:
        known = [j for j in judged if j.dataset_type == kind]
        if kind in named:
            taken.append(_take_named(settings, named[kind], known, overrides))
            continue
        valid = sorted((j for j in known if _is_valid(j, settings)), key=lambda j: j.day_obs, reverse=True)
        good = next((j for j in valid if not _needs_reason(j, overrides)), None)
        newer = valid[: valid.index(good)] if good is not None else valid
        passed_over |= {j.collection: f"bad: {'; '.join(j.reasons)}" for j in newer}
        if good is not None:
            taken.append(_chosen(good, overrides))
        elif valid:
            missing[kind] = "all that are valid for the night were judged bad"
        elif known or kind != "dark":  # a camera without dark exposures needs no dark
            missing[kind] = "none is valid for the night"
    return _Calibrations(tuple(taken), missing, passed_over)


def _reason(judged: JudgedType, overrides: Mapping[str, str]) -> str:
    return (overrides.get(judged.collection) or overrides.get(judged.dataset_type) or "").strip()


def _needs_reason(judged: JudgedType, overrides: Mapping[str, str]) -> bool:
    return judged.status is Status.BAD and not _reason(judged, overrides)


def _is_valid(judged: JudgedType, settings: NightSettings) -> bool:
    # Midnight in Chile: a night's science is taken between one noon and the next.
    night = dt.datetime.combine(day_obs_date(settings.day_obs), dt.time(12)) + dt.timedelta(hours=16)
    return judged.holds_for(night)


def _chosen(judged: JudgedType, overrides: Mapping[str, str]) -> CalibrationChoice:
    return CalibrationChoice(
        judged.dataset_type,
        judged.collection,
        judged.identity,
        judged.begin_tai,
        judged.end_tai,
        judged.status,
        _reason(judged, overrides) if judged.status is Status.BAD else "",
    )


def _take_named(
    settings: NightSettings, name: str, known: Sequence[JudgedType], overrides: Mapping[str, str]
) -> CalibrationChoice:
    judged = next((j for j in known if j.collection == name), None)
    if judged is None:
        have = ", ".join(j.collection for j in known) or "none"
        raise NotFoundError(
            f"The calibration {name} was not made in this rehearsal.", advice=f"There is {have}."
        )
    if not _is_valid(judged, settings):
        raise RefusedError(
            f"{name} is valid from {judged.begin_tai} to {judged.end_tai} TAI, not for {settings.day_obs}.",
            changed="Nothing was chosen.",
        )
    if _needs_reason(judged, overrides):
        raise RefusedError(
            f"{name} was judged bad: {'; '.join(judged.reasons)}.",
            changed="Nothing was chosen.",
            advice="Give a reason for it by name in overrides, or choose another.",
        )
    return _chosen(judged, overrides)


def _choose_image(site: Site, name: str) -> ImageChoice:
    """Find the lab image; one that is not named may be unknown, because the night does not wait for a registry."""
    from lsst_commtools.images import LabImages

    lab = LabImages(site)
    try:
        found = lab.listing.image(name) if name else lab.recommended
    except CommtoolsError as error:
        if name:
            raise
        return ImageChoice(expected_cycle=lab.policy.cycle, unknown=error.message)
    if found is None:
        if name:
            raise NotFoundError(f"There is no lab image {name!r} at the site {site.name}.")
        return ImageChoice(
            expected_cycle=lab.policy.cycle,
            unknown=f"the recommended tag {lab.policy.recommended_tag!r} is not in the registry",
        )
    return ImageChoice(found.build.tag, found.digest, found.cycle, lab.policy.cycle)

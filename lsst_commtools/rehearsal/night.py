"""`RehearsalNight`: one night of a rehearsal, and the verbs that its notebooks are written in."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsst_commtools.errors import RefusedError
from lsst_commtools.night.counts import Problem
from lsst_commtools.night.settings import NightSettings
from lsst_commtools.rehearsal.datasets import Expectations, Shot, find_shots, open_dataset
from lsst_commtools.rehearsal.journal import Journal, Kind
from lsst_commtools.rehearsal.outline import Role, Step, find_step, planned_utc
from lsst_commtools.rehearsal.states import StepStatus, needs_of, outline_states

if TYPE_CHECKING:
    from lsst_commtools.procedure import Procedure
    from lsst_commtools.rehearsal.calibrations import GeneratedCalibrations
    from lsst_commtools.rehearsal.choices import Choice
    from lsst_commtools.rehearsal.feedback import Observations, Processing, Products
    from lsst_commtools.rehearsal.meetings import CampaignView
    from lsst_commtools.rehearsal.pages import Framed
    from lsst_commtools.rehearsal.poll import Poll
    from lsst_commtools.rehearsal.processing import Processed
    from lsst_commtools.rehearsal.rehearsal import Rehearsal
    from lsst_commtools.rehearsal.transmit import Transmission

__all__ = ["RehearsalNight"]

Progress = Callable[[str, int, int], None]


def _quiet(_stage: str, _done: int, _total: int) -> None:
    return None


class RehearsalNight:
    """One night of a rehearsal.

    Each verb may be called again: it does what is missing, and what is done stays as it is.

    Parameters
    ----------
    rehearsal
        The rehearsal.
    number
        Number of the night, from 1.
    """

    def __init__(self, rehearsal: Rehearsal, number: int) -> None:
        self.rehearsal = rehearsal
        self.number = number
        self.day_obs = rehearsal.settings.nights[number - 1]

    @property
    def journal(self) -> Journal:
        """The journal of the rehearsal."""
        return self.rehearsal.journal

    @property
    def summit(self) -> Path:
        """Folder in which the summit's raw files appear."""
        return self.rehearsal.settings.work / "summit" / str(self.day_obs) / "raw"

    @property
    def storage(self) -> Path:
        """The data facility's copy."""
        return self.rehearsal.settings.work / "storage" / str(self.day_obs)

    @property
    def simulated(self) -> Path:
        """Folder of the simulated night."""
        return self.rehearsal.settings.work / "simulated" / str(self.day_obs)

    @property
    def notebooks(self) -> Path:
        """Folder of the executed notebooks of the outline."""
        return self.rehearsal.settings.work / "notebooks" / str(self.day_obs)

    @property
    def source(self) -> Path:
        """Folder from which the summit's camera takes its files."""
        whole = self.rehearsal.settings
        return self.simulated / "raw" if whole.simulated else Path(whole.dataset)

    @property
    def settings(self) -> NightSettings:
        """The night, as the room of nights knows it."""
        whole = self.rehearsal.settings
        return NightSettings(
            day_obs=self.day_obs,
            instrument=whole.instrument,
            raw=self.summit,
            work=whole.work / "nights" / str(self.day_obs),
            reference=self.simulated / "refcat" if whole.simulated else whole.reference,
            origin=f"Night {self.number} of the rehearsal {whole.work.name}: {whole.dataset}",
            processes=whole.processes,
            shared_repository=whole.repository,
            shared_storage=self.storage,
        )

    def planned_utc(self, step: str) -> dt.datetime:
        """Tell when a step of this night is due.

        Parameters
        ----------
        step
            Its identifier.

        Returns
        -------
        datetime.datetime
            Time of the rehearsal, UTC.
        """
        return planned_utc(find_step(step), self.day_obs)

    # What frames each step

    def begin(self, step: str, procedure: Procedure) -> Step:
        """Begin a step: see that what it follows has ended, take the right to do it, and set the clock to its hour.

        Parameters
        ----------
        step
            Its identifier.
        procedure
            Run of its notebook.

        Returns
        -------
        Step
            The step.

        Raises
        ------
        StepError
            If something that it follows has not ended.
        LeaseError
            If somebody else does this step now.
        """
        found = find_step(step)
        procedure.precondition("What this step follows has ended", lambda: self.unfinished(step), expect=[])
        self._lease(step, procedure)
        self.rehearsal.check_clock()
        clock = self.rehearsal.clock
        if not clock.speed:
            clock.set(None, self.rehearsal.settings.speed, "work goes on")
        clock.reach(self.planned_utc(step), f"night {self.number}: {found.title}")
        self.journal.append(Kind.STEP_STARTED, self.number, role=found.owner, step=step, run=procedure.run)
        return found

    def finish(self, step: str, procedure: Procedure) -> str:
        """Record that a step is done.

        Parameters
        ----------
        step
            Its identifier.
        procedure
            Run of its notebook.

        Returns
        -------
        str
            When, in time of the rehearsal, UTC.
        """
        found = find_step(step)
        entry = self.journal.append(
            Kind.STEP_ENDED,
            self.number,
            role=found.owner,
            step=step,
            run=procedure.run,
            status="done",
            reason="",
        )
        procedure.finish()
        return entry.at_rehearsal_utc

    def banner(self) -> str:
        """Say which rehearsal and night this is, what time it is there, and whether people sign."""
        whole = self.rehearsal
        unattended = " Unattended: signed by stand-ins." if whole.unattended else ""
        return (
            f"Rehearsal {whole.settings.work.name}, night {self.number} of {len(whole.settings.nights)} "
            f"({self.day_obs}, {self.expectations.name}), {whole.clock.now_utc():%Y-%m-%dT%H:%M:%S} UTC of the "
            f"rehearsal.{unattended}"
        )

    def hold(self, step: str, procedure: Procedure, observation: Mapping[str, Any]) -> list[dict[str, str]]:
        """Wait until the owners of a step have signed what was observed.

        Parameters
        ----------
        step
            Its identifier.
        procedure
            Run of its notebook.
        observation
            What they are shown and sign.

        Returns
        -------
        list of dict
            Keys ``role``, ``name``, ``at_utc`` of each signature; empty in a dry run.
        """
        found = find_step(step)
        refused: list[str] = []
        while True:
            again = f" (again, {len(refused)} refused)" if refused else ""
            held = procedure.hold(
                f"{found.owner}: {found.title}{again}",
                roles=[str(role) for role in found.owners],
                people=len(found.owners),
                timeout_s=self.rehearsal.site.rehearsal.hold_timeout_s,
                observation={
                    "night": self.number,
                    **observation,
                    **({"refused": list(refused)} if refused else {}),
                },
            )
            signed = list(held.observed.get("signed", []))
            wrong = self._refused(signed)
            if not wrong:
                return signed
            # What was refused becomes part of what is signed, so that the same signatures do not count again.
            refused += wrong

    def _refused(self, signed: Iterable[Mapping[str, str]]) -> list[str]:
        """Hold signatures against the roster; say of each that does not count why."""
        roster = self.rehearsal.roster
        if roster is None:
            return []
        refused = []
        for signature in signed:
            try:
                roster.check_signature(signature["role"], signature["name"])
            except RefusedError as error:
                refused.append(error.message)
        return refused

    def unfinished(self, step: str) -> list[str]:
        """List what a step follows and that has not ended, well or not.

        Parameters
        ----------
        step
            Its identifier.

        Returns
        -------
        list of str
            Steps; those of another night with its number.
        """
        states = outline_states(
            self.rehearsal.entries({Kind.STEP_STARTED, Kind.STEP_ENDED}), len(self.rehearsal.settings.nights)
        )
        ended = (StepStatus.DONE, StepStatus.FAILED)
        needs = needs_of(self.number, find_step(step))
        return [f"night {n}: {name}" for n, name in needs if states[n, name].status not in ended]

    def _lease(self, step: str, procedure: Procedure) -> None:
        """Take the right to do a step; that of a run whose process was seen to be gone is free."""
        from lsst_commtools.procedure.ledger import Ledger, leases

        section = self.rehearsal.site.procedure
        key = f"rehearsal:{self.rehearsal.settings.work}:{self.number}:{step}"
        held = leases.lease_of(Ledger.at(section), key)
        gone = held is not None and held.run != procedure.run and held.alive(section.stale_after_s) is False
        procedure.lease(key, taken_over_by="the rehearsal: its process is gone" if gone else None)

    def note(self, problems: Iterable[Problem], *, role: Role | str, step: str, place: str = "") -> int:
        """Record problems that were noticed.

        Parameters
        ----------
        problems
            The problems.
        role
            Who noticed them.
        step
            Step of the outline.
        place
            Task or module that they come from.

        Returns
        -------
        int
            How many there were.
        """
        found = list(problems)
        for problem in found:
            self.note_problem(problem.kind, problem.what, problem.where, role=role, step=step, place=place)
        return len(found)

    def note_problem(
        self,
        kind: str,
        message: str,
        where: str,
        *,
        role: Role | str,
        step: str,
        exception: str = "",
        place: str = "",
    ) -> str:
        """Record a problem of this night: see `Rehearsal.note_problem`."""
        return self.rehearsal.note_problem(
            kind, message, where, role=role, night=self.number, step=step, exception=exception, place=place
        )

    # What is to be observed

    @property
    def expectations(self) -> Expectations:
        """What the images are held against."""
        return open_dataset(self.rehearsal.settings, self.rehearsal.site.rehearsal).expectations

    def prepare(self, progress: Progress = _quiet) -> list[Shot]:
        """Have the night's images, and write down which exposures there will be.

        Parameters
        ----------
        progress
            Shows how far it is.

        Returns
        -------
        list of Shot
            In the order of time.
        """
        plan = self._plan_file
        if not plan.is_file():
            dataset = open_dataset(self.rehearsal.settings, self.rehearsal.site.rehearsal)
            raw = dataset.prepare(self.day_obs, lambda done, total: progress("prepare images", done, total))
            shots = find_shots(raw, self.rehearsal.settings.camera, self.day_obs)
            plan.parent.mkdir(parents=True, exist_ok=True)
            part = plan.with_suffix(".part")
            part.write_text(json.dumps([shot.to_dict() for shot in shots], indent=1), encoding="utf-8")
            part.replace(plan)
        return self.shots()

    def shots(self) -> list[Shot]:
        """List the exposures of the night, as they were planned.

        Returns
        -------
        list of Shot
            In the order of time; empty where nothing is prepared.
        """
        if not self._plan_file.is_file():
            return []
        return [Shot.from_dict(values) for values in json.loads(self._plan_file.read_text(encoding="utf-8"))]

    @property
    def _plan_file(self) -> Path:
        return self.rehearsal.settings.work / "plans" / f"{self.day_obs}.json"

    # The verbs, in the order of the outline

    def transmit_calibrations(self, progress: Progress = _quiet) -> Transmission:
        """Bring the calibration exposures to the data facility."""
        from lsst_commtools.rehearsal.transmit import transmit

        shots = [shot for shot in self.prepare(progress) if shot.calibration]
        return transmit(self, "calibrations", shots, paced=False, progress=progress)

    def generate_calibrations(self, progress: Progress = _quiet) -> GeneratedCalibrations:
        """Combine, judge and certify the night's calibrations."""
        from lsst_commtools.rehearsal.processing import make_calibrations

        return make_calibrations(self, progress)

    def select_configuration(self, **wishes: Any) -> Choice:
        """Choose what the night is processed with: see `choices.select`."""
        from lsst_commtools.rehearsal.processing import choose

        return choose(self, wishes)

    def transmit_science(self, progress: Progress = _quiet) -> Transmission:
        """Bring the science exposures to the data facility, as the clock lets them appear."""
        from lsst_commtools.rehearsal.transmit import transmit

        shots = [shot for shot in self.prepare(progress) if not shot.calibration]
        return transmit(self, "science", shots, paced=True, progress=progress)

    def run_pipeline(self, progress: Progress = _quiet) -> Processed:
        """Ingest what arrives, process each visit as it is complete, and what is left in the end."""
        from lsst_commtools.rehearsal.processing import process_arrivals

        return process_arrivals(self, progress)

    def judge_processing(self) -> Processing:
        """Judge the processing: counts, failures, rates, latencies."""
        from lsst_commtools.rehearsal.feedback import judge_processing

        return judge_processing(self)

    def examine_products(self) -> Products:
        """See which inputs and outputs there are, and which should be."""
        from lsst_commtools.rehearsal.feedback import examine_products

        return examine_products(self)

    def judge_observations(self) -> Observations:
        """Judge the observations: verdicts on the visits, what stands out, and the report of the night's data."""
        from lsst_commtools.rehearsal.feedback import judge_observations

        return judge_observations(self)

    def product_figures(self) -> list[Any]:
        """Draw each visit of the night: residuals, PSF, detectors."""
        from lsst_commtools.rehearsal.feedback import product_figures

        return product_figures(self)

    def describe_choice(self, choice: Choice) -> dict[str, Any]:
        """Give what is signed of a choice."""
        return {
            "pipeline": choice.pipeline_name,
            "configuration": choice.configuration,
            "calibrations": {c.dataset_type: f"{c.collection}: {c.status}" for c in choice.calibrations},
            "missing": dict(choice.missing),
            "image": choice.image.tag or choice.image.unknown,
            "problems": [problem.to_dict() for problem in choice.problems],
        }

    def standup_page(self) -> Path:
        """Write the page of the standup before this night."""
        from lsst_commtools.rehearsal.standup import write_standup

        return write_standup(self.rehearsal, self.number)

    def show(self, page: Path) -> Framed:
        """Show a page in a notebook, in a frame, so that its style and its policy stay its own."""
        from lsst_commtools.rehearsal.pages import Framed

        return Framed(page)

    def ask_go(self) -> Poll:
        """Ask all teams for a go, and wait until all have answered or one said no-go."""
        from lsst_commtools.rehearsal.meetings import ask_go

        return ask_go(self)

    def monitor_campaign(self) -> CampaignView:
        """Look at the observatory and at the whole campaign, and write its page."""
        from lsst_commtools.rehearsal.meetings import monitor_campaign

        return monitor_campaign(self)

    def write_report(self) -> Path:
        """Write the report of the night."""
        from lsst_commtools.rehearsal.report import write_night_report

        return write_night_report(self.rehearsal, self.number)

    def sign_report(self, signed: Iterable[Mapping[str, str]]) -> None:
        """Put signatures under the report of the night, each person's once."""
        from lsst_commtools.rehearsal.meetings import sign_night_report

        sign_night_report(self, signed)

    def write_final_pages(self) -> list[Path]:
        """Write the page of the final standup and the report of the rehearsal."""
        from lsst_commtools.rehearsal.report import write_rehearsal_report
        from lsst_commtools.rehearsal.standup import write_standup

        return [
            write_standup(self.rehearsal, self.number, final=True),
            write_rehearsal_report(self.rehearsal),
        ]

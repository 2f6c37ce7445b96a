"""How a site stands tonight, and what can be done there: for the start page and the command line. No widgets here."""

from __future__ import annotations

import importlib
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lsst_commtools.errors import CommtoolsError
from lsst_commtools.qa.limits import Status
from lsst_commtools.site import Reach, Site, check_site

if TYPE_CHECKING:
    from lsst_commtools.procedure.record import RunRecord

__all__ = ["LOOKS", "TASKS", "Fact", "Task", "look_around", "notebooks_folder"]

_PATIENCE_S = 15.0
_REACH_S = 2.0
_ROOMS = (
    "lsst_commtools.control.client",
    "lsst_commtools.images.lab",
    "lsst_commtools.night.archive",
    "lsst_commtools.night.verdicts",
    "lsst_commtools.procedure.ledger",
    "lsst_commtools.procedure.recover",
)


@dataclass(frozen=True)
class Fact:
    """One thing that was looked at.

    Parameters
    ----------
    topic
        What.
    status
        Good, or worth a look, or bad; unknown is not good.
    text
        What was seen, a sentence.
    advice
        What to do about it; empty for nothing.
    """

    topic: str
    status: Status
    text: str
    advice: str = ""

    def to_dict(self) -> dict[str, str]:
        """Give it as plain values."""
        return {**asdict(self), "status": str(self.status)}


@dataclass(frozen=True)
class Task:
    """Something that people want to do tonight.

    Parameters
    ----------
    group, what
        Under which heading, and what.
    notebook
        The notebook for it, below the folder of notebooks.
    command
        The command for it.
    """

    group: str
    what: str
    notebook: str
    command: str


TASKS = (
    Task("Test a component", "See all CSCs, change one", "csc/summary.ipynb", "commtools csc states"),
    Task("Test a component", "See how states went over time", "csc/state_history.ipynb", "commtools csc watch"),
    Task("Test a component", "Bring a CSC to a state", "csc/set_state.ipynb", "commtools csc set"),
    Task("Test a component", "Test a CSC in place of production", "csc/test_csc.ipynb", "commtools csc test"),
    Task("Test a component", "Put a production CSC back", "csc/restore_production.ipynb", "commtools csc restore"),
    Task("Find an image", "Find an image, browse a night", "repos/find_images.ipynb", "commtools repo locate"),
    Task("Find an image", "See what was not ingested, and why", "repos/ingest_audit.ipynb", "commtools repo audit"),
    Task("Find an image", "Switch a repository's parent", "repos/switch_parent.ipynb", "commtools repo repoint"),
    Task("Judge the night", "See last night's WCS and PSF", "qa/night_qa.ipynb", "commtools night"),
    Task("Judge the night", "Look at one visit", "qa/visit_qa.ipynb", "commtools qa visit"),
    Task("Judge the night", "Follow metrics over the nights", "qa/trend.ipynb", "commtools qa trend"),
    Task("Judge the night", "Look into the night's WCS", "qa/wcs.ipynb", "commtools qa wcs"),
    Task("Judge the night", "Compare two processings", "qa/compare_runs.ipynb", "commtools qa compare"),
    Task("Judge the night", "Measure the PSF's ellipticity", "qa/ellipticity.ipynb", "commtools qa ellipticity"),
    Task("Judge the night", "Measure repeatability", "qa/repeatability.ipynb", "commtools qa repeatability"),
    Task("Choose the software", "Choose a lab image", "images/choose_image.ipynb", "commtools images menu"),
    Task("Choose the software", "Check the site's images", "images/check_images.ipynb", "commtools images check"),
    Task("Choose the software", "Try notebooks on images", "images/compat_matrix.ipynb", "commtools images compat"),
    Task("Choose the software", "See what is verified", "releases/milestone_readiness.ipynb", "commtools releases"),
    Task("Hold a rehearsal", "Transmit calibrations", "rehearsal/01_transmit_calibrations.ipynb", "commtools rehearse"),
    Task("Hold a rehearsal", "Generate calibrations", "rehearsal/02_generate_calibrations.ipynb", "commtools rehearse"),
    Task("Hold a rehearsal", "Hold the afternoon standup", "rehearsal/03_standup.ipynb", "commtools rehearse"),
    Task("Hold a rehearsal", "Select configuration", "rehearsal/04_select_configuration.ipynb", "commtools rehearse"),
    Task("Hold a rehearsal", "Transmit the science", "rehearsal/05_transmit_science.ipynb", "commtools rehearse"),
    Task("Hold a rehearsal", "Run the science pipeline", "rehearsal/06_run_pipeline.ipynb", "commtools rehearse"),
    Task("Hold a rehearsal", "Judge the processing", "rehearsal/07_qa_processing.ipynb", "commtools rehearse"),
    Task("Hold a rehearsal", "Examine the products", "rehearsal/08_examine_products.ipynb", "commtools rehearse"),
    Task("Hold a rehearsal", "Judge the observations", "rehearsal/09_qa_observations.ipynb", "commtools rehearse"),
    Task("Hold a rehearsal", "Monitor the campaign", "rehearsal/10_monitor_campaign.ipynb", "commtools rehearse"),
    Task("Hold a rehearsal", "Write the night's report", "rehearsal/11_nightly_report.ipynb", "commtools rehearse"),
    Task("Hold a rehearsal", "Hold the final standup", "rehearsal/12_final_standup.ipynb", "commtools rehearse"),
)  # fmt: skip
"""Every notebook of the package, with the command that does the same."""


def notebooks_folder() -> Path | None:
    """Find the notebooks of this installation.

    Returns
    -------
    pathlib.Path or None
        In a checkout beside the package, in an installation within it.
    """
    package = Path(__file__).parents[1]
    candidates = (package.parent / "notebooks", package / "notebooks")
    return next((folder for folder in candidates if (folder / "index.ipynb").is_file()), None)


def look_around(site: Site, patience_s: float = _PATIENCE_S) -> Iterator[Fact]:
    """Look at everything at the same time; nothing is changed.

    Parameters
    ----------
    site
        The site.
    patience_s
        How long to wait for all, in seconds.

    Returns
    -------
    iterator of Fact
        Each as soon as it is known; what does not answer in time is unknown.
    """
    for room in _ROOMS:  # here, one after the other: threads that import at once meet half-made modules
        importlib.import_module(room)
    found: queue.Queue[Fact] = queue.Queue()
    for topic, look in LOOKS.items():
        # Daemons: a service that hangs must not keep the program from ending.
        name = f"look at {topic}"
        threading.Thread(target=_look, args=(topic, look, site, found), name=name, daemon=True).start()
    return _collect(found, time.monotonic() + patience_s, patience_s)


def _collect(found: queue.Queue[Fact], ends: float, patience_s: float) -> Iterator[Fact]:
    missing = list(LOOKS)
    while missing and (left := ends - time.monotonic()) > 0:
        try:
            fact = found.get(timeout=left)
        except queue.Empty:
            break
        missing.remove(fact.topic)
        yield fact
    for topic in missing:
        yield Fact(topic, Status.UNKNOWN, f"No answer within {patience_s:g} s.")


def _look(
    topic: str, look: Callable[[Site], tuple[Status, str, str]], site: Site, found: queue.Queue[Fact]
) -> None:
    try:
        fact = Fact(topic, *look(site))
    except CommtoolsError as error:
        fact = Fact(topic, Status.UNKNOWN, error.message, error.advice)
    except Exception as error:  # noqa: BLE001 - one look that fails must not take the others with it
        fact = Fact(topic, Status.UNKNOWN, f"It cannot be seen: {type(error).__name__}: {error}.")
    found.put(fact)


def _places(site: Site) -> tuple[Status, str, str]:
    checks = check_site(site, _REACH_S)
    if not checks:
        return Status.GOOD, f"{site.name} names no places: everything is on this computer.", ""
    away = [check for check in checks if check.reach is not Reach.REACHABLE]
    text = f"{len(checks) - len(away)} of {_number(len(checks), 'place')} can be reached."
    if not away:
        return Status.GOOD, text, ""
    named = ", ".join(check.setting for check in away[:4]) + (", ..." if len(away) > 4 else "")
    return Status.WARNING, f"{text} Not reached: {named}.", "See 'commtools site check'."


def _cscs(site: Site) -> tuple[Status, str, str]:
    from lsst_commtools.control import Control

    with Control(site) as control:
        states = control.states()
    counts = Counter(state.state.name for state in states)
    text = f"{_number(len(states), 'CSC')}: {', '.join(f'{n} {name}' for name, n in counts.most_common())}."
    ill = [str(state.csc) for state in states if state.state.name in ("FAULT", "UNKNOWN")]
    if any(state.state.name == "FAULT" for state in states):
        return Status.BAD, f"{text} Look at {', '.join(ill)}.", "See 'commtools csc log NAME'."
    return (Status.WARNING, f"{text} Look at {', '.join(ill)}.", "") if ill else (Status.GOOD, text, "")


def _runs(site: Site) -> tuple[Status, str, str]:
    from lsst_commtools.procedure import Ledger
    from lsst_commtools.procedure.recover import recoverable
    from lsst_commtools.procedure.runs import list_runs

    ledger = Ledger.at(site.procedure)
    records = list_runs(ledger, site.procedure)
    dead, elsewhere = recoverable(ledger, site)
    counts = Counter(record.status.value for record in records)
    how = ", ".join(f"{n} {status}" for status, n in counts.most_common())
    text = f"{_number(len(records), 'run')}: {how}." if records else "No run yet."
    if dead or elsewhere:
        owing = ", ".join(record.run for record in [*dead, *elsewhere][:3])
        return Status.BAD, f"{text} Left behind by a dead runner: {owing}.", "Run 'commtools runs recover'."
    if counts["waiting"]:
        waiting = ", ".join(record.run for record in records if record.status.value == "waiting")
        return (
            Status.WARNING,
            f"{text} Waiting for signatures: {waiting}.",
            "Sign with 'commtools runs sign'.",
        )
    broken = _broken(records)
    if broken:
        named = ", ".join(f"{record.run} ({record.status.value})" for record in broken[:3])
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
        advice = "See 'commtools runs show RUN', and run it again."
        return Status.WARNING, f"{text} Not done, and not run again since: {named}{more}.", advice
    return Status.GOOD, text, ""


def _broken(records: list[RunRecord]) -> list[RunRecord]:
    """Of runs, the newest first, give those that did not come to a good end and were not begun again the same way."""
    newest: dict[str, RunRecord] = {}
    for record in records:
        if not record.dry_run:  # it changes nothing, and stands for nothing
            newest.setdefault(f"{record.notebook} {sorted(record.parameters.items())}", record)
    return [record for record in newest.values() if record.status.value in ("aborted", "failed", "unknown")]


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _night(site: Site) -> tuple[Status, str, str]:
    from lsst_commtools.night import Night, judge_night

    night = Night.find(site)
    visits = judge_night(night.visit_summaries())
    counts = Counter(str(visit.status) for visit in visits)
    how = ", ".join(f"{n} {status}" for status, n in counts.items())
    text = f"{night.camera.name} {night.day_obs}: {_number(len(visits), 'visit')}, {how}."
    worst = max((visit.status for visit in visits), key=_BADNESS.index, default=Status.UNKNOWN)
    return worst, text, "" if worst is Status.GOOD else "Open the notebook of the night."


_BADNESS = [Status.GOOD, Status.UNKNOWN, Status.WARNING, Status.BAD]


def _image(site: Site) -> tuple[Status, str, str]:
    from lsst_commtools.images import LabImages

    images = LabImages(site)
    recommended = images.recommended
    if recommended is None:
        return (
            Status.WARNING,
            f"{images.policy.recommended_tag} is not in the registry.",
            "See 'commtools images check'.",
        )
    return Status.GOOD, f"{images.policy.recommended_tag} is {recommended.build.tag}.", ""


LOOKS: Mapping[str, Callable[[Site], tuple[Status, str, str]]] = {
    "Places": _places,
    "CSCs": _cscs,
    "Runs": _runs,
    "Last night": _night,
    "Lab image": _image,
}
"""What is looked at, by topic."""

"""The file of injects, its seal, and the injector: fired once, undone, revealed; also when killed anywhere."""

import datetime as dt
import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml

from lsst_commtools.errors import InputError, RefusedError
from lsst_commtools.rehearsal.batch import BatchQueue
from lsst_commtools.rehearsal.injects import Ground, Injector, read_injects, seal
from lsst_commtools.rehearsal.injects.durations import parse_duration
from lsst_commtools.rehearsal.journal import Journal, Kind
from lsst_commtools.rehearsal.line import Line
from lsst_commtools.rehearsal.quota import Quota
from lsst_commtools.rehearsal.score import score
from lsst_commtools.site import Site

DAYS = (20261120, 20261121)
DELAY = {
    "id": "left-in-delay",
    "fault": "slow-transfer",
    "night": 1,
    "before": "transmit-science",
    "parameters": {"delay_per_file": "5 s"},
    "expect": {"role": "ObsOps", "within": "30 min"},
}
FULL = {
    "id": "full",
    "fault": "disk-full",
    "night": 1,
    "at_utc": "01:30",
    "lasts": "20 min",
    "expect": {"within": "10 min"},
}


@pytest.fixture
def work(tmp_path):
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def inject_journal(work):
    journal = Journal(work / "journal.sqlite")
    journal.clock.set(dt.datetime(2026, 11, 20, 19, tzinfo=dt.UTC), 1.0)
    return journal


@pytest.fixture
def write(tmp_path):
    def write(*injects, **top):
        path = tmp_path / "injects.yaml"
        path.write_text(yaml.safe_dump({"title": "test", "injects": list(injects), **top}), encoding="utf-8")
        return path

    return write


def ground_of(work):
    return lambda night: Ground(
        Site.load("local"), work, night, DAYS[night - 1], "LSSTComCam",
        (work / "summit" / str(DAYS[night - 1]) / "raw",), work / "storage", work / "repo",
    )  # fmt: skip


@pytest.fixture
def sealed(work, inject_journal, write):
    """Seal injects and give the injector of a new process."""

    def make(*injects):
        if injects:
            seal(work, inject_journal, write(*injects), 2)
        return Injector(work, inject_journal, DAYS, ground_of(work))

    return make


def clock_at(journal, text):
    journal.clock.set(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC), 1.0)


@pytest.mark.parametrize(("text", "seconds"), [("5 s", 5), ("20 min", 1200), ("1.5h", 5400), ("0 s", 0)])
def test_durations_have_units(text, seconds):
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["5", "", "5 m", "-5 s", "5 S", "five s", "5 s 3", "1e3 s"])
def test_durations_without_a_clear_unit_are_refused(text):
    with pytest.raises(ValueError, match="unit"):
        parse_duration(text)


def test_a_file_of_injects_is_read(write):
    plan = read_injects(write(DELAY, FULL))
    assert [i.id for i in plan.injects] == ["left-in-delay", "full"]
    assert plan.injects[0].problems == ("slow-transfer",)
    assert plan.injects[1].due_utc(dt.date(2026, 11, 20)) == dt.datetime(2026, 11, 21, 1, 30, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"fault": "earthquake"}, "'earthquake' is not a fault"),
        ({"before": "lunch"}, "no step 'lunch'"),
        ({"before": ""}, "one of before, during and at_utc"),
        ({"at_utc": "01:00"}, "one of before, during and at_utc"),
        ({"before": "", "at_utc": "25:00"}, "HH:MM"),
        ({"parameters": {"delay_per_file": 5}}, "unit"),
        ({"parameters": {"limit": "40"}}, "unit"),
        ({"parameters": {"delay": "5 s"}}, "delay"),
        ({"expect": {}}, "within"),
        ({"expect": {"within": 30}}, "unit"),
        ({"expect": {"within": "30 min", "role": "Chef"}}, "role"),
        ({"night": 0}, "night"),
        ({"id": "Not A Name"}, "id"),
        ({"fault": "disk-full", "parameters": {}}, "needs lasts"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(write, changes, says):
    with pytest.raises(InputError, match=says):
        read_injects(write({**DELAY, **changes}))


def test_what_is_no_file_of_injects_is_refused(write, tmp_path):
    with pytest.raises(InputError, match="twice"):
        read_injects(write(DELAY, DELAY))
    (tmp_path / "x.yaml").write_text("[[[", encoding="utf-8")
    (tmp_path / "y.yaml").write_bytes(b"\xff\xfe")
    for name in ("x.yaml", "y.yaml", "none.yaml"):
        with pytest.raises(InputError, match="cannot be used"):
            read_injects(tmp_path / name)


def test_the_seal_shows_a_digest_and_nothing_else(work, inject_journal, write):
    digest = seal(work, inject_journal, write(DELAY, FULL), 2)
    entry = inject_journal.entries([Kind.INJECTS_SEALED])[0]
    assert entry.data == {"digest": digest, "count": 2, "readable_by_others": True}
    for path in work.rglob("*"):
        if ".sealed" in path.parts:
            assert stat.S_IMODE(path.stat().st_mode) in (0o700, 0o600)
        elif path.is_file():
            assert b"left-in-delay" not in path.read_bytes()
            assert b"slow-transfer" not in path.read_bytes()


def test_a_seal_is_made_once(work, inject_journal, write):
    digest = seal(work, inject_journal, write(DELAY), 2)
    assert seal(work, inject_journal, write(DELAY), 2) == digest
    with pytest.raises(RefusedError, match="Other injects"):
        seal(work, inject_journal, write(DELAY, FULL), 2)
    assert len(inject_journal.entries([Kind.INJECTS_SEALED])) == 1


def test_a_night_that_does_not_come_is_refused(work, inject_journal, write):
    with pytest.raises(InputError, match="left-in-delay"):
        seal(work, inject_journal, write({**DELAY, "night": 3}), 2)
    assert not (work / ".sealed").exists()


def test_without_injects_nothing_happens(sealed, inject_journal, work):
    injector = sealed()
    injector.recover()
    injector.before("transmit-science", 1)
    with injector.during("transmit-science", 1):
        injector.tick()
    assert injector.end() == {}
    assert [e.kind for e in inject_journal.entries()] == [Kind.CLOCK_SET]
    assert sorted(p.name for p in work.iterdir()) == ["journal.sqlite"]


def test_it_fires_before_its_step_of_its_night_and_once(sealed, inject_journal, work):
    injector = sealed(DELAY)
    injector.before("transmit-science", 2)
    injector.before("run-pipeline", 1)
    assert Line(work).state().delay_per_file_s == 0
    injector.before("transmit-science", 1)
    assert Line(work).state().delay_per_file_s == 5
    Line(work).mend("left-in-delay")
    injector.before("transmit-science", 1)
    sealed().before("transmit-science", 1)
    assert Line(work).state().delay_per_file_s == 0, "a fault that somebody mended does not come again"
    assert [e.kind for e in inject_journal.entries()] == [Kind.CLOCK_SET, Kind.INJECTS_SEALED], (
        "nothing is told"
    )


def test_it_fires_at_its_time_and_is_undone_at_its_time(sealed, inject_journal, work):
    injector = sealed(FULL)
    clock_at(inject_journal, "2026-11-21T01:29:00")
    injector.tick()
    assert Quota(work).limit_bytes is None
    clock_at(inject_journal, "2026-11-21T01:30:01")
    injector.tick()
    assert Quota(work).free_bytes == 0
    clock_at(inject_journal, "2026-11-21T01:49:00")
    sealed().tick()
    assert Quota(work).free_bytes == 0
    clock_at(inject_journal, "2026-11-21T01:50:02")
    sealed().tick()
    assert Quota(work).limit_bytes is None
    injector.tick()
    assert Quota(work).limit_bytes is None


def test_before_a_step_it_lasts_from_the_hour_of_the_step_on(sealed, inject_journal, work):
    injector = sealed({**FULL, "at_utc": "", "before": "transmit-science"})
    clock_at(inject_journal, "2026-11-20T21:00:00")
    injector.before("transmit-science", 1)
    clock_at(inject_journal, "2026-11-21T00:30:00")
    injector.tick()
    assert Quota(work).free_bytes == 0, "nothing was sent before 0:30"
    clock_at(inject_journal, "2026-11-21T00:50:01")
    injector.tick()
    assert Quota(work).limit_bytes is None


def test_while_a_step_runs_it_fires_as_soon_as_it_can(sealed, inject_journal, work):
    injector = sealed(
        {
            "id": "export", "fault": "slow-registry", "night": 1, "during": "run-pipeline",
            "parameters": {"held": "1 s"}, "expect": {"within": "10 min"},
        }
    )  # fmt: skip
    with injector.during("run-pipeline", 1):
        assert not (work / ".sealed" / "kept").exists(), "there is no registry yet"
        (work / "repo").mkdir()
        (work / "repo" / "gen3.sqlite3").touch()
        wait_for((work / ".sealed" / "kept" / "export" / "process.json").is_file)
    injector.end()
    assert inject_journal.entries([Kind.INJECT_FIRED])[0].data["inject"] == "export"


def wait_for(condition, timeout_s=20.0):
    import time

    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.05)


def test_what_cannot_be_is_told_at_the_end(sealed, inject_journal):
    injector = sealed(
        {**DELAY, "id": "late", "fault": "late-transfer", "lasts": "5 min", "parameters": {}},
        {**DELAY, "id": "never", "night": 2},
        {**DELAY, "id": "csc", "fault": "csc-fault", "parameters": {}},
    )
    injector.before("transmit-science", 1)
    injector.tick()
    assert injector.end() == {}
    revealed = inject_journal.entries([Kind.INJECTS_REVEALED])[0].data
    assert revealed["not_fired"] == {
        "late": "Visit 1 of the night is not at the summit yet.",
        "never": "its time did not come",
        "csc": "The simulated observatory does not run.",
    }
    assert not inject_journal.entries([Kind.INJECT_FIRED])


def test_what_could_not_be_in_its_night_does_not_come_in_another(sealed, inject_journal, work):
    injector = sealed(
        {
            "id": "export", "fault": "slow-registry", "night": 1, "before": "run-pipeline",
            "parameters": {"held": "1 s"}, "expect": {"within": "10 min"},
        }
    )  # fmt: skip
    injector.before("run-pipeline", 1)
    injector.before("transmit-calibrations", 2)
    (work / "repo").mkdir()
    (work / "repo" / "gen3.sqlite3").touch()
    injector.tick()
    injector.end()
    assert (
        "no sqlite registry" in inject_journal.entries([Kind.INJECTS_REVEALED])[0].data["not_fired"]["export"]
    )


def test_services_of_a_real_site_are_never_disturbed(sealed, inject_journal, work, monkeypatch):
    from dataclasses import replace

    injector = sealed({**DELAY, "id": "csc", "fault": "csc-fault", "parameters": {}})
    local = ground_of(work)
    injector._ground = lambda night: replace(local(night), site=Site.load("summit"))
    injector.before("transmit-science", 1)
    injector.end()
    assert "real site" in inject_journal.entries([Kind.INJECTS_REVEALED])[0].data["not_fired"]["csc"]


def test_the_end_undoes_and_reveals_what_was_sealed(sealed, inject_journal, work):
    import hashlib

    injector = sealed(DELAY, FULL)
    injector.before("transmit-science", 1)
    clock_at(inject_journal, "2026-11-21T01:30:01")
    injector.tick()
    assert injector.end() == {}
    injector.end()
    assert Line(work).state().delay_per_file_s == 0
    assert Quota(work).limit_bytes is None
    (delay, full) = inject_journal.entries([Kind.INJECT_FIRED])
    assert (
        delay.data["fired_rehearsal_utc"]
        < full.data["fired_rehearsal_utc"]
        < full.data["undone_rehearsal_utc"]
    )
    for entry in (delay, full):
        assert entry.data["fired_utc"] <= entry.data["undone_utc"] <= entry.at_utc
    (revealed,) = inject_journal.entries([Kind.INJECTS_REVEALED])
    plan = json.dumps(revealed.data["plan"], sort_keys=True, ensure_ascii=True)
    digest = hashlib.sha256(f"{revealed.data['nonce']}\n{plan}".encode()).hexdigest()
    assert digest == inject_journal.entries([Kind.INJECTS_SEALED])[0].data["digest"]
    assert revealed.data["intact"]


@pytest.mark.parametrize("how", ["changed", "gone"])
def test_a_broken_seal_is_noticed_and_what_was_fired_is_undone(sealed, inject_journal, work, how):
    injector = sealed(DELAY, {**DELAY, "id": "second", "night": 2})
    injector.before("transmit-science", 1)
    content = work / ".sealed" / "injects.json"
    if how == "gone":
        content.unlink()
    else:
        content.write_text(content.read_text().replace("5 s", "1 s"), encoding="utf-8")
    injector = sealed()
    injector.before("transmit-science", 2)
    injector.tick()
    (problem,) = inject_journal.entries([Kind.PROBLEM])
    assert problem.data["kind"] == "injects-changed"
    assert Line(work).state().delay_per_file_s == 5, "the first; the second was not fired"
    injector.end()
    assert Line(work).state().delay_per_file_s == 0
    assert not inject_journal.entries([Kind.INJECTS_REVEALED])[0].data["intact"]
    found = score(inject_journal.entries())
    assert not found.intact
    assert not found.good


def test_a_fault_that_fails_half_way_is_undone_and_told(sealed, inject_journal, work, monkeypatch):
    injector = sealed(DELAY)
    monkeypatch.setattr(
        Line, "disturb", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    injector.before("transmit-science", 1)
    injector.end()
    assert (
        "No space left"
        in inject_journal.entries([Kind.INJECTS_REVEALED])[0].data["not_fired"]["left-in-delay"]
    )


def test_what_cannot_be_undone_is_tried_again_and_told(sealed, inject_journal, work, monkeypatch):
    injector = sealed(DELAY)
    injector.before("transmit-science", 1)
    with monkeypatch.context() as broken:
        broken.setattr(Line, "mend", lambda *_: (_ for _ in ()).throw(OSError(30, "Read-only file system")))
        assert "Read-only" in injector.end()["left-in-delay"]
    assert Line(work).state().delay_per_file_s == 5
    sealed().recover()
    assert Line(work).state().delay_per_file_s == 0


KILLED = textwrap.dedent("""
    import os, signal, sys
    from pathlib import Path
    from lsst_commtools.rehearsal.injects import sealing
    from lsst_commtools.rehearsal.injects import Ground, Injector
    from lsst_commtools.rehearsal.journal import Journal
    from lsst_commtools.site import Site

    work, moment = Path(sys.argv[1]), int(sys.argv[2])
    saved, count = sealing.SealedFolder.save, 0

    def save(self, records):
        global count
        count += 1
        if count == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        saved(self, records)
        if -count == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    sealing.SealedFolder.save = save
    days = (20261120, 20261121)
    injector = Injector(
        work, Journal(work / "journal.sqlite"), days,
        lambda night: Ground(Site.load("local"), work, night, days[night - 1], "LSSTComCam", (), work, work),
    )
    injector.recover()
    injector.before("run-pipeline", 1)
    injector.end()
""")


@pytest.mark.parametrize("moment", [1, -1, 2, -2, 3, -3, 4, -4])
def test_killed_anywhere_it_is_fired_once_and_undone(sealed, inject_journal, work, moment):
    sealed(
        {
            "id": "flood", "fault": "cluster-flood", "night": 1, "before": "run-pipeline", "lasts": "5 min",
            "expect": {"within": "10 min"},
        }
    )  # fmt: skip
    command = [sys.executable, "-c", KILLED, str(work)]
    first = subprocess.run([*command, str(moment)], env=os.environ, check=False)
    assert first.returncode == -signal.SIGKILL
    subprocess.run([*command, "0"], env=os.environ, check=True)
    assert len(inject_journal.entries([Kind.INJECT_FIRED])) == 1
    assert len(inject_journal.entries([Kind.INJECTS_REVEALED])) == 1
    assert BatchQueue(work / "batch").reservations() == ()


def test_the_examples_fit():
    from lsst_commtools.rehearsal.injects import CATALOGUE
    from lsst_commtools.rehearsal.people import Roster

    folder = Path(__file__).parents[2] / "notebooks" / "rehearsal"
    plan = read_injects(folder / "example_injects.yaml")
    assert {i.night for i in plan.injects} == {1, 2, 3}
    assert {kind.name for kind in CATALOGUE.values() if kind.seen} <= {i.fault for i in plan.injects}
    assert len(Roster.load(folder / "example_roster.yaml").shifts) == 2


def test_the_guide_names_every_fault():
    from lsst_commtools.rehearsal.injects import CATALOGUE

    guide = (Path(__file__).parents[2] / "docs" / "guides" / "prepare_injects.md").read_text(encoding="utf-8")
    for name, kind in CATALOGUE.items():
        assert f"`{name}`" in guide
        for notice in kind.notices:
            assert f"`{notice}`" in guide

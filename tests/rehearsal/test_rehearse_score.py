import json

import pytest

from lsst_commtools.cli.output import Context, Output
from lsst_commtools.cli.rehearse_score import command
from lsst_commtools.errors import RefusedError
from lsst_commtools.rehearsal import Rehearsal, RehearsalSettings
from lsst_commtools.rehearsal.injects import Injector, seal
from lsst_commtools.rehearsal.line import Line
from lsst_commtools.site import Site

INJECTS = """
injects:
  - {id: delay, fault: slow-transfer, night: 1, before: transmit-science, expect: {within: 30 min, role: ObsOps}}
  - {id: later, fault: disk-full, night: 1, at_utc: "09:00", lasts: 5 min, expect: {within: 30 min}}
"""


@pytest.fixture
def injected(tmp_path):
    rehearsal = Rehearsal.create(
        Site.load("local"),
        RehearsalSettings(
            tmp_path / "work", "simulated", "LSSTComCam", (20261120,), 2, 1, 60.0, unattended=True
        ),
    )
    (tmp_path / "injects.yaml").write_text(INJECTS, encoding="utf-8")
    seal(rehearsal.settings.work, rehearsal.journal, tmp_path / "injects.yaml", 1)
    Injector.of(rehearsal).before("transmit-science", 1)
    return rehearsal


@pytest.fixture
def run_score(injected, capsys):
    def run(*arguments):
        context = Context("local", Output.JSON)
        code = command.main(
            ["--work", str(injected.settings.work), *arguments], obj=context, standalone_mode=False
        )
        return code, json.loads(capsys.readouterr().out)

    return run


def test_there_is_no_score_while_the_injects_are_sealed(run_score, injected):
    with pytest.raises(RefusedError, match="sealed"):
        run_score()
    assert Line(injected.settings.work).state().delay_per_file_s == 5


def test_the_coordinator_may_end_the_sealing(run_score, injected):
    injected.note_problem("slow-transfer", "It was slow.", "science", role="ObsOps", night=1)
    injected.note_problem("dead-amplifier", "C05 is dead.", "detector 8", role="SciOps", night=1)
    code, found = run_score("--reveal")
    assert code == 1
    assert found["unattended"] is True
    assert [(i["inject"], i["noticing"]) for i in found["injects"]] == [
        ("delay", "noticed"),
        ("later", "not-fired"),
    ]
    assert found["injects"][0]["by_expected_role"] is True
    assert [p["kind"] for p in found["false_alarms"]] == ["dead-amplifier"]
    assert Line(injected.settings.work).state().delay_per_file_s == 0
    assert run_score()[1] == found, "a second look shows the same"


def test_people_read_a_table(injected, capsys):
    Injector.of(injected).end()
    context = Context("local", Output.TABLE)
    command.main(["--work", str(injected.settings.work)], obj=context, standalone_mode=False)
    shown = capsys.readouterr().out
    assert "slow-transfer" in shown
    assert "its time did not come" in shown

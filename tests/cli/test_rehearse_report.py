"""``commtools rehearse report`` and ``backlog``."""

from __future__ import annotations

import csv
import json

import pytest

from lsst_commtools.cli import main
from lsst_commtools.rehearsal import Rehearsal, RehearsalSettings
from lsst_commtools.site import Site

NO_SUCH_HOST = "http://127.0.0.1:9"


@pytest.fixture
def held(tmp_path, monkeypatch):
    monkeypatch.setenv("COMMTOOLS_HOME", str(tmp_path / "home"))
    settings = RehearsalSettings(
        tmp_path / "work", "simulated", "LSSTComCam", (20261120, 20261121), 3, 1, 60.0, unattended=True
    )
    return Rehearsal.create(Site.load("local"), settings)


@pytest.fixture
def rehearse(held, capsys):
    """Runs ``commtools rehearse``; gives exit code and parsed JSON or text."""

    def run(command, *arguments, as_json=True):
        form = ["--format", "json"] if as_json else []
        with pytest.raises(SystemExit) as end:
            main([*form, "rehearse", command, "--work", str(held.settings.work), *arguments])
        output = capsys.readouterr().out
        return end.value.code, json.loads(output) if as_json else output

    return run


def test_the_backlog_is_shown_changed_and_exported(held, rehearse, tmp_path):
    held.note_problem("late-transfer", "=1+1", "rsync", night=1, role="LDF")
    held.note_problem("full-disk", "x", "/data", night=1, role="LDF")
    code, shown = rehearse("backlog", "--jira", str(tmp_path / "j.csv"), "--csv", str(tmp_path / "b.csv"))
    assert code == 1
    assert shown["unattended"] is True
    assert sorted(item["kind"] for item in shown["backlog"]) == ["full-disk", "late-transfer"]
    assert len(list(csv.DictReader((tmp_path / "j.csv").read_text().splitlines(keepends=True)))) == 2
    assert "'=1+1" in (tmp_path / "b.csv").read_text()
    for kind in ("late-transfer", "full-disk"):
        code, shown = rehearse(
            "backlog", "--change", kind, "--state", "solved", "--as", "Ana", "--role", "LDF"
        )
    assert (code, shown["backlog"]) == (0, [])
    assert len(rehearse("backlog", "--all")[1]["backlog"]) == 2
    code, shown = rehearse("backlog", "--night", "1")
    assert len(shown["new"]) == len(shown["solved"]) == 2
    assert "solved" in rehearse("backlog", "--all", as_json=False)[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--change", "late-transfer"),
        ("--state", "solved"),
        ("--change", "nothing", "--state", "solved"),
        ("--night", "9"),
    ],
)
def test_what_cannot_be_changed(held, rehearse, arguments):
    held.note_problem("late-transfer", "x", "rsync", night=1)
    entries = len(held.entries())
    code, document = rehearse("backlog", *arguments)
    assert code == 2
    assert document["error"]["message"]
    assert len(held.entries()) == entries


def test_a_report_is_written_once_amended_and_signed(held, rehearse):
    code, document = rehearse("report", "--night", "1")
    assert (code, document["sources_failed"]) == (0, [])
    held.note_problem("late-transfer", "x", "rsync", night=1)
    rehearse(
        "report", "--night", "1", "--amend", "plan", "no darks", "--as", "Ana", "--role", "LDF", "--sign"
    )
    page = held.settings.report / "night_20261120.html"
    assert document["report"] == str(page)
    text = page.read_text()
    assert "no darks" in text
    assert "this version" in text
    assert "late-transfer" not in text
    rehearse("report", "--night", "1", "--again")
    text = page.read_text()
    assert "late-transfer" in text
    assert "an earlier version" in text


def test_a_source_that_fails_is_exit_code_1(rehearse, monkeypatch):
    monkeypatch.setenv("COMMTOOLS_NOTICES_EFD_URL", NO_SUCH_HOST)
    code, document = rehearse("report", "--night", "1")
    assert (code, document["sources_failed"]) == (1, ["EFD"])
    assert "not read: EFD" in rehearse("report", "--night", "1", as_json=False)[1]


def test_pages_of_the_rehearsal_and_of_the_standups(held, rehearse):
    assert rehearse("report")[1]["report"].endswith("index.html")
    assert rehearse("report", "--standup", "--night", "2")[1]["report"].endswith("standup_20261121.html")
    assert rehearse("report", "--standup")[1]["report"].endswith("standup_final.html")


@pytest.mark.parametrize(
    "arguments", [("--sign",), ("--night", "1", "--sign"), ("--night", "7"), ("--send",)]
)
def test_what_is_refused_writes_no_signature(held, rehearse, arguments):
    assert rehearse("report", *arguments)[0] == 2
    assert not [entry for entry in held.entries() if str(entry.kind) == "report-signed"]


def test_sending_without_services_says_what_to_set(rehearse):
    code, document = rehearse("report", "--night", "1", "--send", "--as", "Ana")
    assert code == 2
    assert "night_report_url" in document["error"]["advice"]

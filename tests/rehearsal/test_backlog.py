"""The backlog over nights, and its way into spreadsheets and Jira."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.errors import InputError, NotFoundError
from lsst_commtools.rehearsal.backlog import State, change_problem, from_entries
from lsst_commtools.rehearsal.journal import Entry, Journal, Kind
from lsst_commtools.rehearsal.rehearsal import problem_id
from lsst_commtools.rehearsal.tickets import backlog_csv, jira_csv, safe_cell, write_csv, write_jira_csv

HOSTILE = [
    "=1+1",
    "+1",
    "-1+2",
    "@SUM(A1)",
    " =1",
    "\t=1",
    "\r=1",
    "\n=1",
    "|cmd",
    "%0A=1",
    "\uff1d1",
    "=cmd|' /C calc'!A0",
]


class Told:
    """Entries, written by hand."""

    def __init__(self):
        self.entries = []

    def add(self, kind, night, role="", /, **data):
        number = len(self.entries) + 1
        stamp = f"2026-11-20T00:00:{number:02d}.000000Z"
        self.entries.append(Entry(number, kind, night, stamp, stamp, "ana", role, data))

    def problem(self, night, kind="late-transfer", where="rsync", role="LDF", exception="", place=""):
        known = problem_id(kind, where, night)
        self.add(
            Kind.PROBLEM, night, role, problem=known, kind=kind, where=where, message=f"{kind} at {where}",
            step="", exception=exception, place=place,
        )  # fmt: skip
        return known

    def change(self, night, problem, state, **more):
        self.add(Kind.PROBLEM_CHANGED, night, problem=problem, state=state, **more)

    @property
    def backlog(self):
        return from_entries(self.entries)


@pytest.fixture
def told():
    return Told()


def kinds(items):
    return sorted(item.kind for item in items)


def test_from_night_to_night(told):
    first = told.problem(1, "late-transfer")
    told.problem(1, "missing-detector", "visit 2026112000012, detector 4 (R22_S11)")
    told.problem(1, "full-disk", "/data")
    told.change(1, first, "solved", cause="a cut fibre")
    told.problem(2, "late-transfer")
    told.problem(2, "missing-detector", "visit 2026112100099, detector 4 (R22_S11)")
    told.problem(2, "wrong-filter", "visit 2026112100100")
    disk = told.backlog.find("full-disk")
    told.change(2, disk.problems[0], "solved")
    one, two = told.backlog.compare(1), told.backlog.compare(2)
    assert kinds(one.new) == ["full-disk", "late-transfer", "missing-detector"]
    assert kinds(one.solved) == ["late-transfer"]
    assert (one.before, one.recurring, one.still_open) == ((), (), ())
    assert kinds(two.before) == ["full-disk", "missing-detector"]
    assert kinds(two.new) == ["wrong-filter"]
    assert kinds(two.recurring) == ["late-transfer"]
    assert kinds(two.still_open) == ["missing-detector"]
    assert kinds(two.solved) == ["full-disk"]
    again = told.backlog.find("late-transfer")
    assert (again.state, again.nights, again.diagnosis) == (State.OPEN, (1, 2), "a cut fibre")


def test_what_is_not_seen_again_is_still_open(told):
    told.problem(1)
    told.add(Kind.STEP_STARTED, 3, step="standup")
    assert kinds(told.backlog.compare(3).still_open) == ["late-transfer"]


def test_one_cause_in_many_images_is_one_item(told):
    for visit in range(5):
        told.problem(
            1,
            "processing-failed",
            f"visit {2026112000000 + visit}, detector {visit}",
            "SciOps",
            "OSError",
            "isr",
        )
    told.problem(2, "processing-failed", "visit 2026112100001, detector 1", "LDF", "OSError", "isr")
    (item,) = told.backlog.items
    assert (item.count, item.nights, item.noticed_by) == (6, (1, 2), ("SciOps", "LDF"))
    assert item.summary == "processing-failed: visit 2026112000000, detector 0 and 5 more"


def test_an_occurrence_that_two_roles_notice_is_one(told):
    known = told.problem(1, role="LDF")
    told.change(1, known, "solved")
    told.problem(1, role="SciOps")
    (item,) = told.backlog.items
    assert (item.count, item.noticed_by, item.state) == (1, ("LDF", "SciOps"), State.SOLVED)
    told.problem(2, role="SciOps")
    assert kinds(told.backlog.compare(2).recurring) == ["late-transfer"]


def test_detectors_are_kept_apart_and_visits_are_not(told):
    told.problem(1, "missing-detector", "visit 2026112000012, detector 4 (R22_S11)")
    told.problem(1, "missing-detector", "visit 2026112000013, detector 4 (R22_S11)")
    told.problem(1, "missing-detector", "visit 2026112000013, detector 5 (R22_S12)")
    told.problem(1, "truncated-file", "CC_O_20261120_000017_R22_S11.fits")
    told.problem(2, "truncated-file", "CC_O_20261121_000003_R22_S11.fits")
    assert sorted((item.kind, item.count) for item in told.backlog.items) == [
        ("missing-detector", 1),
        ("missing-detector", 2),
        ("truncated-file", 2),
    ]


def test_states_strange_entries_and_what_belongs_to_no_night(told):
    known = told.problem(1)
    told.change(1, known, "exploded")
    told.change(1, "no such", "solved")
    told.add(Kind.PROBLEM, 2)
    told.change(0, known, "known", comment="we live with it")
    item = told.backlog.find("late-transfer")
    assert (item.state, item.comment) == (State.KNOWN, "we live with it")
    assert item in told.backlog.open
    assert told.backlog.at(1).find("late-transfer").state is State.OPEN
    assert told.backlog.at(2).find("late-transfer").state is State.KNOWN


def test_changes_are_recorded_with_a_name(tmp_path):
    journal = Journal(tmp_path / "journal.sqlite")
    journal.append(Kind.PROBLEM, 1, problem="abc123", kind="late-transfer", where="rsync", message="x")
    with pytest.raises(InputError, match="assignee"):
        change_problem(journal, "late-transfer", state="assigned")
    with pytest.raises(InputError, match="never"):
        change_problem(journal, "late-transfer", state="gone")
    with pytest.raises(NotFoundError):
        change_problem(journal, "other", state="solved")
    with pytest.raises(NotFoundError):
        change_problem(journal, "", state="solved")
    entry = change_problem(
        journal, "abc", state="assigned", assignee=" Ben  B ", who="ana", role="LDF", night=1
    )
    assert (entry.who, entry.role, entry.data["assignee"]) == ("ana", "LDF", "Ben B")
    (item,) = from_entries(journal.entries()).open
    assert (item.state, item.assignee) == (State.ASSIGNED, "Ben B")


steps = st.lists(
    st.tuples(
        st.integers(1, 4),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["occurs", "solved", "lost", "known", "assigned", "open"]),
    ),
    max_size=25,
)


@given(steps)
@settings(deadline=None, max_examples=150)
def test_the_books_balance(moves):
    """What is open after a night is what was open before and what came, less what was closed."""
    told = Told()
    for night, kind, what in sorted(moves, key=lambda move: move[0]):
        known = problem_id(kind, "here", night)
        if what == "occurs":
            told.problem(night, kind, "here")
        else:
            earlier = [
                e.data["problem"] for e in told.entries if e.kind is Kind.PROBLEM and e.data["kind"] == kind
            ]
            told.change(night, earlier[-1] if earlier else known, what)
    backlog = told.backlog
    for night in range(1, 5):
        change = backlog.compare(night)
        assert {i.cause for i in change.before} == {i.cause for i in backlog.at(night - 1).open}
        came = {i.cause for i in (*change.new, *change.recurring)}
        solved = {i.cause for i in change.solved}
        still = {i.cause for i in change.still_open}
        assert {i.cause for i in backlog.at(night).open} == still | (came - solved)
        assert not still & (came | solved)
        assert solved <= came | {i.cause for i in change.before}
    assert backlog.at(4) == backlog


@pytest.mark.parametrize("text", HOSTILE)
def test_no_cell_is_a_formula(told, text):
    told.problem(1, text, text, role=text)
    for document in (backlog_csv(told.backlog), jira_csv(told.backlog, origin=text)):
        for row in list(csv.reader(io.StringIO(document, newline="")))[1:]:
            assert all(
                cell.lstrip(" ")[:1] not in ("=", "+", "-", "@", "|", "%", "\uff1d", "\t", "\r", "\n")
                for cell in row
            )


def test_cells_keep_what_is_harmless():
    assert safe_cell("a = b") == "a = b"
    assert safe_cell(["x", 1]) == "x; 1"
    assert safe_cell("a\x00\x1b[31mb\u202e") == "a[31mb"


def test_jira_gets_its_own_column_names(told):
    told.problem(1, "late-transfer", "rsync {noformat} [~admin] !http://evil/x.png! {NoFormat}" + "x" * 300)
    gone = told.problem(1, "old", "x")
    told.change(1, gone, "solved")
    document = jira_csv(told.backlog, origin="Rehearsal one", labels=("rehearsal", "night"))
    assert document.startswith(
        '"Summary","Issue Type","Assignee","Description","Labels","Labels","Labels"\r\n'
    )
    rows = list(csv.reader(io.StringIO(document, newline="")))
    assert len(rows) == 2
    summary, kind, assignee, description, *labels = rows[1]
    assert len(summary) <= 255
    assert "\n" not in summary
    assert (kind, assignee, labels[:2]) == ("Bug", "", ["rehearsal", "night"])
    assert labels[2] == f"cause-{told.backlog.open[0].cause}"
    assert description.lower().count("{noformat}") == 2
    assert description.startswith("{noformat}\n")
    assert description.endswith("\n{noformat}")


def test_only_known_accounts_are_assigned_in_jira(told):
    known = told.problem(1)
    told.change(1, known, "assigned", assignee="Ana")
    backlog = told.backlog
    assert next(csv.DictReader(io.StringIO(jira_csv(backlog, origin="x"))))["Assignee"] == ""
    assert (
        next(csv.DictReader(io.StringIO(jira_csv(backlog, origin="x", users={"Ana": "ana@x"}))))["Assignee"]
        == "ana@x"
    )


def test_files_are_whole_or_the_old_ones(told, tmp_path):
    told.problem(1)
    assert write_csv(told.backlog, tmp_path / "new" / "a.csv").read_text().count("late-transfer") == 2
    assert b"\r\n" in write_jira_csv(told.backlog, tmp_path / "b.csv", origin="x").read_bytes()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []

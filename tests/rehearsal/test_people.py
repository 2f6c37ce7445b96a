import pytest
import yaml

from lsst_commtools.errors import InputError, RefusedError
from lsst_commtools.rehearsal.journal import Journal, Kind
from lsst_commtools.rehearsal.people import (
    Roster,
    begin_shift,
    current_shift,
    hand_over,
    open_problem_ids,
)

TEAMS = {
    "Commissioning": ["Ana", "Bo", "Cy"],
    "SciOps": ["Di", "Ed", "Flo", "Gus"],
    "LDF": ["Hal", "Ida", "Jo"],
}
SHIFTS = [
    {"name": "evening", "people": ["Ana", "Di", "Hal"]},
    {"name": "morning", "people": ["Bo", "Ed", "Ida"]},
]


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal.sqlite")


@pytest.fixture
def roster():
    return Roster.model_validate({"coordinator": "Zoe", "teams": TEAMS, "shifts": SHIFTS})


def write(path, **changes):
    values = {"coordinator": "Zoe", "teams": TEAMS, "shifts": SHIFTS} | changes
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def test_a_roster_is_read(tmp_path, roster):
    assert Roster.load(write(tmp_path / "roster.yaml")) == roster


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"teams": {**TEAMS, "LDF": ["Hal", "Ida"]}}, "2 people"),
        ({"teams": {**TEAMS, "LDF": ["Hal", "Ida", "Jo", "Kim", "Lu"]}}, "5 people"),
        ({"teams": {k: TEAMS[k] for k in ("SciOps", "LDF")}}, "Commissioning is missing"),
        ({"teams": {**TEAMS, "Catering": ["Kim", "Lu", "Mo"]}}, "Catering"),
        ({"coordinator": "ana"}, "is an operator too"),
        ({"teams": {**TEAMS, "LDF": ["Hal", "Ida", " DI "]}}, "twice"),
        ({"shifts": [{"name": "evening", "people": ["Ana", "Di", "Zoe"]}]}, "Zoe"),
        ({"shifts": [{"name": "evening", "people": ["Ana", "Di"]}]}, "nobody of the team LDF"),
        ({"shifts": [*SHIFTS, SHIFTS[0]]}, "same name"),
        ({"chef": "Kim"}, "chef"),
    ],
)
def test_a_roster_that_breaks_a_rule_is_refused(tmp_path, changes, says):
    with pytest.raises(InputError, match=says):
        Roster.load(write(tmp_path / "roster.yaml", **changes))


def test_what_is_no_roster_is_refused(tmp_path):
    (tmp_path / "roster.yaml").write_text("{", encoding="utf-8")
    for path in (tmp_path / "roster.yaml", tmp_path / "other.yaml"):
        with pytest.raises(InputError, match="roster"):
            Roster.load(path)


def test_each_signs_for_the_own_role_only(roster):
    roster.check_signature("SciOps", "  di ")
    roster.check_signature("ObsOps", "Ana")
    roster.check_signature("Coordinator", "Zoe")
    for role, name in (
        ("SciOps", "Hal"),
        ("LDF", "Zoe"),
        ("LDF", "Nemo"),
        ("Coordinator", "Ana"),
        ("Chef", "Ana"),
    ):
        with pytest.raises(RefusedError, match="may not sign"):
            roster.check_signature(role, name)


def test_a_team_of_observers_takes_their_role_from_commissioning():
    roster = Roster(coordinator="Zoe", teams={**TEAMS, "ObsOps": ["Kim", "Lu", "Mo"]})
    assert roster.people_of("ObsOps") == ("Kim", "Lu", "Mo")
    with pytest.raises(RefusedError):
        roster.check_signature("ObsOps", "Ana")


def test_stand_ins_are_a_roster_that_says_so():
    roster = Roster.of_stand_ins()
    assert roster.stand_ins
    for role in ("ObsOps", "SciOps", "LDF", "Commissioning", "Coordinator"):
        roster.check_signature(role, f"stand-in {role}")


def note(journal, name, kind=Kind.PROBLEM, **data):
    journal.append(kind, 1, problem=name, **({"kind": "x"} if kind is Kind.PROBLEM else {}), **data)


def test_a_shift_hands_over_with_the_open_problems(journal, roster):
    begin_shift(journal, roster, "evening", 1)
    for name in ("a", "b", "c"):
        note(journal, name)
    note(journal, "b", Kind.PROBLEM_CHANGED, state="solved")
    note(journal, "c", Kind.PROBLEM_CHANGED, state="assigned")
    entry = hand_over(
        journal, roster, "morning", 1, given_by="Ana", accepted_by="Ida", problems=["c", "a"], comment="windy"
    )
    assert entry.data["problems"] == ["a", "c"]
    assert entry.who == "Ida"
    assert current_shift(journal.entries()) == "morning"


@pytest.mark.parametrize(
    ("given_by", "accepted_by", "problems", "says"),
    [
        ("Ana", "Ida", [], "1 more"),
        ("Ana", "Ida", ["a", "b"], "1 fewer"),
        ("Bo", "Ida", ["a"], "Bo is not of the shift evening"),
        ("Ana", "Hal", ["a"], "Hal is not of the shift morning"),
    ],
)
def test_nobody_is_relieved_by_a_hand_over_that_is_none(
    journal, roster, given_by, accepted_by, problems, says
):
    begin_shift(journal, roster, "evening", 1)
    note(journal, "a")
    with pytest.raises(RefusedError, match=says):
        hand_over(
            journal, roster, "morning", 1, given_by=given_by, accepted_by=accepted_by, problems=problems
        )
    assert current_shift(journal.entries()) == "evening"
    assert open_problem_ids(journal.entries()) == ("a",)


def test_a_shift_begins_once_and_after_that_it_is_handed_over(journal, roster):
    with pytest.raises(RefusedError, match="No shift"):
        hand_over(journal, roster, "morning", 1, given_by="Ana", accepted_by="Ida", problems=[])
    begin_shift(journal, roster, "evening", 1)
    with pytest.raises(RefusedError, match="on duty"):
        begin_shift(journal, roster, "morning", 1)
    with pytest.raises(RefusedError, match="already"):
        hand_over(journal, roster, "evening", 1, given_by="Ana", accepted_by="Ana", problems=[])
    with pytest.raises(InputError, match="no shift"):
        roster.shift("noon")


class Held:
    """A procedure at whose holds the given people sign, one after the other."""

    def __init__(self, *signers):
        self.signers, self.asked = list(signers), []

    def hold(self, name, *, roles, people, timeout_s, observation):
        from types import SimpleNamespace

        self.asked.append((name, observation))
        signed = [{"role": roles[0], "name": self.signers.pop(0), "at_utc": "2026-11-21T00:00:00Z"}]
        return SimpleNamespace(observed={"signed": signed})


@pytest.fixture
def attended(tmp_path, monkeypatch):
    from lsst_commtools.rehearsal import Rehearsal, RehearsalSettings
    from lsst_commtools.site import Site

    monkeypatch.setenv("COMMTOOLS_REHEARSAL_ROSTER", str(write(tmp_path / "roster.yaml")))
    settings = RehearsalSettings(
        tmp_path / "work", "simulated", "LSSTComCam", (20261120,), 2, 1, 60.0, unattended=False
    )
    return Rehearsal.create(Site.load("local"), settings)


def test_who_has_not_the_role_holds_nothing_up_and_does_not_count(attended):
    procedure = Held("Ana", "Zoe", "Ida")
    signed = attended.night(1).hold("run-pipeline", procedure, {"visits": 4})
    assert [s["name"] for s in signed] == ["Ida"]
    assert len(procedure.asked) == 3
    assert procedure.asked[0][1] == {"night": 1, "visits": 4}
    assert [text.split(":")[0] for text in procedure.asked[2][1]["refused"]] == [
        "Ana may not sign for LDF",
        "Zoe may not sign for LDF",
    ]
    assert len({name for name, _ in procedure.asked}) == 3, "each hold is one of its own"


def test_stand_ins_sign_only_where_nobody_attends(attended):
    from dataclasses import replace

    from lsst_commtools.rehearsal import Rehearsal

    procedure = Held("stand-in LDF", "Ida")
    assert attended.night(1).hold("run-pipeline", procedure, {})[0]["name"] == "Ida"
    alone = Rehearsal(attended.site, replace(attended.settings, unattended=True))
    assert alone.night(1).hold("run-pipeline", Held("stand-in LDF"), {})[0]["name"] == "stand-in LDF"

import threading
import time

import pytest

from lsst_commtools.errors import InputError, NotFoundError, RefusedError, StepError
from lsst_commtools.rehearsal.journal import Journal, Kind
from lsst_commtools.rehearsal.people import Roster
from lsst_commtools.rehearsal.poll import answer_poll, close_poll, open_poll, polls, wait_for_poll

ROLES = ("ObsOps", "SciOps", "LDF")


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal.sqlite")


@pytest.fixture
def asked(journal):
    return open_poll(journal, "Ready for the night?", 2)


def say(journal, poll, role, go=True, comment=""):
    return answer_poll(journal, poll.id, role=role, name=f"the {role}", go=go, comment=comment)


def test_all_say_go(journal, asked):
    for role in ROLES:
        say(journal, asked, role)
    poll = wait_for_poll(journal, asked.id, 5.0)
    assert (poll.verdict, poll.silent, poll.closed) == ("go", (), True)
    assert [(a.role, a.name) for a in poll.answers.values()] == [(r, f"the {r}") for r in ROLES]


def test_one_no_go_stops_at_once_and_says_who_and_why(journal, asked):
    say(journal, asked, "SciOps", go=False, comment="flats are old")
    with pytest.raises(StepError, match=r"the SciOps \(SciOps\): flats are old"):
        wait_for_poll(journal, asked.id, 60.0)
    assert polls(journal.entries())[0].verdict == "no-go"


def test_a_silent_team_is_not_a_go(journal, asked):
    say(journal, asked, "ObsOps")
    say(journal, asked, "SciOps")
    with pytest.raises(StepError, match="no answer from LDF"):
        wait_for_poll(journal, asked.id, 0.3)
    closed = journal.entries([Kind.POLL_CLOSED])[0]
    assert (closed.data["verdict"], closed.data["silent"]) == ("silent", ["LDF"])


def test_answers_may_change_until_the_close_and_stay_in_the_journal(journal, asked):
    for role in ROLES:
        say(journal, asked, role)
    assert say(journal, asked, "LDF", go=False).verdict == "no-go"
    assert say(journal, asked, "LDF").verdict == "go"
    close_poll(journal, asked.id)
    with pytest.raises(RefusedError, match="closed"):
        say(journal, asked, "LDF", go=False)
    journal.append(Kind.POLL_ANSWERED, 2, role="LDF", who="late", poll=asked.id, go=False, comment="")
    assert polls(journal.entries())[0].verdict == "go", (
        "an answer that lost the race with the close does not count"
    )
    assert len(journal.entries([Kind.POLL_ANSWERED])) == 6


def test_the_same_question_is_the_same_poll_until_it_was_refused(journal, asked):
    assert open_poll(journal, "Ready for the night?", 2).id == asked.id
    assert open_poll(journal, "Ready for the night?", 3).id != asked.id
    say(journal, asked, "LDF", go=False)
    close_poll(journal, asked.id)
    again = open_poll(journal, "Ready for the night?", 2)
    assert (again.id, again.answers) == (f"{asked.id}-2", {})
    for role in ROLES:
        say(journal, again, role)
    close_poll(journal, again.id)
    assert open_poll(journal, "Ready for the night?", 2).id == again.id


def test_who_was_not_asked_or_has_another_role_does_not_answer(journal, asked):
    with pytest.raises(RefusedError, match="was not asked"):
        say(journal, asked, "Coordinator")
    with pytest.raises(RefusedError, match="may not sign"):
        answer_poll(
            journal, asked.id, role="LDF", name="stand-in SciOps", go=True, roster=Roster.of_stand_ins()
        )
    with pytest.raises(InputError, match="name"):
        answer_poll(journal, asked.id, role="LDF", name=" ", go=True)
    with pytest.raises(NotFoundError, match="no poll"):
        answer_poll(journal, "other", role="LDF", name="x", go=True)
    with pytest.raises(InputError):
        open_poll(journal, "?", 1, asked=())


def test_it_waits_for_answers_of_others_and_can_be_interrupted(journal, asked, tmp_path):
    def others():
        for role in ROLES:
            time.sleep(0.1)
            say(Journal(tmp_path / "journal.sqlite"), asked, role)

    thread = threading.Thread(target=others)
    thread.start()
    assert wait_for_poll(journal, asked.id, 20.0).verdict == "go"
    thread.join()
    stop = threading.Event()
    stop.set()
    second = open_poll(journal, "Shall we end?", 2)
    with pytest.raises(StepError, match="interrupted"):
        wait_for_poll(journal, second.id, 20.0, stop=stop)
    assert not polls(journal.entries())[1].closed

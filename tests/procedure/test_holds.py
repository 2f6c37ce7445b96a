from __future__ import annotations

import threading
import time

import pytest

from lsst_commtools.errors import InputError, NotFoundError, RefusedError, StepError
from lsst_commtools.procedure.holds import Signature, missing_signatures, observation_digest
from lsst_commtools.procedure.record import hold_wait_s
from lsst_commtools.procedure.runner import run_notebook
from lsst_commtools.procedure.runs import list_runs, show_run, sign, waiting_holds
from lsst_commtools.procedure.values import Kind

from .conftest import HEAD


def signature(role, name, *, go=True):
    return Signature("s", role, name, go, None, "", "", "")


@pytest.mark.parametrize(
    ("given", "roles", "people", "missing"),
    [
        ([], ["lead"], 1, ["role lead", "1 more person"]),
        ([("lead", "Ana")], ["lead"], 1, []),
        ([("Lead", "Ana")], ["lead"], 1, []),
        ([("lead", "Ana"), ("safety", "ana ")], ["lead", "safety"], 2, ["1 more person"]),
        ([("lead", "Ana"), ("safety", "Bo")], ["lead", "safety"], 2, []),
        ([("lead", "Ana"), ("lead", "Bo")], ["lead", "safety"], 2, ["role safety"]),
    ],
)
def test_what_a_hold_still_waits_for(given, roles, people, missing):
    assert missing_signatures([signature(*g) for g in given], roles, people) == missing


def test_a_no_go_is_no_signature():
    assert missing_signatures([signature("lead", "Ana", go=False)], ["lead"], 1)


@pytest.fixture
def held(by_hand):
    """A hold that waits in another thread, and how it ended."""
    ended = {}

    def wait():
        try:
            with_people = by_hand.hold(
                "Go for slew", roles=["lead", "safety"], people=2, timeout_s=8, observation={"wind_m_s": 3.5}
            )
            ended["observed"] = with_people.observed
        except StepError as error:
            ended["error"] = str(error)

    thread = threading.Thread(target=wait)
    thread.start()
    ledger = by_hand._journal.ledger
    end = time.monotonic() + 10
    while not waiting_holds(ledger, by_hand.run):
        assert time.monotonic() < end
        time.sleep(0.05)
    yield by_hand, thread, ended
    thread.join()


def test_a_hold_is_signed_by_two_people_for_what_was_observed(held, fast_site):
    procedure, thread, ended = held
    ledger, section = procedure._journal.ledger, fast_site.procedure
    assert show_run(ledger, section, procedure.run).status == "waiting"
    first = sign(ledger, section, procedure.run, "Go for slew", role="lead", name="Ana")
    sign(ledger, section, procedure.run, "go-for-slew", role="safety", name=" ANA")
    time.sleep(1)
    assert not ended, "one person in two roles is one person"
    sign(ledger, section, procedure.run, "go-for-slew", role="safety", name="Bo")
    thread.join()
    assert [s["name"] for s in ended["observed"]["signed"]] == ["Ana", "ANA", "Bo"]
    assert first.observation == {"wind_m_s": 3.5}
    assert first.digest == observation_digest({"wind_m_s": 3.5})
    record = show_run(ledger, section, procedure.run)
    assert [s.name for s in record.signatures] == ["Ana", "ANA", "Bo"]
    assert record.steps[0].status == "done"
    with pytest.raises(NotFoundError):
        sign(ledger, section, procedure.run, "go-for-slew", role="lead", name="Cy")


def test_who_may_sign(held, fast_site):
    procedure, thread, ended = held
    ledger = procedure._journal.ledger
    section = fast_site.procedure.model_copy(update={"signers": {"Lead": ["Ana"]}})
    with pytest.raises(RefusedError, match="may not sign"):
        sign(ledger, section, procedure.run, "go-for-slew", role="lead", name="Mallory")
    with pytest.raises(RefusedError, match="role"):
        sign(ledger, section, procedure.run, "go-for-slew", role="cook", name="Ana")
    with pytest.raises(InputError):
        sign(ledger, section, procedure.run, "go-for-slew", role="lead", name=" ")
    with pytest.raises(NotFoundError):
        sign(ledger, section, procedure.run, "another", role="lead", name="Ana")
    sign(
        ledger, section, procedure.run, "go-for-slew", role="lead", name="Ana", go=False, comment="too windy"
    )
    thread.join()
    assert "Ana (lead) said no-go" in ended["error"]
    assert "too windy" in ended["error"]


def test_a_hold_expires_and_the_record_says_for_whom_it_waited(by_hand):
    with pytest.raises(StepError, match="role lead"):
        by_hand.hold("Go", roles=["lead"], timeout_s=0.2)
    with pytest.raises(InputError):
        by_hand.hold("Nobody", roles=[])
    events = by_hand._journal.events()
    assert 0.1 < hold_wait_s(events) < 5
    assert "not signed" in next(e for e in events if e.kind is Kind.HOLD_ENDED).data["outcome"]


def test_a_signature_for_another_observation_does_not_count(by_hand, fast_site):
    journal = by_hand._journal
    for step, observation in (("go", {"x": 1}), ("go", {"x": 2})):
        journal.note(
            Kind.SIGNED, step=step, role="lead", name="Ana", go=True, observation=observation,
            digest=observation_digest(observation),
        )  # fmt: skip
    with pytest.raises(StepError):
        by_hand.hold("Go", roles=["lead"], timeout_s=0.2, observation={"x": 3})


def test_at_night_with_nobody_there_a_hold_fails_and_closes(make_notebook, fast_site, ledger):
    closing = (
        HEAD + "\nfor step in procedure.closing:\n    with step:\n        step.observed = 'back'",
        "closing",
    )
    path = make_notebook(
        HEAD,
        "procedure.owe('it back', {})\nprocedure.hold('Go', roles=['lead'], timeout_s=4)",
        "print('never')",
        closing,
    )
    begun = time.monotonic()
    record = run_notebook(path, site=fast_site, cell_timeout_s=1)
    assert time.monotonic() - begun > 4, "the time of a hold is not the time of its cell"
    assert record.status == "failed"
    assert [cell.status.value for cell in record.cells] == ["completed", "failed", "not-run", "completed"]
    assert record.owed == []
    assert {step.id: step.status.value for step in record.steps} == {
        "go": "failed",
        "closing-it-back": "done",
    }
    assert list_runs(ledger, fast_site.procedure)[0].run == record.run

import pytest

from lsst_commtools.errors import RefusedError
from lsst_commtools.rehearsal.journal import Entry, Kind
from lsst_commtools.rehearsal.score import score

START = "2026-11-20T20:00:00.000Z"


class Story:
    """Entries of a rehearsal in which a real second is a minute."""

    def __init__(self):
        self.entries = []

    def add(self, kind, minute, night=1, /, role="", who="", **data):
        hour, rest = divmod(minute, 60)
        entry = Entry(
            len(self.entries) + 1,
            kind,
            night,
            f"2027-01-05T09:{minute // 60:02d}:{minute % 60:02d}.000Z",
            f"2026-11-20T{20 + hour:02d}:{rest:02d}:00.000Z",
            who,
            role,
            data,
        )
        self.entries.append(entry)
        return entry

    def problem(self, minute, kind, where="", role="LDF", **data):
        name = f"{kind}-{len(self.entries)}"
        return self.add(
            Kind.PROBLEM,
            minute,
            role=role,
            who=f"the {role}",
            problem=name,
            kind=kind,
            where=where,
            message="",
            **data,
        )

    def reveal(self, minute, *fired, not_fired=(), intact=True):
        for told in fired:
            self.add(Kind.INJECT_FIRED, minute, **told)
        plan = {"injects": [{"id": n, "fault": "csc-fault", "night": 2} for n in not_fired]}
        self.add(
            Kind.INJECTS_REVEALED, minute, 0, intact=intact, plan=plan, digest="d", nonce="n",
            not_fired=dict.fromkeys(not_fired, "its time did not come"),
        )  # fmt: skip
        return score(self.entries)


def fired(minute, after_entry, **changes):
    return {
        "inject": "it",
        "fault": "missing-detector",
        "told": "It was never written.",
        "marks": [["2026112000007", "R22_S11"], ["CC_O_20261120_000007", "R22_S11"]],
        "after_entry": after_entry,
        "fired_utc": f"2027-01-05T09:{minute // 60:02d}:{minute % 60:02d}.000Z",
        "fired_rehearsal_utc": f"2026-11-20T{20 + minute // 60:02d}:{minute % 60:02d}:00.000Z",
        "begins_rehearsal_utc": f"2026-11-20T{20 + minute // 60:02d}:{minute % 60:02d}:00.000Z",
        "undone_utc": "",
        "undone_rehearsal_utc": "",
        "not_undone": "",
        "problems": ["missing-detector"],
        "follows": ["not-measured"],
        "expected_role": "LDF",
        "within_s": 1800.0,
        **changes,
    }


@pytest.fixture
def story():
    story = Story()
    story.add(Kind.INJECTS_SEALED, 0, 0, digest="d", count=1)
    return story


def test_sealed_injects_have_no_score(story):
    story.problem(5, "missing-detector")
    with pytest.raises(RefusedError, match="sealed until"):
        score(story.entries)


def test_it_was_noticed_by_whom_and_when(story):
    story.problem(15, "missing-detector", "visit 2026112000007, detector 4 (R22_S11)")
    found = story.reveal(90, fired(5, 1))
    (inject,) = found.injects
    assert (inject.noticing, inject.named) == ("noticed", True)
    assert (inject.by_role, inject.by_who, inject.by_expected_role) == ("LDF", "the LDF", True)
    assert (inject.after_s, inject.after_real_s, inject.within_s) == (600.0, 10.0, 1800.0)
    assert found.good
    assert found.false_alarms == ()


def test_late_is_late(story):
    story.problem(40, "missing-detector", "CC_O_20261120_000007/CC_O_20261120_000007_R22_S11.fits")
    found = story.reveal(90, fired(5, 1))
    assert found.injects[0].noticing == "late"
    assert not found.good


@pytest.mark.parametrize(("last", "noticing"), [(36, "missed"), (20, "unknown")])
def test_missed_only_if_there_was_time_to_notice_it(story, last, noticing):
    story.add(Kind.STEP_ENDED, last, step="x")
    found = story.reveal(300, fired(5, 1))
    assert found.injects[0].noticing == noticing
    assert found.injects[0].after_s is None


def test_what_was_there_before_or_is_elsewhere_does_not_count(story):
    story.problem(1, "missing-detector", "visit 2026112000007, detector 4 (R22_S11)")
    story.problem(10, "missing-detector", "visit 2026112000007, detector 3 (R22_S10)")
    story.problem(11, "missing-detector", "visit 2026112000008, detector 4 (R22_S11)")
    story.add(Kind.STEP_ENDED, 80, step="x")
    found = story.reveal(90, fired(5, 2))
    assert found.injects[0].noticing == "missed"
    assert len(found.false_alarms) == 3


def test_another_role_is_told_and_another_kind_is_not_a_name(story):
    story.problem(10, "not-measured", "visit 2026112000007, detector 4 (R22_S11)", role="SciOps")
    found = story.reveal(90, fired(5, 1))
    inject = found.injects[0]
    assert (inject.noticing, inject.named, inject.by_expected_role) == ("noticed", False, False)
    assert not found.good
    assert found.false_alarms == (), "what follows from a fault is no false alarm"


def test_a_name_counts_more_than_an_earlier_hint(story):
    story.problem(10, "not-measured", "visit 2026112000007, detector 4 (R22_S11)", role="SciOps")
    story.problem(12, "missing-detector", "visit 2026112000007, detector 4 (R22_S11)")
    (inject,) = story.reveal(90, fired(5, 1)).injects
    assert (inject.named, inject.after_s, inject.by_role) == (True, 420.0, "LDF")


def test_one_problem_is_not_noticed_twice(story):
    story.problem(10, "slow-transfer")
    story.add(Kind.STEP_ENDED, 200, step="x")
    slow = {"marks": [], "problems": ["slow-transfer"], "follows": []}
    found = story.reveal(210, fired(5, 1, **slow), fired(6, 1, **slow, inject="other"))
    assert [i.noticing for i in found.injects] == ["noticed", "missed"]


def test_false_alarms_stand_apart_from_faults_that_nobody_prepared(story):
    alarm = story.problem(10, "slow-transfer", "a")
    real = story.problem(11, "dead-amplifier", "b")
    story.add(
        Kind.PROBLEM_CHANGED, 12, problem=real.data["problem"], state="known", cause="the amplifier is dead"
    )
    story.add(
        Kind.PROBLEM_CHANGED, 12, problem=alarm.data["problem"], state="solved", comment="nothing found"
    )
    found = story.reveal(20)
    assert [p.kind for p in found.false_alarms] == ["slow-transfer"]
    assert [p.kind for p in found.unexplained if p.confirmed] == ["dead-amplifier"]
    document = found.to_dict()
    assert [p["kind"] for p in document["other_faults"]] == ["dead-amplifier"]


def test_what_was_not_fired_is_neither_missed_nor_noticed(story):
    found = story.reveal(20, not_fired=["never"])
    (inject,) = found.injects
    assert (inject.inject, inject.fault, inject.noticing) == ("never", "csc-fault", "not-fired")
    assert found.to_dict()["counts"] == {
        "noticed": 0, "late": 0, "missed": 0, "unknown": 0, "not-fired": 1,
    }  # fmt: skip
    assert not found.good


def test_a_rehearsal_without_injects_has_only_problems():
    story = Story()
    story.problem(1, "slow-transfer")
    found = score(story.entries)
    assert found.injects == ()
    assert len(found.false_alarms) == 1


def test_a_broken_seal_is_never_good(story):
    story.problem(15, "missing-detector", "visit 2026112000007, detector 4 (R22_S11)")
    assert not story.reveal(90, fired(5, 1), intact=False).good


def test_before_its_step_has_begun_nobody_is_late(story):
    where = "visit 2026112000007, detector 4 (R22_S11)"
    story.problem(70, "missing-detector", where)
    later = story.reveal(90, fired(5, 1, begins_rehearsal_utc="2026-11-20T21:00:00.000Z")).injects[0]
    assert (later.noticing, later.after_s) == ("noticed", 600.0)


def test_noticed_at_once_is_no_negative_time(story):
    story.problem(6, "missing-detector", "visit 2026112000007, detector 4 (R22_S11)")
    found = story.reveal(90, fired(5, 1, begins_rehearsal_utc="2026-11-20T21:00:00.000Z")).injects[0]
    assert (found.noticing, found.after_s, found.after_real_s) == ("noticed", 0.0, 1.0)


def test_what_may_follow_from_one_fault_names_another(story):
    story.problem(10, "late-transfer", "exposure CC_O_20261120_000007", role="ObsOps")
    slow = {"inject": "slow", "marks": [], "problems": ["slow-transfer"], "follows": ["late-transfer"]}
    late = {
        "inject": "late",
        "marks": [["CC_O_20261120_000007"]],
        "problems": ["late-transfer"],
        "follows": [],
    }
    found = story.reveal(90, fired(5, 1, **slow), fired(6, 1, **late))
    assert {i.inject: str(i.noticing) for i in found.injects} == {"slow": "unknown", "late": "noticed"}

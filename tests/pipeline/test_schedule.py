from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.pipeline.schedule import Schedule, find_stale

TASKS = ("isr", "measure", "astrometry")


def night(visits, detectors):
    """Quanta of a night: a chain for each detector, and one that gathers them for each visit."""
    predecessors = {}
    for visit in range(visits):
        for detector in range(detectors):
            before = ()
            for task in TASKS:
                node = (visit, detector, task)
                predecessors[node] = before
                before = (node,)
        predecessors[visit, 99, "gather"] = tuple((visit, d, "astrometry") for d in range(detectors))
    return list(predecessors), predecessors


def drain(schedule, hold=1):
    """Take up to ``hold`` portions at a time, and finish the oldest."""
    taken, open_portions = [], []
    while not schedule.exhausted or open_portions:
        while len(open_portions) < hold and (portion := schedule.take()) is not None:
            taken.append(portion)
            open_portions.append(portion)
        schedule.finish(open_portions.pop(0))
    return taken


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 5))
def test_everything_runs_once_and_after_what_it_needs(visits, detectors, hold):
    order, predecessors = night(visits, detectors)
    done = []
    for portion in drain(Schedule(order, predecessors), hold):
        done.extend(portion.nodes)
    assert sorted(done) == sorted(order)
    place = {node: number for number, node in enumerate(done)}
    assert all(place[p] < place[node] for node in order for p in predecessors[node])


def test_a_detector_stays_together_and_a_visit_waits_for_all():
    order, predecessors = night(2, 3)
    schedule = Schedule(order, predecessors)
    assert len(schedule.portions) == 2 * (3 + 1)
    chains = [portion for portion in schedule.portions if len(portion.nodes) == 3]
    assert all(len({node[:2] for node in portion.nodes}) == 1 for portion in chains)
    gathers = [portion for portion in schedule.portions if portion.nodes[0][2] == "gather"]
    assert all(len(portion.waits_for) == 3 for portion in gathers)


def test_a_visit_is_gathered_before_the_next_one_begins():
    order, predecessors = night(2, 3)
    nodes = [portion.nodes[0] for portion in drain(Schedule(order, predecessors, lambda node: node[:2]))]
    assert nodes.index((0, 99, "gather")) < nodes.index((1, 1, "isr"))


def test_nothing_is_stale_when_all_is_done():
    order, predecessors = night(2, 3)
    assert find_stale(order, predecessors, order) == []
    assert find_stale(order, predecessors, []) == order


def test_what_builds_on_new_work_runs_again():
    order, predecessors = night(2, 3)
    done = set(order) - {(0, 1, "measure")}
    assert find_stale(order, predecessors, done) == [
        (0, 1, "measure"),
        (0, 1, "astrometry"),
        (0, 99, "gather"),
    ]


def test_a_schedule_of_leftovers_runs():
    order, predecessors = night(1, 3)
    stale = find_stale(order, predecessors, set(order) - {(0, 1, "measure")})
    portions = drain(Schedule(stale, predecessors))
    assert [portion.nodes for portion in portions] == [
        ((0, 1, "measure"), (0, 1, "astrometry")),
        ((0, 99, "gather"),),
    ]


def test_an_empty_schedule_is_exhausted():
    schedule = Schedule([], {})
    assert schedule.exhausted
    assert schedule.take() is None

import pytest

from lsst_commtools.errors import TableError
from lsst_commtools.rehearsal.precursors import PrecursorStatus, read_precursors, shipped_precursors

HEADER = "Item\tOwner\tStatus\n"


def table(*rows):
    return read_precursors("something before\n\n" + HEADER + "\n".join(rows), "a test")


def test_the_founding_table_is_kept_with_its_questions():
    found = shipped_precursors()
    assert [i.item for i in found.items] == [
        "Designate Personnel",
        "Dataset",
        "DAQ/OODS",
        "Long Haul Networks",
        "Test Instance DBB",
        "Test Batch Production",
        "Precursor Pipelines",
        "Science Platform",
    ]
    by_name = {i.item: i for i in found.items}
    assert by_name["Long Haul Networks"].text == "40 MB/s"
    assert by_name["DAQ/OODS"].questions == ("owner: ???",)
    assert by_name["Science Platform"].questions == ("status: As-is OK?",)
    assert by_name["Test Instance DBB"].status is PrecursorStatus.UNKNOWN
    assert sum(i.status is PrecursorStatus.QUESTION for i in found.items) == 5
    assert found.readiness == "unknown", "neither questions nor silence are a yes"
    assert len(found.missing) == 8


def test_only_what_is_declared_ready_and_owned_is_ready():
    assert table("Dataset\tGruendl\t[ready] LATISS").readiness == "ready"
    assert table("Dataset\tGruendl\tLATISS").readiness == "unknown"
    assert table("Dataset\t\t[ready] LATISS").readiness == "unknown"
    assert table("Dataset\tGruendl\t[ready] LATISS?").readiness == "unknown"
    assert table("Dataset\tGruendl\t[ready]", "DAQ\tKantor\t[in-work]").readiness == "not-ready"
    assert table("A\tB\t[ready] x").to_dict()["ready"] == 1


def test_a_table_that_cannot_be_read_is_refused():
    with pytest.raises(TableError, match="no table"):
        read_precursors("Item Owner Status\n", "a test")
    with pytest.raises(TableError, match="no table"):
        read_precursors(HEADER, "a test")
    with pytest.raises(TableError, match="Line 2"):
        read_precursors(HEADER + "\tKantor\t40 MB/s", "a test")
    with pytest.raises(TableError, match="Line 2"):
        read_precursors(HEADER + "a\tb\tc\td", "a test")
    with pytest.raises(TableError, match=r"\[done\]"):
        read_precursors(HEADER + "a\tb\t[done]", "a test")


def test_the_table_ends_at_an_empty_line():
    assert len(read_precursors(HEADER + "a\tb\tc\n\nThird OPS Rehearsal\n", "a test").items) == 1

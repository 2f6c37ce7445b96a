"""Parsers of the release document and of the table."""

from __future__ import annotations

import datetime as dt
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.releases import ReleaseModel, parse_table, parse_text


def kinds(source):
    return [(a.line, a.kind) for a in source.anomalies]


def plain(source):
    """What a source says, without its lines."""
    return {e.id: (e.title, set(e.requires), e.due) for e in source.entries}


def test_the_text(release_text):
    source = parse_text(release_text)
    assert source.milestones == ("LDM-503-1", "LDM-503-4b", "LDM-503-4", "LDM-503-5")
    assert source.title("LDM-503-4b") == "Spectrograph Rehearsal #2"
    assert source.requires("LDM-503-4b") == ("LDM-503-1", "DM-NET-2", "DM-SUIT-12", "LSST-1200")
    assert source.title("DM-SUIT-2") == "Search images (they are from IRSA at IPAC, not NCSA)"
    [network] = source.get("DM-NET-3")
    assert network.title == "Network Ready (Summit) (NB actually a T&S milestone?!)"
    assert network.notes == ("NB actually a T&S milestone?!",)
    assert source.get("DM-NET-2")[0].foreign_ids == ("DLP-561",)
    assert source.get("DM-DAX-1")[0].lines == (10, 25)


def test_anomalies_of_the_text(release_text):
    assert kinds(parse_text(release_text)) == [
        (5, "open-reference"),
        (12, "page-header"),
        (20, "no-title"),
        (21, "foreign-milestone"),
        (23, "out-of-order"),
        (24, "no-bullet"),
        (27, "no-features"),
    ]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (
            (
                "- Ingest to PDAC (DM-DAX-1)\n- Search",
                "- Ingest to PDAC (DM-DAX-1)\n- Ingest (DM-DAX-1)\n- Search",
            ),
            "entry-twice",
        ),
        (("Ingest to PDAC (DM-DAX-1)\n\n3.4", "Other title (DM-DAX-1)\n\n3.4"), "two-titles"),
        (("- Platform in PDAC (LDM", "- Platform somewhere (LDM"), "two-titles"),
        (("3.4 LDM-503-5: Validation", "3.4 LDM-503-1: Platform again"), "milestone-twice"),
        (("3.4 LDM-503-5: Validation", "3.4 LDM-503-5:"), "no-title"),
        (("- (DM-SUIT-12)", "- Something (DM-SUIT-"), "no-id"),
        (("3.4 LDM-503-5: Validation", "3.4 LDM-503-5 Validation"), "no-colon"),
        (("- (DM-SUIT-12)", "- One (DM-SUIT-11) - Two (DM-SUIT-12)"), "two-ids"),
        (("- a bullet of the introduction", "- a feature (DM-AP-99)"), "outside"),
    ],
)
def test_each_kind_of_anomaly_is_found(release_text, change, kind):
    assert change[0] in release_text
    source = parse_text(release_text.replace(*change))
    assert kind in {a.kind for a in source.anomalies}


@pytest.mark.parametrize("label", ["LDM-503-5a", "LDM-503-05", "LDM-503-RSPa", "LDM-503-18q", "LDM-503-NET"])
def test_labels_are_kept_as_written(release_text, label):
    source = parse_text(release_text.replace("LDM-503-5", label))
    assert source.milestones[-1] == label
    assert ReleaseModel((source,)).resolve(label.lower()) == label


def test_an_entry_may_go_over_several_lines(release_text):
    wrapped = release_text.replace("- Search images (they are", "- Search images\n  (they are")
    assert plain(parse_text(wrapped)) == plain(parse_text(release_text))


def test_markdown_marks_change_nothing(release_text):
    marked = release_text.replace("3.1 LDM", "### 3.1 LDM").replace(
        "3.2 LDM-503-4b: Spectrograph Rehearsal #2", "**3.2 LDM-503-4b: Spectrograph Rehearsal #2**"
    )
    assert plain(parse_text(marked)) == plain(parse_text(release_text))


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
def test_other_line_ends(release_text, release_table, end):
    for parse, text in ((parse_text, release_text), (parse_table, release_table)):
        assert parse(text.replace("\n", end)) == parse(text)


def test_sections_in_another_order(release_text):
    head, *sections = release_text.split("\n3.")
    last, references = sections[-1].split("\n4 References")
    sections = [*sections[:-1], last]
    random.Random(1).shuffle(sections)
    shuffled = head + "".join(f"\n3.{s}" for s in sections) + "\n4 References" + references
    assert plain(parse_text(shuffled)) == plain(parse_text(release_text))


def test_the_table(release_table):
    source = parse_table(release_table)
    assert source.milestones == ("LDM-503-1", "LDM-503-4b")
    [search] = source.get("DM-SUIT-2")
    assert search.requires == ("DM-DAX-1",)
    assert search.free_requirements == ("Auth system [NCSA, DAX?]", "Templates (not sure)")
    assert search.due == dt.date(2017, 11, 20)
    assert search.lines == (3,)
    assert source.get("LDM-503-1")[0].lines == (5,)
    assert source.get("DM-DAX-1")[0].details == {"Team": "DAX", "Cycle": "F17", "Notes": "a note"}


def test_anomalies_of_the_table(release_table):
    assert kinds(parse_table(release_table)) == [
        (1, "unnamed-columns"),
        (3, "free-requirement"),
        (3, "free-requirement"),
        (5, "unknown-requirement"),
        (6, "unknown-requirement"),
        (7, "due-before-requirement"),
    ]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (("DM-DAX-1,3,DAX,2017-11-01", "DM-DAX-1,3,DAX,soon"), "no-date"),
        (("DM-DAX-1,3,", "DM-DAX-1,4,"), "level"),
        (("DM-DAX-1,3,", ",3,"), "no-id"),
        (("Ingest to PDAC.", ""), "no-title"),
        (("Target Date", "When"), "no-column"),
        (("a note", "a note,more"), "too-many-cells"),
        (("Ingest to PDAC.,,,a note", "Ingest to PDAC."), "too-few-cells"),
        (("DM-NET-2,3,Net", "DM-DAX-1,3,Net"), "id-twice"),
        (("S18,DLP-531", "S18,DM-NET-2"), "needs-itself"),
    ],
)
def test_each_kind_of_anomaly_of_the_table_is_found(release_table, change, kind):
    assert change[0] in release_table
    assert kind in {a.kind for a in parse_table(release_table.replace(*change)).anomalies}


def test_an_id_that_occurs_twice_is_kept_twice(release_table):
    doubled = release_table + "DM-DAX-1,3,DAX,2018-01-01,F17,DM-NET-2,,Another thing,,,\n"
    source = parse_table(doubled)
    assert source.title("DM-DAX-1") == "Ingest to PDAC. / Another thing"
    assert source.due("DM-DAX-1") == dt.date(2018, 1, 1)
    assert source.requires("DM-DAX-1") == ("DM-NET-2",)


def test_a_table_without_header_or_with_two(release_table):
    body = release_table.split("\n", 1)[1]
    assert {a.kind for a in parse_table(body).anomalies} >= {"no-header"}
    assert len(parse_table(body).entries) == 5
    assert "header-twice" in {
        a.kind for a in parse_table(release_table + release_table.split("\n")[0]).anomalies
    }


@pytest.mark.parametrize("parse", [parse_text, parse_table])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "\ufeff",
        "\x00",
        '"',
        '"a\nb',
        "\ufffd",
        "((((((",
        "- (",
        "a" * 300_000,
        " " * 100_000 + "(DM-AP-1)",
        '"' + "x" * 200_000 + '"',
    ],
)
def test_no_text_is_a_traceback(parse, text):
    source = parse(text)
    assert source.anomalies
    assert source.milestones == ()


@settings(deadline=None, max_examples=100)
@given(st.text(alphabet='-(): LDM503ap\n\r,"\u2022', max_size=300))
def test_any_text_is_read(text):
    for parse in (parse_text, parse_table):
        source = parse(text)
        assert source.entries or source.anomalies


def test_every_truncated_copy_gives_a_model_or_an_anomaly(release_text, release_table):
    for parse, text in ((parse_text, release_text), (parse_table, release_table)):
        for cut in range(0, len(text), 7):
            for piece in (text[:cut], text[cut:]):
                source = parse(piece)
                assert source.entries or source.anomalies
                assert all(0 <= a.line <= piece.count("\n") + 1 for a in source.anomalies)


def test_a_model_is_written_and_read_back(small_model):
    assert ReleaseModel.from_dict(small_model.to_dict()) == small_model

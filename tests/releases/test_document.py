"""Every milestone and feature of the release document is a row here."""

from __future__ import annotations

import datetime as dt

import pytest

from lsst_commtools.releases import read_model, shipped_model
from lsst_commtools.releases.graph import blocked_by, needs_all
from lsst_commtools.releases.shipped import model_json
from lsst_commtools.site.releases import ReleasesSection

# fmt: off
DOCUMENT = {
    "LDM-503-1": "DM-DAX-1 DM-DAX-2 DM-DAX-3 DM-DAX-4 DM-SUIT-1 DM-SUIT-2 DM-SUIT-3 DM-SUIT-4 DM-SQRE-1",
    "LDM-503-2": "DM-AP-1 DM-DAX-5 DM-DRP-1 DM-DRP-2 DM-NCSA-1 DM-NCSA-2 DM-NCSA-3 DM-SUIT-5",
    "LDM-503-3": "DM-AP-1 DM-AP-2 DM-AP-3 DM-AP-4 DM-AP-5 DM-DAX-6",
    "LDM-503-4": "DM-DAX-7 DM-NCSA-4",
    "LDM-503-4b": "DM-NCSA-5 DM-NCSA-6 DM-NCSA-7 LDM-503-4",
    "LDM-503-5": "DM-AP-6 DM-NCSA-8 DM-NCSA-9 LDM-503-3",
    "LDM-503-6": "DM-AP-7 DM-DRP-3 DM-DRP-4 DM-NCSA-10 DM-NCSA-11 LSST-1200",
    "LDM-503-7": "DM-DRP-5 DM-SUIT-6 DM-SUIT-7 DM-SUIT-8 LDM-503-6 LDM-503-2 LDM-503-1",
    "LDM-503-8": "DM-AP-7 DM-DRP-6 DM-DRP-7 DM-DRP-8 DM-DRP-9 DM-NCSA-12 DM-NCSA-13 DM-NCSA-14 DM-NCSA-15 DM-NET-2 "
        "DM-NET-3 DM-NET-4 DM-SUIT-9 LDM-503-4b",
    "LDM-503-9": "DM-AP-8 DM-AP-9 DM-DRP-10 DM-DRP-11 DM-DRP-12 DM-DRP-13 DM-DRP-14 DM-DRP-15 DM-DRP-16 DM-DRP-17 "
        "DM-DRP-18 DM-DRP-19 DM-NCSA-16 DM-NCSA-17 DM-NCSA-18 DM-NCSA-19 DM-DAX-8 DM-DAX-9 DM-SQRE-2 "
        "LDM-503-7 DM-DRP-37",
    "LDM-503-10": "LDM-503-4 LDM-503-6",
    "LDM-503-11a": "DM-AP-10 DM-AP-2 DM-AP-3 DM-AP-6 DM-NET-5 LDM-503-10 DM-NCSA-20 DM-NCSA-21 DM-NCSA-22 "
        "DM-SUIT-10",
    "LDM-503-11": "LDM-503-11a DM-DRP-21 DM-DRP-22 DM-DRP-23 DM-DRP-26 DM-DAX-10 DM-SUIT-11 DM-SUIT-12 DM-SUIT-13 "
        "DM-SUIT-14 DM-AP-11 LDM-503-5 LDM-503-8",
    "LDM-503-12": "DM-DRP-27 DM-DRP-28 DM-DRP-29 DM-DRP-30 DM-SQRE-3 DM-DRP-24 DM-DRP-20",
    "LDM-503-13": "DM-AP-12 DM-AP-13 DM-AP-14 DM-DRP-32 DM-DRP-33 DM-DRP-34 DM-DRP-35 DM-NCSA-23 DM-SUIT-15 "
        "DM-SUIT-16 DM-DRP-25",
    "LDM-503-14": "DM-AP-15 DM-SUIT-16 DM-SQRE-4 DM-DRP-33",
    "LDM-503-15": "DM-AP-16 DM-AP-17 DM-DRP-36 DM-NCSA-24 DM-NCSA-25 DM-SQRE-5 DM-DRP-31",
    "LDM-503-16": "DM-NCSA-26",
}
# fmt: on
TITLES = {
    "LDM-503-1": "Science Platform with WISE data in PDAC",
    "LDM-503-4b": "Aux Tel DAQ Interface Integration Verification and Spectrograph Operations Rehearsal",
    "LDM-503-9": "Verification Tests in Advance of Pre-Ops Rehearsal for Commissioning",
    "LDM-503-11": "Verification Tests in Advance of Pre-Ops Rehearsal for Commissioning #2",
    "LDM-503-11a": "ComCam Operations Readiness",
    "LDM-503-12": "Verification Tests in Advance of Pre-Ops Rehearsal for Commissioning #3",
    "LDM-503-16": "Ops rehearsal DRP",
    "DM-NCSA-2": "Provide access to results of regular reprocessing (NB the form this takes depends upon available DAX "
    "functionality)",
    "DM-NET-3": "T&SC-2600-1250 Initial Network Ready (Summit) (NB actually a T&S milestone?!)",
    "DM-SUIT-2": "Search WISE coaded data single exposure images in PDAC (the images are from IRSA at IPAC, not NCSA)",
    "DM-NCSA-17": "QA on WCS, PSF, etc returned to Observatory using JupyterLab",
    "DM-SUIT-12": "",
    "DM-SUIT-14": '"All-sky" visualization',
    "DM-AP-9": "Jointcal at a functional (but not necessarily algorithmically complete) level.",
}
ROWS = [(milestone, i) for milestone, ids in DOCUMENT.items() for i in ids.split()]


@pytest.fixture(scope="module")
def model():
    return shipped_model()


def test_the_milestones_stand_in_the_order_of_the_document(model):
    assert model.source("text").milestones == tuple(DOCUMENT)


@pytest.mark.parametrize("milestone", DOCUMENT)
def test_a_milestone_needs_what_the_document_lists(model, milestone):
    assert model.source("text").requires(milestone) == tuple(DOCUMENT[milestone].split())


@pytest.mark.parametrize(("milestone", "wanted"), ROWS)
def test_the_absence_of_a_feature_blocks_its_milestone(model, milestone, wanted):
    assert blocked_by(model.source("text"), wanted)[milestone]
    assert wanted in needs_all(model.source("text"), milestone)


def test_each_feature_is_there_once(model):
    wanted = {i for _, i in ROWS if i.startswith("DM-")}
    features = model.source("text").features
    assert len(wanted) == len(features) == 115
    assert set(features) == wanted


@pytest.mark.parametrize(("entry_id", "title"), TITLES.items())
def test_titles_as_written(model, entry_id, title):
    assert model.source("text").title(entry_id) == title


def test_anomalies_of_the_document_stand_with_their_lines(model):
    found = [(a.line, a.kind) for a in model.anomalies if a.source == "text"]
    assert found == [
        (52, "open-reference"),
        (161, "foreign-milestone"),
        (186, "page-header"),
        (224, "no-own-features"),
        (246, "out-of-order"),
        (255, "no-title"),
        (307, "no-bullet"),
    ]


def test_the_table_is_read_whole(model):
    table = model.source("table")
    assert (len(table.milestones), len(table.features), len(table.entries)) == (24, 125, 150)
    assert [e.title for e in table.get("DM-NCSA-13")] == [
        "Header Writing Service for Spectrograph use case.",
        "Spectrograph Archiving Service.",
    ]
    assert table.get("DM-NCSA-17")[0].free_requirements == ("QA algorithms?", "Jupyter deployment?")
    assert table.due("LDM-503-9") == dt.date(2018, 11, 30)
    kinds = [a.kind for a in table.anomalies]
    assert kinds.count("free-requirement") == 12
    assert kinds.count("id-twice") == 1
    assert kinds.count("unknown-requirement") == 1
    assert kinds.count("due-before-requirement") == 14


def test_ids_as_people_write_them(model):
    for text, wanted in {
        "LDM-503-04b": "LDM-503-4b", "4B": "LDM-503-4b", "11a": "LDM-503-11a", "dm-ncsa-17": "DM-NCSA-17",
        " 9 ": "LDM-503-9", "LSST-1200": "LSST-1200", "DLP-531": "DLP-531",
    }.items():  # fmt: skip
        assert model.resolve(text) == wanted


def test_levels_of_operational_validation_are_data():
    levels = ReleasesSection().levels
    assert levels["jupyterlab"].available_within == "hours"
    assert levels["commissioning"].available_within == "hours, not days"
    assert levels["batch"].rigour == "rigorous"
    assert levels["development"].rigour.startswith("minimum")


@pytest.mark.data
def test_the_shipped_model_is_made_of_the_sources(test_data):
    text = test_data.parent / "seeds" / "ldm-564-dm-software-releases.txt"
    if not text.exists():
        pytest.skip("the text of the release document is absent")
    model = read_model(text, test_data / "releases" / "milestones.csv")
    assert model == shipped_model()
    assert model_json(model) == model_json(shipped_model())


@pytest.mark.data
@pytest.mark.parametrize("name", ["text", "table"])
def test_truncated_copies_of_the_sources(test_data, tmp_path, name):
    paths = {
        "text": test_data.parent / "seeds" / "ldm-564-dm-software-releases.txt",
        "table": test_data / "releases" / "milestones.csv",
    }
    if not paths[name].exists():
        pytest.skip("the text of the release document is absent")
    whole = paths[name].read_bytes()
    for cut in range(0, len(whole), len(whole) // 40):
        for piece in (whole[:cut], whole[cut:], whole[:cut].replace(b"\n", b"\r\n")):
            (tmp_path / "copy").write_bytes(piece)
            model = read_model(**{"text": None, "table": None, name: tmp_path / "copy"})
            assert model.sources[0].entries or model.anomalies

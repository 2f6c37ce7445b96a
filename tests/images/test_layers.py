"""Layers, provenance and what changed between two images."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from lsst_commtools.errors import NotFoundError, TableError
from lsst_commtools.images import ImageContents, PackageRequest, diff_contents, read_contents, read_requests
from lsst_commtools.images.cycles import check_cycle_step, parse_cycle_env
from lsst_commtools.images.layers import LayerName
from lsst_commtools.images.packages import check_requests

OLD = {
    "image": "w_2026_22_c0044.006",
    "layers": {
        "stack": {"afw": "w_2026_22", "numpy": "2.1"},
        "ts": {"ts_xml": "27.1.1"},
        "third-party": {"gala": "1.9", "lightkurve": "2.4"},
        "lab": {"jupyterlab": "4.6.6", "astroplan": "0.9"},
    },
    "built_from": {"stack": "v30_0_0", "ts": "c0044.006"},
}
NEW = {
    "image": "w_2026_23_c0044.007",
    "layers": {
        "stack": [{"name": "afw", "version": "w_2026_23"}, {"name": "numpy", "version": "2.1"}],
        "ts": {"ts_xml": "27.1.1"},
        "third-party": {"gala": "1.9", "astroplan": "0.10", "galpy": "1.10"},
        "lab": {"jupyterlab": "4.6.6"},
    },
}


@pytest.fixture
def contents(tmp_path):
    """Reads contents that were written to a file."""

    def read(document):
        path = tmp_path / "contents.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return read_contents(path)

    return read


def test_what_changed(contents):
    changes = diff_contents(contents(OLD), contents(NEW)).to_dict()
    assert {kind: [c["name"] for c in rows] for kind, rows in changes.items()} == {
        "added": ["galpy"],
        "removed": ["lightkurve"],
        "updated": ["afw"],
        "moved": ["astroplan"],
    }
    assert changes["moved"] == [
        {
            "name": "astroplan",
            "old_layer": "lab",
            "old_version": "0.9",
            "new_layer": "third-party",
            "new_version": "0.10",
        }
    ]
    assert diff_contents(contents(OLD), contents(OLD)).to_dict() == {
        "added": [], "removed": [], "updated": [], "moved": []
    }  # fmt: skip


def test_provenance_of_the_layers(contents):
    image = contents(OLD)
    assert image.built_from[LayerName.TS] == "c0044.006"
    assert [layer.value for layer in LayerName] == ["stack", "ts", "third-party", "lab"]


def test_the_topmost_layer_hides_those_below():
    layers = {LayerName.STACK: {"numpy": "2.1"}, LayerName.LAB: {"numpy": "1.26"}}
    assert ImageContents("x", layers, {}).packages["numpy"] == (LayerName.LAB, "1.26")


@pytest.mark.parametrize(
    "document", ["{", "[]", {"layers": {"roof": {}}}, {"layers": {"lab": 3}}, {"layers": 3}]
)
def test_what_is_no_contents(contents, tmp_path, document):
    with pytest.raises(TableError):
        contents(document)
    with pytest.raises(NotFoundError):
        read_contents(tmp_path / "none")


def a_request(package, **changes):
    values = {
        "who": "Dana",
        "why": "light curves",
        "when": dt.date(2026, 5, 1),
        "test": "t",
        "approved_by": "DM-CCB",
    }
    return PackageRequest(package, **{**values, **changes})


def test_requests_for_packages(contents):
    requests = [
        a_request("gala"),
        a_request("lightkurve", test=""),
        a_request("astroplan"),
        a_request("sncosmo"),
        a_request("galpy", approved_by=""),
    ]
    problems = check_requests(contents(OLD), requests, {"t"})
    assert problems == [
        "astroplan was asked for by Dana, but lies among the machinery of the lab.",
        "No test shows that lightkurve works, which Dana asked for.",
        "sncosmo, which Dana asked for, is not in the image.",
    ]
    assert check_requests(contents(OLD), [], set()) == [
        "Nobody asked for the third-party package gala.",
        "Nobody asked for the third-party package lightkurve.",
    ]
    undecided = check_requests(
        contents(NEW), [a_request("gala"), a_request("astroplan"), requests[-1]], {"t"}
    )
    assert undecided == ["galpy is in the image, but nobody decided on the request of Dana."]


def test_requests_are_read_from_a_file(tmp_path):
    path = tmp_path / "requests.yaml"
    path.write_text(
        "- {package: gala, who: Dana, why: light curves, when: 2026-05-01, test: t, approved_by: DM-CCB}\n"
    )
    assert read_requests(path) == [a_request("gala")]
    for broken in ("- {package: gala}", "- 3", "a: [", "- {package: g, who: d, why: w, when: soon}"):
        path.write_text(broken)
        with pytest.raises(TableError):
            read_requests(path)
    with pytest.raises(NotFoundError):
        read_requests(tmp_path / "none")


CYCLE = "# the cycle\nCYCLE=c0044\nrev=.007\nstack=w_2026_22\nexport ts_xml='27.1.1'  # core\n"


def test_cycle_env():
    cycle = parse_cycle_env(CYCLE)
    assert (cycle.cycle, cycle.revision) == (44, 7)
    assert cycle.versions == {"stack": "w_2026_22", "ts_xml": "27.1.1"}
    for broken in ("", "CYCLE=44\nrev=.1", "CYCLE=c0044\nrev=7"):
        with pytest.raises(TableError):
            parse_cycle_env(broken)


@pytest.mark.parametrize(
    ("changes", "good"),
    [
        ({}, True),
        ({".007": ".008"}, False),
        ({".007": ".008", "w_2026_22": "w_2026_23"}, True),
        ({"w_2026_22": "w_2026_23"}, False),
        ({"27.1.1": "28.0.0", "c0044": "c0045", ".007": ".000"}, True),
        ({"27.1.1": "28.0.0", ".007": ".008"}, False),
        ({"27.1.1": "28.0.0", "c0044": "c0045"}, False),
    ],
)
def test_a_core_change_makes_a_new_cycle(changes, good):
    text = CYCLE
    for old, new in changes.items():
        text = text.replace(old, new)
    assert (check_cycle_step(parse_cycle_env(CYCLE), parse_cycle_env(text), {"ts_xml"}) == []) is good

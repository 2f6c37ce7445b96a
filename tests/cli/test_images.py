"""``commtools images``."""

from __future__ import annotations

import io
import json
import sys

import pytest

from lsst_commtools.cli import main

POLICY = "numReleases: 0\nnumWeeklies: 3\nnumDailies: 2\ncycle: {0}\nrecommendedTag: recommended_c{0:04d}\n"


@pytest.fixture
def images(capsys, monkeypatch):
    """Runs ``commtools images``; gives exit code, parsed JSON or text, and standard error."""

    def run(*arguments, stdin="", site=None, as_json=True):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        options = [*(["--site", site] if site else []), *(["--format", "json"] if as_json else [])]
        with pytest.raises(SystemExit) as end:
            main([*options, "images", *map(str, arguments)])
        output = capsys.readouterr()
        return end.value.code, json.loads(output.out) if as_json else output.out, output.err

    return run


@pytest.fixture
def policies(tmp_path):
    """Writes a policy of a cycle and gives its path."""

    def write(cycle, more=""):
        path = tmp_path / f"policy-{cycle}.yaml"
        path.write_text(POLICY.format(cycle) + more)
        return path

    return write


def test_parse(images):
    code, document, _ = images("parse", "w_2021_19_c0019.001", "recommended", "latest")
    assert code == 0
    assert [tag["type"] for tag in document] == ["weekly", "alias", "unknown"]
    assert list(document[0]) == [
        "tag", "type", "display", "version", "cycle", "cycle_build", "rsp_build", "extra", "architecture", "problems"
    ]  # fmt: skip
    code, document, _ = images("parse", "--alias", "latest", "w_2021_13_rsp19_c0020.001", "latest")
    assert code == 1
    assert (document[0]["cycle"], document[1]["display"]) == (20, "Latest")


def test_aliases_are_those_of_the_site(images):
    assert images("parse", "recommended_c0044")[1][0]["type"] == "unknown"
    assert images("parse", "recommended_c0044", site="base")[1][0]["type"] == "alias"


def test_a_tag_with_terminal_escapes_is_shown_escaped(images):
    _, text, _ = images("parse", "\x1b[31mx", "<script>", as_json=False)
    assert "\x1b" not in text
    assert "\\x1b[31mx" in text
    _, text, _ = images("sort", stdin="\x1b[31mx\n", as_json=False)
    assert text == "\\x1b[31mx\n"


def test_bytes_that_are_no_text_are_shown_as_escapes(images):
    assert images("parse", "\udcffx")[1][0]["tag"] == "\\xffx"


def test_sort(images):
    tags = [
        "w_2021_02",
        "strange",
        "r22_0_0_rc10",
        "r22_0_0_rc2",
        "recommended",
        "r21_0_1",
        "d_2021_01_02",
        "exp_x",
    ]
    wanted = [
        "recommended",
        "r21_0_1",
        "w_2021_02",
        "d_2021_01_02",
        "r22_0_0_rc10",
        "r22_0_0_rc2",
        "exp_x",
        "strange",
    ]
    assert images("sort", stdin="\n".join(tags))[:2] == (0, wanted)
    code, text, _ = images("sort", stdin="\r\n".join(tags) + "\r\n\r\n", as_json=False)
    assert (code, text.split("\n")[:-1]) == (0, wanted)
    assert images("sort")[1] == []


def test_menu(images, policies):
    code, document, err = images("menu", "--config", policies(44))
    assert code == 0
    assert "sample" in err
    assert [row["tag"] for row in document["shown"]] == [
        "recommended_c0044", "w_2026_23_c0044.007", "w_2026_22_c0044.006", "w_2026_21_c0044.005",
        "d_2026_06_06_c0044.007", "d_2026_06_05_c0044.007",
    ]  # fmt: skip
    assert document["shown"][0]["display"] == "Recommended (Weekly 2026_22, SAL Cycle 0044, Build 006)"
    assert all(row["reason"] for row in (*document["shown"], *document["hidden"]))


def test_menu_of_a_listing(images, policies, tmp_path):
    listing = tmp_path / "tags"
    listing.write_text("w_2026_23_c0044.007\nw_2026_22_c0043.006\n")
    code, document, err = images("menu", "--config", policies(44), "--tags", listing)
    assert code == 1
    assert document["recommended"] is None
    assert "not in the registry" in err
    assert [row["tag"] for row in document["shown"]] == ["w_2026_23_c0044.007"]
    code, document, _ = images("menu", "--tags", "-", stdin="recommended\nw_2021_01\n")
    assert (code, len(document["shown"])) == (0, 2)


def test_menu_at_a_time(images, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text("filters: {daily: {age: 2d}}\n")
    _, document, _ = images("menu", "--config", policy, "--now", "2026-06-07")
    assert [r["tag"] for r in document["shown"] if r["type"] == "daily"] == [
        "d_2026_06_06_c0044.007", "d_2026_06_05_c0044.007"
    ]  # fmt: skip
    assert images("menu", "--now", "soon")[0] == 2


def test_check(images, policies):
    assert images("check")[:2][0] == 0
    code, document, err = images("check", "--config", policies(43), "--previous", policies(44))
    assert code == 1
    assert [f["kind"] for f in document["findings"]] == ["backwards", "backwards"]
    assert "merged" in err
    code, document, _ = images(
        "check", "--config", policies(43), "--previous", policies(44), "--revert-note", "cycle 44 faults"
    )
    assert (code, document["findings"]) == (0, [])
    assert images("check", "--config", policies(41))[0] == 1
    assert images("check", "--config", "nowhere.yaml")[0] == 2


def test_approve(images, policies):
    policy = policies(44, "approvers: [ana, ben]\napprovals_needed: 2\n")
    assert images("check", "--config", policy)[1]["findings"][0]["kind"] == "not-approved"
    assert images("approve", "--config", policy, "--by", "mallory")[0] == 2
    code, document, _ = images("approve", "--config", policy, "--by", "ana", "--note", "tried it")
    assert (code, document["approved"]) == (0, False)
    assert images("approve", "--config", policy, "--by", "ben")[1]["approved"]
    assert images("check", "--config", policy)[:2][1]["findings"] == []
    back = policies(43, "approvers: [ana, ben]\napprovals_needed: 2\n")
    assert images("approve", "--config", back, "--by", "ana")[0] == 2
    assert images("approve", "--config", back, "--by", "ana", "--revert", "--note", "cycle 44 faults")[0] == 0
    assert "2 needed" in images("approve", "--config", policy, "--by", "ana", as_json=False)[1]


def test_diff(images, tmp_path):
    for name, version in (("old", "1"), ("new", "2")):
        (tmp_path / name).write_text(json.dumps({"image": name, "layers": {"stack": {"afw": version}}}))
    code, document, _ = images("diff", tmp_path / "old", tmp_path / "new")
    assert (code, document["updated"][0]["new_version"], document["added"]) == (0, "2", [])
    assert images("diff", tmp_path / "old", tmp_path / "none")[0] == 2


def test_builds(images, tmp_path):
    table = tmp_path / "builds.csv"
    table.write_text(
        "day_obs,layer,started_utc,finished_utc\n20260601,stack,2026-06-01T16:30,2026-06-01T18:00\n"
    )
    code, document, _ = images("builds", table, "--day-obs", "20260601")
    assert (code, document["status"]) == (1, "missing")
    assert document["layers"][0]["took_min"] == 90.0
    assert images("builds", table)[0] == 2


def test_compat(images, tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "a.ipynb").write_text("{}")
    site = tmp_path / "site.yaml"
    site.write_text("name: hilltop\nimages: {compat: {command: ['true', '{image}']}}\n")
    code, document, _ = images("compat", "w_2026_22", "--notebooks", tmp_path / "notebooks", site=str(site))
    assert code == 0
    assert document["uses"] == {
        "w_2026_22": {"jupyterlab": "passed", "commissioning": "not-tested", "batch": "passed"}
    }
    code, kept, err = images("compat", site=str(site))
    assert (code, kept["cells"], err) == (0, document["cells"], "")
    code, document, _ = images("compat", "w_2026_23", "--notebooks", tmp_path / "notebooks")
    assert (code, document["cells"][0]["result"]) == (1, "not-tested")
    assert images("compat", "x", "--environment", "x")[0] == 2
    assert images("compat", "x", "--notebooks", tmp_path / "none")[0] == 2

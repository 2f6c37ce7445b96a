"""Chains with one trap each, and configurations that are crafted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lsst_commtools.errors import InputError, NotFoundError, TableError
from lsst_commtools.repos.chain import find_in_chain, resolve_chain
from lsst_commtools.repos.configuration import parse_configuration
from lsst_commtools.repos.marks import read_link

MAPPER = "lsst.obs.lsst.auxTel.AuxTelMapper"


@pytest.fixture
def old(tmp_path):
    def make(name, parent=None, *, mapper=MAPPER, registry=False):
        path = tmp_path / name
        path.mkdir(parents=True)
        if mapper:
            (path / "_mapper").write_text(mapper + "\n")
        if parent is not None:
            (path / "_parent").symlink_to(parent)
        if registry:
            (path / "registry.sqlite3").touch()
        return path

    return make


@pytest.fixture
def new(tmp_path):
    def make(name, parents="null", mapper=f"!!python/name:{MAPPER} ''", root="null"):
        path = tmp_path / name
        path.mkdir(parents=True)
        (path / "repositoryCfg.yaml").write_text(
            f"!RepositoryCfg_v1\n_mapper: {mapper}\n_mapperArgs: {{}}\n_parents: {parents}\n_root: {root}\n"
        )
        return path

    return make


def kinds(chain):
    return [problem.kind for problem in chain.problems]


def test_rerun_linked_repository_and_production_in_order(old):
    production = old("gen2repo", registry=True)
    shared = old("shared", production)
    (shared / "CALIB").mkdir()
    (shared / "CALIB/calibRegistry.sqlite3").touch()
    rerun = old("shared/rerun/ktl/test1", shared, mapper=None)
    chain = resolve_chain(rerun)
    assert chain.roots == (str(rerun), str(shared), str(production))
    assert chain.registry == str(production / "registry.sqlite3")
    assert chain.calib == str(shared / "CALIB")
    assert chain.problems == ()


def test_calib_of_a_grandparent_is_not_searched(old):
    top = old("top", registry=True)
    (top / "CALIB").mkdir()
    (top / "CALIB/calibRegistry.sqlite3").touch()
    middle = old("middle", top)
    assert resolve_chain(middle).calib == str(top / "CALIB")
    assert resolve_chain(old("child", middle)).calib is None


def test_registry_of_a_parent_with_another_mapper_is_not_used(old):
    other = old("other", mapper="lsst.obs.lsst.lsstCam.LsstCamMapper", registry=True)
    chain = resolve_chain(old("child", other))
    assert chain.registry is None
    assert kinds(chain) == ["mapper-mismatch"]


def test_relative_link_is_resolved_and_named(old, monkeypatch, tmp_path):
    production = old("production")
    child = old("child", "../production")
    monkeypatch.chdir("/")
    chain = resolve_chain(child)
    assert chain.roots == (str(child), str(production))
    assert kinds(chain) == ["relative-link"]
    assert str(child) in chain.problems[0].old_stack


def test_dangling_link(old, tmp_path):
    chain = resolve_chain(old("child", tmp_path / "gone"))
    assert kinds(chain) == ["dangling-link"]
    assert str(tmp_path / "gone") in chain.problems[0].what


def test_link_to_itself_and_cycle_of_links(old, tmp_path):
    assert kinds(resolve_chain(old("self", tmp_path / "self/_parent"))) == ["link-cycle"]
    first = old("first", tmp_path / "second")
    second = old("second", first)
    chain = resolve_chain(first)
    assert chain.roots == (str(first), str(second))
    assert kinds(chain) == ["link-cycle"]
    assert f"{first} -> {second} -> {first}" in chain.problems[0].what


def test_cycle_of_configurations_ends(new):
    first = new("first", "[../second]")
    second = new("second", "[../first]")
    chain = resolve_chain(first)
    assert chain.roots == (str(first), str(second))
    assert kinds(chain) == ["config-cycle"]


def test_diamond_gives_each_root_once(new):
    base = new("base")
    left, right = new("left", "[../base]"), new("right", "[../base]")
    top = new("top", "[../left, ../right]")
    assert resolve_chain(top).roots == (str(top), str(left), str(base), str(right))


def test_nested_parent_keeps_the_parents_that_were_recorded(old, new, tmp_path):
    recorded, now = old("recorded"), old("now")
    parent = old("parent", now)
    nested = (
        f"[!RepositoryCfg_v1 {{_mapper: {MAPPER}, _root: {parent}, _parents: "
        f"[!RepositoryCfg_v1 {{_mapper: {MAPPER}, _root: {recorded}, _parents: null}}]}}]"
    )
    top = new("top", nested, mapper=MAPPER)
    assert resolve_chain(top).roots == (str(top), str(parent), str(recorded))


def test_mixed_parents(old, new):
    old("old")
    new("new")
    assert "mixed-parents" in kinds(resolve_chain(new("paths", "[../old, ../new]")))
    linked = old("linked", new("other"))
    chain = resolve_chain(linked)
    assert kinds(chain) == ["mixed-parents"]
    assert chain.roots == (str(linked),)


def test_link_to_a_new_repository_that_looks_like_an_old_one_too(old, new, tmp_path):
    new("base")
    other = new("other", "[../base]")
    (other / "registry.sqlite3").touch()
    linked = old("linked", other)
    chain = resolve_chain(linked)
    assert kinds(chain) == ["mixed-parents"]
    assert chain.roots == (str(linked), str(other))
    assert resolve_chain(other).roots == (str(other), str(tmp_path / "base"))


def test_root_in_a_configuration(new, tmp_path):
    (tmp_path / "data").mkdir()
    chain = resolve_chain(new("repo", root="../data"))
    assert chain.roots == (str(tmp_path / "data"),)
    assert kinds(chain) == ["relative-link"]


def test_no_mapper(old, tmp_path):
    chain = resolve_chain(old("bare", mapper=None, registry=True))
    assert kinds(chain) == ["no-mapper"]
    (tmp_path / "plain").mkdir()
    chain = resolve_chain(old("child", tmp_path / "plain"))
    assert kinds(chain) == ["no-mapper"]
    assert chain.roots == (str(tmp_path / "child"),)


def test_several_inputs_each_with_ancestors_before_the_next(old):
    base, other = old("base"), old("other")
    first = old("first", base)
    assert resolve_chain(first, other).roots == (str(first), str(base), str(other))


def test_no_depth_is_too_deep(old, tmp_path):
    parent = old("r0")
    for number in range(1, 1500):
        parent = old(f"r{number}", parent)
    assert len(resolve_chain(parent).roots) == 1500


@pytest.mark.parametrize(
    "document",
    [
        "!RepositoryCfg_v1 {_mapper: !!python/object/apply:os.system ['touch pwned']}",
        "!!python/object/new:os.system ['touch pwned']",
        "!RepositoryCfg_v1 {_parents: [!!python/module:os x]}",
        "!RepositoryCfg_v1 {_parents: [1, 2]}",
        "!RepositoryCfg_v1 {_parents: ../x}",
        "!RepositoryCfg_v1 [a, b]",
        "!RepositoryCfg_v1 &a {_parents: [*a]}",
        "_mapper: x",
        "{" * 3000,
        "[" * 20000,
        "\t",
    ],
)
def test_crafted_configuration_is_refused(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TableError):
        parse_configuration(document)
    assert list(tmp_path.iterdir()) == []


def test_crafted_configuration_gives_a_problem_line(tmp_path):
    (tmp_path / "repositoryCfg.yaml").write_text("!!python/object/apply:os.system ['touch /nowhere']")
    chain = resolve_chain(tmp_path)
    assert kinds(chain) == ["unreadable"]
    assert chain.roots == (str(tmp_path),)


def test_huge_and_binary_configurations_are_problems(tmp_path):
    for content in (b"#" * (2 << 20), b"\xff\xfe\x00"):
        (tmp_path / "repositoryCfg.yaml").write_bytes(content)
        assert kinds(resolve_chain(tmp_path)) == ["unreadable"]


def test_many_aliases_cost_nothing(tmp_path):
    lines = ["!RepositoryCfg_v1", "_parents:", "- &a0 !RepositoryCfg_v1 {_root: /, _parents: null}"]
    for number in range(1, 60):
        last = f"*a{number - 1}"
        lines.append(f"- &a{number} !RepositoryCfg_v1 {{_root: /, _parents: [{last}, {last}]}}")
    (tmp_path / "repositoryCfg.yaml").write_text("\n".join(lines))
    assert resolve_chain(tmp_path).roots[0] == str(tmp_path)


def test_registry_that_is_no_database(old):
    path = old("repo")
    (path / "registry.sqlite3").write_text("<html>")
    chain = resolve_chain(path)
    assert chain.registry is None
    assert kinds(chain) == ["unreadable"]


def test_special_files_are_not_opened(old):
    path = old("repo", mapper=None)
    os.mkfifo(path / "_mapper")
    os.mkfifo(path / "registry.sqlite3")
    os.mkfifo(path / "repositoryCfg.yaml")
    assert set(kinds(resolve_chain(path))) == {"no-mapper", "unreadable"}


def test_undecodable_link(old):
    path = old("repo")
    (path / "_parent").symlink_to(os.fsdecode(b"/\xff\xfe"))
    assert kinds(resolve_chain(path)) == ["dangling-link"]


def test_read_link(old, tmp_path):
    child = old("child", "../parent")
    link = read_link(child)
    assert (link.text, link.target, link.exists) == ("../parent", str(tmp_path / "parent"), False)
    assert read_link(tmp_path) is None


def test_inputs_that_cannot_be_used(tmp_path, old):
    with pytest.raises(NotFoundError):
        resolve_chain(tmp_path / "nowhere")
    chain = resolve_chain(old("repo"))
    for path in ("../x", "/etc/passwd"):
        with pytest.raises(InputError):
            find_in_chain(chain, path)


def test_first_hit_wins_even_when_it_dangles(old):
    parent = old("parent")
    child = old("child", parent)
    (parent / "raw").mkdir()
    (child / "raw").mkdir()
    (parent / "raw/x.fits").touch()
    (child / "raw/x.fits").symlink_to("/nowhere/x.fits")
    assert find_in_chain(resolve_chain(child), "raw/x.fits") == [
        str(Path(p) / "raw/x.fits") for p in (child, parent)
    ]

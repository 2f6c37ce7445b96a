from __future__ import annotations

import os
import threading

import pytest

from lsst_commtools.errors import InputError, NotFoundError
from lsst_commtools.procedure.notebook import code_sha256, read_notebook, stripped_text, write_atomic
from lsst_commtools.procedure.runner import run_notebook


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.ipynb"
    write_atomic("old", path)

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            write_atomic("new", path)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.ipynb"]


def test_links_and_modes_stay(tmp_path):
    real = tmp_path / "real.ipynb"
    real.write_text("old")
    real.chmod(0o640)
    link = tmp_path / "link.ipynb"
    link.symlink_to(real)
    write_atomic("new", link)
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert real.stat().st_mode & 0o777 == 0o640


def test_the_hash_is_of_the_code_alone(make_notebook):
    one = read_notebook(make_notebook("a = 1", name="1.ipynb")).nb
    two = read_notebook(make_notebook("a = 1", name="2.ipynb")).nb
    two.cells[0].outputs = [{"output_type": "stream", "name": "stdout", "text": "x"}]
    two.cells[0].metadata["tags"] = ["hide"]
    assert code_sha256(one) == code_sha256(two)
    assert '"x"' not in stripped_text(two)
    two.cells[0].metadata["tags"] = ["closing"]
    assert code_sha256(one) != code_sha256(two)


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"cells": 3, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}']
)
def test_what_is_no_notebook_is_refused(text, tmp_path, fast_site):
    path = tmp_path / "x.ipynb"
    path.write_text(text)
    with pytest.raises(InputError):
        read_notebook(path)
    with pytest.raises(NotFoundError):
        read_notebook(tmp_path / "none.ipynb")


def test_notebooks_run_from_threads_in_their_own_folders(make_notebook, fast_site, tmp_path):
    path = make_notebook(("n: int = 0", "parameters"), "import os\nprint(os.getcwd(), n)")
    here = os.getcwd()  # noqa: PTH109 - what the process itself says
    records = {}

    def run(number):
        folder = tmp_path / f"f{number}"
        folder.mkdir()
        records[number] = run_notebook(
            path, {"n": number}, site=fast_site, folder=folder, output=tmp_path / f"o{number}.ipynb"
        )

    threads = [threading.Thread(target=run, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert os.getcwd() == here  # noqa: PTH109 - the same
    for number, record in records.items():
        assert record.status == "done"
        nb = read_notebook(record.output).nb
        assert nb.cells[2].outputs[0].text == f"{tmp_path / f'f{number}'} {number}\n"


def test_an_output_that_cannot_be(make_notebook, fast_site, tmp_path):
    path = make_notebook("1")
    for output in (path, tmp_path / "no" / "o.ipynb"):
        with pytest.raises(InputError, match=r"No kernel|overwrite"):
            run_notebook(path, site=fast_site, output=output)

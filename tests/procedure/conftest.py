"""Notebooks, ledgers and procedures for the tests of this room."""

from __future__ import annotations

import nbformat
import pytest

from lsst_commtools.procedure.by_hand import begin
from lsst_commtools.procedure.journal import Journal
from lsst_commtools.procedure.ledger import Ledger
from lsst_commtools.procedure.ledger.store import ledger_url
from lsst_commtools.procedure.procedure import Procedure
from lsst_commtools.site import Site

HEAD = "from lsst_commtools import Procedure, Site\nprocedure = Procedure.here(Site.load())"
CLOSING = (
    HEAD
    + "\nfor step in procedure.closing:\n    with step:\n        step.observed = {'restored': step.data['state']}",
    "closing",
)


@pytest.fixture
def make_notebook(tmp_path):
    """Write a notebook of code cells; a cell is its source, or its source and tags."""

    def make(*cells, name="proc.ipynb", metadata=None):
        nb = nbformat.v4.new_notebook(
            metadata={
                "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
                **(metadata or {}),
            }
        )
        for entry in cells:
            source, *tags = (entry,) if isinstance(entry, str) else entry
            nb.cells.append(nbformat.v4.new_code_cell(source, metadata={"tags": tags}))
        path = tmp_path / name
        nbformat.write(nb, path)
        return path

    return make


@pytest.fixture
def fast_site(monkeypatch):
    """A site whose waits are short, also for kernels and commands that this test starts."""
    for name, value in {
        "LEDGER_WAIT_S": "1",
        "HEARTBEAT_S": "0.5",
        "STALE_AFTER_S": "5",
        "INTERRUPT_GRACE_S": "2",
        "CLOSING_TIMEOUT_S": "20",
        "HTML": "false",
    }.items():
        monkeypatch.setenv(f"COMMTOOLS_PROCEDURE_{name}", value)
    return Site.load()


@pytest.fixture
def ledger(fast_site):
    """The ledger of that site."""
    return Ledger.at(fast_site.procedure)


@pytest.fixture
def by_hand(fast_site):
    """A procedure that a person runs by hand."""
    procedure = begin(fast_site)
    yield procedure
    procedure._finish("")
    Procedure._current = None


@pytest.fixture
def attempt_of(fast_site, tmp_path):
    """Give the procedure of an attempt of a run, as a kernel sees it."""
    from lsst_commtools.procedure.binding import Binding

    def attempt(run, number, **options):
        url = ledger_url(fast_site.procedure)
        ledger = Ledger(url, wait_s=1)
        binding = Binding(
            run, number, url, tmp_path / "out.ipynb.events.jsonl", tmp_path / "files", **options
        )
        return Procedure(Journal(ledger, run, number), binding, fast_site.procedure)

    return attempt

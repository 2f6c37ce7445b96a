"""Simulated teststands."""

from __future__ import annotations

import pytest

from lsst_commtools.simulate.teststand import make_teststand


@pytest.fixture
def teststand(tmp_path):
    return make_teststand(tmp_path / "stand")

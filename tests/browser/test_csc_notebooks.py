"""Notebooks that command CSCs, as a person runs and clicks them, against the simulated observatory."""

from __future__ import annotations

import pytest

FOLDERS = ("csc",)

pytestmark = pytest.mark.browser


def test_notebook(notebook, run_in_lab, keep_pictures):
    keep_pictures(run_in_lab(notebook), notebook)

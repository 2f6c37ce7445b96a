"""Notebooks of QA, as a person sees them, with a processed night."""

from __future__ import annotations

import pytest

FOLDERS = ("qa",)

pytestmark = pytest.mark.browser


def test_notebook(notebook, run_in_lab, keep_pictures):
    keep_pictures(run_in_lab(notebook), notebook)

"""Notebooks of repositories, lab images and releases, and the start page, as a person sees and clicks them."""

from __future__ import annotations

import pytest

FOLDERS = ("", "images", "releases", "repos")

pytestmark = pytest.mark.browser


def test_notebook(notebook, run_in_lab, keep_pictures):
    keep_pictures(run_in_lab(notebook), notebook)

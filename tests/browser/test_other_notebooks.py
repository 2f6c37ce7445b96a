"""Notebooks of repositories, lab images and releases, and the start page, as a person sees and clicks them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from lsst_commtools.testing.lab import LabNotebook
from lsst_commtools.testing.world import copy_notebook

FOLDERS = ("", "images", "releases", "repos")

pytestmark = pytest.mark.browser


def test_notebook(notebook, run_in_lab, keep_pictures):
    keep_pictures(run_in_lab(notebook), notebook)


def test_no_folder_of_notebooks_is_left_out():
    here = Path(__file__)
    told = "".join(path.read_text(encoding="utf-8") for path in here.parent.glob("test_*_notebooks.py"))
    shown = {
        folder
        for line in re.findall(r"^FOLDERS = (.*)$", told, re.MULTILINE)
        for folder in ast.literal_eval(line)
    }
    root = here.parents[2] / "notebooks"
    kept = {
        p.parent.relative_to(root).as_posix()
        for p in root.rglob("*.ipynb")
        if ".ipynb_checkpoints" not in p.parts
    }
    assert {"" if folder == "." else folder for folder in kept} <= shown


def test_a_night_and_an_image_are_chosen(run_in_lab):
    opened = run_in_lab("repos/find_images.ipynb")
    browser = opened.outputs
    browser.get_by_text("4 of 4 images are there").wait_for()
    browser.get_by_label("day_obs").fill("20190529")
    browser.get_by_role("button", name="Show night").click()
    browser.get_by_text("2019052900001-det000.fits").first.wait_for()
    browser.get_by_label("image", exact=True).select_option("3")
    browser.get_by_text("2019052900003-det000.fits").first.wait_for()
    assert browser.locator("img").first.evaluate("image => image.naturalWidth") > 100
    browser.get_by_label("day_obs").fill("yesterday")
    browser.get_by_role("button", name="Show night").click()
    browser.get_by_role("alert").get_by_text("yesterday").wait_for()


def test_start_page_leads_to_a_notebook(run_in_lab, lab):
    name = "images/choose_image.ipynb"
    copy_notebook(Path(__file__).parents[2] / "notebooks" / name, lab.folder / name, {})
    opened = run_in_lab("index.ipynb")
    opened.page.get_by_role("link", name="Choose a lab image").click()
    opened.page.get_by_role("heading", name="Which image do I start?").wait_for()
    LabNotebook(opened.watched)  # its kernel is up

"""A focal plane of a million stars: size of the file, and the time until a browser has drawn it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from lsst_commtools.instrument.cameras import get_camera
from lsst_commtools.qa.figures import with_focal_plane, write_focal_plane_report

_MOST_BYTES, _MOST_S = 5e6, 3.0
_DRAWN = "window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle"


def main(n: int = 1_000_000) -> int:
    from playwright.sync_api import sync_playwright

    camera, rng = get_camera("LSSTCam"), np.random.default_rng(1)
    detectors = rng.choice([d.id for d in camera.science_detectors], n)
    stars = pd.DataFrame({"detector": detectors, "x": rng.uniform(0, 4000, n), "y": rng.uniform(0, 4000, n)})
    stars = with_focal_plane(stars, camera)
    stars["fwhm_arcsec"] = 0.7 + 1e-6 * (stars["x_mm"] ** 2 + stars["y_mm"] ** 2) + rng.normal(0, 0.02, n)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        start = time.perf_counter()
        path = write_focal_plane_report(
            stars, camera, "fwhm_arcsec", Path(folder) / "page.html", unit="arcsec"
        )
        made_s, size = time.perf_counter() - start, path.stat().st_size
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        opened = []
        for _ in range(3):
            page = browser.new_page()
            start = time.perf_counter()
            page.goto(path.as_uri())
            page.wait_for_function(_DRAWN)
            opened.append(time.perf_counter() - start)
            page.close()
        browser.close()
    good = size <= _MOST_BYTES and min(opened) <= _MOST_S
    print(
        f"focal plane of {n:.0e} stars: written in {made_s:.2g} s, {size / 1e6:.3g} MB (at most 5), opened in "
        f"{', '.join(f'{s:.2g}' for s in opened)} s (at most 3)  {'ok' if good else 'ABOVE'}"
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

"""20 quality-check notebooks: warm kernels and forks without kernels, against `papermill.execute_notebook` in a row.

All sides run the same files in processes that are up. The start of the preloaded parent is printed beside, and the
ratios with it counted in. Memory is the private memory of one kernel after its imports.
"""

import contextlib
import os
import re
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import print_ratio

COUNT, WORKERS = 20, 2
IMPORTS = """import numpy as np
import pandas as pd
import astropy.units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table
from bokeh.plotting import figure
from lsst.daf.butler import Butler, Timespan"""
WORK = """rng = np.random.default_rng(seed)
stars = pd.DataFrame({"ra": rng.normal(150, 0.1, 1000), "dec": rng.normal(2, 0.1, 1000)})
sky = SkyCoord(stars.ra.to_numpy() * u.deg, stars.dec.to_numpy() * u.deg)
plot = figure(width=300, height=200)
plot.scatter(stars.ra, stars.dec)
table = Table.from_pandas(stars)
scatter = float(sky.separation(sky[0]).to(u.arcsec).std().value)
scatter"""
MEMORY = """import os
lines = open("/proc/self/smaps_rollup").read().splitlines()
print("private kB", sum(int(line.split()[1]) for line in lines if line.startswith("Private")))"""


def make_notebook(path, *cells):
    import nbformat

    nb = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    )
    nb.cells = [nbformat.v4.new_code_cell(source) for source in cells]
    nb.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(nb, path)
    return path


def run_in_a_row(notebook, folder, count):
    import papermill

    for seed in range(count):
        output = folder / f"papermill-{seed}.ipynb"
        papermill.execute_notebook(notebook, output, {"seed": seed}, progress_bar=False)


def run_warm(notebook, folder, count):
    from lsst_commtools.procedure.campaign import Campaign, run_campaign
    from lsst_commtools.procedure.campaign.executors import LocalExecutor

    entry = {
        "id": "qa",
        "notebook": notebook.name,
        "matrix": {"seed": list(range(count))},
        "idempotent": True,
    }
    campaign = Campaign(campaign=f"bench-{time.time_ns()}", notebooks=[entry], folder=folder)
    executor = LocalExecutor(WORKERS)
    try:
        report = run_campaign(campaign, executor)
    finally:
        executor.close()
    assert report.good, report


def run_forks(notebook, folder, count):
    from lsst_commtools.procedure.warm.batch import BatchNotebook, run_batch

    notebooks = [
        BatchNotebook(notebook, {"seed": seed}, folder / f"fork-{seed}.ipynb") for seed in range(count)
    ]
    results = run_batch(notebooks, workers=WORKERS)
    assert all(result.status == "done" for result in results), results


def seconds(work, *arguments):
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def private_mb(notebook, folder, kernel):
    import papermill

    output = folder / f"memory-{kernel}.ipynb"
    papermill.execute_notebook(notebook, output, kernel_name=kernel, progress_bar=False)
    return int(re.search(r"private kB (\d+)", output.read_text())[1]) / 1e3


def boot():
    from lsst_commtools.procedure.warm.key import DEFAULT_PRELOAD, ZygoteKey
    from lsst_commtools.procedure.warm.start import ensure_zygote, stop_zygote

    key = ZygoteKey.of(sys.executable, DEFAULT_PRELOAD, os.environ)
    stop_zygote(key)
    return ensure_zygote(key, idle_s=120.0)


def main(count=COUNT):
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        folder = Path(name)
        os.environ["COMMTOOLS_HOME"] = str(folder / "home")
        notebook = make_notebook(folder / "qa.ipynb", "seed: int = 1  # seed", IMPORTS, WORK)
        memory = make_notebook(
            folder / "memory.ipynb", "seed: int = 1  # seed", IMPORTS, WORK + "\n" + MEMORY
        )
        boot_s = boot()
        # One of each first, so that all sides have their code loaded and compiled.
        for work in (run_in_a_row, run_warm, run_forks):
            work(notebook, folder, 1)
        # Half of the row before and half after, so that load from elsewhere hits all sides.
        row = seconds(run_in_a_row, notebook, folder, count // 2)
        warm, forks = seconds(run_warm, notebook, folder, count), seconds(run_forks, notebook, folder, count)
        row += seconds(run_in_a_row, notebook, folder, count - count // 2)
        cold_mb, warm_mb = (private_mb(memory, folder, kernel) for kernel in ("python3", "commtools-warm"))
    peer = "papermill.execute_notebook in a row"
    good = [
        print_ratio(f"{count} notebooks, warm kernels, {WORKERS} at a time", peer, warm, row, 8),
        print_ratio(f"{count} notebooks, forks without kernels, {WORKERS} at a time", peer, forks, row, 30),
        print_ratio(
            "private memory of a warm kernel (MB as ms)", "cold kernel", warm_mb / 1e3, cold_mb / 1e3, 2
        ),
    ]
    print(
        f"start of the preloaded parent: {boot_s:.2f} s; with it counted in: {row / (warm + boot_s):.3g}x with "
        f"kernels, {row / (forks + boot_s):.3g}x without"
    )
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))

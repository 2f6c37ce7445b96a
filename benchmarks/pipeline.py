"""A night's pipeline of cheap tasks: `run_pipeline` against `pipetask run -j 2`, which starts a Python per quantum.

Both work on the same repository and the same images of 256 x 256 pixels, each from a fresh Python.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import print_ratio

QUERY = "instrument='LSSTComCam' AND exposure.observation_type='science'"
OURS = """
import sys
from lsst_commtools.pipeline import run_pipeline

if __name__ == "__main__":
    report = run_pipeline(sys.argv[1], sys.argv[2], "u/bench/ours", 2)
    print(report.by_task())
    sys.exit(0 if report.succeeded == report.expected else 1)
"""


def make_repository(folder: Path, visits: int) -> Path:
    from lsst_commtools.ingest import Ingester, create_repository, ingest_refcat, open_repository
    from lsst_commtools.simulate.night import simulate_night

    night = simulate_night(folder / "night", visits=visits, biases=0, flats=0, size=(256, 256))
    repository = create_repository(folder / "repository")
    Ingester(repository, "LSSTComCam").ingest(sorted(night.raw.rglob("*.fits")))
    with open_repository(repository, writeable=True) as butler:
        ingest_refcat(butler, [night.refcat])
    return repository


def timed(command: list[str]) -> tuple[float, str]:
    root = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    start = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{command[0]} failed:\n{done.stdout[-500:]}\n{done.stderr[-2000:]}")
    return seconds, done.stdout.strip()


def count_quanta(repository: Path, collection: str) -> list[int]:
    from lsst_commtools.ingest import open_repository

    tasks = ("isr", "measure", "astrometry", "visit_summary")
    with open_repository(repository) as butler:
        return [
            len(butler.query_datasets(f"{task}_metadata", collection, find_first=True, limit=None))
            for task in tasks
        ]


def main(visits: int = 3) -> int:
    from lsst_commtools.pipeline import NIGHT_PIPELINE

    with tempfile.TemporaryDirectory() as folder:
        repository = make_repository(Path(folder), visits)
        script = Path(folder) / "ours.py"
        script.write_text(OURS)
        ours, told = timed([sys.executable, str(script), str(repository), QUERY])
        pipetask = [
            str(Path(sys.executable).with_name("pipetask")), "run", "-j", "2", "-b", str(repository),
            "-i", "LSSTComCam/defaults", "-o", "u/bench/pipetask", "-p", str(NIGHT_PIPELINE),
            "--register-dataset-types", "-d", QUERY,
        ]  # fmt: skip
        peer, _ = timed(pipetask)
        counts = [count_quanta(repository, run) for run in ("u/bench/ours", "u/bench/pipetask")]
    print(f"quanta of each task: {counts[0]}, pipetask {counts[1]}; {told}")
    assert counts[0] == counts[1] == [9 * visits] * 3 + [visits]
    good = print_ratio(
        f"pipeline, {sum(counts[0])} quanta, start included", "pipetask run -j 2", ours, peer, 8
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

"""Astrometric repeatability of partitioned parquet of growing size: seconds, peak memory, and the exponent.

Each size runs in a process of its own, so that its peak memory is its own. The area grows with the rows: one density.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

_VISITS = 10
_PER_DEGREE2 = 6000
_MEMORY_BYTES = 2 << 30
_SIZES = (1_000_000, 10_000_000)


def write(folder: Path, n_rows: int) -> None:
    """Write a strip on the equator, one file for each visit."""
    n = n_rows // _VISITS
    rng = np.random.default_rng(1)
    height = 2.0
    width = n / _PER_DEGREE2 / height
    ra, dec = rng.uniform(0, width, n), rng.uniform(-height / 2, height / 2, n)
    for visit in range(_VISITS):
        noise = rng.normal(0, 10 / 3.6e6, (2, n))
        columns = {"object_id": np.arange(n), "ra": (ra + noise[0]) % 360, "dec": dec + noise[1]}
        constant = {"mag": np.full(n, 19.0, np.float32), "snr": np.full(n, 200.0, np.float32)}
        place = folder / f"visit={visit}"
        place.mkdir(parents=True)
        parquet.write_table(pa.table(columns | constant), place / "stars.parquet")


def measure(folder: Path) -> None:
    from lsst_commtools.qa.repeatability import measure_repeatability, metrics, read_sources

    metrics.SEPARATIONS_ARCMIN = {"1": 5.0}
    start = time.perf_counter()
    found = measure_repeatability(read_sources([folder]), memory_bytes=_MEMORY_BYTES, scratch=folder.parent)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    am1 = found.measurements["AM1"]
    print(f"{seconds} {peak} {am1.n_pairs} {am1.value}")


def main(sizes: tuple[int, ...]) -> int:
    seconds, peaks = [], []
    for n_rows in sizes:
        with tempfile.TemporaryDirectory() as scratch:
            write(Path(scratch) / "stars", n_rows)
            command = [
                sys.executable,
                "-m",
                "benchmarks.repeatability_rows",
                "--measure",
                str(Path(scratch) / "stars"),
            ]
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        seconds.append(float(answer[0]))
        peaks.append(float(answer[1]))
        print(
            f"{n_rows:.0e} rows: {seconds[-1]:.1f} s, peak {peaks[-1]:.2f} GiB, {answer[2]} pairs, "
            f"AM1 {float(answer[3]):.2f} mas",
            flush=True,
        )
    if len(sizes) > 1:
        print(f"exponent {np.polyfit(np.log(sizes), np.log(seconds), 1)[0]:.2f}", flush=True)
    return 0 if max(peaks) <= _MEMORY_BYTES / 2**30 else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(Path(sys.argv[2]))
        sys.exit(0)
    sys.exit(main(tuple(int(float(n)) for n in sys.argv[1:]) or _SIZES))

"""``make bench``: run all benchmarks one after the other, or those that are named."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import traceback
from pathlib import Path

_NO_BENCHMARKS = {"__main__", "common"}


def main(names: list[str]) -> int:
    found = [
        m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if m.name not in _NO_BENCHMARKS
    ]
    missed = []
    for name in names or found:
        print(f"== {name}", flush=True)
        try:
            code = importlib.import_module(f"benchmarks.{name}").main()
        except Exception:  # noqa: BLE001  # one broken benchmark must not hide the others
            traceback.print_exc()
            code = 1
        if code:
            missed.append(name)
    print("all targets are met" if not missed else f"below target: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

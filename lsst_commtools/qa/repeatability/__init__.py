"""Astrometric repeatability: AM, AF, AD, AB, ABF and AA of the survey's requirements, over all pairs of stars.

Everything is imported at first use: compiled code takes a second to load.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "measurement": ["Measurement"],
        "metrics": ["Repeatability", "measure_repeatability"],
        "objects": ["ObjectSet", "make_objects"],
        "pairs": ["pair_blocks"],
        "sources": ["SourceRows", "StarCuts", "make_sources", "read_sources"],
    },
)

"""Help for testing notebooks, for users too: a pytest plugin with golden numbers and the data of figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from lsst_commtools.testing.figures import figure_columns
    from lsst_commtools.testing.goldens import GoldenCase, compare_numbers

__all__ = ["GoldenCase", "compare_numbers", "figure_columns"]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "figures": ["figure_columns"],
        "goldens": ["GoldenCase", "compare_numbers"],
    },
)

"""``python -m lsst_commtools.cli``: the same as ``commtools``."""

from lsst_commtools.cli import main

main()

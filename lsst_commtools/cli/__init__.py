"""The ``commtools`` command: parsing, wiring, printing."""

from lsst_commtools.cli.app import main

__all__ = ["main"]

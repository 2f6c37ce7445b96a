"""The record of all runs: events that are only ever added, leases, and the notebooks that were run."""

from lsst_commtools.procedure.ledger.store import Ledger

__all__ = ["Ledger"]

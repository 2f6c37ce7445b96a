"""All kinds of fault that a coordinator can prepare."""

from __future__ import annotations

from lsst_commtools.errors import NotFoundError
from lsst_commtools.rehearsal.injects.facility import FACILITY_FAULTS
from lsst_commtools.rehearsal.injects.files import FILE_FAULTS
from lsst_commtools.rehearsal.injects.ground import FaultKind
from lsst_commtools.rehearsal.injects.services import SERVICE_FAULTS

__all__ = ["CATALOGUE", "fault_kind"]

CATALOGUE = {kind.name: kind for kind in (*FILE_FAULTS, *FACILITY_FAULTS, *SERVICE_FAULTS)}
"""Name to kind of fault."""


def fault_kind(name: str) -> FaultKind:
    """Find a kind of fault.

    Parameters
    ----------
    name
        As a file of injects has it.

    Returns
    -------
    FaultKind
        The kind.

    Raises
    ------
    NotFoundError
        If the catalogue has none of this name.
    """
    if name not in CATALOGUE:
        raise NotFoundError(f"{name!r} is not a fault.", advice=f"Known are {', '.join(CATALOGUE)}.")
    return CATALOGUE[name]

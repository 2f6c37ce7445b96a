"""Rows of the trend store from what was measured: values with errors, verdicts and what they were made with."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Mapping
from typing import Any

from lsst_commtools.errors import IdentifierError, InputError
from lsst_commtools.ids import parse_exposure_id
from lsst_commtools.qa.limits import Status
from lsst_commtools.qa.psf_metrics import EllipticityMetrics
from lsst_commtools.qa.repeatability.metrics import Repeatability
from lsst_commtools.qa.statistics import median
from lsst_commtools.qa.trend import TrendRow

__all__ = ["last_day_obs", "rows_of_ellipticity", "rows_of_repeatability", "software"]

_UNITS = {"mas": "_mas", "percent": "_percent"}
_PACKAGES = ("lsst_commtools", "numpy", "numba", "treecorr")


def last_day_obs(visits: Iterable[int]) -> int:
    """Give the last night of visits, by their numbers.

    Parameters
    ----------
    visits
        Of LSST's kind, YYYYMMDDNNNNN.

    Returns
    -------
    int
        Day of observation.

    Raises
    ------
    InputError
        If there is none, or one is no such number.
    """
    try:
        return max(parse_exposure_id(int(visit))[0] for visit in visits)
    except (IdentifierError, ValueError) as error:
        raise InputError("The visits do not tell the night.", advice="Give it with --day-obs.") from error


def software() -> dict[str, str]:
    """Give the versions of what computes the figures.

    Returns
    -------
    dict
        Package to version.
    """
    return {name: importlib.metadata.version(name) for name in _PACKAGES}


def rows_of_repeatability(
    measured: Repeatability, day_obs: int, instrument: str, *, source: str, provenance: Mapping[str, Any]
) -> list[TrendRow]:
    """Make rows of AM, AF, AD, AB, ABF, AA and the figures of single objects.

    Parameters
    ----------
    measured
        From `measure_repeatability`.
    day_obs, instrument
        The last night, and the camera.
    source
        What the figures come from.
    provenance
        What they were made with; software and numbers are added.

    Returns
    -------
    list of TrendRow
        Of each figure, named as its limit (``AM1_mas``); what is unknown without a value, the reason in its
        provenance.
    """
    told = {
        "software": software(), "n_objects": measured.n_objects, "n_visits": measured.n_visits,
        "n_rows": measured.n_rows, "n_used": measured.n_used, "notes": list(measured.notes), **provenance,
    }  # fmt: skip
    return [
        TrendRow(
            day_obs, instrument, name + _UNITS.get(m.unit, ""), m.value, band=measured.band, source=source,
            error=m.error, status=m.status or Status.UNKNOWN,
            provenance={**told, "n_pairs": m.n_pairs, **({"reason": m.reason} if m.reason else {})},
        )
        for name, m in measured.measurements.items()
    ]  # fmt: skip


def rows_of_ellipticity(
    metrics: EllipticityMetrics,
    day_obs: int,
    instrument: str,
    *,
    band: str = "",
    source: str,
    provenance: Mapping[str, Any],
) -> list[TrendRow]:
    """Make rows of TE1 to TE4 (each of E1, E2, EX), SE1, SE2, EF1, and of the PSF model's health.

    Parameters
    ----------
    metrics
        From `measure_ellipticity`.
    day_obs, instrument, band
        The last night, the camera, and the band.
    source
        What the figures come from.
    provenance
        What they were made with; software and numbers are added.

    Returns
    -------
    list of TrendRow
        ``TE1_E1`` and so on; what is unknown without a value, the reason in its provenance.
    """
    told = {
        "software": software(), "sample": metrics.sample, "n_stars": metrics.n_stars,
        "n_visits": len(metrics.visits), "rho_bin_slop": next((r.bin_slop for r in metrics.rho.values()), None),
        **provenance,
    }  # fmt: skip

    def row(name: str, value: Any, error: Any, status: str, reason: Any) -> TrendRow:
        why = {"reason": reason} if reason else {}
        return TrendRow(
            day_obs, instrument, name, value, band=band, source=source, error=error, status=Status(status),
            provenance={**told, **why},
        )  # fmt: skip

    rows = []
    for name, m in metrics.metrics.items():
        parts = [part for part in ("E1", "E2", "EX") if part in m]
        for part in parts:
            status = m.get("statuses", {}).get(part, m["status"])
            rows.append(
                row(f"{name}_{part}", m[part], m.get("errors", {}).get(part), status, m.get("reason"))
            )
        if not parts:
            suffix = _UNITS.get(m["unit"], "")
            rows.append(row(name + suffix, m["value"], m["error"], m["status"], m.get("reason")))
    if metrics.health:
        chi2 = median([h.figures.get("chi2_per_dof", float("nan")) for h in metrics.health])
        rows.append(row("psf_chi2_per_dof", chi2, None, "unknown", "it has no requirement"))
        failed = float(sum(h.n_failed for h in metrics.health))
        rows.append(row("psf_failed_stars", failed, None, "unknown", "it has no requirement"))
    return rows

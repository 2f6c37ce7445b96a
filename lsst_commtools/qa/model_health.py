"""Health of the PSF model of a visit: how well it fits, where it failed, and which stars test it.

The noise of the moments of a star of signal to noise nu, weighted by the Gaussian that matches it, is 2 / nu in e1, e2
and T / T (Bernstein & Jarvis 2002, section 3 for e; the same Fisher matrix gives T). So chi2 is the sum of de1^2, de2^2
and (dT/T)^2 over (2 / nu)^2, three values a star. Wings above those of a Gaussian add noise: a perfect model has up to
about 1.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.qa.shapes import ellipticity
from lsst_commtools.qa.survey import MOMENTS, has_moments, repeated_rows
from lsst_commtools.qa.tables import StarTable

__all__ = ["ModelHealth", "measure_model_health"]

_LEAST_STARS = 5


@dataclass(frozen=True)
class ModelHealth:
    """Health of the model of one visit.

    Parameters
    ----------
    visit
        Its number; 0 where the table has none.
    n_used, n_reserved
        Stars that the model was made of, and those kept to test it; None where the table does not say.
    n_failed
        Stars of these (of all, where the table does not say) without physical moments of star or model.
    failed_detectors
        Detectors on which no star has a model.
    figures
        ``chi2_per_dof`` of the stars that test the model best, ``n_chi2`` of them, ``trace_radius_delta`` (largest
        minus smallest sqrt(T/2) of the model), and of the stars used and reserved by themselves
        ``chi2_per_dof_used``, ``chi2_per_dof_reserved``: the second much above the first is a model that fits noise.
    reasons
        Figure to why it is unknown.
    """

    visit: int
    n_used: int | None
    n_reserved: int | None
    n_failed: int
    failed_detectors: tuple[int, ...]
    figures: Mapping[str, float]
    reasons: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Give the health for JSON."""
        return {
            "n_used": self.n_used, "n_reserved": self.n_reserved, "n_failed": self.n_failed,
            "failed_detectors": list(self.failed_detectors), **self.figures, "unknown": dict(self.reasons),
        }  # fmt: skip


def measure_model_health(table: StarTable) -> tuple[ModelHealth, ...]:
    """Measure the health of the models of some visits.

    Parameters
    ----------
    table
        Stars with the moments of star and model, and where known ``snr``, ``psf_used`` and ``reserved``.

    Returns
    -------
    tuple of ModelHealth
        By visit; none where the table has no moments.
    """
    if not len(table) or not table.has(*MOMENTS):
        return ()
    numbers = table["visit"] if "visit" in table else np.zeros(len(table))
    return tuple(
        _of_visit(int(v), table.rows(numbers == v)) for v in np.unique(numbers[np.isfinite(numbers)])
    )


def _of_visit(number: int, table: StarTable) -> ModelHealth:
    used, reserved = _flagged(table, "psf_used"), _flagged(table, "reserved", "psf_reserved")
    known = used is not None or reserved is not None
    tested = table.good
    if known:
        nobody = np.zeros(len(table), bool)
        tested = tested & ((nobody if used is None else used) | (nobody if reserved is None else reserved))
    star, model = has_moments(table, ""), has_moments(table, "_psf")
    detectors = table["detector"] if "detector" in table else np.zeros(len(table))
    failed = [int(d) for d in np.unique(detectors[np.isfinite(detectors)]) if not model[detectors == d].any()]
    figures: dict[str, float] = {}
    reasons: dict[str, str] = {}
    repeated = repeated_rows(table, tested & star & model)
    usable = tested & star & model & (not repeated)
    for name, rows in (("used", used), ("reserved", reserved)):
        _add_chi2(figures, reasons, f"chi2_per_dof_{name}", table, None if rows is None else usable & rows)
    best = usable & reserved if reserved is not None and (usable & reserved).any() else usable
    _add_chi2(figures, reasons, "chi2_per_dof", table, best)
    if repeated:
        reasons.update(dict.fromkeys(reasons, repeated))
    if "chi2_per_dof" in figures:
        figures["n_chi2"] = float(best.sum())
    if model.any():
        radius = np.sqrt(0.5 * (table["ixx_psf"] + table["iyy_psf"])[model])
        figures["trace_radius_delta"] = float(np.ptp(radius))
    else:
        reasons["trace_radius_delta"] = "no star has a model"
    return ModelHealth(
        number, None if used is None else int((used & table.good).sum()),
        None if reserved is None else int((reserved & table.good).sum()), int((tested & ~(star & model)).sum()),
        tuple(failed), figures, reasons,
    )  # fmt: skip


def _flagged(table: StarTable, *names: str) -> NDArray[np.bool_] | None:
    found = [table[name] > 0 for name in names if name in table]
    return np.any(found, axis=0) if found else None


def _add_chi2(
    figures: dict[str, float],
    reasons: dict[str, str],
    name: str,
    table: StarTable,
    rows: NDArray[np.bool_] | None,
) -> None:
    if rows is None or "snr" not in table:
        reasons[name] = (
            "the table has no snr" if "snr" not in table else "the table does not tell these stars"
        )
        return
    noise = 2.0 / np.where(table["snr"] > 0, table["snr"], np.nan)
    rows = rows & np.isfinite(noise) & (noise > 0)
    if rows.sum() < _LEAST_STARS:
        reasons[name] = f"{int(rows.sum())} stars, {_LEAST_STARS} are needed"
        return
    star, model = ([table[m + suffix][rows] for m in ("ixx", "iyy", "ixy")] for suffix in ("", "_psf"))
    differences = [a - b for a, b in zip(ellipticity(*star), ellipticity(*model), strict=True)]
    t_star, t_model = star[0] + star[1], model[0] + model[1]
    differences.append((t_star - t_model) / t_star)
    figures[name] = float(np.mean([(d / noise[rows]) ** 2 for d in differences]))
